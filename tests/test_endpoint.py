"""The health endpoint: what it says of real ledgers, and to whom."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from commands import JULY_1, environment
from ledger_rows import add_calls, add_source, make_ledger
from transcripts import line, write

from ccostdb.errors import CcostError
from ccostdb.health.endpoint import MOST_CONNECTIONS, Endpoint
from ccostdb.settings import Settings

BOUND_S = 30.0  # only a bound: what is waited for comes within a second or two


@pytest.fixture
def con(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        yield con


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "ledger.db", health_port=0)


@contextmanager
def serving(settings: Settings) -> Iterator[Endpoint]:
    endpoint = Endpoint(settings)
    endpoint.start()
    try:
        yield endpoint
    finally:
        endpoint.stop()
        assert not endpoint._thread.is_alive()


def ask(endpoint: Endpoint, path: str = "/health", method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    host, port = endpoint.url.removeprefix("http://").rsplit(":", 1)
    with closing(HTTPConnection(host.strip("[]"), int(port), timeout=BOUND_S)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def send(endpoint: Endpoint, request: bytes) -> bytes:
    """The whole answer to these bytes, until the server closes."""
    with socket.create_connection(("127.0.0.1", int(endpoint.url.rsplit(":", 1)[1])), timeout=BOUND_S) as client:
        client.sendall(request)
        answer = b""
        with suppress(ConnectionResetError):
            while chunk := client.recv(65536):
                answer += chunk
        return answer


def health(endpoint: Endpoint, until: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
    """The first answer that was read from the ledger and is as it should be."""
    deadline = time.monotonic() + BOUND_S
    while True:
        status, _, body = ask(endpoint)
        found: dict[str, Any] = json.loads(body)
        assert (status == 200) is (found["status"] == "healthy")
        if found["status"] != "starting" and until(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def add_run(con: sqlite3.Connection, source_id: int, state: str | None, **more: Any) -> int:
    row = {"source_id": source_id, "started_ns": 1, "updated_ns": JULY_1, "state": state, **more}
    names = ", ".join(row)
    return con.execute(f"insert into run ({names}) values (:{', :'.join(row)})", row).lastrowid or 0


def test_with_no_source_found_it_is_healthy_and_there_are_none(con: sqlite3.Connection, settings: Settings) -> None:
    with serving(settings) as endpoint:
        found = health(endpoint)
    uptime = found.pop("uptime_seconds")
    assert isinstance(uptime, int)
    assert found.pop("version")
    assert found == {
        "status": "healthy",
        "connection_status": "connected",
        "total_events": 0,
        "total_cost": 0.0,
        "last_update": None,
        "error": None,
        "sources": {},
    }


def test_without_a_ledger_it_is_starting_and_turns_healthy_once_there_is_one(settings: Settings) -> None:
    with serving(settings) as endpoint:
        status, _, body = ask(endpoint)
        assert (status, json.loads(body)["status"], json.loads(body)["connection_status"]) == (
            *(503, "starting"),
            "connecting",
        )
        with closing(make_ledger(settings.db)):
            assert health(endpoint)["status"] == "healthy"


@pytest.mark.parametrize(
    ("state", "outcome", "status", "connection", "shown"),
    [
        ("connected", None, "healthy", "connected", "connected"),
        ("reading", None, "healthy", "connected", "reading"),
        ("connecting", None, "starting", "connecting", "connecting"),
        ("disconnected", None, "disconnected", "disconnected", "disconnected"),
        ("error", None, "error", "error", "error"),
        (None, "ok", "healthy", "connected", "ended"),
        (None, "failed", "error", "error", "error"),
    ],
)
def test_the_state_of_a_run_decides(
    con: sqlite3.Connection,
    settings: Settings,
    state: str | None,
    outcome: str | None,
    status: str,
    connection: str,
    shown: str,
) -> None:
    other, source = add_source(con, "claude-code"), add_source(con, "cco")
    with serving(settings) as endpoint:
        add_run(con, other, "reading")
        add_run(con, source, state, outcome=outcome)
        deadline = time.monotonic() + BOUND_S
        while "cco" not in (found := json.loads(ask(endpoint)[2]))["sources"]:
            assert time.monotonic() < deadline
    assert (found["status"], found["connection_status"]) == (status, connection)
    assert found["sources"]["cco"]["state"] == shown


def test_a_run_of_an_earlier_process_that_was_killed_is_not_shown(con: sqlite3.Connection, settings: Settings) -> None:
    source = add_source(con, "cco")
    add_run(con, source, "error", error="gone", events=70)
    with serving(settings) as endpoint:
        assert health(endpoint)["sources"] == {}
        run = add_run(con, source, "connected", events=3)
        found = health(endpoint, lambda found: bool(found["sources"]))
        assert (found["sources"]["cco"]["state"], found["sources"]["cco"]["events"]) == ("connected", 3)
        con.execute("update run set state = 'disconnected', error = 'no answer' where run_id = ?", (run,))
        lost = health(endpoint, lambda found: found["status"] == "disconnected")
        assert lost["sources"]["cco"]["error"] == "no answer"


def test_money_is_exact_and_of_counted_sources_only(con: sqlite3.Connection, settings: Settings) -> None:
    claude, cco = add_source(con, "claude-code"), add_source(con, "cco", counted=False)
    add_calls(
        con,
        [
            {"call_id": "a", "source_id": claude, "occurred_ns": JULY_1, "computed_nusd": 1_000_000_000_000_001},
            {"call_id": "b", "source_id": claude, "occurred_ns": JULY_1},
            {"call_id": "c", "source_id": cco, "occurred_ns": JULY_1, "reported_nusd": 5_000_000_000},
        ],
    )
    with serving(settings) as endpoint:
        health(endpoint)
        assert b'"total_cost":1000000.000000001,' in ask(endpoint)[2]


def test_events_gaps_rejects_lag_and_saturation_are_told(con: sqlite3.Connection, settings: Settings) -> None:
    source, ccd = add_source(con, "cco"), add_source(con, "ccd")
    con.execute(
        "insert into activity (source_id, epoch, seq, occurred_ns) values (?1, 0, 0, ?2), (?1, 0, 1, ?2)",
        (source, JULY_1),
    )
    con.execute(
        "insert into daemon_event (source_id, event_id, family, kind, occurred_ns, received_ns, content_sha256) "
        "values (?, 'e', 'f', 'k', 1, 1, x'00')",
        (ccd,),
    )
    con.execute(
        "insert into gap (source_id, epoch, kind, to_ns, detected_ns) values (?1, 0, 'restart', 1, 1)", (source,)
    )
    con.execute("insert into rejected (source_id, at_ns, reason, times) values (?, 1, 'odd', 4)", (source,))
    with serving(settings) as endpoint:
        assert health(endpoint)["total_events"] == 3
        last = {"last_event_ns": JULY_1 - 2_500_000_000, "saturation": 0.25, "events": 2}
        add_run(con, source, "connected", **last)
        found = health(endpoint, lambda found: bool(found["sources"]))
        assert found["last_update"] == "2026-07-01T00:00:00.000Z"
        shown = found["sources"]["cco"]
        assert (shown["gaps"], shown["rejected"], shown["saturation"], shown["lag_seconds"]) == (1, 4, 0.25, 2.5)
        assert shown["last_event"] == "2026-06-30T23:59:57.500Z"
        con.execute("update run set updated_ns = updated_ns + 60000000000")  # a heartbeat brings no event
        later = health(endpoint, lambda found: found["last_update"] == "2026-07-01T00:01:00.000Z")
        assert later["sources"]["cco"]["lag_seconds"] == 2.5


def test_trouble_pauses_every_source_and_goes_away(con: sqlite3.Connection, settings: Settings) -> None:
    source = add_source(con, "cco")
    with serving(settings) as endpoint:
        add_run(con, source, "connected")
        health(endpoint, lambda found: bool(found["sources"]))
        endpoint.trouble = "the disk is full"
        found = health(endpoint)
        assert (found["status"], found["connection_status"], found["error"]) == ("error", "error", "the disk is full")
        assert found["sources"]["cco"]["state"] == "paused"
        endpoint.trouble = None
        assert health(endpoint)["status"] == "healthy"


def test_a_ledger_that_cannot_be_read_any_more_is_an_error_until_it_can(
    con: sqlite3.Connection, settings: Settings
) -> None:
    with serving(settings) as endpoint:
        health(endpoint)
        con.execute("alter table run rename to away")
        assert "cannot be read" in health(endpoint, lambda found: found["status"] == "error")["error"]
        con.execute("alter table away rename to run")
        assert health(endpoint, lambda found: found["status"] == "healthy")["error"] is None


def test_a_ledger_that_cannot_be_understood_is_an_error_too(
    con: sqlite3.Connection, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(settings) as endpoint:
        health(endpoint)
        con.execute("delete from ledger")
        assert "cannot be understood" in health(endpoint, lambda found: found["status"] == "error")["error"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_it_answers_and_ends_while_a_look_takes_very_long(con: sqlite3.Connection, settings: Settings) -> None:
    con.execute("drop view daily_usage")
    con.execute(
        "create view daily_usage as with recursive n as (select 1 as i union all select i + 1 from n where i < 1e12) "
        "select 1 as counted, 1 as source_id, 1 as model_id, i as calls, i as unpriced_calls, i as input_tokens, "
        "i as output_tokens, i as cache_write_5m_tokens, i as cache_write_1h_tokens, i as cache_read_tokens, "
        "i as total_tokens, i as cost_nusd from n"
    )
    with serving(settings) as endpoint:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert ask(endpoint)[0] == 503


def test_no_secret_is_in_an_error(con: sqlite3.Connection, settings: Settings) -> None:
    source = add_source(con, "ccd")
    with serving(replace(settings, ccd_headers=(("Authorization", "Bearer hush-hush"),))) as endpoint:
        add_run(con, source, "error", error="401 with Bearer hush-hush")
        found = health(endpoint, lambda found: bool(found["sources"]))
        endpoint.trouble = "hush-hush"
        assert found["sources"]["ccd"]["error"] == "401 with [hidden]"
        assert b"hush" not in ask(endpoint)[2]


def test_no_key_in_ccds_address_is_in_a_name(con: sqlite3.Connection, settings: Settings) -> None:
    source = add_source(con, "ccd", "ccd (http://localhost:9/events?token=sekrit-1)")
    add_calls(con, [{"call_id": "a", "source_id": source, "occurred_ns": JULY_1}])
    with serving(replace(settings, ccd_url="http://localhost:9/events?token=sekrit-1")) as endpoint:
        add_run(con, source, "connected", error="token=sekrit-1" + "x" * 1000)
        health(endpoint, lambda found: bool(found["sources"]))
        for path in ("/health", "/metrics"):
            body = ask(endpoint, path)[2]
            assert b"sekrit" not in body
            assert b"events?token=[hidden])" in body


def test_get_and_head_are_answered_and_nothing_else(con: sqlite3.Connection, settings: Settings) -> None:
    with serving(settings) as endpoint:
        health(endpoint)
        for path in ("/health", "/metrics", "/health?x=1"):
            status, headers, body = ask(endpoint, path)
            assert (status, int(headers["content-length"])) == (200, len(body))
            status, headers, body = ask(endpoint, path, "HEAD")
            assert (status, body) == (200, b"")
            assert int(headers["content-length"]) > 0
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"):
            status, headers, _ = ask(endpoint, "/health", method)
            assert (status, headers["allow"]) == (405, "GET, HEAD")
        for path in ("/", "/health/", "//health", "/HEALTH", "/metrics/../etc", "/%00", "/docs"):
            assert ask(endpoint, path)[0] == 404


def test_no_other_origin_may_read_an_answer_and_no_software_is_named(
    con: sqlite3.Connection, settings: Settings
) -> None:
    with serving(settings) as endpoint:
        for path in ("/health", "/metrics", "/nothing"):
            _, headers, _ = ask(endpoint, path, Origin="http://evil.example")
            assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
            names = {name.lower() for name in headers}
            assert not any(name.startswith("access-control") for name in names)
            assert "server" not in names
        assert ask(endpoint, "/metrics")[1]["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_only_our_own_names_are_served(con: sqlite3.Connection, settings: Settings) -> None:
    with serving(replace(settings, health_hosts=("box.lan", "fd00::1"))) as endpoint:
        health(endpoint)
        port = endpoint.url.rsplit(":", 1)[1]
        good = [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "[::1]",
            "box.lan",
            "box.lan:9000",
            "[fd00::1]",
            "[fd00::1]:9000",
        ]
        good += [f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"]
        bad = [
            "evil.example",
            f"evil.example:{port}",
            "localhost:1",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
        ]
        bad += [
            "",
            "127.1",
            "0.0.0.0",
            "box.lan.evil",
            "user@localhost",
            "localhost,evil",
            "::1",
            "box.lan:",
            "[::1",
            "é",
        ]
        for host in good:
            assert ask(endpoint, Host=host)[0] == 200, host
        for host in bad:
            answer = send(endpoint, f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert answer.startswith((b"HTTP/1.1 421 ", b"HTTP/1.1 400 ")), (host, answer)
            assert b"total" not in answer


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET http://localhost/health HTTP/1.1", "Host: evil.example", 200),
        ("GET http://evil.example/health HTTP/1.1", "Host: localhost", 421),
        ("GET http://[/health HTTP/1.1", "Host: localhost", 421),
        ("GET //evil.example/health HTTP/1.1", "Host: localhost", 404),
        ("GET /health HTTP/1.0", "Host: localhost", 200),
        ("GET /health HTTP/1.0", "X: y", 421),
        ("GET /health HTTP/1.1", "X: y", 400),
        ("GET /health HTTP/1.1", "Host: localhost\r\nHost: evil.example", 400),
        ("GET /health HTTP/1.1", "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade", 200),
        ("OPTIONS * HTTP/1.1", "Host: localhost", 404),
        ("CONNECT localhost:80 HTTP/1.1", "Host: localhost", 404),
        ("no http at all", "", 400),
    ],
)
def test_odd_requests_get_an_answer_and_end(
    con: sqlite3.Connection, settings: Settings, request_line: str, headers: str, status: int
) -> None:
    with serving(settings) as endpoint:
        health(endpoint)
        answer = send(endpoint, f"{request_line}\r\n{headers}\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] == str(status).encode(), answer[:200]


def test_a_head_that_does_not_end_is_not_waited_for(con: sqlite3.Connection, settings: Settings) -> None:
    with serving(settings) as endpoint:
        health(endpoint)
        with suppress(ConnectionError):  # what was not read makes the system reset the connection
            answer = send(endpoint, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2_000_000)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
        assert ask(endpoint)[0] == 200


def test_clients_that_say_nothing_are_dropped_and_keep_nobody_waiting(
    con: sqlite3.Connection, settings: Settings
) -> None:
    with serving(settings) as endpoint:
        health(endpoint)
        address = ("127.0.0.1", int(endpoint.url.rsplit(":", 1)[1]))
        slow = [socket.create_connection(address, timeout=BOUND_S) for _ in range(MOST_CONNECTIONS // 2)]
        for client in slow:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        assert ask(endpoint)[0] == 200
        many = [socket.create_connection(address, timeout=BOUND_S) for _ in range(MOST_CONNECTIONS)]
        for client in (*slow, *many):
            with client, suppress(ConnectionResetError):
                assert client.recv(1) == b""
        assert ask(endpoint)[0] == 200


def test_it_stops_while_a_client_waits(con: sqlite3.Connection, settings: Settings) -> None:
    with serving(settings) as endpoint:
        client = socket.create_connection(("127.0.0.1", int(endpoint.url.rsplit(":", 1)[1])), timeout=BOUND_S)
        client.sendall(b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        ask(endpoint)
    client.close()
    with pytest.raises(OSError, match="refused"):
        ask(endpoint)


def test_it_can_be_started_again_at_once_at_the_same_port(con: sqlite3.Connection, settings: Settings) -> None:
    with serving(settings) as endpoint:
        health(endpoint)
        port = int(endpoint.url.rsplit(":", 1)[1])
    with serving(replace(settings, health_port=port)) as again:
        assert again.url == endpoint.url
        assert health(again)["status"] == "healthy"


def test_a_port_that_cannot_be_had_is_one_sentence_with_a_hint(settings: Settings) -> None:
    with serving(settings) as endpoint:
        port = int(endpoint.url.rsplit(":", 1)[1])
        with pytest.raises(CcostError, match=f"Port {port} of 127.0.0.1 is in use") as failure:
            Endpoint(replace(settings, health_port=port)).start()
        assert "--health-port" in (failure.value.hint or "")
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(CcostError, match="this machine has no such address"):
            Endpoint(replace(settings, health_host=host)).start()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "2001:db8::1", "x" * 64])
def test_a_host_that_is_not_ours_is_one_sentence_with_a_hint(settings: Settings, host: str) -> None:
    with pytest.raises(CcostError) as failure:
        Endpoint(replace(settings, health_host=host)).start()
    assert failure.value.message.endswith(f" of {host} cannot be had: this machine has no such address.")
    assert "--health-host" in (failure.value.hint or "")


def test_it_answers_while_an_import_runs_in_the_same_process(tmp_path: Path) -> None:
    """Of 20 answers 19 come in time: on a machine that is busy with something else, at the second attempt."""
    assert any(slowest_of_95_percent_s(tmp_path / name) < 0.1 for name in ("first", "second"))


def slowest_of_95_percent_s(folder: Path) -> float:
    """A process of its own imports and asks itself all the while."""
    lines = [line(f"msg_01{number:022d}", 100, at="2026-07-01T10:00:00.000Z") for number in range(20_000)]
    write(folder / "projects" / "web" / "session-1.jsonl", *lines)
    code = """
import sys, time
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from ccostdb import ingest
from ccostdb.health.endpoint import Endpoint
from ccostdb.settings import Settings
folder, done, took = Path(sys.argv[1]), Event(), []
settings = Settings(folder / "ledger.db", home_tz="UTC", claude_paths=(folder / "projects",), health_port=0)
endpoint = Endpoint(settings)
endpoint.start()
def ask():
    while not done.is_set():
        began = time.monotonic()
        connection = HTTPConnection(endpoint.url.removeprefix("http://"), timeout=30)
        connection.request("GET", "/health")
        connection.getresponse().read()
        took.append(time.monotonic() - began)
        connection.close()
        time.sleep(0.005)
asking = Thread(target=ask)
asking.start()
(outcome,) = ingest.run(settings, ingest.Asked("claude-code", once=True))
done.set()
asking.join()
endpoint.stop()
print(outcome.calls, len(took), sorted(took)[len(took) * 95 // 100], max(took))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(folder)],
        env=environment({"PATH": os.environ["PATH"], "HOME": str(folder)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    calls, answers, usual_s, longest_s = done.stdout.split()
    assert int(calls) == 20_000
    assert int(answers) >= 5
    assert float(longest_s) < 5.0  # 0.1 on a machine that does nothing else
    return float(usual_s)
