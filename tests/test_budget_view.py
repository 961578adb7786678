"""What is spent of budgets, exactly as the calls say it, and how that compares with the time."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from commands import opened
from histories import ZONES, histories, run_history
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from ledger_rows import add_calls, add_source, make_ledger
from plain_costs import Call, read_calls
from spending import DAY, HOUR, NOW, USD, checked, make_budget_ledger, settings_with, spend, standing_now

from ccostdb.budgets.entries import FILTERS, PERIODS, Budget, read_budgets
from ccostdb.budgets.standing import Standing
from ccostdb.clock import parse_ns, span_at
from ccostdb.reports.budgets import budget_report
from ccostdb.settings import Settings
from ccostdb.written import usd_text

COLUMNS = "name, period, limit_nusd, models, projects, agents, sources"
BUDGETS: tuple[dict[str, Any], ...] = (
    {"name": "all", "daily": 0.5, "weekly": 700, "monthly": 1e-9},
    {"name": "one model", "daily": 1, "weekly": 1, "model": "model a"},
    {"name": "prefix", "monthly": 3, "project": ["project*", "nothing"], "agent": ["agent b", "agent a"]},
    {"name": "kind", "daily": 1, "source": "cco", "model": ["*"]},
    {"name": "name", "monthly": 1, "source": ["cco2", "claude-*"], "agent": "agent"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one counted source."""
    make_budget_ledger(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def put(con: sqlite3.Connection, entries: tuple[dict[str, Any], ...]) -> tuple[Budget, ...]:
    """Rows of table `budget`, as the writer puts them."""
    read = read_budgets(Settings(Path("x"), user_budgets=entries))
    rows = [row for budget in read for row in budget.rows()]
    con.executemany(f"insert into budget ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)", rows)
    return read


def passes(budget: Budget, call: Call) -> bool:
    """Whether a budget looks at a call: in plain words, without SQL."""
    for dimension, wanted in zip(FILTERS, budget.filters, strict=True):
        names = [call[dimension]] + ([call["kind"]] if dimension == "source" else [])
        fits = [
            name is not None and (name == each or (each.endswith("*") and name.startswith(each[:-1])))
            for name in names
            for each in wanted or ()
        ]
        if wanted is not None and not any(fits):
            return False
    return call["counted"]


def plain_budgets(read: tuple[Budget, ...], calls: list[Call]) -> list[tuple[Any, ...]]:
    """The rows of view `budgets`, computed from the calls alone."""
    rows = []
    for budget in read:
        for period, limit in budget.limits.items():
            groups: dict[str, list[int | None]] = defaultdict(list)
            for call in calls:
                if passes(budget, call):
                    groups[call[period]].append(call["cost"])
            for label, costs in groups.items():
                known = [cost for cost in costs if cost is not None]
                spent = sum(known) if known else None
                money = (None,) * 3 if spent is None else (spent / USD, (limit - spent) / USD, spent / limit)
                seen = (len(costs), len(costs) - len(known), limit, spent)
                rows.append((budget.name, period, label, limit / USD, *money, *seen))
    return rows


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(zone=st.sampled_from(ZONES), history=histories)
def test_the_view_is_what_the_calls_say_at_every_moment(zone: str, history: list[tuple[Any, ...]]) -> None:
    def look(con: sqlite3.Connection) -> None:
        con.execute("delete from budget")
        read = put(con, BUDGETS)
        kinds = dict(con.execute("select name, kind from source"))
        calls = [{**call, "kind": kinds[call["source"]]} for call in read_calls(con, ZoneInfo(zone))]
        shown = con.execute("select * from budgets").fetchall()
        assert sorted(map(repr, shown)) == sorted(map(repr, plain_budgets(read, calls)))

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run_history(Path(folder, "ledger.db"), zone, history, look))


def test_a_source_that_is_not_counted_is_in_no_budget_until_it_is(path: Path) -> None:
    settings = settings_with(path, {"name": "all", "daily": 1}, {"name": "cco", "daily": 1, "source": "cco"})
    spend(path, 0.25)
    with opened(path) as con:
        cco = add_source(con, "cco")
        add_calls(con, [{"call_id": "c", "source_id": cco, "occurred_ns": NOW, "reported_nusd": 3 * USD}])
    assert checked(settings) is None
    assert [each.spent_nusd for each in standing_now(path)] == [USD // 4, 0]
    with opened(path) as con:
        con.execute("update source set counted_setting = 1 where kind = 'cco'")
    assert [each.spent_nusd for each in standing_now(path)] == [13 * USD // 4, 3 * USD]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Los_Angeles"])
def test_days_weeks_and_months_are_those_of_the_home_zone_over_a_clock_change_and_a_new_year(
    tmp_path: Path, zone: str
) -> None:
    at = [parse_ns(text) or 0 for text in ("2026-10-25T00:30:00Z", "2027-01-03T12:00:00Z")]
    path = tmp_path / "zoned.db"
    with closing(make_ledger(path, zone)) as con:
        source = add_source(con, "claude-code")
        calls = [
            {"call_id": f"{moment} {hours}", "source_id": source, "occurred_ns": moment + hours * HOUR}
            for moment in at
            for hours in range(-40 * 24, 40 * 24, 5)
        ]
        add_calls(con, [{**call, "computed_nusd": 7 + number * 1_000_003} for number, call in enumerate(calls)])
        put(con, ({"name": "a", "daily": 1, "weekly": 1, "monthly": 1},))
        plain = read_calls(con, ZoneInfo(zone))
    for now_ns in (moment + hours * HOUR for moment in at for hours in range(-30, 30, 7)):
        labels = {period: span_at(period, now_ns, ZoneInfo(zone)).label for period in PERIODS}
        spent = {p: sum(call["cost"] for call in plain if call[p] == label) for p, label in labels.items()}
        assert {each.period: each.spent_nusd for each in standing_now(path, now_ns)} == spent


def test_pace_compares_with_the_time_that_has_really_passed() -> None:
    zone, now_ns = ZoneInfo("Europe/Berlin"), parse_ns("2026-10-25T12:00:00Z") or 0  # 14 of 25 hours have passed
    standing = Standing("a", "day", span_at("day", now_ns, zone), 25 * USD, 7 * USD, 1)
    assert standing.pace(now_ns) == 0.5
    assert standing.projected_nusd(now_ns) == 12.5 * USD
    assert standing.used_up_ns(now_ns) is None
    quick = replace(standing, spent_nusd=20 * USD)
    assert quick.projected_nusd(now_ns) == 20 * USD * 25 // 14
    assert quick.used_up_ns(now_ns) == standing.span.from_ns + 14 * HOUR * 25 // 20
    assert replace(standing, spent_nusd=25 * USD).used_up_ns(now_ns) is None
    assert replace(standing, spent_nusd=0, calls=0).projected_nusd(now_ns) == 0


def test_the_first_minutes_of_a_period_have_no_pace() -> None:
    span = span_at("day", NOW, ZoneInfo("UTC"))
    standing = Standing("a", "day", span, USD, USD // 2, 1)
    early = span.from_ns + 299 * 10**9
    assert (standing.pace(early), standing.projected_nusd(early), standing.used_up_ns(early)) == (None, None, None)
    assert standing.pace(early + 10**9) == 144.0


def test_money_is_written_exactly() -> None:
    amounts = (1, 10**9, 1_500_000_000, 12_345_678_901_234_567_890)
    assert [usd_text(nusd) for nusd in amounts] == ["0.000000001", "1.00", "1.50", "12345678901.23456789"]
    assert [usd_text(nusd) for nusd in (-5, -1_500_000_000)] == ["-0.000000005", "-1.50"]


def test_the_command_shows_the_budgets_of_the_settings_though_the_ledger_has_others(path: Path) -> None:
    checked(settings_with(path, {"name": "old", "daily": 1}))
    spend(path, 0.25, NOW)
    read = read_budgets(settings_with(path, {"name": "new", "weekly": 2, "daily": 1}))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as con:
        table, _ = budget_report(con, read, NOW)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["budget"], row["period"], row["period_label"]) for row in rows] == [
        ("new", "day", "2026-11-18"),
        ("new", "week", "2026-W47"),
    ]
    assert list(rows[0].values()) == ["new", "day", "2026-11-18", 1.0, 0.25, 0.75, 0.25, 0.5, 0.5, None, 1, 0]
    with opened(path) as con:
        assert con.execute("select name from budget").fetchall() == [("old",)]


def test_a_report_names_what_is_left_out_since_the_longest_period_began_and_filters_that_fit_nothing(
    path: Path,
) -> None:
    spend(path, None, NOW - 3 * DAY, model="mystery-1", agent="Explore")
    with opened(path) as con:
        con.execute(
            "insert into gap (source_id, epoch, kind, to_ns, calls, cost_nusd, detected_ns)"
            " values (1, 0, 'overflow', ?, 7, 1250000000, 0)",
            (NOW - 2 * DAY,),
        )
    read = read_budgets(
        settings_with(path, {"name": "a", "monthly": 2, "model": ["myst*", "mistery-*"], "agent": "Explore"})
    )
    with closing(sqlite3.connect(path)) as con:
        table, _ = budget_report(con, read, NOW)
    assert table.notes == (
        "Since 2026-11-01, without a price, so in no cost: 1 call of mystery-1.",
        "Since 2026-11-01, missing, so in no total: 7 calls, $1.25 (ccostdb export gaps).",
        "a looks at the model mistery-*, of which the ledger has no call.",
    )


def test_sixteen_limits_take_little_more_work_than_one(path: Path) -> None:
    with closing(sqlite3.connect(path)) as con:
        calls = [
            {
                "call_id": f"{day} {name}",
                "source_id": 1,
                "occurred_ns": NOW - day * DAY,
                "agent_id": name,
                "model_id": 1,
            }
            for day in range(30)
            for name in range(50)
        ]
        add_calls(con, calls)
        steps: list[int] = []
        for limits in (1, 16):
            con.execute("delete from budget")
            add = "insert into budget (name, period, limit_nusd) values (?, 'day', 1)"
            con.executemany(add, [(str(number),) for number in range(limits)])
            steps.append(0)
            con.set_progress_handler(lambda: steps.append(steps.pop() + 1), 100)
            assert len(con.execute("select * from budgets").fetchall()) == 30 * limits
            con.set_progress_handler(None, 0)
    assert steps[1] < 2 * steps[0]
