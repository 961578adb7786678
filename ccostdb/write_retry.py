"""Waits where the ledger cannot be written for now (a full disk, a lock that another program holds), and tries again.

A write that failed has left nothing. Whoever asked for it stands still meanwhile, so that nothing is taken in that
could not be kept; the process stays up, and its open runs say `error` as soon as there is room for so much.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

import aiosqlite

from ccostdb.stopping import stopped_within
from ccostdb.store_rows import places

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 10.0
# SQLite's primary result codes that may pass by themselves (https://sqlite.org/rescode.html). A quota, or a limit on
# the size of a file, is an error of input and output to it.
_PASSING = {
    sqlite3.SQLITE_BUSY: "another program holds it",
    sqlite3.SQLITE_READONLY: "it may not be written",
    sqlite3.SQLITE_IOERR: "the disk does not take it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
}
Done = TypeVar("Done")
log = logging.getLogger(__name__)


class Patience:
    """What one process does about writes that fail. Without `stop` it has none: they raise."""

    def __init__(self, db: aiosqlite.Connection, turn: asyncio.Lock, stop: asyncio.Event | None) -> None:
        self.trouble: str | None = None  # why nothing can be written now
        self.on_trouble: Callable[[str | None], None] = lambda _: None  # is told of it, and of its end
        self.open_runs: set[int] = set()
        self._waiting: set[Callable[[], Awaitable[Any]]] = set()
        self._db, self._turn, self._stop = db, turn, stop
        # While the open runs say `error`: what they say of it, and their state, error and id of before.
        self._marked: tuple[str, list[tuple[str | None, str | None, int]]] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the process is told to end: what can wait is left."""
        return self._stop is not None and self._stop.is_set()

    async def insist(self, write: Callable[[], Awaitable[Done]]) -> Done:
        """What `write` returns, once it has gone through. Raises its error when it will not pass, or we are to end."""
        wait_s = FIRST_WAIT_S
        try:
            while True:
                try:
                    done = await write()
                except sqlite3.OperationalError as error:
                    reason = _PASSING.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
                    if reason is None or self._stop is None or self._stop.is_set():
                        raise
                    self._waiting.add(write)
                    await self._admit(f"the ledger cannot be written: {reason} ({error})")
                else:
                    if self._waiting == {write} and not self.is_over:
                        log.warning("the ledger can be written again")
                    return done
                await stopped_within(self._stop, wait_s)
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        finally:
            if write in self._waiting:
                self._waiting.remove(write)
                if not self._waiting:  # a small write may go through while a large one still waits for room
                    await self._recover()

    async def _admit(self, trouble: str) -> None:
        """Says what is wrong: in the log at once, in the open runs where there is room for that."""
        if self.trouble is None:
            log.error("%s; trying again until it can", trouble)
        self.trouble = trouble
        self.on_trouble(trouble)
        with suppress(sqlite3.OperationalError):
            async with self._turn:
                if self._marked is None:  # else another write that waits has done it, perhaps just now
                    runs = tuple(self.open_runs)
                    query = f"select state, error, run_id from run where run_id in {places(runs)}"
                    before = [(row[0], row[1], row[2]) for row in await self._db.execute_fetchall(query, runs)]
                    mark = f"update run set state = 'error', error = ? where run_id in {places(runs)}"
                    await self._db.execute(mark, (trouble, *runs))
                    self._marked = trouble, before

    async def _recover(self) -> None:
        """The runs say again what they said; where one has said something since, that stands."""
        self.trouble = None
        self.on_trouble(None)
        with suppress(sqlite3.OperationalError):
            async with self._turn:
                if self._marked and not self._waiting:
                    trouble, before = self._marked
                    back = "update run set state = ?, error = ? where run_id = ? and error = ? and ended_ns is null"
                    await self._db.executemany(back, [(*each, trouble) for each in before])
                    self._marked = None
