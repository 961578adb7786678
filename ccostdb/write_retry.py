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

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 10.0
# SQLite's primary result codes that may pass by themselves (https://sqlite.org/rescode.html). A quota, or a limit on
# the size of a file, is an error of input and output to it.
_PASSING = {
    5: "another program holds it",
    8: "it may not be written",
    10: "the disk does not take it",
    13: "the disk is full",
    14: "it cannot be opened",
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
        self._before: list[tuple[str | None, str | None, int]] | None = None  # state, error and id of the open runs

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
                    return await write()
                except sqlite3.OperationalError as error:
                    reason = _PASSING.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
                    if reason is None or self._stop is None or self._stop.is_set():
                        raise
                    self._waiting.add(write)
                    await self._admit(f"the ledger cannot be written: {reason} ({error})")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), wait_s)
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
        if self._before is not None:
            return
        runs = tuple(self.open_runs)
        places = ", ".join("?" * len(runs))
        with suppress(sqlite3.OperationalError):
            async with self._turn:
                query = f"select state, error, run_id from run where run_id in ({places})"
                before = [(row[0], row[1], row[2]) for row in await self._db.execute_fetchall(query, runs)]
                marked = f"update run set state = 'error', error = ? where run_id in ({places})"
                await self._db.execute(marked, (trouble, *runs))
            self._before = before

    async def _recover(self) -> None:
        """The runs say again what they said; where one has said something since, that stands."""
        if not self.is_over:
            log.warning("the ledger can be written again")
        trouble, before = self.trouble, self._before or []
        self.trouble = self._before = None
        self.on_trouble(None)
        with suppress(sqlite3.OperationalError):
            async with self._turn:
                back = "update run set state = ?, error = ? where run_id = ? and error = ? and ended_ns is null"
                await self._db.executemany(back, [(*each, trouble) for each in before])
