"""Whole results as files: all of them, or a connection that breaks."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from commands import ccostdb
from served import BOUND_S, ask, ended, get, process

from ccostdb.datasette_plugin.metadata import load_metadata, questions

Serve = Callable[[Path], str]
COUNT = "with recursive n (i) as (select 1 union all select i + 1 from n limit {}) select i from n"


def rows(text: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(StringIO(text)))


def count(db: Path, sql: str) -> int:
    with closing(sqlite3.connect(db)) as con:
        return int(con.execute(sql).fetchone()[0])


def test_a_view_comes_whole_and_as_the_command_writes_it(week: Path) -> None:
    (answer,) = get(week, "/-/ccostdb/export/calls.csv")
    assert answer.text == ccostdb("export", "calls", "--db", str(week)).stdout
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="calls.csv"'


def test_a_view_comes_as_json_lines(week: Path) -> None:
    (answer,) = get(week, "/-/ccostdb/export/daily_costs.ndjson")
    found = [json.loads(line) for line in answer.text.splitlines()]
    assert len(found) == count(week, "select count(*) from daily_costs")
    assert found[0]["day"]


def test_days_can_be_asked_for(week: Path) -> None:
    whole, one = get(
        week, "/-/ccostdb/export/daily_costs.csv", "/-/ccostdb/export/daily_costs.csv?since=yesterday&until=today"
    )
    assert 0 < len(rows(one.text)) <= 2 < len(rows(whole.text))


@pytest.mark.parametrize("name", questions(load_metadata()))
def test_every_question_can_be_exported_from_its_page_and_from_its_own_address(week: Path, name: str) -> None:
    named, page = get(week, f"/-/ccostdb/export/{name}.csv", f"/ccostdb/{name}.csv")
    assert named.status_code == page.status_code == 200
    assert named.text.splitlines()[0] == page.text.splitlines()[0]


def test_the_link_of_a_table_brings_all_rows_that_it_filters_and_sorts(week: Path) -> None:
    with closing(sqlite3.connect(week)) as con:
        (model,) = con.execute("select model from calls group by model order by count(*) desc").fetchone()
    address = f"/ccostdb/calls.csv?model={quote(model)}&_sort=occurred_ns&_size=max&_next=100&_labels=on"
    (answer,) = get(week, address)
    times = [int(row["occurred_ns"]) for row in rows(answer.text)]
    assert len(times) == count(week, "select max(n) from (select count(*) as n from calls group by model)") > 100
    assert times == sorted(times)


def test_one_s_own_sql_brings_more_rows_than_a_page_shows(week: Path) -> None:
    (answer,) = get(
        week, f"/ccostdb.csv?{urlencode({'sql': f'{COUNT.format(20_000)} where i > 0 or i = :least', 'least': 3})}"
    )
    assert [row["i"] for row in rows(answer.text)] == [str(i) for i in range(1, 20_001)]  # '3' is a text, as on a page


def test_a_page_links_to_both_kinds_of_file(week: Path) -> None:
    for page in get(week, "/ccostdb/calls", "/ccostdb?sql=select+1", "/ccostdb/call"):
        assert ".csv" in page.text
        assert ".ndjson" in page.text


def test_a_cell_that_a_spreadsheet_would_run_is_a_text(week: Path) -> None:
    sql = urlencode({"sql": "select '=1+1' as a, -2 as b"})
    (answer,) = get(week, f"/ccostdb.csv?{sql}")
    assert rows(answer.text) == [{"a": "'=1+1", "b": "-2"}]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/-/ccostdb/export/nothing.csv", 400, "There is no view or query &#39;nothing&#39;."),
        ("/-/ccostdb/export/calls.csv?since=never", 400, "never"),
        ("/-/ccostdb/export/calls.csv?nonsense=1", 400, "no parameters"),
        ("/-/ccostdb/export/calls.xlsx", 404, ""),
        ("/ccostdb/nothing.csv", 404, "Table not found"),
        ("/ccostdb.csv", 400, "Statement must be a SELECT"),
        ("/ccostdb.csv?sql=delete+from+call", 400, "Statement must be a SELECT"),
        ("/ccostdb.csv?sql=select+missing", 400, "no such column: missing"),
        ("/ccostdb.ndjson?sql=select+1%3B+select+2", 400, "one statement"),
    ],
)
def test_what_cannot_be_exported_is_a_page_that_says_why(week: Path, path: str, status: int, said: str) -> None:
    (answer,) = get(week, path)
    assert answer.status_code == status
    assert said in answer.text
    assert answer.headers["content-type"].startswith("text/html")


def test_an_error_amid_the_rows_breaks_the_connection(serve: Serve, week: Path) -> None:
    broken = f"select iif(i < 90000, i, abs(-9223372036854775807 - 1)) from ({COUNT.format(100_000)})"
    parts = urlsplit(serve(week))
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=BOUND_S)) as connection:
        connection.request("GET", f"/ccostdb.csv?{urlencode({'sql': broken})}")
        answer = connection.getresponse()
        assert answer.status == 200
        with pytest.raises(IncompleteRead):
            answer.read()
    assert ask(f"{serve(week)}/ccostdb.csv?sql=select+1").text == "1\n1\n"


def test_a_reader_that_leaves_ends_the_reading(week: Path) -> None:
    endless = urlencode({"sql": COUNT.format(-1)})
    with process(week) as (child, url):
        parts = urlsplit(url)
        for _ in range(8):  # more than there are threads for pages
            with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=BOUND_S)) as connection:
                connection.request("GET", f"/ccostdb.csv?{endless}")
                assert connection.getresponse().read(10)
        silent = urlencode({"sql": f"select count(*) from ({COUNT.format(-1)})"})
        with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=BOUND_S)) as connection:
            connection.request("GET", f"/ccostdb.csv?{silent}")
        assert ask(f"{url}/ccostdb/calls").status == 200
        assert "Traceback" not in ended(child)
