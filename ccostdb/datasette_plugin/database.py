"""The ledger as Datasette knows it: read-only, the file that is there now, and what its pages ask of one kept quick."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from datasette.app import Datasette
from datasette.database import Database, Results

from ccostdb.errors import CcostError
from ccostdb.schema import read_only_uri
from ccostdb.settings import Settings

NAME = "ccostdb"  # of the database in every address, whatever its file is called
# Of connections that stay open, one for each thread. Not mapped: a file that is cut short would end the process.
PRAGMAS = ("pragma cache_size = -4096", "pragma temp_store = file")
LIMITS = {  # SQLite asks only between its steps whether one is still wanted: none may take long, or much memory
    sqlite3.SQLITE_LIMIT_LENGTH: 8 * 1024 * 1024,  # more than any stored text
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
}
MOST_BYTES = 32 * 1024 * 1024  # of texts and blobs in the rows of a page
MOST_DOWNLOADS = 8  # at once: each has a thread and a connection
BUSY_S = 1.0  # while a writer holds the file alone; nothing interrupts this wait
COUNT_MS = 20  # a page at 10 million calls is to take less than 300
STEPS = 100_000  # of SQLite's machine, about a millisecond: after so many, a statement asks whether it is still wanted

T = TypeVar("T")


class _Cursor(sqlite3.Cursor):
    """Gives no more rows at once than a page can hold."""

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return _bounded(islice(self, size))

    def fetchall(self) -> list[Any]:
        return _bounded(self)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


def _bounded(rows: Iterable[Any]) -> list[Any]:
    found, size = [], 0
    for row in rows:
        found.append(row)
        size += sum([len(cell) for cell in row if isinstance(cell, str | bytes)])
        if size > MOST_BYTES:
            raise sqlite3.DataError("the rows are too big for a page")
    return found


class LedgerDatabase(Database):  # type: ignore[misc]
    """The ledger as Datasette reads it: a connection for each of its threads, opened again where the file was replaced.

    Datasette's own puts an unquoted path into a URI, and keeps to a file that another has taken the place of.
    """

    def __init__(self, datasette: Datasette, settings: Settings) -> None:
        super().__init__(datasette, path=str(settings.db.absolute()), is_mutable=True)
        self.settings = settings
        self.home_zone = ZoneInfo("UTC")  # until the first connection
        self._thread = threading.local()
        self.downloads = threading.Semaphore(MOST_DOWNLOADS)
        self._busy: set[sqlite3.Connection] = set()  # of Datasette's threads
        self._is_stopped = False

    def connect(self, write: bool = False) -> sqlite3.Connection:
        """A connection that can only read. It may be used by one thread after another."""
        assert not write, "the ledger is only read here"
        uri = read_only_uri(self.settings.db)
        con = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=BUSY_S, factory=_Connection)
        try:
            for limit, most in LIMITS.items():
                con.setlimit(limit, most)
            for pragma in PRAGMAS:
                con.execute(pragma)
            self.home_zone = ZoneInfo(con.execute("select home_tz from ledger").fetchone()[0])
        except BaseException:
            con.close()
            raise
        return con

    async def execute(self, sql: str, params: Any = None, truncate: bool = False, **more: Any) -> Results:
        """As Datasette's, but the number of rows on a table's page is left out where it takes long to count."""
        if sql.startswith("select count(*) from ") and not truncate:
            more["custom_time_limit"] = COUNT_MS
        return await super().execute(sql, params, truncate, **{**more, "log_sql_errors": False})

    async def execute_fn(self, fn: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `fn` in a thread of Datasette's, on that thread's connection."""

        def in_thread() -> T:
            con = self._of_this_thread()
            self._busy.add(con)
            try:
                if self._is_stopped:
                    raise CcostError("The server is told to stop.")
                return fn(con)
            except sqlite3.DatabaseError:
                self._thread.con = None  # it may be of a file that another was copied into
                con.close()
                raise
            finally:
                self._busy.discard(con)

        return await asyncio.get_running_loop().run_in_executor(self.ds.executor, in_thread)

    async def foreign_keys_for_table(self, table: str) -> list[dict[str, str]]:
        """As Datasette's, which fails where `references` names no column: that is the primary key."""
        keys: list[dict[str, str]] = await super().foreign_keys_for_table(table)
        for key in keys:
            key["other_column"] = key["other_column"] or (await self.primary_keys(key["other_table"]))[0]
        return keys

    async def get_all_foreign_keys(self) -> dict[str, dict[str, list[object]]]:
        """None: a row's page would count all rows that refer to it, each a scan of all calls."""
        return {table: {"incoming": [], "outgoing": []} for table in await self.table_names()}

    def _of_this_thread(self) -> sqlite3.Connection:
        file = self.settings.db.stat()
        identity = (file.st_dev, file.st_ino)
        con: sqlite3.Connection | None = getattr(self._thread, "con", None)
        if con is None or self._thread.identity != identity:
            if con is not None:
                con.close()
            con = self.connect()
            self.ds._prepare_connection(con, self.name)
            self._thread.con, self._thread.identity = con, identity
        return con

    @contextmanager
    def opened(self, is_left: Callable[[], bool] = lambda: False) -> Iterator[sqlite3.Connection]:
        """A connection of its own in one transaction, with plain tuples as rows.

        A statement ends with `interrupted` where `is_left` says so, as well as after `stop`: it asks by itself, because
        an interrupt that comes between two statements, or before the first, has no effect.
        """
        con = self.connect()
        con.isolation_level = None
        con.set_progress_handler(lambda: self._is_stopped or is_left(), STEPS)
        try:
            con.execute("begin")
            yield con
        finally:
            con.close()

    async def stop(self) -> None:
        """Lets nothing be read from now on, and returns when nothing is: a process cannot end before its threads."""
        self._is_stopped = True
        while self._busy:
            for con in list(self._busy):
                with suppress(sqlite3.ProgrammingError):  # closed meanwhile
                    con.interrupt()  # of effect only amid a statement, and so again and again
            await asyncio.sleep(0.02)
