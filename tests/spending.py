"""Ledgers in which money is spent, and what the job of budgets says of them."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import aiosqlite
from commands import opened
from ledger_rows import add_calls, add_name, add_source

from ccostdb import budgets
from ccostdb.budgets.standing import Standing
from ccostdb.clock import parse_ns
from ccostdb.errors import CcostError
from ccostdb.lock import writing_lock
from ccostdb.schema import prepare
from ccostdb.settings import Settings
from ccostdb.store import open_store

NOW = parse_ns("2026-11-18T12:00:00Z") or 0  # a Wednesday
USD = 10**9
HOUR = 3600 * 10**9
DAY = 24 * HOUR


def settings_with(path: Path, *entries: dict[str, Any]) -> Settings:
    return Settings(path, home_tz="UTC", user_budgets=entries)


def make_budget_ledger(path: Path) -> None:
    """A ledger with one counted source, as `ingest` makes it."""
    with writing_lock(path):
        prepare(Settings(path, home_tz="UTC"))
    with opened(path) as con:
        add_source(con, "claude-code")


numbers = count()


def spend(path: Path, usd: float | None, at_ns: int = NOW, **names: str) -> None:
    """One more call."""
    with opened(path) as con:
        ids = {f"{table}_id": add_name(con, table, name) for table, name in names.items()}
        cost = None if usd is None else round(usd * USD)
        call = {"call_id": f"call {next(numbers)}", "source_id": 1, "occurred_ns": at_ns, "computed_nusd": cost}
        add_calls(con, [{**call, **ids}])


def checked(settings: Settings, now_ns: int = NOW) -> str | None:
    """What one run of the job says, or why it failed, in a process of its own as far as the ledger can tell."""

    async def run() -> str | None:
        async with open_store(settings) as store:
            try:
                return await budgets.check(store, settings, now_ns)
            except CcostError as error:
                return error.message

    return asyncio.run(run())


def standing_now(path: Path, now_ns: int = NOW) -> list[Standing]:
    async def run() -> list[Standing]:
        async with aiosqlite.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
            return await budgets.used(db, now_ns)

    return asyncio.run(run())
