"""Deletes raw rows that are older than the settings say. Calls, sums, gaps and rejects are never touched.

In short transactions, between which the sources write: whoever records does not wait.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from ccostdb.clock import DAY_NS
from ccostdb.resources import sql
from ccostdb.settings import Settings
from ccostdb.store import Store
from ccostdb.words import count_of

MOST_AT_ONCE = 2000


class Old(NamedTuple):
    """Rows of one table that are too old: `noun` is one of them, `key` the column that the select gives."""

    noun: str
    table: str
    key: str
    select: str
    before_ns: int


def rows_to_prune(settings: Settings, now_ns: int) -> Iterator[Old]:
    """What the settings let go. A kind that is kept for ever is not among it."""
    kinds = (
        ("activity", "activity", settings.keep_activities_days, "old_activities"),
        ("daemon event", "daemon_event", settings.keep_daemon_events_days, "old_daemon_events"),
        ("sample", "sample", settings.keep_samples_days, "old_samples"),
        ("run", "run", settings.keep_runs_days, "old_runs"),
        ("job run", "job_run", settings.keep_runs_days, "old_job_runs"),
    )
    for noun, table, days, name in kinds:
        if days is not None:
            yield Old(noun, table, f"{table}_id", sql(f"prune/{name}.sql"), now_ns - days * DAY_NS)


async def prune(store: Store, settings: Settings, now_ns: int, stop: asyncio.Event | None = None) -> dict[str, int]:
    """Deletes what is too old; how many rows of each kind. Set `stop`, and the rest is left for the next time."""
    deleted = {}
    for old in rows_to_prune(settings, now_ns):
        count = await _delete_some(store, old)
        deleted[old.noun] = count
        while count and not (stop and stop.is_set()):
            count = await _delete_some(store, old)
            deleted[old.noun] += count
    return deleted


def count_old(con: sqlite3.Connection, settings: Settings, now_ns: int) -> dict[str, int]:
    """How many rows `prune` would delete."""
    return {
        old.noun: con.execute(f"select count(*) from (\n{old.select})", {"before_ns": old.before_ns}).fetchone()[0]
        for old in rows_to_prune(settings, now_ns)
    }


def sentence(counts: dict[str, int]) -> str:
    """`3 samples, 1 run`; `nothing`."""
    nouns = {"activity": "activities"}
    texts = [
        f"{n:,} {nouns[noun]}" if n > 1 and noun in nouns else count_of(n, noun) for noun, n in counts.items() if n
    ]
    return ", ".join(texts) or "nothing"


async def _delete_some(store: Store, old: Old) -> int:
    async with store.transaction() as db:
        query = f"{old.select} order by {old.key} limit {MOST_AT_ONCE}"
        found = await db.execute_fetchall(query, {"before_ns": old.before_ns})
        chosen = json.dumps([row[0] for row in found])
        if old.table == "run":
            await db.execute(sql("prune/fold_runs.sql"), {"run_ids": chosen})
        await db.execute(f"delete from {old.table} where {old.key} in (select value from json_each(?))", (chosen,))
    return len(list(found))
