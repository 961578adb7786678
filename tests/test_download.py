"""Whole results as files: all of them, or a connection that breaks."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, IncompleteRead
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from commands import ccostdb
from served import BOUND_S, ask, ended, get, process

from ccostdb.datasette_plugin import download
from ccostdb.datasette_plugin.database import MOST_DOWNLOADS
from ccostdb.datasette_plugin.metadata import load_metadata, questions
from ccostdb.datasette_plugin.reading import ledger_of
from ccostdb.loopback import QuietServer, listen
from ccostdb.serve import DATASETTE_SETTINGS, make_datasette
from ccostdb.settings import Settings

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


@pytest.mark.parametrize("name", ["calls_of", "calls_without_price"])
def test_a_download_of_calls_has_all_of_them_and_a_page_the_newest(week: Path, tmp_path: Path, name: str) -> None:
    db = shutil.copy(week, tmp_path / "unpriced.db")  # the week itself is there for all tests, to read
    with closing(sqlite3.connect(db, isolation_level=None)) as con:
        con.execute("update call set reported_nusd = null, computed_nusd = null")
        con.execute("insert or ignore into dirty_bucket select distinct bucket_s from calendar")
    whole, some, page = get(db, f"/ccostdb/{name}.csv", f"/ccostdb/{name}.csv?rows=5", f"/ccostdb/{name}.json")
    assert len(rows(some.text)) == 5
    wanted = "source_id in (select source_id from source_counted where counted)" if name == "calls_of" else "true"
    assert len(rows(whole.text)) == count(db, f"select count(*) from call where {wanted}")
    assert len(rows(whole.text)) > len(page.json()["rows"]) == 200


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
        ("/-/ccostdb/export/nothing.csv", 400, "There is no view or question &#39;nothing&#39;."),
        ("/-/ccostdb/export/calls.csv?since=never", 400, "never"),
        ("/-/ccostdb/export/calls.csv?nonsense=1", 400, "no parameters"),
        ("/-/ccostdb/export/calls.xlsx", 404, ""),
        ("/ccostdb/nothing.csv", 404, "Table not found"),
        ("/ccostdb.csv", 400, "Statement must be a SELECT"),
        ("/ccostdb.csv?sql=delete+from+call", 400, "Statement must be a SELECT"),
        ("/ccostdb.csv?sql=select+missing", 400, "no such column: missing"),
        ("/ccostdb.ndjson?sql=select+1%3B+select+2", 400, "one statement"),
        ("/ccostdb.ndjson?sql=select+9e999", 400, "Out of range float values"),
        ("/ccostdb.csv?sql=select+cast(x%27ff%27+as+text)", 400, "Could not decode to UTF-8"),
        ("/ccostdb/calls.csv?_where=1=1)+union", 400, "syntax error"),
        ("/ccostdb/calls.ndjson?model__in=[", 400, "cannot be answered"),
        ("/ccostdb/calls.csv?_through=x", 400, "cannot be answered"),
        ("/-/ccostdb/export/calls_of.csv?rows=abc", 400, "rows is a whole number"),
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


ENDLESS = {
    "rows": COUNT.format(-1),
    "nothing": f"select count(*) from ({COUNT.format(-1)})",
    "rows and then nothing": f"select i, case when i > 3000 then ({COUNT.format(-1)} limit 1 offset 1e15) end from ("
    f"{COUNT.format(-1)})",
    "a sort": f"select i from ({COUNT.format(-1)}) order by -i limit 3",
}


def leave(port: int, sql: str, *, after_s: float, after_bytes: int, how: str) -> None:
    """Asks for a download and goes: after a while, or some bytes; politely, rudely, or with an ear left open."""
    with socket.create_connection(("127.0.0.1", port), timeout=BOUND_S) as con:
        con.sendall(f"GET /ccostdb.csv?{urlencode({'sql': sql})} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(after_s)
        while after_bytes > 0:
            after_bytes -= len(con.recv(65536)) or after_bytes
        if how == "reset":
            con.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if how == "half":
            con.shutdown(socket.SHUT_WR)
            while con.recv(65536):
                pass


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=list(ENDLESS))
def test_readers_that_leave_at_any_moment_leave_no_thread_and_no_connection(week: Path, sql: str) -> None:
    async def come_and_go() -> None:
        datasette = make_datasette(Settings(week))
        server = QuietServer(datasette.app(), lifespan="on")
        with listen("127.0.0.1", 0, "") as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                leaving = [
                    asyncio.to_thread(
                        leave,
                        listener.getsockname()[1],
                        sql,
                        after_s=after_s,
                        after_bytes=after_bytes,
                        how=how,
                    )
                    for how in ("close", "reset", "half")
                    for after_s in (0, 0, 0.001, 0.003, 0.01, 0.03, 0.1)
                    for after_bytes in ((0, 1, 1_000_000) if sql == ENDLESS["rows"] else (0,))
                ]
                await asyncio.gather(*leaving)
                async with asyncio.timeout(BOUND_S):
                    while server.server_state.connections or reading():
                        await asyncio.sleep(0.02)
            finally:
                await ledger_of(datasette).stop()
                server.should_exit = True
                await serving
                datasette.executor.shutdown()

    asyncio.run(come_and_go())


def reading() -> list[Thread]:
    """The threads of downloads: each closes its connection before it ends."""
    return [each for each in threading.enumerate() if each.name.startswith("export")]


def test_a_server_ends_whatever_its_readers_do(week: Path) -> None:
    with process(week) as (child, url):
        port = urlsplit(url).port or 0
        with ThreadPoolExecutor() as threads, ExitStack() as stack:
            for sql in ENDLESS.values():
                threads.submit(leave, port, sql, after_s=0, after_bytes=0, how="close")
                for path in ("/ccostdb.csv", "/ccostdb.ndjson", "/ccostdb", "/ccostdb.json"):  # stay, and read nothing
                    connection = stack.enter_context(
                        closing(HTTPConnection(url.removeprefix("http://"), timeout=BOUND_S))
                    )
                    connection.request("GET", f"{path}?{urlencode({'sql': sql})}")
            said = ended(child)
    assert "Traceback" not in said


@contextmanager
def stalled(url: str, number: int) -> Iterator[list[HTTPConnection]]:
    """Downloads whose readers take no more than the head."""
    with ExitStack() as stack:
        found = []
        for _ in range(number):
            connection = HTTPConnection(url.removeprefix("http://"), timeout=BOUND_S)
            found.append(stack.enter_context(closing(connection)))
            connection.request("GET", f"/ccostdb.csv?{urlencode({'sql': COUNT.format(-1)})}")
            assert connection.getresponse().status == 200
        yield found


def test_there_are_not_too_many_downloads_at_once(week: Path) -> None:
    with process(week) as (child, url):
        with stalled(url, MOST_DOWNLOADS):
            answer = ask(f"{url}/ccostdb.csv?sql=select+1")
            assert ask(f"{url}/ccostdb/calls").status == 200
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.text == "8 downloads are under way: wait until one of them has ended.\n"
        until_s = time.monotonic() + BOUND_S
        while ask(f"{url}/ccostdb.csv?sql=select+1").status == 503 and time.monotonic() < until_s:
            time.sleep(0.05)
        assert ask(f"{url}/ccostdb.csv?sql=select+1").text == "1\n1\n"
        ended(child)


def asked_with_a_bound(week: Path, ask_it: Callable[[int], None]) -> None:
    """Runs `ask_it`, in a thread, with the port of a server of this process, until nothing is read any more."""

    async def serve_and_ask() -> None:
        datasette = make_datasette(Settings(week))
        server = QuietServer(datasette.app(), lifespan="on")
        with listen("127.0.0.1", 0, "") as listener:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            await asyncio.to_thread(ask_it, listener.getsockname()[1])
            await ledger_of(datasette).stop()
            server.should_exit = server.force_exit = True
            await serving
            datasette.executor.shutdown()

    asyncio.run(serve_and_ask())


def test_who_takes_nothing_for_long_is_left(week: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TAKEN_S", 0.2)

    def stall(port: int) -> None:
        with stalled(f"http://127.0.0.1:{port}", 1):
            assert reading()
            until_s = time.monotonic() + BOUND_S
            while reading() and time.monotonic() < until_s:
                time.sleep(0.02)
            assert not reading()

    asked_with_a_bound(week, stall)


def test_one_s_own_sql_has_as_long_as_on_a_page_until_its_first_row(
    week: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DATASETTE_SETTINGS, "sql_time_limit_ms", 200)

    def wait(port: int) -> None:
        answer = ask(f"http://127.0.0.1:{port}/ccostdb.csv?{urlencode({'sql': ENDLESS['a sort']})}")
        assert answer.status == 400
        assert "There was no row within 0.2 s." in answer.text

    asked_with_a_bound(week, wait)


def test_a_stopped_ledger_is_read_no_more(week: Path) -> None:
    async def read_after() -> list[int]:
        datasette = make_datasette(Settings(week))
        await ledger_of(datasette).stop()
        endless = urlencode({"sql": ENDLESS["nothing"]})
        found = [await datasette.client.get(path) for path in (f"/ccostdb.json?{endless}", f"/ccostdb.csv?{endless}")]
        datasette.executor.shutdown()
        return [each.status_code for each in found]

    assert asyncio.run(read_after()) == [503, 503]
