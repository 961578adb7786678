"""Datasette's pages of a ledger in a real Chromium: every table, view and question, whatever the names in it are."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlencode

import httpx
import pytest
from browser import PHONE, Looking, axe_violations, overflow
from ledger_rows import make_ledger
from playwright.sync_api import Page
from sized_ledgers import HOSTILE, SCRIPT

from ccostdb.datasette_plugin.metadata import load_metadata
from ccostdb.resources import sql, sql_names

QUESTIONS = list(load_metadata()["plugins"]["ccostdb"]["questions"])
OTHER_PAGES = ("/ccostdb", "/-/dashboards", "/ccostdb?sql=select+'%3Cscript%3E'+as+x%2C+1+as+cost_usd")
# What Datasette's own templates bring.
DATASETTES = ("html-has-lang", "label", "select-name", "color-contrast", "link-in-text-block")
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
    return sorted(set(re.findall(r"(?<![:\w]):([a-z]\w*)", re.sub(r"--.*|'[^']*'", "", sql(f"queries/{name}.sql")))))


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


@pytest.mark.parametrize("path", ["/ccostdb/daily_costs", f"/ccostdb/{QUESTIONS[0]}", *OTHER_PAGES])
def test_axe_finds_nothing_serious_that_datasette_does_not_bring(looking: Looking, week: Path, path: str) -> None:
    assert looking.visit(week, path, lambda page: axe_violations(page, *DATASETTES)) == []


@pytest.mark.parametrize("path", ["/ccostdb/nothing", "/nothing", "/-/ccostdb/nothing", "/-/dashboards/nothing"])
@pytest.mark.parametrize("text", ["", quote(SCRIPT, safe=""), "%00%ff..%2f..%2fetc%2fpasswd"])
def test_a_page_that_is_not_there_is_said_to_be_so(looking: Looking, week: Path, path: str, text: str) -> None:
    looking.visit(week, path + text, status=404)


@pytest.mark.parametrize(
    "asked",
    [
        *({name: SCRIPT} for name in ("_sort", "_sort_desc", "_facet", "_col", "_where", "_search", "_next", "_size")),
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


def sent(url: str, method: str, path: str, **headers: str) -> httpx.Response:
    return httpx.request(method, url + path, headers=headers, timeout=60)


@pytest.mark.parametrize("path", ["/", "/-/ccostdb", "/ccostdb/calls", "/-/dashboards/ccostdb", "/-/static/app.css"])
def test_no_page_is_for_another_host_or_writes(serve: Callable[[Path], str], week: Path, path: str) -> None:
    url = serve(week)
    for host in ("example.invalid", "127.0.0.1.example.invalid", "127.0.0.1:1", ""):
        assert sent(url, "GET", path, host=host).status_code in (400, 421), host
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        got = sent(url, method, path)
        assert (got.status_code, got.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/ccostdb", "/ccostdb/daily_costs", f"/ccostdb/{QUESTIONS[0]}"])
def test_a_page_of_datasette_fits_a_phone(looking: Looking, week: Path, path: str) -> None:
    assert looking.visit(week, path, overflow, PHONE) == 0
