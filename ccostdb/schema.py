"""Whose file it is, and how old: opens a ledger for reading, and makes or upgrades it for whoever holds its lock.

Migrations and the price sync run in a child process (`upgrade.py`), because sqlite-utils and genai-prices are large.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ccostdb.errors import CcostError, NotOurs, SchemaTooNew, StoreBusy
from ccostdb.price_book import book_digest
from ccostdb.resources import sql_names
from ccostdb.settings import Settings
from ccostdb.views import view_statements

APPLICATION_ID = 0x63636F73  # "ccos"
SQLITE_FLOOR = (3, 38, 0)
WRITER_PRAGMAS = (
    "pragma journal_mode = wal",
    "pragma synchronous = full",  # free where a transaction is a batch
    "pragma wal_autocheckpoint = 10000",
    "pragma cache_size = -65536",
    "pragma temp_store = memory",
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a file is: how many migrations it has had (0: an empty file, ours to make), and whether all is current."""

    version: int
    is_current: bool


def schema_version() -> int:
    """The number of migrations that this program knows."""
    return len(sql_names("migrations"))


def views_sha256() -> str:
    """Names the text of all views, so that a change is seen."""
    return hashlib.sha256(json.dumps(view_statements()).encode()).hexdigest()


def inspect(settings: Settings) -> Condition:
    """Looks at the file without changing it. Raises NotOurs and SchemaTooNew."""
    path = settings.db
    if not path.exists() or path.stat().st_size == 0:
        return Condition(0, False)
    try:
        with closing(_connect_read_only(path)) as con:
            application_id = con.execute("pragma application_id").fetchone()[0]
            version = con.execute("pragma user_version").fetchone()[0]
            if application_id != APPLICATION_ID:
                if con.execute("select 1 from sqlite_schema limit 1").fetchone() is None:
                    return Condition(0, False)
                raise NotOurs(f"{path} is a SQLite file, but no ccostdb ledger.", "Choose another file with --db.")
            if version > schema_version():
                raise SchemaTooNew(
                    f"{path} has schema {version}; this ccostdb knows schema {schema_version()}.",
                    "Update ccostdb, or choose another file with --db.",
                )
            if version < schema_version():
                return Condition(version, False)
            views, prices = con.execute("select views_sha256, prices_digest from ledger").fetchone()
            is_current = views == views_sha256() and prices == book_digest(settings.user_prices)
            return Condition(version, is_current)
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise NotOurs(f"{path} is no SQLite file.", "Choose another file with --db.") from error
        raise


def _connect_read_only(path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None)
    con.row_factory = sqlite3.Row
    return con


def open_reader(settings: Settings) -> sqlite3.Connection:
    """A read-only connection with named rows. Upgrades a ledger that is behind, if nobody writes it."""
    if not settings.db.exists():
        hint = "Make one with 'ccostdb ingest', or see 'ccostdb demo'."
        raise CcostError(f"There is no ledger at {settings.db}.", hint)
    if not inspect(settings).is_current:
        with writing_lock(settings.db):
            prepare(settings)
    con = _connect_read_only(settings.db)
    con.execute("pragma mmap_size = 1073741824")
    con.execute("pragma cache_size = -65536")
    con.execute("pragma temp_store = memory")
    return con


@contextmanager
def writing_lock(path: Path) -> Iterator[None]:
    """Holds `<database>.lock` for this process. Raises StoreBusy where another one does."""
    _refuse_old_sqlite()
    _make_folder(path.parent)
    lock = FileLock(f"{path}.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreBusy(
            f"Another ccostdb process writes {path}.",
            "Wait until it has finished, or stop it; reading works meanwhile.",
        ) from None
    except OSError as error:
        message = f"{path}.lock cannot be written: {error.strerror}."
        raise CcostError(message, "Choose another file with --db.") from error
    try:
        yield
    finally:
        lock.release()


def prepare(settings: Settings) -> None:
    """Makes or upgrades the file where it is behind. The caller holds the lock."""
    condition = inspect(settings)
    if condition.is_current:
        return
    path = settings.db
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if 0 < condition.version < schema_version():
        _back_up(path, condition.version)
    order = {"db": str(path), "home_tz": settings.home_tz, "user_prices": settings.user_prices}
    child = subprocess.run(
        [sys.executable, "-m", "ccostdb.upgrade"],
        input=json.dumps(order, default=str),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
        start_new_session=True,  # Ctrl-C is for us: we stop when the file is whole
    )
    if child.returncode != 0:
        _raise_from(child, path)


def _raise_from(child: subprocess.CompletedProcess[str], path: Path) -> None:
    """The child's own error for people, or its traceback."""
    try:
        said = json.loads(child.stdout)
        raise CcostError(said["message"], said["hint"])
    except ValueError:
        raise RuntimeError(f"upgrading {path} failed:\n{child.stderr}") from None


def _back_up(path: Path, version: int) -> None:
    """A copy of the file as it was, beside it, before a migration touches it."""
    target = path.with_name(f"{path.name}.schema-{version}.backup")
    with closing(_connect_read_only(path)) as old:
        os.close(os.open(target, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(target)) as copy:
            old.backup(copy)


def _make_folder(folder: Path) -> None:
    """Makes the folder and its missing parents, for this user only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        for each in reversed(missing):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        message = f"The folder {folder} cannot be made: {error.strerror}."
        raise CcostError(message, "Choose another with --db.") from error


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
