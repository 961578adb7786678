"""`ccostdb.analysis`: frames with the right dtypes, days and sums; forecasts; charts that take any name."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from commands import DAY_NS, JULY_1, add_cco, opened, run_python
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_rows import add_calls, add_source
from sized_ledgers import HOSTILE, ZONE, empty_ledger

from ccostdb.analysis import charts, figures, open_ledger, total_usd
from ccostdb.analysis.columns import CHUNK_ROWS, frame_of
from ccostdb.analysis.forecast import DRAWS, RECENT_DAYS, backtest, daily_spend, forecast_month, typical_error
from ccostdb.errors import BadArgument, CcostError
from ccostdb.reports import Question, report
from ccostdb.resources import sql_names
from ccostdb.schema import read_only_uri

UTC = ZoneInfo("UTC")
VIEWS = sql_names("views")
TODAY = date(2026, 11, 18)


def one(path: Path, question: str) -> int:
    with closing(sqlite3.connect(read_only_uri(path), uri=True)) as con:
        return int(con.execute(question).fetchone()[0])


# --- frames ---


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_has_the_same_dtypes_in_an_empty_ledger_as_in_a_full_one(name: str, nothing: Path, week: Path) -> None:
    empty, full = (open_ledger(path).frame(name) for path in (nothing, week))
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert len(empty) <= len(full)
    assert "object" not in {str(dtype) for dtype in full.dtypes}


def test_every_kind_of_column_has_its_dtype(week: Path) -> None:
    dtypes = {name: str(dtype) for name, dtype in open_ledger(week).calls().dtypes.items()}
    assert dtypes["occurred_at"] == f"datetime64[ns, {ZONE}]"
    assert {dtypes[name] for name in ("input_tokens", "latency_ms", "occurred_ns")} == {"Int64"}
    assert {dtypes[name] for name in ("cost_usd", "savings_usd")} == {"Float64"}
    assert {dtypes[name] for name in ("is_sidechain", "is_response_cache_hit")} == {"boolean"}
    assert {dtypes[name] for name in ("call_id", "model", "project", "session_id")} == {"string"}


@pytest.mark.parametrize("view", ["daily_costs", "model_costs", "session_costs", "hourly_costs"])
def test_sums_agree_with_the_ledger_to_the_nano_dollar(view: str, two_years: Path) -> None:
    nusd = one(two_years, "select sum(cost_nusd) from daily_usage where counted")
    assert total_usd(open_ledger(two_years).frame(view).cost_usd) == Decimal(nusd).scaleb(-9)


@settings(deadline=None)  # the first example waits for pandas
@given(st.lists(st.none() | st.integers(-2 * 10**15, 2 * 10**15), min_size=1))
def test_any_amounts_below_two_million_dollars_add_up_exactly(nusd: list[int | None]) -> None:
    rows = [(None if each is None else each / 1e9,) for each in nusd]
    known = [each for each in nusd if each is not None]
    expected = Decimal(sum(known)).scaleb(-9) if known else None
    assert total_usd(frame_of(["cost_usd"], rows, UTC).cost_usd) == expected


def test_what_is_unknown_is_na_and_never_0(tmp_path: Path) -> None:
    with opened(empty_ledger(tmp_path / "l.db", "UTC")) as con:
        add_cco(con)
    day = open_ledger(tmp_path / "l.db").daily_costs().iloc[0]
    assert (day.calls, day.unpriced_calls, day.cost_usd) == (3, 1, 2.5)
    assert day[["input_tokens", "savings_usd", "sessions"]].isna().all()


def test_moments_have_a_zone_and_days_have_none(tmp_path: Path) -> None:
    with opened(empty_ledger(tmp_path / "l.db", "Europe/Berlin")) as con:
        source = add_source(con, "claude-code")
        autumn_ns = 1_792_888_200 * 10**9  # 2026-10-25T00:30Z, in the hour that comes twice
        add_calls(
            con, [{"call_id": n, "source_id": source, "occurred_ns": autumn_ns + n * 3600 * 10**9} for n in (0, 1)]
        )
    ledger = open_ledger(tmp_path / "l.db")
    assert [str(hour) for hour in ledger.hourly_costs().hour.sort_values()] == [
        "2026-10-25 02:00:00+02:00",
        "2026-10-25 02:00:00+01:00",
    ]
    assert ledger.daily_costs().day.tolist() == [pd.Timestamp("2026-10-25")]
    assert ledger.weekly_costs().week.tolist() == [pd.Timestamp("2026-10-19")]
    assert ledger.monthly_costs().month.tolist() == [pd.Timestamp("2026-10-01")]
    honolulu = ledger.daily_costs(tz="Pacific/Honolulu")
    assert honolulu.day.tolist() == [pd.Timestamp("2026-10-24")]
    assert str(ledger.calls(tz="Pacific/Honolulu").occurred_at.iloc[0]) == "2026-10-24 14:30:00-10:00"
    assert str(ledger.zone) == "Europe/Berlin"


def test_days_are_those_that_were_asked_for(ledger: Path) -> None:
    asked = open_ledger()
    assert asked.daily_costs(since="2026-07-02").day.tolist() == [pd.Timestamp("2026-07-02")]
    assert asked.calls(until="2026-07-01").call_id.tolist() == ["msg_01AAAAAAAAAAAAAAAAAAAAAAAA"]
    assert asked.daily_costs(since="2026-08").empty
    assert asked.calls_of(model="claude-opus-4-5-20251101").call_id.tolist() == ["msg_01CCCCCCCCCCCCCCCCCCCCCCCC"]


def test_the_home_zone_is_the_ledgers_until_a_writer_changes_it(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_HOME_TZ", "Asia/Kolkata")
    asked = open_ledger()
    assert str(asked.zone) == "UTC"
    assert len(asked.daily_costs()) == 2
    for name in ("source_health", "jobs", "rejects", "calls", "gaps"):
        assert "Asia/Kolkata" not in str(asked.frame(name).dtypes.tolist())
        assert "UTC" not in str(asked.frame(name, tz="Asia/Kolkata").dtypes.tolist())


def test_each_frame_is_the_ledger_as_it_is_then(ledger: Path) -> None:
    asked = open_ledger(ledger)
    assert len(asked.calls()) == 3
    with opened(ledger) as con:
        con.execute("delete from call where call_id = 'msg_01AAAAAAAAAAAAAAAAAAAAAAAA'")
    assert len(asked.calls()) == 2
    assert asked.daily_costs().calls.sum() == 2


def test_names_are_completed_and_documented(ledger: Path) -> None:
    asked = open_ledger()
    assert {"daily_costs", "dearest_sessions", "frame", "left_out"} <= set(dir(asked))
    assert set(VIEWS) <= set(asked.names)
    assert str(asked.daily_costs.__doc__).startswith("-- One row is a local day")
    with pytest.raises(AttributeError, match="no view or question 'daily_cost'"):
        _ = asked.daily_cost


def test_a_wrong_name_is_an_error_with_its_hint_under_it(ledger: Path) -> None:
    with pytest.raises(BadArgument) as caught:
        open_ledger().frame("daily_cost")
    assert "daily_costs" in caught.value.__notes__[0]
    with pytest.raises(BadArgument):
        open_ledger().calls_of(modell="x")


def test_a_ledger_that_is_not_there_is_said_and_not_made(home: Path) -> None:
    with pytest.raises(CcostError, match="There is no ledger at") as caught:
        open_ledger(home / "none.db")
    assert "ccostdb ingest" in caught.value.__notes__[0]
    assert not (home / "none.db").exists()


def test_what_is_left_out_is_what_reports_say(week: Path) -> None:
    said = open_ledger(week).left_out()
    with closing(sqlite3.connect(read_only_uri(week), uri=True)) as con:
        assert said == list(report(con, Question(), 0.0).notes)
    assert any(note.startswith("Not counted: cco") for note in said)


def test_many_rows_are_one_frame_in_their_order() -> None:
    frame = frame_of(["calls", "model"], ((n, None if n % 2 else f"m{n}") for n in range(2 * CHUNK_ROWS + 1)), UTC)
    assert frame.calls.tolist() == list(range(2 * CHUNK_ROWS + 1))
    assert frame.index.is_unique
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "string"]


def test_a_value_that_does_not_fit_its_name_stays_as_it_is() -> None:
    frame = frame_of(["calls", "at", "is_it"], [("many", "some day", "maybe"), (1, None, 1)], UTC)
    assert frame.to_numpy().tolist() == [["many", "some day", "maybe"], [1, None, 1]]


@pytest.mark.parametrize("words", [["report", "--json"], ["notebooks", "there"], ["export", "calls"]])
def test_no_command_imports_pandas(words: list[str], ledger: Path) -> None:
    code = "import sys; from ccostdb.cli import main; main(sys.argv[1:], standalone_mode=False); "
    done = run_python("-c", code + "sys.exit('pandas' in sys.modules)", *words)
    assert done.returncode == 0, done.stderr


# --- forecasts ---


def spending_of(days: int, weekday: float = 10.0, weekend: float = 2.0, until: date = TODAY) -> pd.Series:
    """As many days of even spending, the last one before `until`, and nothing on `until` yet."""
    index = pd.date_range(end=pd.Timestamp(until), periods=days + 1, name="day")
    amounts = pd.Series([weekend if day.day_of_week >= 5 else weekday for day in index], index=index, dtype="Float64")
    amounts.iloc[-1] = 0.0
    return amounts


def test_even_spending_is_forecast_exactly() -> None:
    forecast = forecast_month(spending_of(80), TODAY)
    assert forecast is not None
    month = sum(2.0 if date(2026, 11, day).weekday() >= 5 else 10.0 for day in range(1, 31))
    assert (forecast.total_usd, forecast.low_usd, forecast.high_usd) == (month, month, month)
    assert forecast.spent_usd == sum(2.0 if date(2026, 11, day).weekday() >= 5 else 10.0 for day in range(1, 18))
    assert forecast.days == RECENT_DAYS
    assert forecast.paths_usd.index.tolist() == pd.date_range("2026-11-18", "2026-11-30").tolist()


def test_today_counts_for_what_was_spent_if_that_is_more() -> None:
    plain, dear = spending_of(80), spending_of(80)
    dear.iloc[-1] = 100.0
    one, other = forecast_month(plain, TODAY), forecast_month(dear, TODAY)
    assert one is not None
    assert other is not None
    assert other.total_usd - one.total_usd == 90.0
    assert other.spent_usd - one.spent_usd == 100.0


def test_the_range_holds_four_of_five_drawn_months() -> None:
    spend = spending_of(80)
    spend.iloc[:-1] = [float(n * 7919 % 31) for n in range(80)]
    forecast = forecast_month(spend, TODAY)
    assert forecast is not None
    assert forecast.low_usd < forecast.total_usd < forecast.high_usd
    assert forecast_month(spend, TODAY).total_usd == forecast.total_usd
    assert DRAWS >= 1000


def test_two_weeks_are_needed_and_days_of_unknown_cost_are_none_of_them() -> None:
    assert forecast_month(spending_of(13), TODAY) is None
    assert forecast_month(spending_of(14), TODAY) is not None
    unknown = spending_of(14)
    unknown.iloc[3] = pd.NA
    assert forecast_month(unknown, TODAY) is None


def test_a_day_without_calls_cost_nothing_and_one_without_prices_is_unknown() -> None:
    rows = [("2026-11-14", 1.5), ("2026-11-16", None)]
    spend = daily_spend(frame_of(["day", "cost_usd"], rows, UTC), date(2026, 11, 17))
    assert spend.astype(object).where(spend.notna(), None).tolist() == [1.5, 0.0, None, 0.0]
    empty = daily_spend(frame_of(["day", "cost_usd"], [], UTC), TODAY)
    assert empty.empty
    assert forecast_month(empty, TODAY) is None
    assert backtest(empty, TODAY).empty


def test_a_backtest_looks_only_at_what_was_before() -> None:
    spend = spending_of(120)
    changed = spend.copy()
    changed.iloc[-20:-1] *= 5
    tests, others = backtest(spend, TODAY), backtest(changed, TODAY)
    ahead = 13
    early = tests.day < pd.Timestamp(TODAY) - timedelta(days=19 + ahead)
    assert early.sum() > 5
    pd.testing.assert_frame_equal(tests[early], others[early])
    assert others.actual_usd.iloc[-1] > tests.actual_usd.iloc[-1] * 4
    assert tests.day.diff().dropna().unique().tolist() == [pd.Timedelta(days=7)]
    assert typical_error(tests.actual_usd, tests.forecast_usd) == 0.0
    assert typical_error(tests.actual_usd[:0], tests.forecast_usd[:0]) is None


# --- charts ---


@pytest.fixture(autouse=True)
def closed_figures() -> None:
    """Charts as notebooks draw them, and none left from a test before."""
    plt.switch_backend("agg")
    plt.close("all")
    charts.style()


def costs(names: list[str | None], days: int = 1) -> pd.DataFrame:
    rows = [
        (f"{pd.Timestamp('2026-01-01') + timedelta(days=n):%Y-%m-%d}", name, 1.5) for n in range(days) for name in names
    ]
    return frame_of(["day", "model", "cost_usd"], rows, UTC)


def test_stacked_bars_add_up_to_all_there_is() -> None:
    ax = charts.stacked(costs(["a", "b", "c", "d", None], days=3), "model", "Cost", top=2)
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(5 * 3 * 1.5)
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "all other"
    weekly = charts.stacked(costs(["a"], days=200), "model", "Cost")
    assert weekly.get_title(loc="left") == "Cost, by week"
    assert sum(bar.get_height() for bar in weekly.patches) == pytest.approx(300)


def test_a_name_that_begins_with_an_underline_is_in_the_legend_as_it_is() -> None:
    ax = charts.stacked(costs(["_hidden", "a"]), "model", "Cost")
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == ["_hidden", "a"]


def test_two_dollar_signs_in_a_table_are_no_formula() -> None:
    assert re.search(r'<table [^>]*class="tex2jax_ignore mathjax_ignore"', charts.table(costs(["$x$"])).to_html())


def test_a_ledger_shows_its_path_and_no_key(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_CCA_API_KEY", "verysecret123")
    assert repr(open_ledger(ledger)) == f"Ledger('{ledger}')"


def test_an_empty_frame_is_said_and_drawn() -> None:
    hours = frame_of(["hour", "cost_usd"], [], UTC)
    for ax in (
        charts.stacked(costs([]), "model", "Cost"),
        charts.ranked(costs([]), "model", "Cost"),
        charts.week_map(hours, "Cost"),
    ):
        assert [text.get_text() for text in ax.texts] == [charts.NOTHING]
        ax.figure.canvas.draw()
    assert "–" not in charts.table(costs([])).to_html()


def test_hostile_names_are_drawn_as_text() -> None:
    names = [*HOSTILE, "$\\frac$ and $x$"]
    frame = costs(list(names))
    ax = charts.ranked(frame, "model", "Cost", top=50)
    charts.stacked(frame, "model", "Cost", top=50).figure.canvas.draw()
    ax.figure.canvas.draw()
    shown = [tick.get_text() for tick in ax.get_yticklabels()]
    assert all(text.isprintable() and len(text) <= 36 for text in shown)
    html = charts.table(frame, rows=50).to_html()
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_a_table_shows_what_is_unknown_as_such() -> None:
    columns = ["model", "cost_usd", "share", "calls", "month", "last_at"]
    rows = [(None, None, None, None, None, None), ("m", -0.00123, 0.256, 1234, "2026-11", "2026-11-18T01:02:03.000Z")]
    html = charts.table(frame_of(columns, rows, UTC)).to_html()
    assert html.count("–") == len(columns)
    for text in ("-$0.0012", "26 %", "1,234", "2026-11", "2026-11-18 01:02", ">cost<"):
        assert text in html


@pytest.mark.parametrize(
    ("amount", "text"),
    [(1234.5, "$1,234.50"), (0.12, "$0.12"), (0.0123, "$0.0123"), (0, "$0.00"), (-2, "-$2.00"), (1e-9, "<$0.000001")],
)
def test_small_sums_are_not_all_zero(amount: float, text: str) -> None:
    assert charts.dollars(amount) == text


def test_a_week_map_holds_every_hour(tmp_path: Path) -> None:
    with opened(empty_ledger(tmp_path / "l.db", "UTC")) as con:
        source = add_source(con, "claude-code")
        add_calls(
            con, [{"call_id": "a", "source_id": source, "occurred_ns": JULY_1 + 3 * DAY_NS, "computed_nusd": 10**9}]
        )
    ax = charts.week_map(open_ledger(tmp_path / "l.db").hourly_costs(), "Cost")
    grid = ax.collections[0].get_array()
    assert grid is not None
    assert (grid.size, float(grid.sum()), float(grid[5, 0])) == (168, 1.0, 1.0)  # 2026-07-04 is a Saturday


# --- figures ---


def test_savings_stand_side_by_side_and_a_loss_is_below_the_line() -> None:
    columns = ["month", "prompt_cache_savings_usd", "response_cache_savings_usd_estimate"]
    rows = [("2026-10", 3.0, None), ("2026-11", -1.0, 0.5), ("2026-11", -1.0, None), ("2026-12", None, None)]
    ax = figures.savings_by_month(frame_of(columns, rows, UTC))
    assert [bar.get_height() for bar in ax.patches if bar.get_height() == bar.get_height()] == [3.0, -2.0, 0.5]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["2026-10", "2026-11"]


def test_input_is_parted_by_what_the_cache_did_and_days_that_do_not_tell_are_left_out() -> None:
    columns = ["day", "input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens"]
    rows = [("2026-11-01", 10, 20, 30, 40), ("2026-11-02", None, None, None, None), ("2026-11-03", 0, 0, 0, 0)]
    kinds = figures.input_kinds(frame_of(columns, rows, UTC))
    assert kinds.to_dict("records") == [{"read from cache": 40.0, "written to cache": 50.0, "neither": 10.0}]
    assert [bar.get_height() for bar in figures.input_shares(kinds).patches] == pytest.approx([0.4, 0.5, 0.1])


def test_every_priced_session_is_in_the_spread() -> None:
    amounts = pd.Series([0.0001, 0.5, 0.5, 12.0, 0.0, None], dtype="Float64")
    ax = figures.cost_spread(amounts)
    assert sum(bar.get_height() for bar in ax.patches) == 4
    assert ax.get_title(loc="left") == "Sessions by cost: half cost less than $0.50"


def test_the_month_ahead_ends_at_the_forecast_and_shows_the_months_before() -> None:
    spend = spending_of(80)
    forecast = forecast_month(spend, TODAY)
    assert forecast is not None
    ax = figures.month_ahead(spend, forecast, TODAY)
    lines = {str(line.get_label()): line for line in ax.lines}
    assert list(lines) == [
        "October",
        "September",
        "August",
        "November",
        f"forecast: {charts.dollars(forecast.total_usd)}",
    ]
    assert list(lines.values())[-1].get_ydata()[-1] == forecast.total_usd
    assert lines["November"].get_ydata()[-1] == forecast.spent_usd


def test_figures_of_nothing_say_so() -> None:
    daily = ["day", "input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens"]
    savings = ["month", "prompt_cache_savings_usd", "response_cache_savings_usd_estimate"]
    nothing_spent = daily_spend(frame_of(["day", "cost_usd"], [], UTC), TODAY)
    for ax in (
        figures.savings_by_month(frame_of(savings, [], UTC)),
        figures.input_shares(figures.input_kinds(frame_of(daily, [], UTC))),
        figures.cost_spread(pd.Series([], dtype="Float64")),
        figures.month_ahead(nothing_spent, None, TODAY),
        figures.forecasts_before(backtest(nothing_spent, TODAY), 13),
    ):
        assert [text.get_text() for text in ax.texts] == [charts.NOTHING]
