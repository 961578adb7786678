"""Generated transcript trees whose truth is known: tokens and nano-dollars by day in three zones, model and project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from transcripts import import_once, rows, settings_for

from ccostdb.cli import main

GENERATOR = Path(__file__).parent.parent / "bench" / "gen_transcripts.py"
COUNTS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_write_5m_tokens": "cache_5m",
    "cache_write_1h_tokens": "cache_1h",
    "cache_read_tokens": "cache_read",
    "calls": "messages",
}


@pytest.fixture(scope="module", params=[("4MB", 1, "--edge"), ("6MB", 2, ""), ("2MB", 3, "--edge")], ids=str)
def tree(request, tmp_path_factory):
    """A generated tree, imported: (settings, truth)."""
    size, seed, edge = request.param
    folder = tmp_path_factory.mktemp("tree")
    order = [
        sys.executable,
        str(GENERATOR),
        "--size",
        size,
        "--seed",
        str(seed),
        "--out",
        str(folder),
        *filter(None, [edge]),
    ]
    subprocess.run(order, check=True, capture_output=True)
    settings = settings_for(folder, folder / ".claude")
    import_once(settings)
    return settings, json.loads((folder / "truth.json").read_text())


def report(settings, *words: str) -> list[dict]:
    done = CliRunner().invoke(main, ["report", *words, "--json", "--db", str(settings.db)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def assert_same(row: dict, truth: dict) -> None:
    assert {mine: row[mine] for mine in COUNTS} == {mine: truth[its] for mine, its in COUNTS.items()}
    assert round(row["cost_usd"] * 1e9) == truth["cost_nanousd"]


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
def test_every_day_of_every_zone_is_exact(tree, zone):
    settings, truth = tree
    found = {row["day"]: row for row in report(settings, "daily", "--tz", zone)}
    assert found.keys() == truth["by_day"][zone].keys()
    for day, row in found.items():
        assert_same(row, truth["by_day"][zone][day])


@pytest.mark.parametrize(
    ("kind", "column", "key"), [("models", "model", "by_model"), ("monthly", "month", "by_month_utc")]
)
def test_every_model_and_month_is_exact(tree, kind, column, key):
    settings, truth = tree
    found = {row[column]: row for row in report(settings, kind)}
    assert found.keys() == truth[key].keys()
    for name, row in found.items():
        assert_same(row, truth[key][name])


def test_every_project_is_exact(tree):
    settings, truth = tree
    found = {row["project"]: row for row in report(settings, "projects")}
    slugs = {"-" + name[1:].translate(str.maketrans("/._", "---")): row for name, row in found.items()}
    wanted = {name.translate(str.maketrans("/._", "---")): each for name, each in truth["by_project"].items()}
    assert slugs.keys() == {name if name.startswith("-") else f"-{name}" for name in wanted}
    for name, each in wanted.items():
        assert_same(slugs[name if name.startswith("-") else f"-{name}"], each)


def test_every_day_and_model_is_exact(tree):
    settings, truth = tree
    found = {f"{row['day']}|{row['model']}": row for row in report(settings, "daily", "--by", "model")}
    assert found.keys() == truth["by_day_model_utc"].keys()
    for name, row in found.items():
        assert_same(row, truth["by_day_model_utc"][name])


def test_the_sum_of_all_calls_is_exact(tree):
    settings, truth = tree
    (total,) = rows(settings, "select sum(computed_nusd) as nusd, count(*) as calls from call")
    assert total == {"nusd": truth["total"]["cost_nanousd"], "calls": truth["total"]["messages"]}


def test_another_order_of_the_files_gives_the_same_calls(tree, tmp_path):
    settings, _ = tree
    files = sorted((settings.db.parent / ".claude").rglob("*.jsonl"))
    times = {path: path.stat() for path in files}
    other = settings_for(tmp_path, settings.db.parent / ".claude")
    for number, path in enumerate(files):
        os.utime(path, ns=(1, (len(files) - number) * 1_000_000_000))
    try:
        import_once(other)
    finally:
        for path, status in times.items():
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    # Whose session a copied history is may depend on the files' age; all else may not.
    query = "select * from calls order by call_id"
    drop = ("session_id", "project")
    mine, its = (
        [{k: v for k, v in row.items() if k not in drop} for row in rows(each, query)] for each in (other, settings)
    )
    assert mine == its
