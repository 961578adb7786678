"""The notebooks: stored without output, run on real ledgers; `ccostdb notebooks` copies them out and starts Jupyter."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from commands import ccostdb, environment, run_python

from ccostdb.resources import notebooks_dir

NOTEBOOKS = sorted(notebooks_dir().glob("*.ipynb"))
NAMES = ["forecasting_the_month", "sessions_and_agents", "what_caching_saves", "where_the_money_goes"]


def read(path: Path) -> Any:
    return nbformat.read(path, nbformat.NO_CONVERT)


def executed(path: Path, db: Path, folder: Path) -> list[Any]:
    """The outputs of a notebook that ran in a kernel of its own; an error in a cell is raised."""
    env = environment(HOME=str(folder), CCOSTDB_DB=str(db), JUPYTER_PLATFORM_DIRS="1", PYTHONWARNINGS="error:::ccostdb")
    notebook = read(path)
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute(env=env)
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(outputs: list[Any]) -> str:
    assert not [output for output in outputs if output.get("name") == "stderr"]
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_the_notebooks_are_these() -> None:
    assert [path.stem for path in NOTEBOOKS] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_stored_without_output(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    assert notebook.cells[0].cell_type == "markdown"
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_a_full_ledger_and_says_what_is_left_out(path: Path, week: Path, tmp_path: Path) -> None:
    outputs = executed(path, week, tmp_path)
    text = printed(outputs)
    assert "Not counted: cco with " in text
    assert "Without a price, so in no cost: " in text
    pages = [output.data for output in outputs if "data" in output]
    assert any("image/png" in page for page in pages)
    assert not any("<script>window" in page.get("text/html", "") for page in pages)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_an_empty_ledger_and_says_so(path: Path, nothing: Path, tmp_path: Path) -> None:
    text = printed(executed(path, nothing, tmp_path))
    first = text.splitlines()[0]
    assert re.search("has no calls|No call|has 0 days", first)
    assert "Nothing is left out." in text


def test_a_forecast_of_two_years_says_its_error(two_years: Path, tmp_path: Path) -> None:
    (path,) = (path for path in NOTEBOOKS if path.stem == "forecasting_the_month")
    text = printed(executed(path, two_years, tmp_path))
    assert re.search(r"By its end: \$[\d,.]+, in four of five cases between \$[\d,.]+ and \$[\d,.]+\.", text)
    assert re.search(
        r"Of \d+ forecasts over \d+ days, half were off by less than \d+%; the plainest guess by \d+%", text
    )
    assert re.search(r"What came lay in the range \d+% of the times", text)


# --- the command ---


def test_notebooks_are_copied_out_and_copied_again(home: Path) -> None:
    for _ in range(2):
        done = ccostdb("notebooks", "mine")
        assert done.exit_code == 0
        assert done.stdout.splitlines() == [f"mine/{name}.ipynb" for name in NAMES]
    for path in NOTEBOOKS:
        assert (home / "mine" / path.name).read_bytes() == path.read_bytes()


def test_without_a_folder_they_have_one_of_their_own(home: Path) -> None:
    assert ccostdb("notebooks").exit_code == 0
    assert len(list((home / "ccostdb-notebooks").glob("*.ipynb"))) == len(NAMES)


def test_a_changed_notebook_is_overwritten_only_by_force(home: Path) -> None:
    assert ccostdb("notebooks", "mine").exit_code == 0
    changed, removed = home / "mine" / NOTEBOOKS[0].name, home / "mine" / NOTEBOOKS[1].name
    changed.write_text("mine now")
    removed.unlink()
    refused = ccostdb("notebooks", "mine")
    assert refused.exit_code == 1
    assert f"Error: mine/{changed.name} would be overwritten." in refused.stderr
    assert "--force" in refused.stderr
    assert (changed.read_text(), removed.exists()) == ("mine now", False)
    assert ccostdb("notebooks", "mine", "--force").exit_code == 0
    assert changed.read_bytes() == NOTEBOOKS[0].read_bytes()


def test_a_file_is_no_folder(home: Path) -> None:
    (home / "mine").write_text("")
    done = ccostdb("notebooks", "mine")
    assert (done.exit_code, done.stderr.splitlines()[0]) == (1, "Error: mine is no folder.")


def test_without_jupyter_one_sentence_says_what_to_type(home: Path) -> None:
    code = "import sys; sys.modules['jupyterlab'] = None; from ccostdb.cli import main; main(['notebooks', '--open'])"
    done = run_python("-c", code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "Error: Notebooks need jupyterlab, which is not installed."
    assert "pip install 'ccostdb[notebooks]'" in done.stderr
    assert not (home / "ccostdb-notebooks").exists()


def test_open_starts_jupyter_lab_in_the_folder_and_leaves_what_is_there(home: Path, week: Path) -> None:
    settings = home / "jupyter"
    settings.mkdir()
    (settings / "jupyter_server_config.py").write_text(
        "c.ServerApp.allow_root = True\nc.ServerApp.open_browser = False\nc.ServerApp.port = 0\n"
    )
    (home / "mine").mkdir()
    changed = home / "mine" / NOTEBOOKS[0].name
    changed.write_text("mine now")
    words = [sys.executable, "-m", "ccostdb", "notebooks", "mine", "--open", "--db", str(week)]
    env = environment(JUPYTER_CONFIG_DIR=str(settings), JUPYTER_RUNTIME_DIR=str(home / "run"))
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "http://127.0.0.1:" in line or process.poll() is not None:
                break
        variables = Path(f"/proc/{process.pid}/environ")
        given = variables.read_bytes() if variables.exists() else None
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=30)[1]
    assert f"Serving notebooks from local directory: {home / 'mine'}" in said
    assert given is None or f"CCOSTDB_DB={week}\0".encode() in given
    assert changed.read_text() == "mine now"
    assert len(list((home / "mine").glob("*.ipynb"))) == len(NAMES)
    assert os.name == "posix"
