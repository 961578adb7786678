"""Writes that a full disk, or another's lock, keeps from the ledger for a while, and what the open runs say of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from ccostdb import write_retry
from ccostdb.write_retry import Patience

Write = Callable[[], Awaitable[None]]
FULL = sqlite3.SQLITE_FULL, "database or disk is full"
BUSY = sqlite3.SQLITE_BUSY, "database is locked"
CONNECTED = [(1, "connected", None), (2, "connected", None)]


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_retry, "FIRST_WAIT_S", 0.02)


def failing(turn: asyncio.Lock, failures: Sequence[tuple[int, str] | Exception]) -> Write:
    """A write that fails so often, and then passes."""
    to_come = list(failures)

    async def write() -> None:
        async with turn:
            await asyncio.sleep(0.01)
            if to_come:
                failure = to_come.pop(0)
                if isinstance(failure, Exception):
                    raise failure
                error = sqlite3.OperationalError(failure[1])
                error.sqlite_errorcode = failure[0]
                raise error

    return write


def runs_after(path: Path, *writes: Sequence[tuple[int, str] | Exception]) -> tuple[list[Any], list[str | None]]:
    """What two open runs say once these writes, begun at once, are over; and the troubles that were told of."""
    told: list[str | None] = []

    async def run() -> list[Any]:
        async with aiosqlite.connect(path / "a.db", isolation_level=None) as db:
            await db.execute("create table run (run_id integer primary key, state text, error text, ended_ns integer)")
            await db.executemany("insert into run values (?, ?, ?, null)", CONNECTED)
            turn = asyncio.Lock()
            patience = Patience(db, turn, asyncio.Event())
            patience.open_runs, patience.on_trouble = {1, 2}, told.append
            insisting = (patience.insist(failing(turn, failures)) for failures in writes)
            results = await asyncio.gather(*insisting, return_exceptions=True)
            assert [type(each) for each in results if each] == [type(each[-1]) for each in writes if not
                                                                isinstance(each[-1], tuple)]  # fmt: skip
            return list(map(tuple, await db.execute_fetchall("select run_id, state, error from run")))

    return asyncio.run(asyncio.wait_for(run(), 30)), told


@pytest.mark.parametrize("other", [FULL, BUSY])
def test_sources_that_were_blocked_at_once_are_green_again_when_they_no_longer_are(
    tmp_path: Path, other: tuple[int, str]
) -> None:
    runs, told = runs_after(tmp_path, [FULL], [other], [other, FULL, other])
    assert (runs, told[-1]) == (CONNECTED, None)
    assert told[0] is not None


def test_a_write_that_at_last_fails_in_another_way_is_not_said_to_have_gone_through(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs, told = runs_after(tmp_path, [FULL, sqlite3.IntegrityError("no")])
    assert (runs, told[-1]) == (CONNECTED, None)
    assert "cannot be written" in caplog.text
    assert "can be written again" not in caplog.text


def test_that_it_can_be_written_again_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs_after(tmp_path, [BUSY], [BUSY, BUSY])
    assert caplog.text.count("can be written again") == 1
