"""The page of charts: each reads rollups of the days that are asked for, stays under the row limit and adds up."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasette_dashboards import replace_opts_in_query
from ledger_rows import add_calls, add_name, add_source, make_ledger

from ccostdb.resources import datasette_metadata
from ccostdb.serve import make_datasette
from ccostdb.settings import Settings

PAGE: dict[str, Any] = yaml.safe_load(datasette_metadata().read_text())["plugins"]["datasette-dashboards"]["ccostdb"]
CHARTS: dict[str, Any] = PAGE["charts"]
ROWS = 1000  # what Datasette returns at most if not told otherwise
OF_DAYS = ("spend", "cache_savings", "cache_share")


@pytest.fixture(scope="module")
def con(two_years: Path) -> Iterator[sqlite3.Connection]:
    """Two years of calls, to read."""
    with closing(sqlite3.connect(two_years)) as con:
        con.row_factory = sqlite3.Row
        yield con


def draw(con: sqlite3.Connection, chart: str, **filters: str) -> list[dict[str, Any]]:
    """The rows that a chart is drawn from, with these filters set as the page sets them."""
    return [dict(row) for row in con.execute(replace_opts_in_query(CHARTS[chart]["query"], filters), filters)]


def last_days(con: sqlite3.Connection, days: int) -> str:
    """The first of the last so many days that have calls."""
    return str(con.execute("select date(max(day), ?) from calendar", (f"-{days - 1} days",)).fetchone()[0])


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("days", [1, 30, 99, 100, 400, 10_000])
def test_a_chart_of_any_time_is_not_empty_and_stays_under_the_row_limit(
    chart: str, days: int, con: sqlite3.Connection
) -> None:
    rows = draw(con, chart, since=last_days(con, days))
    assert 0 < len(rows) < ROWS


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_reads_of_the_rollup_only_the_days_that_are_asked_for(chart: str, con: sqlite3.Connection) -> None:
    filters = {"since": last_days(con, 30)}
    query = replace_opts_in_query(CHARTS[chart]["query"], filters)
    steps = [row["detail"] for row in con.execute(f"explain query plan {query}", filters)]
    assert "SEARCH rollup_day USING PRIMARY KEY (day>?)" in steps
    assert not [step for step in steps if step.startswith(("SCAN rollup", "SCAN call "))]


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_of_nothing_has_an_answer(chart: str, tmp_path: Path) -> None:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        con.row_factory = sqlite3.Row
        rows = draw(con, chart)
    assert [row for row in rows if row.get("cost_usd") or row.get("times")] == []


@pytest.mark.parametrize("chart", CHARTS)
def test_every_filter_of_the_page_goes_with_every_chart(chart: str, con: sqlite3.Connection) -> None:
    model, project = (con.execute(f"select name from {each} limit 1").fetchone()[0] for each in ("model", "project"))
    since = last_days(con, 400)
    filtered = draw(con, chart, since=since, until=since, model=model, project=project)
    assert len(filtered) < len(draw(con, chart))
    assert list(PAGE["filters"]) == ["since", "until", "model", "project"]


def test_what_daemons_did_is_no_error_of_theirs_and_of_no_model_or_project(tmp_path: Path) -> None:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        con.row_factory = sqlite3.Row
        answers = [("/agents", "{}", None), ("/absent", None, "HTTP 404")]
        source = add_source(con, "cca")
        for number, answer in enumerate(answers):
            add = "insert into sample (source_id, polled_ns, endpoint, body, error) values (?, ?, ?, ?, ?)"
            con.execute(add, (source, 1_790_000_000_000_000_000 + number, *answer))
        assert [row["what"] for row in draw(con, "activity")] == ["daemon: answer of /agents"]
        assert draw(con, "activity", model="m") == draw(con, "activity", project="p") == []


def test_a_chart_has_the_end_of_a_very_long_name(tmp_path: Path) -> None:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        con.row_factory = sqlite3.Row
        names = {table: add_name(con, table, "x" * 10**6 + "end") for table in ("model", "project", "agent", "session")}
        ids = {f"{table}_id": number for table, number in names.items()}
        call = {"occurred_ns": 1_790_000_000_000_000_000, "computed_nusd": 5}
        tokens = {f"{kind}_tokens": 1 for kind in ("input", "cache_write_5m", "cache_write_1h", "cache_read")}
        add_calls(con, [{"call_id": "c", "source_id": add_source(con, "cco"), **ids, **call, **tokens}])
        for chart in CHARTS:
            drawn = json.dumps(draw(con, chart))
            assert len(drawn) < 2000
            assert "xend" in drawn or chart == "cache_savings"


@pytest.mark.parametrize("days", [30, 300, 10_000])
def test_spend_adds_up_to_the_days_that_it_shows(days: int, con: sqlite3.Connection) -> None:
    since = last_days(con, days)
    total, calls = con.execute("select sum(cost_usd), sum(calls) from daily_costs where day >= ?", (since,)).fetchone()
    for chart in ("spend", "projects", "agents"):
        rows = draw(con, chart, since=since)
        assert sum(row["cost_usd"] or 0 for row in rows) == pytest.approx(total, abs=1e-6)
        assert sum(row["calls"] for row in rows) == calls
    shown = [row["times"] for row in draw(con, "activity", since=since) if row["what"].startswith("calls: ")]
    assert sum(shown) == calls
    (savings,) = con.execute("select sum(savings_usd) from daily_costs where day >= ?", (since,)).fetchone()
    assert sum(row["savings_usd"] for row in draw(con, "cache_savings", since=since)) == pytest.approx(
        savings, abs=1e-6
    )


@pytest.mark.parametrize("chart", OF_DAYS)
def test_a_bar_ends_where_the_next_one_begins(chart: str, con: sqlite3.Connection) -> None:
    for days, longest in ((30, 30), (300, 44), (10_000, 106)):
        spans = sorted({(row["from_day"], row["to_day"]) for row in draw(con, chart, since=last_days(con, days))})
        assert len(spans) <= longest
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_what_a_source_names_is_drawn_as_text_alone() -> None:
    # The other libraries of datasette-dashboards write names into the page as HTML.
    assert {chart["library"] for chart in CHARTS.values()} == {"vega-lite"}
    for chart in CHARTS.values():
        embedding = chart["display"]["usermeta"]["embedOptions"]
        assert embedding == {"actions": False, "ast": True, "renderer": "svg"}
        assert "href" not in json.dumps(chart["display"]).replace("vega.github.io", "")
        assert "url" not in json.dumps(chart["display"]["encoding"])


def test_every_chart_has_its_place_its_title_and_its_units() -> None:
    assert {name for row in PAGE["layout"] for name in row} == set(CHARTS)
    for name, chart in CHARTS.items():
        assert chart["title"], name
        encoding = chart["display"]["encoding"]
        assert all(each["title"] for each in encoding["tooltip"]), name
        numbers = [each for axis, each in encoding.items() if axis in "xy" and each["type"] == "quantitative"]
        assert all(each["title"].startswith(("US dollars", "Share of")) for each in numbers), name


def test_the_page_and_each_chart_of_it_answer(week: Path) -> None:
    datasette = make_datasette(Settings(week))

    async def look() -> None:
        for path in ("", *(f"/{name}" for name in CHARTS)):
            answer = await datasette.client.get(f"/-/dashboards/ccostdb{path}?since=2026-01-01&model=x%27%3C&project=")
            assert answer.status_code == 200, path
            assert "<script>window.hacked" not in answer.text

    asyncio.run(look())
