"""Our notebooks → a folder of the user's, and Jupyter Lab on it. Nothing of the user's is overwritten unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from ccostdb.errors import BadArgument, CcostError
from ccostdb.resources import notebooks_dir

_NEEDED = ("jupyterlab", "matplotlib", "ipykernel")
# Jupyter Lab asks for news, for its newest version and for extensions: we talk to nobody.
_QUIET = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)


def copy_notebooks(folder: Path, *, is_forced: bool = False, is_kept: bool = False) -> list[Path]:
    """Copies the notebooks into a folder, which is made if need be; returns those that were written.

    One that is there and differs is overwritten with `is_forced`, left with `is_kept`; else BadArgument, and none is
    written.
    """
    texts = {folder / path.name: path.read_bytes() for path in sorted(notebooks_dir().glob("*.ipynb"))}
    if folder.exists() and not folder.is_dir():
        raise BadArgument(f"{folder} is no folder.")
    changed = [path for path, text in texts.items() if path.exists() and path.read_bytes() != text]
    if changed and not (is_forced or is_kept):
        hint = "Name another folder, or overwrite them with --force."
        raise BadArgument(f"{', '.join(map(str, changed))} would be overwritten.", hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [path for path in texts if is_forced or path not in changed]
        for path in written:
            path.write_bytes(texts[path])
    except OSError as error:
        raise BadArgument(f"{folder} cannot be written: {error.strerror}.") from error
    return written


def refuse_without_jupyter() -> None:
    """Raises CcostError where Jupyter Lab, or what the notebooks draw with, is not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        plural = "are" if len(missing) > 1 else "is"
        raise CcostError(
            f"Notebooks need {' and '.join(missing)}, which {plural} not installed.", "pip install 'ccostdb[notebooks]'"
        )


def open_jupyter(folder: Path, db: Path) -> None:
    """Becomes Jupyter Lab in a folder, whose notebooks read the ledger `db`; on Windows, waits for it to end."""
    command = [sys.executable, "-m", "jupyterlab", *_QUIET, str(folder.absolute())]
    environ = {**os.environ, "CCOSTDB_DB": str(db)}
    if os.name == "posix":
        os.execve(sys.executable, command, environ)  # every signal is Jupyter's then
    subprocess.run(command, env=environ, check=False)
