"""Rollups and the views above them, against a plain recomputation from the calls after any sequence of changes."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiosqlite
import pytest
from histories import QUARTER_HOUR_NS, ZONES, histories, make_three_sources, run_history, times
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_rows import add_calls
from plain_costs import COST_VIEWS, Call, read_calls, rows_of

from ccostdb import rollups
from ccostdb.clock import parse_ns
from ccostdb.views import measures, report_names, report_sql


def check_views(con: sqlite3.Connection, plain: list[Call], sql_of: Callable[[str], tuple[str, Any]]) -> None:
    """Each cost view has exactly the rows that the calls give."""
    for view in COST_VIEWS:
        shown = con.execute(*sql_of(view)).fetchall()
        assert sorted(map(repr, shown)) == sorted(map(repr, rows_of(view, plain))), view


def whole_view(view: str) -> tuple[str, dict[str, str]]:
    return f"select * from {view}", {}


def on_db(path: Path, work: Callable[[aiosqlite.Connection], Awaitable[Any]]) -> Any:
    """Let the writer do something asynchronous on a file."""

    async def run() -> Any:
        async with aiosqlite.connect(path, isolation_level=None) as db:
            return await work(db)

    return asyncio.run(run())


async def refresh_all(db: aiosqlite.Connection) -> None:
    while await rollups.refresh(db, limit=2):
        pass


def derived(con: sqlite3.Connection) -> list[list[tuple[Any, ...]]]:
    """All rows of what can be rebuilt, sorted."""
    return [
        sorted(map(tuple, con.execute(f"select * from {table}")))
        for table in ("rollup_quarter_hour", "rollup_day", "calendar", "dirty_bucket")
    ]


slow = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(zone=st.sampled_from(ZONES), history=histories)
def test_every_view_equals_the_calls_at_every_moment(zone: str, history: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = ZoneInfo(zone)
        look = lambda con: check_views(con, read_calls(con, home), whole_view)  # noqa: E731
        asyncio.run(run_history(Path(folder, "ledger.db"), zone, history, look))


@slow
@given(zone=st.sampled_from(ZONES), history=histories)
def test_refreshed_rollups_verify_and_a_rebuild_changes_nothing(zone: str, history: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        found: list[rollups.Difference] = []
        asyncio.run(run_history(path, zone, history, lambda con: found.extend(rollups.verify(con))))
        assert found == []
        on_db(path, refresh_all)
        con = sqlite3.connect(path)
        refreshed = derived(con)
        assert rollups.verify(con) == []
        on_db(path, rollups.rebuild)
        assert derived(con) == refreshed
        con.close()


@slow
@given(home=st.sampled_from(ZONES), asked=st.sampled_from(ZONES), history=histories)
def test_another_zone_shows_what_a_ledger_made_there_shows(
    home: str, asked: str, history: list[tuple[Any, ...]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        asyncio.run(run_history(path, home, history, lambda con: None))
        con = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        zone = ZoneInfo(asked)
        rollups.use_zone(con, zone)
        check_views(con, read_calls(con, zone), whole_view)
        check_views(con, read_calls(con, zone), lambda view: report_sql(view, is_zoned=True))
        con.rollback()
        check_views(con, read_calls(con, ZoneInfo(home)), whole_view)
        con.close()
        on_db(path, lambda db: rollups.rezone(db, zone))
        con = sqlite3.connect(path)
        check_views(con, read_calls(con, zone), whole_view)
        assert rollups.verify(con) == []
        con.close()


@slow
@given(
    zone=st.sampled_from(ZONES),
    history=histories,
    since=times,
    days=st.integers(0, 3),
    cost=st.sampled_from(("auto", "reported", "computed")),
    source=st.sampled_from((None, "cco", "claude-code", "cco2")),
    is_zoned=st.booleans(),
)
def test_a_report_over_some_days_equals_the_calls_of_these_days(
    zone: str, history: list[tuple[Any, ...]], since: int, days: int, cost: str, source: str | None, is_zoned: bool
) -> None:
    first = datetime.fromtimestamp(since // 10**9, ZoneInfo(zone)).date()
    since_day, until_day = f"{first}", f"{first + timedelta(days=days)}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        asyncio.run(run_history(path, "Asia/Tokyo" if is_zoned else zone, history, lambda con: None))
        con = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        if is_zoned:
            rollups.use_zone(con, ZoneInfo(zone), since_day, until_day)
        plain = [call for call in read_calls(con, ZoneInfo(zone), cost) if since_day <= call["day"] <= until_day]
        kinds = dict(con.execute("select name, kind from source").fetchall())
        if source:
            plain = [call for call in plain if source in (call["source"], kinds[call["source"]])]
        for view in report_names():
            chosen = [{**call, "counted": 1} for call in plain] if source and view not in OF_ALL_SOURCES else plain
            asked = {"since_day": since_day, "until_day": until_day, "cost": cost, "source": source}
            rows = con.execute(*report_sql(view, **asked, is_zoned=is_zoned)).fetchall()  # type: ignore[arg-type]
            assert sorted(map(repr, rows)) == sorted(map(repr, rows_of(view, chosen))), view
        con.close()


OF_ALL_SOURCES = ("source_costs", "cache_savings")  # these show `counted` as it is


@pytest.fixture
def one_day(tmp_path: Path) -> Path:
    """A refreshed ledger in Berlin with two calls on one day."""
    path = tmp_path / "ledger.db"
    con = make_three_sources(path, "Europe/Berlin")
    for number, at in enumerate(("2026-07-01T10:00:00Z", "2026-07-01T10:20:00Z")):
        facts = {"source_id": 2, "occurred_ns": parse_ns(at), "computed_nusd": 7, "input_tokens": 1}
        add_calls(con, [{"call_id": f"call {number}", **facts}])
    con.close()
    on_db(path, refresh_all)
    return path


def test_refresh_says_how_many_quarter_hours_it_did(one_day: Path) -> None:
    con = sqlite3.connect(one_day, isolation_level=None)
    con.execute("update call set computed_nusd = 8")
    con.close()

    async def work(db: aiosqlite.Connection) -> list[int]:
        return [await rollups.refresh(db, limit=1) for _ in range(3)]

    assert on_db(one_day, work) == [1, 1, 0]


def test_refresh_does_all_that_its_limit_lets_it(one_day: Path) -> None:
    con = sqlite3.connect(one_day, isolation_level=None)
    con.execute("update call set computed_nusd = 8")
    assert on_db(one_day, lambda db: rollups.refresh(db, limit=3000)) == 2
    assert con.execute("select count(*) from dirty_bucket").fetchone() == (0,)
    con.close()


def test_a_refresh_that_fails_changes_nothing(one_day: Path) -> None:
    con = sqlite3.connect(one_day, isolation_level=None)
    con.execute("update call set computed_nusd = 8")
    before = derived(con)
    con.execute("create trigger no_days before insert on rollup_day begin select raise(abort, 'full'); end")
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        on_db(one_day, rollups.refresh)
    assert derived(con) == before
    con.close()


@pytest.mark.parametrize(
    ("damage", "table", "is_stored", "is_right"),
    [
        ("update rollup_quarter_hour set cost_nusd = 6 where bucket_s % 3600 = 0", "rollup_quarter_hour", True, True),
        ("update rollup_day set input_tokens = null", "rollup_day", True, True),
        ("delete from rollup_day", "rollup_day", False, True),
        ("update rollup_day set day = '2026-07-02'", "rollup_day", True, False),
        ("update calendar set day = '2026-07-02' where bucket_s % 3600 = 0", "calendar", True, True),
    ],
)
def test_verify_shows_what_was_damaged_and_rebuild_mends_it(
    one_day: Path, damage: str, table: str, is_stored: bool, is_right: bool
) -> None:
    con = sqlite3.connect(one_day, isolation_level=None)
    sound = derived(con)
    con.execute(damage)
    found = rollups.verify(con)
    assert (table, is_stored, is_right) in [(d.table, d.stored is not None, d.right is not None) for d in found]
    on_db(one_day, rollups.rebuild)
    assert derived(con) == sound
    assert rollups.verify(con) == []
    con.close()


def test_verify_leaves_nothing_behind(one_day: Path) -> None:
    con = sqlite3.connect(f"file:{one_day}?mode=ro", uri=True)
    assert rollups.verify(con) == []
    assert con.execute("select count(*) from temp.sqlite_master").fetchone() == (0,)
    assert not con.in_transaction
    con.close()


def test_another_zone_holds_one_moment_while_the_writer_goes_on(one_day: Path) -> None:
    reader = sqlite3.connect(f"file:{one_day}?mode=ro", uri=True)
    rollups.use_zone(reader, ZoneInfo("Asia/Kathmandu"))
    writer = sqlite3.connect(one_day, isolation_level=None)
    facts = {"call_id": "late", "source_id": 2, "occurred_ns": parse_ns("2026-07-03T00:00:00Z")}
    add_calls(writer, [facts])
    on_db(one_day, refresh_all)
    assert reader.execute("select day, calls from daily_costs").fetchall() == [("2026-07-01", 2)]
    reader.rollback()
    assert reader.execute("select day, calls from daily_costs").fetchall() == [("2026-07-01", 2), ("2026-07-03", 1)]
    reader.close()
    writer.close()


@pytest.mark.parametrize(("turn", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_a_day_of_a_clock_change_has_its_23_or_25_hours(tmp_path: Path, turn: str, hours: int) -> None:
    con = make_three_sources(tmp_path / "ledger.db", "Europe/Berlin")
    midday = parse_ns(f"{turn}T12:00:00Z") or 0
    every_quarter = range(midday - 30 * 4 * QUARTER_HOUR_NS, midday + 30 * 4 * QUARTER_HOUR_NS, QUARTER_HOUR_NS)
    add_calls(con, [{"call_id": f"{at}", "source_id": 2, "occurred_ns": at} for at in every_quarter])
    assert con.execute("select calls from daily_costs where day = ?", (turn,)).fetchone() == (hours * 4,)
    assert con.execute("select count(*) from hourly_costs where hour like ? || '%'", (turn,)).fetchone() == (hours,)
    con.close()


def test_a_call_without_its_quarter_hour_in_the_calendar_is_refused(one_day: Path) -> None:
    con = sqlite3.connect(one_day, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="calendar"):
        con.execute("insert into call (call_id, source_id, occurred_ns) values ('x', 2, 5)")
    with pytest.raises(sqlite3.IntegrityError, match="calendar"):
        con.execute("update call set occurred_ns = 5")
    con.close()


@pytest.mark.parametrize(("table", "key"), [("rollup_quarter_hour", "bucket_s"), ("rollup_day", "day")])
def test_rollup_tables_have_the_keys_and_the_one_list_of_measures(one_day: Path, table: str, key: str) -> None:
    con = sqlite3.connect(one_day)
    columns = [row[0] for row in con.execute(f"select name from pragma_table_info('{table}')")]
    keys = [key, "source_id", "model_id", "project_id", "agent_id", "session_id"]
    assert columns == keys + [measure.name for measure in measures()]
    con.close()
