"""Random histories of a ledger: calls that come, are corrected, move and go, with refreshes in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiosqlite
from hypothesis import strategies as st
from ledger_rows import add_calls, add_name, add_quarter_hour, add_source, make_ledger

from ccostdb import rollups
from ccostdb.clock import parse_ns

QUARTER_HOUR_NS = 900 * 10**9
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",  # UTC-3:30, half an hour off
    "Asia/Kathmandu",  # UTC+5:45
    "Australia/Lord_Howe",  # daylight saving of 30 minutes
    "Pacific/Kiritimati",  # UTC+14
)
TURNS = (  # clock changes of these zones, and a new year inside an ISO week
    "2026-03-29T01:00:00Z",
    "2026-10-25T01:00:00Z",
    "2026-03-08T05:30:00Z",
    "2026-11-01T04:30:00Z",
    "2026-04-04T15:00:00Z",
    "2026-10-03T15:30:00Z",
    "2026-12-31T23:00:00Z",
)

times = st.builds(
    lambda turn, quarters, ns: (parse_ns(turn) or 0) + quarters * QUARTER_HOUR_NS + ns,
    st.sampled_from(TURNS),
    st.integers(-110, 110),
    st.integers(0, QUARTER_HOUR_NS - 1),
)
tokens = st.none() | st.integers(0, 10**7)
money = st.none() | st.integers(0, 10**12)


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """The facts of a call: split, unsplit, priced, unpriced, a hit of a response cache."""
    kinds = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    is_split, is_hit = draw(st.booleans()), draw(st.booleans())
    return {
        "source_id": draw(st.integers(1, 3)),
        "occurred_ns": draw(times),
        **{f"{name}_id": draw(st.integers(0, 2)) for name in ("model", "project", "agent", "session")},
        **{f"{kind}_tokens": draw(st.integers(0, 10**7)) if is_split else None for kind in kinds},
        "total_tokens": draw(tokens),
        "latency_ms": draw(st.none() | st.integers(0, 10**6)),
        "status": draw(st.sampled_from((None, "success", "error"))),
        "is_response_cache_hit": int(is_hit),
        "reported_nusd": 0 if is_hit else draw(money),
        "computed_nusd": draw(money),
        "uncached_nusd": draw(money),
    }


steps = st.one_of(
    st.tuples(st.just("insert"), calls()),
    st.tuples(st.just("correct"), st.integers(0, 9), calls()),
    st.tuples(st.just("move"), st.integers(0, 9), times),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("refresh"), st.integers(1, 4)),
    st.tuples(st.just("count"), st.integers(1, 3), st.sampled_from((None, 0, 1))),
)
histories = st.lists(steps, min_size=3, max_size=14)


def make_three_sources(path: Path, zone: str) -> sqlite3.Connection:
    """A ledger with sources of each kind of counting, and two names in each dimension."""
    con = make_ledger(path, zone)
    for kind, name in (("cco", "cco"), ("claude-code", "claude-code"), ("cco", "cco2")):
        add_source(con, kind, name)
    for table in ("model", "project", "agent", "session"):
        for name in ("b", "a"):
            add_name(con, table, f"{table} {name}")
    return con


def change(con: sqlite3.Connection, number: int, step: tuple[Any, ...]) -> None:
    """Do one step of a history that is not a refresh."""
    ids = [row[0] for row in con.execute("select call_id from call order by call_id")]
    if step[0] == "insert":
        add_calls(con, [{"call_id": f"call {number}", **step[1]}])
    elif step[0] == "count":
        con.execute("update source set counted_setting = ? where source_id = ?", (step[2], step[1]))
    elif ids:
        chosen = ids[step[1] % len(ids)]
        if step[0] == "delete":
            con.execute("delete from call where call_id = ?", (chosen,))
            return
        facts = step[2] if step[0] == "correct" else {"occurred_ns": step[2]}
        zone = ZoneInfo(con.execute("select home_tz from ledger").fetchone()[0])
        add_quarter_hour(con, facts["occurred_ns"], zone)
        to = ", ".join(f"{name} = :{name}" for name in facts)
        con.execute(f"update call set {to} where call_id = :call_id", {**facts, "call_id": chosen})


async def run_history(
    path: Path, zone: str, history: list[tuple[Any, ...]], after_step: Callable[[sqlite3.Connection], None]
) -> None:
    """Apply a history to a new ledger, with a look at it after each step."""
    con = make_three_sources(path, zone)
    async with aiosqlite.connect(path, isolation_level=None) as db:
        for number, step in enumerate(history):
            if step[0] == "refresh":
                await rollups.refresh(db, limit=step[1])
            else:
                change(con, number, step)
            after_step(con)
    con.close()
