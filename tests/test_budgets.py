"""Whom budgets alert: once in a period, whatever happens."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from commands import opened
from spending import DAY, NOW, USD, checked, make_budget_ledger, settings_with, spend, standing_now

from ccostdb import budgets
from ccostdb.errors import BadSettings
from ccostdb.settings import Settings
from ccostdb.store import open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one counted source."""
    make_budget_ledger(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def alerts(path: Path) -> list[tuple[Any, ...]]:
    with opened(path) as con:
        return con.execute(
            "select name, period, period_label, threshold, spent_nusd from budget_alert order by 1, 2, 3, 4"
        ).fetchall()


def stored(path: Path) -> list[tuple[Any, ...]]:
    with opened(path) as con:
        return con.execute("select name, period, limit_nusd, models from budget order by budget_id").fetchall()


def test_the_ledger_holds_the_budgets_of_the_settings_and_forgets_the_ones_that_went(path: Path) -> None:
    hostile = "'); drop table call; --\x1b[31m ☃ \" % * [a"
    entries = ({"name": hostile, "daily": 1, "monthly": 2, "model": [hostile]}, {"name": "b", "weekly": 3})
    assert checked(settings_with(path, *entries)) is None
    models = f'["{hostile}"]'.replace('☃ "', '☃ \\"').replace("\x1b", "\\u001b")
    assert stored(path) == [
        (hostile, "day", USD, models),
        (hostile, "month", 2 * USD, models),
        ("b", "week", 3 * USD, None),
    ]
    spend(path, 0.5, model=hostile)
    spend(path, 0.25, model="another")
    assert [(each.budget, each.spent_nusd) for each in standing_now(path)] == [
        (hostile, USD // 2),
        (hostile, USD // 2),
        ("b", 3 * USD // 4),
    ]
    assert checked(settings_with(path, entries[1])) is None
    assert stored(path) == [("b", "week", 3 * USD, None)]
    checked(settings_with(path))
    assert (stored(path), standing_now(path)) == ([], [])


def test_sync_alone_refuses_what_cannot_be_used_and_alerts_nobody(path: Path) -> None:
    async def sync(*entries: dict[str, Any]) -> None:
        settings = settings_with(path, *entries)
        async with open_store(settings) as store:
            await budgets.sync(store, settings, NOW)

    spend(path, 5)
    asyncio.run(sync({"name": "a", "daily": 1}))
    assert (len(stored(path)), alerts(path)) == (1, [])
    with pytest.raises(BadSettings, match="unknown key"):
        asyncio.run(sync({"name": "a", "dayly": 1}))
    assert len(stored(path)) == 1


def test_at_the_start_a_ledger_that_another_holds_is_waited_for_only_where_the_budgets_are_others(path: Path) -> None:
    entry = {"name": "a", "daily": 1}

    async def run() -> None:
        same, other = settings_with(path, entry), settings_with(path, {**entry, "daily": 2})
        async with open_store(same, asyncio.Event()) as store:
            await budgets.sync(store, same, NOW)
            told: list[str | None] = []
            store.patience.on_trouble = told.append
            with opened(path) as holder:
                holder.execute("begin immediate")
                await budgets.sync(store, same, NOW)
                assert told == []
                syncing = asyncio.create_task(budgets.sync(store, other, NOW))
                while not told:
                    assert not syncing.done()
                    await asyncio.sleep(0.05)
                holder.execute("rollback")
            await syncing

    asyncio.run(asyncio.wait_for(run(), 30))
    assert stored(path) == [("a", "day", 2 * USD, None)]


def test_a_share_is_alerted_once_in_each_period(path: Path) -> None:
    settings = settings_with(path, {"name": "a", "daily": 10, "alert_at": [0.5, 0.8]})
    spend(path, 4.999999999)
    assert checked(settings) is None
    spend(path, 1e-9)
    assert checked(settings) == "a: $5.00 spent in 2026-11-18, 50 % of $10.00 reached"
    spend(path, 1)
    assert checked(settings) is None
    spend(path, 2.5)
    assert checked(settings) == "a: $8.50 spent in 2026-11-18, 80 % of $10.00 reached"
    assert checked(settings) is None
    assert checked(settings, NOW + DAY) is None
    spend(path, 5, NOW + DAY)
    assert checked(settings, NOW + DAY) == "a: $5.00 spent in 2026-11-19, 50 % of $10.00 reached"
    assert alerts(path) == [
        ("a", "day", "2026-11-18", 0.5, 5 * USD),
        ("a", "day", "2026-11-18", 0.8, 85 * USD // 10),
        ("a", "day", "2026-11-19", 0.5, 5 * USD),
    ]


def test_what_comes_in_the_last_minute_of_a_day_is_told_of_in_the_next(path: Path) -> None:
    settings = settings_with(path, {"name": "a", "daily": 10, "weekly": 10})
    midnight = NOW + DAY // 2
    spend(path, 10, midnight - 1)
    minute = 60 * 10**9
    assert checked(settings, midnight + 5 * minute) == "a: $10.00 spent in 2026-W47, 100 % of $10.00 reached"
    assert checked(settings, midnight + minute) == "a: $10.00 spent in 2026-11-18, 100 % of $10.00 reached"
    assert checked(settings, midnight + minute) is None


def test_of_several_shares_at_once_only_the_highest_is_told_of_but_all_are_kept(path: Path) -> None:
    settings = settings_with(path, {"name": "a", "weekly": 1, "alert_at": [0.5, 0.8, 1.0, 2.0]})
    spend(path, 1.5)
    assert checked(settings) == "a: $1.50 spent in 2026-W47, 100 % of $1.00 reached"
    assert [row[3] for row in alerts(path)] == [0.5, 0.8, 1.0]


def test_a_lower_share_that_is_asked_for_later_is_kept_and_told_to_nobody(path: Path) -> None:
    spend(path, 0.9)
    assert checked(settings_with(path, {"name": "a", "daily": 1, "alert_at": [0.8]}))
    assert checked(settings_with(path, {"name": "a", "daily": 1, "alert_at": [0.5, 0.8]})) is None
    assert [row[3] for row in alerts(path)] == [0.5, 0.8]


def test_a_cost_that_is_corrected_takes_no_alert_back_and_makes_none_twice(path: Path) -> None:
    settings = settings_with(path, {"name": "a", "daily": 10, "alert_at": [1.0]})
    spend(path, 10)
    assert checked(settings)
    before = alerts(path)
    with opened(path) as con:
        con.execute("update call set computed_nusd = 1")
    assert checked(settings) is None
    spend(path, 10)
    assert (checked(settings), alerts(path)) == (None, before)


def test_a_raised_limit_may_be_reached_anew_and_a_lowered_one_only_by_what_it_was_not(path: Path) -> None:
    def limited(usd: float) -> Settings:
        return settings_with(path, {"name": "a", "daily": usd, "alert_at": [0.5, 1.0]})

    spend(path, 10)
    assert "100 % of $10.00" in (checked(limited(10)) or "")
    assert checked(limited(15)) is None  # half of it was reached, and told of
    assert [row[3] for row in alerts(path)] == [0.5]
    spend(path, 5)
    assert "100 % of $15.00" in (checked(limited(15)) or "")
    assert checked(limited(12)) is None
    assert checked(limited(40)) is None
    assert alerts(path) == []
    spend(path, 5)
    assert "50 % of $40.00" in (checked(limited(40)) or "")


def test_a_changed_limit_leaves_the_alerts_of_earlier_periods(path: Path) -> None:
    spend(path, 10, NOW - DAY)
    assert checked(settings_with(path, {"name": "a", "daily": 10}), NOW - DAY)
    before = alerts(path)
    checked(settings_with(path, {"name": "a", "daily": 1000}))
    assert alerts(path) == before


def test_a_budget_that_looks_at_other_calls_now_alerts_anew(path: Path) -> None:
    spend(path, 10, model="x")
    spend(path, 10, model="y")
    assert checked(settings_with(path, {"name": "a", "daily": 10, "model": "x"}))
    assert checked(settings_with(path, {"name": "a", "daily": 10, "model": "y"}))
    assert checked(settings_with(path, {"name": "a", "daily": 10, "model": "y"})) is None


def test_calls_without_a_price_reach_nothing_and_are_never_taken_for_free(path: Path) -> None:
    settings = settings_with(path, {"name": "a", "daily": 1e-9, "monthly": 1e-9})
    spend(path, None)
    assert checked(settings) is None
    (day, month) = standing_now(path)
    assert (day.spent_nusd, day.calls, day.unpriced_calls) == (None, 1, 1)
    assert (day.pace(NOW), day.projected_nusd(NOW), day.used_up_ns(NOW), day.is_reached(1e-9)) == (
        None,
        None,
        None,
        False,
    )
    assert month.spent_nusd is None
    spend(path, 0.25)
    assert "100 % of $0.000000001 reached, and 1 unpriced" in (checked(settings) or "")
    assert (standing_now(path)[0].spent_nusd, standing_now(path)[0].unpriced_calls) == (USD // 4, 1)


def check_and_die(settings: Settings, fatal: int) -> None:
    """One run of the job, in a process that kills itself before its statement number `fatal`."""

    async def run() -> None:
        async with open_store(settings) as store:
            statements = count(1)

            def trace(_: str) -> None:
                if next(statements) == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)

            await store.db.set_trace_callback(trace)
            await budgets.check(store, settings, NOW)

    asyncio.run(run())


def test_a_process_that_is_killed_at_any_statement_lets_the_command_run_once_in_the_end(
    path: Path, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    spend(path, 10)
    entry = {"name": "a", "daily": 10, "command": ["sh", "-c", f"echo x >> '{said}'"]}
    settings = settings_with(path, entry)
    ended = []
    for fatal in range(1, 40):
        child = multiprocessing.get_context("fork").Process(target=check_and_die, args=(settings, fatal))
        child.start()
        child.join()
        ended.append(child.exitcode)
        lines = said.read_text().count("x") if said.exists() else 0
        assert lines == (1 if len(alerts(path)) == 3 else 0)
        if child.exitcode == 0:
            break
    assert ended[-1] == 0
    assert set(ended[:-1]) == {-signal.SIGKILL}
    assert said.read_text() == "x\n"


def test_a_command_during_which_the_process_is_killed_is_not_run_again(path: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    spend(path, 10)
    settings = settings_with(
        path, {"name": "a", "daily": 10, "command": ["sh", "-c", f"echo x >> '{said}'; kill -9 $PPID"]}
    )
    child = multiprocessing.get_context("fork").Process(target=check_and_die, args=(settings, 0))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert checked(settings) is None
    assert said.read_text() == "x\n"
