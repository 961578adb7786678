"""What is read of a ledger, and when it is read again."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from commands import JULY_1
from ledger_rows import add_calls, add_source, make_ledger

from ccostdb.health.vitals import LedgerVitals, Vitals, health_json, highest_run_id, watching
from ccostdb.settings import Settings


@pytest.fixture
def con(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        yield con


def test_events_a_second_are_those_of_the_last_minute(con: sqlite3.Connection, tmp_path: Path) -> None:
    source = add_source(con, "cco")
    con.execute("insert into run (source_id, started_ns, updated_ns, state) values (?, 1, 1, 'connected')", (source,))

    async def rates() -> list[float]:
        found = []
        async with watching(Settings(tmp_path / "ledger.db"), 0) as watch:
            for uptime_s, events in ((0, 0), (10, 100), (30, 100), (75, 100), (80, 700)):
                con.execute("update run set events = ?", (events,))
                found.append((await watch.look(float(uptime_s))).sources[0].events_per_s)
        return found

    assert asyncio.run(rates()) == [0.0, 10.0, 100 / 30, 0.0, 12.0]


def test_the_ledger_is_added_up_again_only_when_something_was_stored(con: sqlite3.Connection, tmp_path: Path) -> None:
    source = add_source(con, "claude-code")

    async def looks() -> list[Vitals]:
        async with watching(Settings(tmp_path / "ledger.db"), 0) as watch:
            found = [await watch.look(0.0), await watch.look(100.0)]
            call = {"call_id": "a", "source_id": source, "occurred_ns": JULY_1, "computed_nusd": 7}
            add_calls(con, [call])
            return [*found, await watch.look(200.0)]

    first, same, other = asyncio.run(looks())
    assert first.ledger is same.ledger
    assert (same.ledger.cost_nusd, other.ledger.cost_nusd) == (0, 7)


def test_of_several_runs_of_a_source_the_last_says_how_it_is_and_all_are_added(
    con: sqlite3.Connection, tmp_path: Path
) -> None:
    source = add_source(con, "cco")
    columns = "source_id, state, outcome, error, events, started_ns, updated_ns"
    insert = f"insert into run ({columns}) values (?, ?, ?, ?, ?, 1, 1)"
    con.execute(insert, (source, None, "failed", "long ago", 1))
    after = highest_run_id(tmp_path / "ledger.db")
    con.execute(insert, (source, None, "failed", "gone", 10))
    con.execute(insert, (source, "connected", None, None, 100))

    async def look() -> Vitals:
        async with watching(Settings(tmp_path / "ledger.db"), after) as watch:
            return await watch.look(1.0)

    (found,) = asyncio.run(look()).sources
    assert (found.state, found.error, found.events) == ("connected", None, 110)


def test_where_there_is_no_ledger_yet_no_run_is_an_earlier_one(tmp_path: Path) -> None:
    assert highest_run_id(tmp_path / "none.db") == 0
    (tmp_path / "empty.db").write_bytes(b"")
    assert highest_run_id(tmp_path / "empty.db") == 0
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("nusd", "shown"),
    [
        (0, "0.0"),
        (2_500_000_001, "2.500000001"),
        (-1_500_000_000, "-1.5"),
        (1_234_567_890_000_000_001, "1234567890.000000001"),
    ],
)
def test_money_is_a_number_with_all_its_digits(nusd: int, shown: str) -> None:
    body = health_json(Vitals(is_read=True, ledger=LedgerVitals(usage=[{"cost_nusd": nusd}, {"cost_nusd": None}])))
    assert f'"total_cost":{shown},'.encode() in body


def test_a_cost_that_no_call_has_is_unknown_and_not_nothing() -> None:
    unpriced = Vitals(is_read=True, ledger=LedgerVitals(usage=[{"cost_nusd": None}, {"cost_nusd": None}]))
    assert json.loads(health_json(unpriced))["total_cost"] is None


def test_the_fields_of_the_guide_are_there_before_anything_is_known() -> None:
    assert json.loads(health_json(Vitals())) | {"version": None} == {
        "status": "starting",
        "connection_status": "connecting",
        "uptime_seconds": 0,
        "total_events": 0,
        "total_cost": 0.0,
        "last_update": None,
        "error": None,
        "version": None,
        "sources": {},
    }
