"""A whole copy of the ledger, made beside whoever writes it: `VACUUM INTO` a new file, checked, then named.

It only reads the ledger. A copy that bears its name is complete; of ours, the newest `backup_keep` stay.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ccostdb.clock import SECOND_NS
from ccostdb.errors import CcostError
from ccostdb.lock import make_folder
from ccostdb.schema import APPLICATION_ID, inspect, read_only_uri
from ccostdb.settings import Settings

UNFINISHED = ".unfinished"
CHOOSE = "Choose another folder: ccostdb backup --to FOLDER, or backup.folder in the settings."
LEFT_OVER_S = 86_400.0  # an unfinished copy that is older was killed


def backup_folder(settings: Settings) -> Path:
    """Where the settings want backups."""
    return settings.backup_folder or settings.db.absolute().parent / "backups"


def back_up(settings: Settings, folder: Path, now_ns: int, is_over: Callable[[], bool] = lambda: False) -> Path:
    """Makes a copy in `folder` and drops those that are too many; returns its path.

    It appears whole, mode 0600, or not at all. Ends early, with CcostError, as soon as `is_over` says so.
    """
    if inspect(settings).version == 0:
        raise CcostError(f"There is no ledger at {settings.db}.", "Make one with 'ccostdb ingest'.")
    make_folder(folder, CHOOSE)
    stem = settings.db.stem
    name = f"{stem}-{datetime.fromtimestamp(now_ns / 1e9, UTC):%Y%m%dT%H%M%SZ}"
    unfinished = folder / f".{name}.db.{os.getpid()}{UNFINISHED}"
    try:
        descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)  # O_EXCL follows no link
    except OSError as error:
        raise CcostError(f"{folder} takes no backup: {error.strerror}.", CHOOSE) from error
    try:
        with _opened(settings.db, is_over) as con:
            con.execute("vacuum into cast(? as text)", (os.fsencode(unfinished),))  # a name need not be UTF-8
            made_at_s = con.execute("select made_at_s from ledger").fetchone()[0]
        _check(unfinished, is_over)
        os.fsync(descriptor)
        target = _new_name(folder, name)
        unfinished.replace(target)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            raise CcostError("The backup was ended before it was whole.") from error
        raise
    finally:
        os.close(descriptor)
        for end in ("", "-journal"):  # of one that is whole nothing is left under this name
            Path(f"{unfinished}{end}").unlink(missing_ok=True)
    _sync_folder(folder)
    _rotate(folder, stem, made_at_s, settings.backup_keep)
    return target


def _new_name(folder: Path, name: str) -> Path:
    """The name, or where there is one of the same second, the first with a number that is free."""
    names = (f"{name}.db", *(f"{name}_{number}.db" for number in range(2, 1000)))
    return next(path for path in map(folder.joinpath, names) if not os.path.lexists(path))


@contextmanager
def _opened(path: Path, is_over: Callable[[], bool] = lambda: False) -> Iterator[sqlite3.Connection]:
    """A read-only connection; what it does is interrupted as soon as `is_over`."""
    with closing(sqlite3.connect(read_only_uri(path), uri=True, isolation_level=None)) as con:
        con.set_progress_handler(is_over, 10_000)
        yield con


def _check(path: Path, is_over: Callable[[], bool]) -> None:
    with _opened(path, is_over) as copy:
        found = copy.execute("pragma quick_check(1)").fetchone()[0]
    if found != "ok":
        hint = "Look closer: ccostdb doctor. Earlier backups are still there."
        raise CcostError(f"The copy is not sound, so the ledger may not be: {found}.", hint)


def _sync_folder(folder: Path) -> None:
    """Lets the new name outlast a loss of power, where the platform can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _rotate(folder: Path, stem: str, made_at_s: int, keep: int) -> None:
    """Deletes the oldest backups of this very ledger that are too many, and what killed ones left."""
    for path in copies(folder, stem, made_at_s)[:-keep]:
        path.unlink(missing_ok=True)
    left = re.compile(rf"\.{_name(stem)}\.[0-9]+{re.escape(UNFINISHED)}(-journal)?")
    for path in folder.iterdir():
        with suppress(OSError):
            if left.fullmatch(path.name) and path.lstat().st_mtime < time.time() - LEFT_OVER_S:
                path.unlink()


def copies(folder: Path, stem: str, made_at_s: int) -> list[Path]:
    """The whole copies, oldest first, of the ledger that was made at that time. Raises OSError."""
    found = (each for each in folder.iterdir() if re.fullmatch(_name(stem), each.name) and _made_at(each) == made_at_s)
    return sorted(found, key=_time_and_number)


def copied_ns(copy: Path) -> int:
    """When a copy was made, as its name says."""
    time_text, _ = _time_and_number(copy)
    return int(datetime.fromisoformat(time_text).timestamp()) * SECOND_NS


def _name(stem: str) -> str:
    return rf"{re.escape(stem)}-[0-9]{{8}}T[0-9]{{6}}Z(_[0-9]+)?\.db"


def _time_and_number(copy: Path) -> tuple[str, int]:
    before, _, number = copy.stem.rpartition("Z")
    return f"{before[-len('20260701T000000') :]}Z", int(number[1:] or 1)


def _made_at(path: Path) -> int | None:
    """When the ledger that a copy is of was made; None for what is no such copy."""
    if path.is_symlink() or not path.is_file():
        return None
    with suppress(sqlite3.Error), _opened(path) as copy:
        if copy.execute("pragma application_id").fetchone()[0] == APPLICATION_ID:
            return int(copy.execute("select made_at_s from ledger").fetchone()[0])
    return None
