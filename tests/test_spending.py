"""What people look at says of today, this week and this month: the calls under it, to the nano-dollar."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from ledger_rows import add_calls, add_name, add_source, make_ledger

from ccostdb.clock import SECOND_NS, parse_ns
from ccostdb.reports import Question, report
from ccostdb.reports.spending import Spent, breakdowns, by_day, by_hour, spending

BERLIN = ZoneInfo("Europe/Berlin")
NOW = parse_ns("2026-11-18T13:37:21.5Z") or 0  # a Wednesday
AFTER_SUMMER = parse_ns("2026-10-25T01:30:00Z") or 0  # the hour that comes twice, for the second time
MARCH_31 = parse_ns("2026-03-31T15:00:00Z") or 0  # February has no such day
DAY = 86_400 * SECOND_NS
USD = 10**9


@pytest.fixture
def con(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = make_ledger(tmp_path / "ledger.db", "Europe/Berlin")
    yield made
    made.close()


def fill(con: sqlite3.Connection, now_ns: int, calls: int = 1500) -> None:
    """Calls of 70 days up to now and of the day after, of sources that count and one that does not."""
    said = random.Random(7)
    sources = [add_source(con, "claude-code"), add_source(con, "cca"), add_source(con, "cco")]
    models = [0, *(add_name(con, "model", name) for name in ("opus", "sonnet"))]
    projects = [0, add_name(con, "project", "/a")]
    rows = []
    for number in range(calls):
        cost = said.choice([None, said.randrange(10**10)])
        rows.append({
            "call_id": f"call {number}", "source_id": said.choice(sources), "model_id": said.choice(models),
            "project_id": said.choice(projects), "occurred_ns": now_ns + DAY - said.randrange(71 * DAY),
            "computed_nusd": cost, "uncached_nusd": None if cost is None else said.randrange(10**10),
            "input_tokens": said.choice([None, 5]), "cache_read_tokens": said.choice([None, 70]),
            "cache_write_5m_tokens": said.choice([None, 7]), "cache_write_1h_tokens": said.choice([None, 3]),
            "total_tokens": said.choice([None, 90]), "status": said.choice([None, "error"]),
        })  # fmt: skip
    add_calls(con, rows)


def costs(con: sqlite3.Connection, first: datetime, end: datetime) -> tuple[int, int | None, int | None]:
    """Calls, cost and cache writes from the rows of `call` themselves."""
    row = con.execute(
        "select count(*), sum(computed_nusd), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens) from call "
        "where occurred_ns >= ? and occurred_ns < ? and source_id in (1, 2)",
        [int(each.timestamp() * 1000) * 1_000_000 for each in (first, end)],
    ).fetchone()
    written = None if row[2] is None and row[3] is None else (row[2] or 0) + (row[3] or 0)
    return row[0], row[1] if row[0] else 0, written if row[0] else 0


def said(spent: Spent) -> tuple[int, int | None, int | None]:
    return spent.calls, spent.cost_nusd, spent.cache_write_tokens


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BERLIN)


@pytest.mark.parametrize("now_ns", [NOW, AFTER_SUMMER, MARCH_31])
def test_every_period_is_the_calls_under_it(con: sqlite3.Connection, now_ns: int) -> None:
    fill(con, now_ns)
    found = spending(con, now_ns)
    for spent in (found.today, found.yesterday, found.week, found.last_week, found.month, found.last_month):
        end = midnight(spent.last_day + timedelta(days=1))
        assert said(spent) == costs(con, midnight(spent.first_day), end), spent.label
    assert sum(each.calls for each in found.days) >= found.last_month.calls + found.month.calls


@pytest.mark.parametrize("now_ns", [NOW, MARCH_31])
def test_the_last_period_is_compared_up_to_the_same_local_time(con: sqlite3.Connection, now_ns: int) -> None:
    fill(con, now_ns)
    found = spending(con, now_ns)
    now = datetime.fromtimestamp(now_ns / 1e9, BERLIN)
    for days, spent in ((1, found.yesterday_by_now), (7, found.last_week_by_now)):
        assert said(spent) == costs(con, midnight(spent.first_day), now - timedelta(days=days)), spent.label
    month = found.last_month_by_now
    is_shorter = now_ns == MARCH_31
    end = midnight(now.date().replace(day=1)) if is_shorter else now.replace(month=now.month - 1)
    assert said(month) == costs(con, midnight(month.first_day), end)
    assert (month.label, str(month.last_day)) == (
        ("2026-02", "2026-02-28") if is_shorter else ("2026-10", "2026-10-18")
    )


def test_days_weeks_and_months_are_those_of_the_reports(con: sqlite3.Connection) -> None:
    fill(con, NOW)
    found = spending(con, NOW)
    for spent, view in ((found.today, "daily"), (found.week, "weekly"), (found.last_month, "monthly")):
        row = con.execute(f"select * from {view}_costs where {view_key(view)} = ?", (spent.label,)).fetchone()
        names = [each[1] for each in con.execute(f"pragma table_info({view}_costs)")]
        shown = dict(zip(names, row, strict=True))
        assert (spent.calls, spent.errors, spent.unpriced_calls) == (
            *(shown["calls"], shown["errors"]),
            shown["unpriced_calls"],
        )
        assert (spent.cost_nusd or 0) / 1e9 == shown["cost_usd"]
        assert (spent.savings_nusd or 0) / 1e9 == shown["savings_usd"]
        assert spent.total_tokens == shown["total_tokens"]


def view_key(view: str) -> str:
    return {"daily": "day", "weekly": "week", "monthly": "month"}[view]


def test_days_and_hours_of_a_chart_add_up_to_the_period(con: sqlite3.Connection) -> None:
    fill(con, AFTER_SUMMER)
    add_calls(
        con, [{"call_id": f"h{ago}", "source_id": 1, "occurred_ns": AFTER_SUMMER - ago} for ago in (0, DAY // 24)]
    )
    found = spending(con, AFTER_SUMMER)
    today = found.today.first_day
    hours = by_hour(con, [today])
    assert sum(each.cost_nusd or 0 for each in hours) == found.today.cost_nusd
    assert [each.label for each in hours] == [each.label for each in found.hours if each.first_day == today]
    assert [each.label[11:] for each in hours if each.label[11:13] == "02"] == ["02:00+02:00", "02:00+01:00"]
    days = by_day(con, found.month.first_day, found.month.last_day)
    assert sum(each.cost_nusd or 0 for each in days) == found.month.cost_nusd


def test_what_was_spent_on_is_the_period_once_more_and_savings_are_those_of_the_view(con: sqlite3.Connection) -> None:
    fill(con, NOW)
    found = spending(con, NOW)
    first, last = found.month.first_day, found.month.last_day
    broken_down = breakdowns(con, first, last).shares
    for shares in broken_down.values():
        assert sum(each.cost_nusd or 0 for each in shares) == found.month.cost_nusd
        assert sum(each.calls for each in shares) == found.month.calls
        assert sum(each.savings_nusd or 0 for each in shares) == found.month.savings_nusd
        assert sum(each.share or 0 for each in shares) == pytest.approx(1)
        assert [each.cost_nusd for each in shares] == sorted((each.cost_nusd or 0 for each in shares), reverse=True)
    assert {each.name for each in broken_down["model"]} == {None, "opus", "sonnet"}


def test_the_savings_of_response_caching_are_those_of_the_view(con: sqlite3.Connection) -> None:
    source = add_source(con, "cco", counted=True)
    for number, model in enumerate(("a", "b", "b"), start=1):
        call = {"source_id": source, "model_id": add_name(con, "model", model), "occurred_ns": NOW, "total_tokens": 100}
        paid = {"call_id": f"paid {number}", "reported_nusd": number * USD}
        hit = {"call_id": f"hit {number}", "reported_nusd": 0, "is_response_cache_hit": 1}
        add_calls(con, [{**call, **paid}, {**call, **hit}])
    add_calls(con, [{**call, "call_id": "dear", "reported_nusd": 40 * USD, "occurred_ns": NOW - 40 * DAY}])
    in_view = "select month, sum(response_cache_savings_usd_estimate) * 1e9 from cache_savings where counted group by 1"
    shown = dict(con.execute(in_view))
    november = date(2026, 11, 1), date(2026, 11, 30)
    assert shown["2026-11"] == 31 * USD  # 1, and twice the mean of 2, 3 and 40
    assert (breakdowns(con, *november).response_cache_hits, breakdowns(con, *november).response_cache_savings_nusd) == (
        *(3, 31 * USD),
    )
    for zone in ("UTC", "Pacific/Auckland"):
        asked = report(con, Question("savings", since="2026-11", zone=zone), NOW / SECOND_NS)
        assert round(sum(row[-1] for row in asked.rows) * 1e9) == 31 * USD
        con.rollback()  # the zone
    con.execute("update call set reported_nusd = null")
    assert breakdowns(con, *november).response_cache_savings_nusd is None
    assert breakdowns(con, date(2026, 10, 1), date(2026, 10, 31)).response_cache_savings_nusd == 0


def test_an_empty_ledger_has_spent_nothing_and_what_has_no_price_is_unknown(con: sqlite3.Connection) -> None:
    found = spending(con, NOW)
    assert (found.today.cost_nusd, found.month.cost_nusd, found.days, found.hours) == (0, 0, (), ())
    assert (found.pace.calls_per_hour, found.pace.cost_nusd_per_hour, found.pace.projected_day_nusd) == (0, 0, 0)
    assert found.today.cache_share is None
    assert breakdowns(con, found.month.first_day, found.month.last_day).shares == {
        "model": [],
        "project": [],
        "agent": [],
    }
    add_source(con, "claude-code")
    add_calls(con, [{"call_id": "x", "source_id": 1, "occurred_ns": NOW - SECOND_NS}])
    found = spending(con, NOW)
    assert (found.today.calls, found.today.unpriced_calls, found.today.cost_nusd) == (1, 1, None)
    assert (found.pace.calls_per_hour, found.pace.cost_nusd_per_hour, found.pace.projected_month_nusd) == (
        1,
        None,
        None,
    )
    (share,) = breakdowns(con, found.today.first_day, found.today.last_day).shares["model"]
    assert (share.name, share.calls, share.cost_nusd, share.share) == (None, 1, None, None)


def test_the_pace_is_of_the_last_hour_and_a_period_goes_on_as_from_its_start(con: sqlite3.Connection) -> None:
    add_source(con, "claude-code")
    for number, (ago_s, usd) in enumerate(((3601, 5), (3600, 1), (1, 2)), start=1):
        row = {"call_id": str(number), "source_id": 1, "occurred_ns": NOW - ago_s * SECOND_NS}
        add_calls(con, [{**row, "computed_nusd": usd * USD}])
    pace = spending(con, NOW).pace
    assert (pace.calls_per_hour, pace.cost_nusd_per_hour) == (2, 3 * USD)
    passed_ns = NOW - (parse_ns("2026-11-17T23:00:00Z") or 0)
    assert pace.projected_day_nusd == 8 * USD * DAY // passed_ns
    assert spending(con, NOW - passed_ns + 60 * SECOND_NS).pace.projected_day_nusd is None


def test_the_cache_share_is_of_all_input() -> None:
    day = date(2026, 1, 1)
    spent = Spent("", day, day, 1, input_tokens=10, cache_write_tokens=20, cache_read_tokens=70)
    assert spent.cache_share == 0.7
    assert Spent("", day, day, 1, input_tokens=10, cache_write_tokens=None, cache_read_tokens=None).cache_share is None
