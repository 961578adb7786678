"""How pages of ours read the ledger, and what they know of it beside that."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from datasette.app import Datasette

from ccostdb.datasette_plugin.database import NAME, LedgerDatabase
from ccostdb.settings import Settings

T = TypeVar("T")


def ledger_of(datasette: Datasette) -> LedgerDatabase:
    """The ledger that a Datasette of ours shows."""
    database: LedgerDatabase = datasette.get_database(NAME)
    return database


def settings_of(datasette: Datasette) -> Settings:
    """The settings that `serve` was started with."""
    return ledger_of(datasette).settings


def home_zone(datasette: Datasette) -> ZoneInfo:
    """The ledger's home time zone."""
    return ledger_of(datasette).home_zone


async def read(datasette: Datasette, fn: Callable[[sqlite3.Connection], T]) -> T:
    """What `fn` reads, in a thread, from the ledger as it is at one moment; rows are named. It may make temp tables."""

    def in_thread() -> T:
        with ledger_of(datasette).opened() as con:
            con.row_factory = sqlite3.Row
            return fn(con)

    return await asyncio.to_thread(in_thread)


def touch_time_index(con: sqlite3.Connection) -> Any:
    """Reads the index by time once, so that the first page need not wait for the disk."""
    return con.execute("select count(*) from call indexed by call_by_time").fetchone()[0]
