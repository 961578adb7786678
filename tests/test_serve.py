"""`ccostdb serve`: what it shows, of which file, and that it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sqlite3
import time
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from commands import ccostdb, run, run_python
from served import BOUND_S, ask, ended, get, process

from ccostdb.datasette_plugin.reading import ledger_of
from ccostdb.serve import DATASETTE_SETTINGS, make_datasette
from ccostdb.serve import run as serve_until_told
from ccostdb.settings import Settings

ENDLESS = urlencode({"sql": "with recursive n (i) as (select 1 union all select i + 1 from n) select {} from n"})


def test_the_ledger_is_the_one_database_and_bears_our_name_whatever_its_file_is_called(
    week: Path, tmp_path: Path
) -> None:
    path = tmp_path / "a?b#c %41 'd'.sqlite"
    shutil.copy(week, path)
    databases, page, memory = get(path, "/-/databases.json", "/ccostdb/calls", "/_memory")
    assert [(each["name"], each["is_mutable"]) for each in databases.json()] == [("ccostdb", True)]
    assert (page.status_code, memory.status_code) == (200, 404)


def test_the_first_page_is_ours_and_every_page_leads_to_it(week: Path) -> None:
    start, page = get(week, "/", "/ccostdb")
    assert (start.status_code, start.headers["location"]) == (302, "/-/ccostdb")
    for path in ("/-/ccostdb", "/-/ccostdb/health", "/-/dashboards/ccostdb"):
        assert f'href="{path}"' in page.text


def test_every_table_and_view_has_a_page_and_each_row_its_own(week: Path) -> None:
    with closing(sqlite3.connect(week)) as con:
        names = [row[0] for row in con.execute("select name from sqlite_schema where type in ('table', 'view')")]
    answers = get(week, *(f"/ccostdb/{name}?_size=5" for name in names), "/ccostdb/model/1", "/ccostdb/source/1")
    assert {str(each.url): each.status_code for each in answers if each.status_code != 200} == {}


def test_a_file_cannot_be_written_whatever_is_asked(week: Path) -> None:
    before = week.read_bytes()
    forbidden = ["delete from call", "with a as (select 1) delete from call", "pragma journal_mode = delete", "vacuum"]
    for answer in get(week, *(f"/ccostdb?{urlencode({'sql': each})}" for each in forbidden)):
        assert answer.status_code == 400
    assert week.read_bytes() == before


def test_a_parameter_is_a_value_and_never_sql(week: Path) -> None:
    evil = "x' or 1=1; drop table call; --"
    answers = get(
        week,
        f"/ccostdb/calls?{urlencode({'model': evil})}",
        f"/ccostdb/calls?{urlencode({evil: '1'})}",
        f"/ccostdb/calls?{urlencode({'_sort': evil})}",
        f"/-/ccostdb?{urlencode({'period': evil})}",
    )
    assert [each.status_code for each in answers] == [200, 400, 400, 200]
    assert "0 rows" in answers[0].text


def test_a_ledger_that_is_replaced_while_it_is_served_is_the_one_that_is_shown(ledger: Path, empty: Path) -> None:
    with process(ledger) as (child, url):
        before = ask(f"{url}/ccostdb.json?sql=select+count(*)+as+n+from+calls&_shape=array").text
        empty.replace(ledger)
        for path in ("/ccostdb/calls", "/-/ccostdb", "/ccostdb", "/ccostdb/daily_costs"):
            assert ask(url + path).status == 200
        after = ask(f"{url}/ccostdb.json?sql=select+count(*)+as+n+from+calls&_shape=array").text
        ended(child)
    assert (before, after) == ('[{"n": 3}]', '[{"n": 0}]')


def test_views_that_are_replaced_while_it_serves_are_shown(ledger: Path) -> None:
    with process(ledger) as (child, url):
        assert ask(f"{url}/ccostdb/calls").status == 200
        with closing(sqlite3.connect(ledger)) as con:
            con.executescript("drop view calls; create view calls as select 'changed' as call_id, 1 as occurred_ns")
        assert "changed" in ask(f"{url}/ccostdb/calls").text
        ended(child)


def test_a_ledger_that_is_gone_is_a_sentence(ledger: Path) -> None:
    with process(ledger) as (child, url):
        ledger.unlink()
        answer = ask(f"{url}/ccostdb/calls")
        assert "Traceback" not in ended(child)
    assert answer.status == 503
    assert "The ledger is not there any more." in answer.text


def test_an_absent_ledger_is_an_error_with_a_hint(home: Path) -> None:
    done = ccostdb("serve", "--db", str(home / "nothing.db"))
    assert done.exit_code == 1
    assert done.output.splitlines()[0] == f"Error: There is no ledger at {home / 'nothing.db'}."


def test_a_busy_port_is_a_sentence_and_a_hint(week: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--db", str(week), "--port", str(port))
    assert done.returncode == 1
    assert (
        done.stderr
        == f"Error: Port {port} of 127.0.0.1 is in use.\nChoose another with --port PORT, or 0 for any that is free.\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_0_when_told_to_though_pages_and_files_are_under_way(week: Path, number: int) -> None:
    with process(week) as (child, url):
        parts = urlsplit(url)
        connections = [HTTPConnection(parts.hostname or "", parts.port, timeout=BOUND_S) for _ in range(4)]
        for connection, path in zip(
            connections, ("/ccostdb.csv", "/ccostdb.ndjson", "/ccostdb", "/ccostdb.json"), strict=True
        ):
            what = "i" if path in ("/ccostdb.csv", "/ccostdb.ndjson") else "count(*)"
            connection.request("GET", f"{path}?{ENDLESS.replace('%7B%7D', what)}")
        assert connections[0].getresponse().read(10)
        said = ended(child, number)
        for connection in connections:
            connection.close()
    assert "Traceback" not in said


def test_a_unix_socket_is_only_yours_answers_any_host_and_is_gone_after(week: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with process(week, "--uds", str(path)) as (child, said):
        assert said == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        with closing(socket.socket(socket.AF_UNIX)) as con:
            con.connect(str(path))
            con.sendall(b"GET /ccostdb HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n")
            assert con.recv(65536).startswith(b"HTTP/1.1 200")
        ended(child)
    assert not path.exists()


def test_a_socket_left_behind_is_replaced_and_any_other_file_is_kept(week: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(path))
    with process(week, "--uds", str(path)) as (child, _):
        second = run("serve", "--db", str(week), "--uds", str(path))
        ended(child)
    assert (second.returncode, second.stderr.splitlines()[0]) == (
        1,
        f"Error: The socket {path} cannot be made: it exists.",
    )
    path.write_text("mine")
    assert run("serve", "--db", str(week), "--uds", str(path)).returncode == 1
    assert path.read_text() == "mine"


def test_a_unix_socket_is_gone_after_a_failure_too(week: Path, tmp_path: Path) -> None:
    def fail(_: str) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        serve_until_told(Settings(week), uds=tmp_path / "socket", say=fail)
    assert not (tmp_path / "socket").exists()


def test_a_socket_that_another_has_put_in_its_place_is_kept(week: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with process(week, "--uds", str(path)) as (child, _):
        path.unlink()
        path.write_text("mine")
        ended(child)
    assert path.read_text() == "mine"


def test_it_ends_amid_a_step_that_nothing_interrupts_and_takes_its_socket_along(week: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sql = urlencode({"sql": "select instr(zeroblob(8000000), zeroblob(4000000) || x'01')"})
    with process(week, "--uds", str(path)) as (child, _), ExitStack() as stack:
        for page in ("/ccostdb.json", "/ccostdb.csv"):
            con = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            con.connect(str(path))
            con.sendall(f"GET {page}?{sql} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(0.5)  # they are amid it
        ended(child)
    assert not path.exists()


@pytest.mark.parametrize("path", ["/ccostdb", "/ccostdb.json", "/ccostdb.csv"])
@pytest.mark.parametrize("sql", ["select zeroblob(900000000)", "select hex(zeroblob(400000000))"])
def test_what_is_too_large_for_the_memory_is_a_sentence(week: Path, path: str, sql: str) -> None:
    (answer,) = get(week, f"{path}?{urlencode({'sql': sql})}")
    assert answer.status_code == 400
    assert "too big" in answer.text


def test_the_rows_of_a_page_are_bounded_in_bytes(week: Path) -> None:
    rows = (
        "with recursive n (i) as (select 1 union all select i + 1 from n limit {}) select hex(zeroblob(500000)) from n"
    )
    some, many = get(week, *(f"/ccostdb.json?{urlencode({'sql': rows.format(n)})}" for n in (20, 100)))
    assert (some.status_code, many.status_code) == (200, 400)
    assert "too big for a page" in many.text


def test_a_file_that_is_cut_short_while_it_is_read_ends_no_process(week: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(week, path)
    with process(path) as (child, url):
        parts = urlsplit(url)
        with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=BOUND_S)) as connection:
            again = f"{ENDLESS}+cross+join+call".replace("%7B%7D", "call_id")
            connection.request("GET", f"/ccostdb.csv?{again}")
            answer = connection.getresponse()
            assert answer.read(10_000)
            os.truncate(path, 8192)
            with suppress(HTTPException, OSError):
                answer.read(5_000_000)
        assert child.poll() is None
        ended(child)


def test_a_connection_that_finds_the_file_damaged_is_closed_and_the_next_is_a_new_one(week: Path) -> None:
    seen: list[sqlite3.Connection] = []

    def fail(con: sqlite3.Connection) -> None:
        seen.append(con)
        raise sqlite3.DatabaseError("database disk image is malformed")

    async def ask_twice() -> None:
        datasette = make_datasette(Settings(week))
        with pytest.raises(sqlite3.DatabaseError):
            await ledger_of(datasette).execute_fn(fail)
        for _ in range(8):
            assert (await ledger_of(datasette).execute("select 1")).single_value() == 1
        datasette.executor.shutdown()

    asyncio.run(ask_twice())
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        seen[0].execute("select 1")


def test_a_ledger_that_is_held_alone_keeps_nobody_waiting_for_long(week: Path) -> None:
    with closing(ledger_of(make_datasette(Settings(week))).connect()) as con:
        assert con.execute("pragma busy_timeout").fetchone() == (1000,)


def test_a_unix_socket_goes_with_no_port_and_no_browser(home: Path) -> None:
    for words in (("--port", "1"), ("--open",)):
        done = ccostdb("serve", "--uds", str(home / "socket"), *words)
        assert done.exit_code == 2
        assert f"--uds and {words[0]} do not go together." in done.output


def test_the_browser_is_opened_where_that_is_asked_for(
    week: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\necho "$1" > {seen}.part\nmv {seen}.part {seen}\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(browser))
    with process(week, "--port", "0", "--open") as (child, url):
        until_s = time.monotonic() + BOUND_S
        while not seen.exists() and time.monotonic() < until_s:
            time.sleep(0.02)
        assert seen.read_text() == f"{url}/\n"
        ended(child)


def test_a_bug_keeps_its_traceback_and_tells_no_page_what_was_in_it(ledger: Path) -> None:
    with process(ledger) as (child, url):
        with closing(sqlite3.connect(ledger)) as con:
            con.executescript("update ledger set home_tz = 'secret/place'")
        answer = ask(f"{url}/-/ccostdb")
        said = ended(child)
    assert answer.status == 500
    assert "This cannot be shown: ZoneInfoNotFoundError." in answer.text
    assert "secret" not in answer.text
    assert "Traceback" in said
    assert "secret/place" in said


def test_another_datasette_of_this_environment_has_of_ours_what_the_readme_says_of_it(week: Path) -> None:
    look = f"""
import asyncio, ccostdb.serve
from datasette.app import Datasette
async def main():
    datasette = Datasette([{str(week)!r}])
    for path in ("/", "/-/ccostdb", "/-/dashboards", "/-/plugins.json"):
        answer = await datasette.client.get(path)
        print("answer", path, answer.status_code, "plugins/ccostdb" in answer.text or '"ccostdb' in answer.text)
    datasette.executor.shutdown()
asyncio.run(main())
"""
    assert [line for line in run_python("-c", look).stdout.splitlines() if line.startswith("answer")] == [
        "answer / 200 False",
        "answer /-/ccostdb 404 False",
        "answer /-/dashboards 200 False",
        "answer /-/plugins.json 200 False",
    ]


def test_the_settings_of_datasette_are_ones_that_it_knows(week: Path) -> None:
    (answer,) = get(week, "/-/settings.json")
    assert DATASETTE_SETTINGS.items() <= answer.json().items()
