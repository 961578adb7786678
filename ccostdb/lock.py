"""Who may write a ledger: the one process that holds `<database>.lock`, beside the file itself."""

from __future__ import annotations

import errno
import importlib.util
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ccostdb.errors import CcostError, StoreBusy

SQLITE_FLOOR = (3, 38, 0)


@contextmanager
def writing_lock(path: Path) -> Iterator[None]:
    """Holds `<database>.lock` for this process. Raises StoreBusy where another one does.

    The lock lies beside the file itself, whatever link leads there: so do the files of SQLite's own.
    """
    _refuse_old_sqlite()
    path = real_path(path)
    make_folder(path.parent)
    lock = FileLock(f"{path}.lock", mode=0o600)
    try:
        lock.acquire(timeout=0.2, poll_interval=0.02)  # longer than is_written holds it
    except Timeout:
        if not os.path.lexists(f"{path}.lock"):  # nobody holds what is not there: the folder takes no file
            raise CcostError(f"{path}.lock cannot be made.", "Choose another file with --db.") from None
        raise StoreBusy(
            f"Another ccostdb process writes {path}.",
            "Wait until it has finished, or stop it; reading works meanwhile.",
        ) from None
    except OSError as error:
        raise _lock_refused(path, error) from error
    try:
        yield
    finally:
        lock.release()


def is_written(path: Path) -> bool:
    """Whether a process writes a ledger now: it alone holds the lock. A lock file that nobody holds says nothing.

    Of another's lock that may not even be read, False. Raises CcostError where the lock is no file.
    """
    path = real_path(path)
    place = Path(f"{path}.lock")
    if not os.path.lexists(place):
        return False
    lock = FileLock(place, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except PermissionError:
        return _is_locked(place)
    except OSError as error:
        if error.errno == errno.EROFS:
            return _is_locked(place)
        raise _lock_refused(path, error) from error
    lock.release()
    return False


def _is_locked(place: Path) -> bool:
    """Whether somebody holds a lock that we may not write: an attempt to share it says so."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        with place.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _lock_refused(path: Path, error: OSError) -> CcostError:
    return CcostError(f"{path}.lock cannot be written: {error.strerror}.", "Choose another file with --db.")


def real_path(path: Path) -> Path:
    """The file that a path leads to, over all links. Raises CcostError where it can be none."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself, until Python 3.13
        raise CcostError(f"{path} leads to no file.", "Choose another file with --db.") from error
    if real.is_dir():
        raise CcostError(f"{path} is a folder.", f"Name a file in it: --db {path / 'ccostdb.db'}")
    if real.exists() and not real.is_file():  # SQLite would wait for whoever writes to a pipe
        raise CcostError(f"{path} is no file.", "Choose another with --db.")
    return real


def make_folder(folder: Path, hint: str = "Choose another with --db.") -> None:
    """Makes the folder and its missing parents, for this user only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        message = f"The folder {folder} cannot be made: {error.strerror}."
        raise CcostError(message, hint) from error


def _refuse_old_sqlite() -> None:
    if sqlite3.sqlite_version_info < SQLITE_FLOOR:
        raise CcostError(
            f"SQLite {sqlite3.sqlite_version} is too old: ccostdb needs 3.38.", "Use a newer build of Python."
        )
    if importlib.util.find_spec("pysqlite3"):
        raise CcostError(
            "The package pysqlite3 is installed beside ccostdb: two SQLite libraries in one process break file locks.",
            "Remove it with 'pip uninstall pysqlite3 pysqlite3-binary', or give ccostdb an environment of its own.",
        )
