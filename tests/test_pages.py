"""Datasette's pages of a ledger in a real Chromium: every table, view and question, whatever the names in it are."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest
from browser import DARK, DESKTOP, PHONE, Look, Looking, axe_violations, overflow
from ledger_rows import make_ledger
from playwright.sync_api import Page
from sized_ledgers import HOSTILE, SCRIPT, week_ledger

from ccostdb.datasette_plugin.frame import INNER_VIEWS
from ccostdb.datasette_plugin.metadata import load_metadata
from ccostdb.resources import sql, sql_names
from ccostdb.serve import make_datasette
from ccostdb.settings import Settings

QUESTIONS = list(load_metadata()["plugins"]["ccostdb"]["questions"])
OTHER_PAGES = ("/ccostdb", "/ccostdb/model/1", "/ccostdb?sql=select+'%3Cscript%3E'+as+x%2C+1+as+cost_usd")
PAGES = (
    "/ccostdb/daily_costs",
    "/ccostdb/calls?_facet=model&model__contains=x",
    f"/ccostdb/{QUESTIONS[0]}",
    *OTHER_PAGES,
)
# What a cell may not hold, whatever the text was: only a text, or our own time and link elements.
STRANGE = "table td :is(script, img, svg, iframe, object, input, textarea, style, [onmouseover], [onerror])"


def table_names() -> list[str]:
    """Every table and view of a ledger."""
    with closing(make_ledger(Path(":memory:"))) as con:
        question = (
            "select name from sqlite_schema where type in ('table', 'view') and name not like 'sqlite_%' order by name"
        )
        return [name for (name,) in con.execute(question)]


def parameters(name: str) -> list[str]:
    """The parameters of a question."""
    return sorted(set(re.findall(r"(?<![:\w]):([a-z]\w*)", re.sub(r"--.*|'[^']*'", "", sql(f"questions/{name}.sql")))))


def rows_in(db: Path, name: str) -> int:
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as con:
        return int(con.execute(f"select count(*) from (select 1 from {name} limit 10)").fetchone()[0])


def shown(page: Page) -> int:
    """How many rows a page shows, after looking at what its cells may not have."""
    assert page.locator(STRANGE).count() == 0
    assert page.locator("a[href^='javascript:' i], a[href^='data:' i]").count() == 0
    assert str(1234 * 4321) not in page.content()
    return page.locator("table.rows-and-columns tbody tr").count()


@pytest.mark.parametrize("name", table_names())
def test_every_table_and_view_is_shown(looking: Looking, week: Path, name: str) -> None:
    found = looking.visit(week, f"/ccostdb/{name}", shown)
    assert min(found, 1) == min(rows_in(week, name), 1)


@pytest.mark.parametrize("name", sorted(sql_names("views")))
def test_every_view_of_two_years_is_answered_in_time(serve: Callable[[Path], str], two_years: Path, name: str) -> None:
    got = httpx.get(f"{serve(two_years)}/ccostdb/{name}", timeout=60)
    assert got.status_code == 200, got.text
    assert ('<td class="col-' in got.text) == (rows_in(two_years, name) > 0)


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_answered(looking: Looking, week: Path, name: str) -> None:
    assert looking.visit(week, f"/ccostdb/{name}", shown) > 0


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_question_is_answered_where_nothing_was_recorded_and_of_two_years(
    serve: Callable[[Path], str], nothing: Path, two_years: Path, name: str
) -> None:
    for db in (nothing, two_years):
        got = httpx.get(f"{serve(db)}/ccostdb/{name}", timeout=60)
        assert got.status_code == 200, got.text
        assert "message-error" not in got.text


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_takes_any_value_as_a_value(looking: Looking, week: Path, name: str) -> None:
    asked = urlencode(dict.fromkeys(parameters(name), SCRIPT + HOSTILE[3] + HOSTILE[4]))
    looking.visit(week, f"/ccostdb/{name}?{asked}", shown)


@pytest.mark.parametrize(
    "query",
    ["select value as model, value as other from json_each(:names)", "select {}"],
    ids=["in cells", "over columns"],
)
def test_hostile_names_are_shown_as_they_are_written(looking: Looking, week: Path, query: str) -> None:
    columns = ", ".join(f'1 as "{text.replace(chr(34), chr(34) * 2)}"' for text in HOSTILE)
    asked = {"sql": query.format(columns), "names": json.dumps(HOSTILE)}
    looking.visit(week, f"/ccostdb?{urlencode(asked)}", lambda page: expect_texts(page, *HOSTILE))


@pytest.mark.parametrize("text", HOSTILE[3:7])
def test_a_table_can_be_asked_for_a_hostile_name(looking: Looking, week: Path, text: str) -> None:
    asked = urlencode({"model": text, "_facet": "model"})
    looking.visit(week, f"/ccostdb/calls?{asked}", lambda page: expect_texts(page, text))


def expect_texts(page: Page, *texts: str) -> None:
    assert shown(page) > 0
    found = " ".join(page.locator("table.rows-and-columns").inner_text().split())
    for text in texts:
        assert " ".join(text.split())[:200] in found


@pytest.mark.parametrize("path", OTHER_PAGES)
def test_every_other_page_is_shown(looking: Looking, week: Path, path: str) -> None:
    looking.visit(week, path)


@pytest.mark.parametrize("look", [DESKTOP, PHONE, DARK], ids=["desktop", "phone", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_of_datasette_is_for_everyone(looking: Looking, week: Path, path: str, look: Look) -> None:
    def check(page: Page) -> None:
        assert axe_violations(page) == []
        assert overflow(page) <= 0
        assert page.locator("header [aria-current]").inner_text() == "Tables"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(18, 20, 22)" if look.is_dark else "rgb(247, 247, 245)"
        )

    looking.visit(week, path, check, look)


def test_numbers_stand_under_their_headings_and_long_names_are_no_wide_column(looking: Looking, week: Path) -> None:
    def check(page: Page) -> None:
        aligned = "all => [...new Set(all.map(each => getComputedStyle(each).textAlign))]"
        assert page.locator("th.col-cost_usd, th.col-calls").evaluate_all(aligned) == ["right"]
        widths = page.locator("tbody td").evaluate_all("all => all.map(each => each.clientWidth)")
        assert max(widths) <= 500
        heights = page.locator("td:text-matches('^claude-[a-z0-9-]+$')").evaluate_all(
            "all => all.map(each => each.getClientRects()[0].height)"
        )
        assert max(heights) < 50, "a model's name is in one line"

    looking.visit(week, "/ccostdb/model_costs", check, PHONE)


def test_a_page_has_a_short_title_and_never_sql(looking: Looking, week: Path) -> None:
    titles = {
        "/ccostdb": "Tables",
        "/ccostdb?sql=select+1+as+x": "Your own SQL",
        "/ccostdb/daily_costs?day=2026-01-01": "Costs by day",
        "/ccostdb/cost_of_day": "What did today cost?",
        "/ccostdb/model/1": "Models 1",
        "/-/dashboards/ccostdb": "Charts",
        "/-/ccostdb": "Spending",
    }
    assert {path: looking.visit(week, path, Page.title) for path in titles} == {
        path: f"{title} – ccostdb" for path, title in titles.items()
    }


def test_a_question_is_asked_and_says_how_many_rows_it_has(looking: Looking, week: Path) -> None:
    def check(page: Page) -> None:
        assert page.locator("h3").first.inner_text() == f"{shown(page)} rows (show SQL)"
        assert page.locator("form.sql input[type=submit]").get_attribute("value") == "Ask"
        assert "Custom SQL" not in page.content()

    looking.visit(week, "/ccostdb/dearest_sessions", check)


@pytest.mark.parametrize("name", ["daily_costs", "session_costs", "calls"])
def test_a_table_begins_with_what_it_costs_on_the_page_alone(
    serve: Callable[[Path], str], week: Path, name: str
) -> None:
    url = f"{serve(week)}/ccostdb/{name}"
    columns = httpx.get(f"{url}.json").json()["columns"]
    html = httpx.get(url).text
    headings = re.findall(r'<th [^>]*data-column="([^"]+)"', html)
    assert sorted(headings) == sorted(columns)
    assert headings[: headings.index("cost_usd")] == columns[: headings.index("cost_usd")]
    assert headings.index("cost_usd") <= 3
    cells = re.findall(r'<td class="col-(\S+)', html)
    assert cells[: len(headings)] == headings


def test_tables_are_listed_with_their_sentences_and_sql_is_proposed(looking: Looking, week: Path) -> None:
    def check(page: Page) -> None:
        assert "Costs by day One row is a local day, over the calls of counted sources" in page.inner_text("main")
        inner = page.locator("details a").evaluate_all("all => all.map(each => each.getAttribute('href'))")
        assert {f"/ccostdb/{name}" for name in (*INNER_VIEWS, "call")} <= set(inner)
        assert "/ccostdb/daily_costs" not in inner
        page.click("input[value='Run SQL']")
        page.locator("table.rows-and-columns").wait_for()
        assert shown(page) > 0
        assert page.locator("th").first.inner_text() == "day"

    looking.visit(week, "/ccostdb", check)


def test_a_very_long_name_makes_no_page_long(serve: Callable[[Path], str], tmp_path: Path) -> None:
    db = week_ledger(tmp_path / "long.db")
    with closing(sqlite3.connect(db)) as con:
        con.execute("update model set name = printf('%.*c', 1000000, '<') where model_id = 1")
        con.commit()
    for path in ("/ccostdb/model_costs?_facet=model", "/ccostdb/calls?_facet=model", "/-/dashboards/ccostdb?since="):
        assert len(httpx.get(serve(db) + path, timeout=60).content) < 400_000, path


def test_a_single_rows_csv_which_would_have_formulas_is_refused(serve: Callable[[Path], str], week: Path) -> None:
    got = httpx.get(f"{serve(week)}/ccostdb/model/1.csv")
    assert (got.status_code, "A single row is not exported." in got.text) == (400, True)


def test_sql_that_takes_too_long_is_led_to_the_csv(week: Path) -> None:
    datasette = make_datasette(Settings(week))
    datasette._settings["sql_time_limit_ms"] = 100
    endless = urlencode({"sql": "with recursive n(n) as (select 1 union all select n + 1 from n) select max(n) from n"})
    got = asyncio.run(datasette.client.get(f"/ccostdb?{endless}"))
    assert got.status_code == 400
    assert f'<a href="/ccostdb.csv?{endless}">The CSV</a> has no limit.' in got.text
    assert "sql_time_limit_ms" not in got.text


@pytest.mark.parametrize("path", ["/ccostdb/nothing", "/nothing", "/-/ccostdb/nothing", "/-/dashboards/nothing"])
@pytest.mark.parametrize("text", ["", quote(SCRIPT, safe=""), "%00%ff..%2f..%2fetc%2fpasswd"])
def test_a_page_that_is_not_there_is_said_to_be_so(looking: Looking, week: Path, path: str, text: str) -> None:
    looking.visit(week, path + text, status=404)


@pytest.mark.parametrize(
    "asked",
    [
        *({name: SCRIPT} for name in ("_sort", "_sort_desc", "_facet", "_col", "_where", "_search", "_next", "_size")),
        *(
            {name: SCRIPT}
            for name in ("_timelimit", "_through", "_json_infinity", "_ttl", "model__in", "model__arraycontains")
        ),
        *({name: "\0"} for name in ("_facet", "_facet_date", "_next")),
        *({name: "9" * 30} for name in ("occurred_ns__gt", "_next", "_through")),
        *({"_where": text} for text in ("1=1; drop table call", "1) union select sql from sqlite_schema --")),
        *(
            {"sql": text}
            for text in ("drop table call", "attach '/etc/passwd' as x", "pragma query_only = off", SCRIPT)
        ),
        {"sql": "select load_extension('x')"},
        {"_json": SCRIPT, "_labels": SCRIPT, "_shape": SCRIPT, "callback": SCRIPT},
    ],
    ids=json.dumps,
)
def test_a_hostile_question_is_answered_by_a_sentence_and_changes_nothing(
    looking: Looking, serve: Callable[[Path], str], week: Path, asked: dict[str, str]
) -> None:
    path = f"/ccostdb{'' if 'sql' in asked else '/calls'}?{urlencode(asked)}"
    status = httpx.get(serve(week) + path, timeout=60).status_code
    assert status in (200, 400, 404)
    looking.visit(week, path, shown, status=status)
    assert rows_in(week, "call") == 10
