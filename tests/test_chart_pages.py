"""The page of charts in a real Chromium: each chart has marks, whatever is asked, and none has too many rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import pytest
from browser import DARK, DESKTOP, PHONE, Look, Looking, axe_violations, overflow
from playwright.sync_api import Page
from sized_ledgers import HOSTILE, RATES, week_ledger

from ccostdb.datasette_plugin.metadata import load_metadata

DASHBOARDS = load_metadata()["plugins"]["datasette-dashboards"]
CHARTS = [(slug, chart) for slug, dashboard in DASHBOARDS.items() for chart in dashboard["charts"]]
DRAWN_MS = 15_000


def marks(page: Page, chart: str) -> int:
    """How many marks of a chart can be seen, once it is drawn."""
    drawn = page.locator(f"#chart-{chart} svg")
    drawn.wait_for(timeout=DRAWN_MS)
    boxes = drawn.locator(".role-mark path, .role-mark line, .role-mark rect").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect()).filter(box => box.width + box.height > 0).length"
    )
    return int(boxes)


def drawn_everywhere(slug: str, but: tuple[str, ...] = ()) -> Callable[[Page], None]:
    """Looks at every chart of a dashboard."""

    def check(page: Page) -> None:
        found = {chart: marks(page, chart) for of, chart in CHARTS if of == slug and chart not in but}
        assert all(found.values()), found
        assert page.locator(".vega-error, .error").count() == 0
        warned = page.locator(".chart-tooltip").evaluate_all(
            "all => all.filter(each => getComputedStyle(each).visibility == 'visible').length"
        )
        assert warned == 0, "a chart has more rows than are shown"

    return check


@pytest.mark.parametrize("look", [DESKTOP, PHONE, DARK], ids=["desktop", "phone", "dark"])
@pytest.mark.parametrize("slug", DASHBOARDS)
def test_every_chart_of_a_week_is_drawn(looking: Looking, week: Path, slug: str, look: Look) -> None:
    def check(page: Page) -> None:
        drawn_everywhere(slug)(page)
        assert axe_violations(page) == []

    looking.visit(week, f"/-/dashboards/{slug}", check, look)


@pytest.mark.parametrize("look", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("slug", DASHBOARDS)
def test_charts_fit_where_they_are_looked_at(looking: Looking, week: Path, slug: str, look: Look) -> None:
    assert looking.visit(week, f"/-/dashboards/{slug}", overflow, look) <= 0


@pytest.mark.parametrize("slug", DASHBOARDS)
def test_every_chart_of_two_years_is_drawn_from_all_its_rows(looking: Looking, two_years: Path, slug: str) -> None:
    looking.visit(two_years, f"/-/dashboards/{slug}?since=2000-01-01", drawn_everywhere(slug))


@pytest.mark.parametrize("slug", DASHBOARDS)
def test_a_chart_without_rows_says_so_in_place_of_axes(looking: Looking, nothing: Path, slug: str) -> None:
    def check(page: Page) -> None:
        for of, chart in CHARTS:
            if of == slug:
                page.locator(f"#chart-{chart} p").wait_for(timeout=DRAWN_MS)
                assert page.locator(f"#chart-{chart}").inner_text().strip() == "No such calls in this time"

    looking.visit(nothing, f"/-/dashboards/{slug}", check)


@pytest.mark.parametrize(("slug", "chart"), CHARTS)
def test_a_chart_is_drawn_alone(looking: Looking, week: Path, slug: str, chart: str) -> None:
    def check(page: Page) -> None:
        assert marks(page, slug) > 0  # the page gives its chart the name of the dashboard
        title = DASHBOARDS[slug]["charts"][chart]["title"]
        assert (page.locator("h1").inner_text(), page.title()) == (title, f"{title} – ccostdb")
        assert page.locator("main").inner_text().count(title) == 1
        assert "?since=20" in page.url, "as the page of all charts"

    looking.visit(week, f"/-/dashboards/{slug}/{chart}", check)


ODD = ("constructor", "toString", "__proto__", "valueOf", "hasOwnProperty", "all others", "not named")


def test_names_that_every_object_of_javascript_has_are_drawn_as_any_other(looking: Looking, tmp_path: Path) -> None:
    db = week_ledger(tmp_path / "odd.db")
    with closing(sqlite3.connect(db)) as con:
        for table in ("model", "project", "agent", "session"):
            dearest = f"select {table}_id from rollup_day where {table}_id > 0 group by 1 order by sum(cost_nusd) desc"
            for (number,), name in zip(con.execute(dearest).fetchall(), ODD, strict=False):
                con.execute(f"update {table} set name = ? where {table}_id = ?", (f"odd {number}", number))
                con.execute(f"update or ignore {table} set name = ? where {table}_id = ?", (name, number))
        con.commit()

    def check(page: Page) -> None:
        drawn_everywhere("ccostdb")(page)
        for chart in ("spend", "projects", "agents", "cache_share"):
            drawn = " ".join(page.locator(f"#chart-{chart} svg text").all_text_contents())
            assert all(name in drawn for name in ODD[:3]), (chart, drawn)

    looking.visit(db, "/-/dashboards/ccostdb?since=", check)


@pytest.mark.parametrize("slug", DASHBOARDS)
def test_filters_change_what_is_drawn(looking: Looking, week: Path, slug: str) -> None:
    page = f"/-/dashboards/{slug}?{urlencode({'model': next(iter(RATES))})}"
    asked = looking.visit(week, page, requests)
    assert looking.visit(week, f"/-/dashboards/{slug}?model=", requests) != asked
    assert looking.visit(week, page, requests) == asked  # Datasette keeps no filter for the next visit


def requests(page: Page) -> list[str]:
    """Which rows the page asks for."""
    page.wait_for_load_state("networkidle")
    found = page.evaluate(
        "performance.getEntriesByType('resource').map(each => each.name.split('/').slice(3).join('/'))"
    )
    return sorted(each for each in found if ".json" in each)


@pytest.mark.parametrize("text", ["".join(HOSTILE), "'); window.hacked = 1; ('"])
@pytest.mark.parametrize("slug", DASHBOARDS)
def test_no_filter_of_a_dashboard_does_harm(looking: Looking, week: Path, slug: str, text: str) -> None:
    asked = dict.fromkeys(DASHBOARDS[slug].get("filters", {}), text)
    looking.visit(week, f"/-/dashboards/{slug}?{urlencode(asked)}", requests)


def test_the_list_of_dashboards_leads_to_the_one_that_there_is(serve: Callable[[Path], str], week: Path) -> None:
    got = httpx.get(f"{serve(week)}/-/dashboards", timeout=60, follow_redirects=True)
    assert (got.status_code, got.url.path) == (200, f"/-/dashboards/{next(iter(DASHBOARDS))}")


def test_charts_begin_with_the_last_30_days_and_an_empty_day_is_all_time(looking: Looking, week: Path) -> None:
    def since(page: Page) -> str:
        return page.locator("#since").input_value()

    days = {str(datetime.now(ZoneInfo("UTC")).date() - timedelta(days=each)) for each in (28, 29, 30)}  # of any zone
    assert looking.visit(week, "/-/dashboards/ccostdb", since) in days
    assert looking.visit(week, "/-/dashboards/ccostdb?since=&model=", since) == ""


def test_charts_need_no_eval_and_warn_of_nothing(looking: Looking, serve: Callable[[Path], str], week: Path) -> None:
    assert (
        "unsafe-eval" not in httpx.get(f"{serve(week)}/-/dashboards/ccostdb?since=").headers["content-security-policy"]
    )

    def check(page: Page) -> None:
        warned: list[str] = []
        page.on("console", lambda said: warned.append(said.text) if said.type == "warning" else None)
        page.wait_for_load_state("networkidle")
        page.reload()
        drawn_everywhere("ccostdb")(page)
        assert warned == []

    looking.visit(week, "/-/dashboards/ccostdb", check)


@pytest.mark.parametrize("look", [DESKTOP, DARK], ids=["light", "dark"])
def test_words_of_charts_can_be_read_in_light_and_dark(looking: Looking, week: Path, look: Look) -> None:
    def check(page: Page) -> None:
        page.locator("#chart-spend svg").wait_for(timeout=DRAWN_MS)
        fill = page.locator("#chart-spend svg .role-axis-label text").first.evaluate(
            "each => getComputedStyle(each).fill"
        )
        card = page.locator("#card-spend").evaluate("each => getComputedStyle(each).backgroundColor")
        assert (fill, card) == (
            ("rgb(161, 168, 175)", "rgb(26, 29, 32)") if look.is_dark else ("rgb(92, 99, 107)", "rgb(255, 255, 255)")
        )

    looking.visit(week, "/-/dashboards/ccostdb", check, look)
