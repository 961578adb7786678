"""Pruning: what is too old goes, and nothing else; what people count on stays the same."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import ccostdb, opened
from ledger_rows import add_calls, add_source
from transcripts import settings_for

from ccostdb.jobs.prune import MOST_AT_ONCE, count_old, prune
from ccostdb.settings import Settings
from ccostdb.store import open_store

DAY_NS = 86_400_000_000_000
NOW_NS = 20_700 * DAY_NS
KEPT = {"keep_activities_days": 30, "keep_daemon_events_days": 30, "keep_runs_days": 30, "keep_samples_days": 30}
TABLES = ("activity", "daemon_event", "sample", "run", "job_run", "call", "gap", "rejected", "rollup_day")


@pytest.fixture
def settings(home: Path) -> Settings:
    return replace(settings_for(home), **KEPT)


@pytest.fixture
def con(settings: Settings) -> Iterator[sqlite3.Connection]:
    with opened(settings.db) as made:
        yield made


def pruned(settings: Settings) -> dict[str, int]:
    async def run() -> dict[str, int]:
        async with open_store(settings) as store:
            return await prune(store, settings, NOW_NS)

    with closing(sqlite3.connect(settings.db)) as con:
        foreseen = count_old(con, settings, NOW_NS)
    deleted = asyncio.run(run())
    assert deleted == foreseen
    return deleted


def days_ago(days: float) -> int:
    return NOW_NS - int(days * DAY_NS)


def add_activity(con: sqlite3.Connection, source: int, seq: int, days: float) -> None:
    names = "source_id, epoch, seq, occurred_ns"
    con.execute(f"insert into activity ({names}) values (?, 1, ?, ?)", (source, seq, days_ago(days)))


def add_event(con: sqlite3.Connection, source: int, name: str, occurred: float, received: float) -> None:
    names = "source_id, event_id, family, kind, occurred_ns, received_ns, content_sha256"
    values = (source, name, "f", "k", days_ago(occurred), days_ago(received), b"")
    con.execute(f"insert into daemon_event ({names}) values (?, ?, ?, ?, ?, ?, ?)", values)


def add_sample(con: sqlite3.Connection, source: int, endpoint: str, days: float, body: str = "{}") -> None:
    values = (source, endpoint, days_ago(days), body)
    con.execute("insert into sample (source_id, endpoint, polled_ns, body) values (?, ?, ?, ?)", values)


def add_run(con: sqlite3.Connection, source: int, days: float, events: int, **more: Any) -> None:
    row = {"source_id": source, "started_ns": days_ago(days), "updated_ns": days_ago(days), "events": events,
           "ended_ns": days_ago(days), "outcome": "ok", "rows": events, "frames": 1, **more}  # fmt: skip
    con.execute(f"insert into run ({', '.join(row)}) values (:{', :'.join(row)})", row)


def counts(con: sqlite3.Connection) -> dict[str, int]:
    return {name: con.execute(f"select count(*) from {name}").fetchone()[0] for name in TABLES}


def test_what_is_kept_for_ever_is_not_looked_at(settings: Settings, con: sqlite3.Connection) -> None:
    source = add_source(con, "cco")
    add_activity(con, source, 1, 4000)
    add_event(con, source, "e", 4000, 4000)
    for _ in range(3):
        add_sample(con, source, "/a", 4000)
        add_run(con, source, 4000, 1)
    never = replace(settings, **dict.fromkeys(KEPT))
    before = counts(con)
    assert pruned(never) == {}
    assert counts(con) == before


def test_old_activities_and_events_go_and_calls_sums_gaps_and_rejects_stay(
    settings: Settings, con: sqlite3.Connection
) -> None:
    source = add_source(con, "cco")
    for seq, days in enumerate((400, 31, 29, 0)):
        add_activity(con, source, seq, days)
    add_event(con, source, "old", 31, 31)
    add_event(con, source, "history that came today", 400, 0)
    add_event(con, source, "new", 29, 29)
    add_calls(con, [{"call_id": "c", "source_id": source, "occurred_ns": days_ago(4000)}])
    con.execute(
        "insert into gap (source_id, epoch, kind, to_ns, detected_ns) values (?, 1, 'restart', 0, 0)", (source,)
    )
    con.execute("insert into rejected (source_id, at_ns, reason) values (?, 0, 'why')", (source,))
    assert pruned(settings) == {"activity": 2, "daemon event": 1, "sample": 0, "run": 0, "job run": 0}
    assert con.execute("select seq from activity order by seq").fetchall() == [(2,), (3,)]
    assert con.execute("select event_id from daemon_event").fetchall() == [("history that came today",), ("new",)]
    assert {name: counts(con)[name] for name in ("call", "gap", "rejected")} == {"call": 1, "gap": 1, "rejected": 1}


def test_the_sample_that_held_when_the_kept_time_began_stays(settings: Settings, con: sqlite3.Connection) -> None:
    source, other = add_source(con, "cca"), add_source(con, "cca", "another")
    for days in (90, 60, 40, 10):
        add_sample(con, source, "/a", days, str(days))
    add_sample(con, source, "/b", 900, "its last")
    add_sample(con, other, "/a", 900, "its last")
    assert pruned(settings)["sample"] == 2
    assert [row[0] for row in con.execute("select body from sample")] == ["40", "10", "its last", "its last"]
    assert pruned(settings)["sample"] == 0


def test_runs_that_go_leave_their_counts(settings: Settings, con: sqlite3.Connection) -> None:
    source, other = add_source(con, "cco"), add_source(con, "ccd")
    for number, days in enumerate((300, 200, 100, 50, 5)):
        add_run(con, source, days, 2**number, connections=number, rejected=1, last_event_ns=days_ago(days))
    add_run(con, source, 1, 100, outcome=None, ended_ns=None, state="connected")
    add_run(con, other, 500, 7, error="its last", outcome="failed")
    health = "select * from source_health order by source"
    before = con.execute(health).fetchall()
    assert pruned(settings)["run"] == 3
    assert con.execute(health).fetchall() == before
    left = con.execute("select events, outcome from run where source_id = ? order by run_id", (source,)).fetchall()
    assert left == [(15, "folded"), (16, "ok"), (100, None)]
    assert con.execute("select ended_ns from run where outcome = 'folded'").fetchone() == (days_ago(50),)
    assert pruned(settings)["run"] == 0
    assert con.execute(health).fetchall() == before


def test_the_last_run_of_a_job_and_the_last_that_went_well_stay(settings: Settings, con: sqlite3.Connection) -> None:
    for job, days, outcome in (("backup", 90, "ok"), ("backup", 80, "ok"), ("backup", 70, "failed"),
                               ("backup", 60, "failed"), ("prune", 50, "ok")):  # fmt: skip
        con.execute("insert into job_run (job, started_ns, outcome) values (?, ?, ?)", (job, days_ago(days), outcome))
    assert pruned(settings)["job run"] == 2
    assert con.execute("select (? - started_ns) / ? from job_run", (NOW_NS, DAY_NS)).fetchall() == [(80,), (60,), (50,)]


def test_much_is_deleted_in_short_transactions_and_the_rest_waits_when_told_to_end(
    settings: Settings, con: sqlite3.Connection
) -> None:
    source = add_source(con, "cco")
    total = MOST_AT_ONCE * 2 + 1
    con.execute("begin")
    for seq in range(total):
        add_activity(con, source, seq, 100)
    con.execute("commit")

    async def run() -> list[int]:
        stop = asyncio.Event()
        stop.set()
        async with open_store(settings) as store:
            first = await prune(store, settings, NOW_NS, stop)
            second = await prune(store, settings, NOW_NS)
            return [first["activity"], second["activity"]]

    assert asyncio.run(run()) == [MOST_AT_ONCE, total - MOST_AT_ONCE]


def test_the_command_says_what_it_deletes_and_with_dry_run_what_it_would(
    settings: Settings, con: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCOSTDB_KEEP_ACTIVITIES_DAYS", "30")
    source = add_source(con, "cca")
    for number in range(3):
        add_activity(con, source, number, 500)
        add_sample(con, source, "/a", 500)
    would = ccostdb("prune", "--dry-run", "--db", str(settings.db))
    assert (would.exit_code, would.stdout) == (0, "It would delete: 3 activities, 2 samples.\n")
    assert counts(con)["activity"] == 3
    done = ccostdb("prune", "--db", str(settings.db))
    assert (done.exit_code, done.stdout) == (0, "Deleted: 3 activities, 2 samples.\n")
    assert ccostdb("prune", "--db", str(settings.db)).stdout == "Deleted: nothing.\n"
    assert (counts(con)["activity"], counts(con)["sample"]) == (0, 1)
