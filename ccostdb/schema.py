"""Whose file it is, and how old: opens a ledger for reading, and makes or upgrades it for whoever holds its lock.

Migrations and the price sync run in a child process (`upgrade.py`), because sqlite-utils and genai-prices are large.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ccostdb.errors import CcostError, NotOurs, SchemaTooNew, StoreBusy
from ccostdb.lock import real_path, writing_lock
from ccostdb.prices.sync import book_digest
from ccostdb.resources import sql_names
from ccostdb.settings import Settings
from ccostdb.views import view_statements

APPLICATION_ID = 0x63636F73  # "ccos"
WRITER_PRAGMAS = (
    "pragma journal_mode = wal",
    "pragma synchronous = full",  # free where a transaction holds a batch or more
    "pragma wal_autocheckpoint = 5000",  # 40 MB of a new ledger's pages
    "pragma cache_size = -2048",  # KiB, of a process that may run for weeks; an import takes more
    "pragma temp_store = memory",
)
# sqlite-utils imports pandas where it can: a third of a second, for nothing that we use.
_CHILD = "import sys; sys.modules['pandas'] = None; from ccostdb.upgrade import main; main()"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a file is: how many migrations it has had (0: an empty file, ours to make), and what of it is current.

    `is_readable`: schema and views. `is_priced`: the price book. `is_counted`: whether CCO counts, where that is set.
    """

    version: int
    is_readable: bool = False
    is_priced: bool = False
    is_counted: bool = False

    @property
    def is_current(self) -> bool:
        """Whether nothing is left to do for a writer."""
        return self.is_readable and self.is_priced and self.is_counted


def schema_version() -> int:
    """The number of migrations that this program knows."""
    return len(sql_names("migrations"))


def views_sha256() -> str:
    """Names the text of all views, so that a change is seen."""
    return hashlib.sha256(json.dumps(view_statements()).encode()).hexdigest()


def inspect(settings: Settings) -> Condition:
    """Looks at the file without changing it. Raises NotOurs and SchemaTooNew."""
    path = settings.db
    if not real_path(path).exists() or path.stat().st_size == 0:
        return Condition(0)
    try:
        with closing(_connect_read_only(path)) as con:
            application_id = con.execute("pragma application_id").fetchone()[0]
            version = con.execute("pragma user_version").fetchone()[0]
            if application_id != APPLICATION_ID:
                if con.execute("select 1 from sqlite_schema limit 1").fetchone() is None:
                    return Condition(0)
                raise NotOurs(f"{path} is a SQLite file, but no ccostdb ledger.", "Choose another file with --db.")
            if version > schema_version():
                raise SchemaTooNew(
                    f"{path} has schema {version}; this ccostdb knows schema {schema_version()}.",
                    "Update ccostdb, or choose another file with --db.",
                )
            if version < schema_version():
                return Condition(version)
            views, prices = con.execute("select views_sha256, prices_digest from ledger").fetchone()
            otherwise = "select 1 from source where kind = 'cco' and counted_setting is not ?"
            return Condition(
                version,
                is_readable=views == views_sha256(),
                is_priced=prices == book_digest(settings.user_prices),
                is_counted=not _is_given(settings) or not con.execute(otherwise, (settings.cco_counted,)).fetchall(),
            )
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise NotOurs(f"{path} is no SQLite file.", "Choose another file with --db.") from error
        raise


def _is_given(settings: Settings) -> bool:
    """Whether the settings say if CCO counts: true, false, or auto. Where they do not, the ledger's own word stands."""
    return settings.cco_counted is not None or "cco_counted" in settings.origins


def read_only_uri(path: Path) -> str:
    """What SQLite is given to open a file that it must neither make nor change."""
    return f"{path.absolute().as_uri()}?mode=ro"


def _connect_read_only(path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(read_only_uri(path), uri=True, timeout=5.0, isolation_level=None)
    con.row_factory = sqlite3.Row
    return con


def open_reader(
    settings: Settings, *, is_priced: bool = False, say: Callable[[str], None] = lambda _: None
) -> sqlite3.Connection:
    """A read-only connection with named rows. Upgrades a ledger that is behind; raises StoreBusy if another writes it.

    Whether CCO counts, and with `is_priced` the price book, are as the settings want, if nobody writes; else they are
    read as they are, and `say` is told so.
    """
    refuse_absent(settings)
    condition = inspect(settings)
    if not condition.is_readable:
        with writing_lock(settings.db):
            prepare(settings)
    elif not condition.is_counted or (is_priced and not condition.is_priced):
        try:
            with writing_lock(settings.db):
                prepare(settings) if is_priced else _put_counted(settings)
        except StoreBusy:
            what = "the prices" if condition.is_counted else "whether CCO counts"
            say(f"Another ccostdb process writes: its settings say {what}, not yours.")
    con = _connect_read_only(settings.db)
    con.execute("pragma cache_size = -65536")
    con.execute("pragma temp_store = memory")
    return con


def refuse_absent(settings: Settings) -> None:
    """Raises CcostError where there is no ledger: for whoever needs one, and would make it at a mistyped path."""
    if not settings.db.exists():
        hint = "Make one with 'ccostdb ingest', or see 'ccostdb demo'."
        raise CcostError(f"There is no ledger at {settings.db}.", hint)


def prepare(settings: Settings) -> None:
    """Makes or upgrades the file where it is behind. The caller holds the lock."""
    condition = inspect(settings)
    if not (condition.is_readable and condition.is_priced):
        _upgrade(settings, condition.version)
    if not condition.is_counted:
        _put_counted(settings)


def _put_counted(settings: Settings) -> None:
    """Lets every CCO of the ledger count as the settings say."""
    if _is_given(settings):
        with closing(sqlite3.connect(real_path(settings.db), isolation_level=None, timeout=5.0)) as con:
            con.execute("update source set counted_setting = ? where kind = 'cco'", (settings.cco_counted,))


def _upgrade(settings: Settings, version: int) -> None:
    path = real_path(settings.db)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    elif path.stat().st_size == 0:
        path.chmod(0o600)
    if 0 < version < schema_version():
        _back_up(path, version)
    order = {"db": str(path), "home_tz": settings.home_tz, "user_prices": settings.user_prices}
    child = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD],  # -P: no module comes from the working folder
        input=json.dumps(order, default=str),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
        start_new_session=True,  # Ctrl-C reaches us alone; we end the child, and its one transaction leaves no trace
    )
    if child.returncode != 0:
        _raise_from(child, path)


def _raise_from(child: subprocess.CompletedProcess[str], path: Path) -> None:
    """The child's own error for people, or its traceback."""
    if child.returncode < 0:
        raise CcostError(f"Making {path} was ended by signal {-child.returncode}.", "Run the same command again.")
    try:
        said = json.loads(child.stdout)
    except ValueError:
        raise RuntimeError(f"upgrading {path} failed:\n{child.stderr}") from None
    if "sqlite" in said:
        error = sqlite3.OperationalError(said["sqlite"])
        error.sqlite_errorcode = said["code"]
        raise error
    raise CcostError(said["message"], said["hint"])


def _back_up(path: Path, version: int) -> None:
    """A copy of the file as it was, beside it, before a migration touches it. An earlier copy stays."""
    target = _new_backup(path, version)
    try:
        with closing(_connect_read_only(path)) as old, closing(sqlite3.connect(target)) as copy:
            old.backup(copy)
    except BaseException:
        target.unlink()
        raise


def _new_backup(path: Path, version: int) -> Path:
    """An empty file under the first number that is free."""
    for number in count(1):
        target = path.with_name(f"{path.name}.schema-{version}.{number}.backup")
        with suppress(FileExistsError):
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # O_EXCL follows no link
            return target
    raise AssertionError("numbers do not end")
