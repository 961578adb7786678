"""CCA from the socket to the ledger, through the real pass and store: rounds, keys, refusals, restarts, once."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cca_emulator import Emulator, Reply, reply
from cco_recording import empty_ledger

from ccostdb.ingest.cca import ingest_cca
from ccostdb.ingest.outcome import Outcome
from ccostdb.settings import Settings
from ccostdb.sources import cca
from ccostdb.sources.finding import find_cca
from ccostdb.store import open_store

KEY = "test-key-0123456789abcdef0123456789"
TASKS = "/api/v1/tasks"


class Recording:
    """A ledger, and what is asked of it."""

    def __init__(self, db: Path, url: str, con: sqlite3.Connection) -> None:
        self.db = db
        self.url = url
        self._con = con

    def settings(self, **more: Any) -> Settings:
        return Settings(**{"db": self.db, "home_tz": "UTC", "cca_url": self.url, "cca_interval_s": 0.05, **more})

    def once(self, **more: Any) -> Outcome:
        async def run() -> Outcome:
            async with open_store(self.settings(**more)) as store:
                return await ingest_cca(store, self.settings(**more), once=True, stop=asyncio.Event())

        return asyncio.run(run())

    def follow(self, drive: Callable[[], None], **more: Any) -> Outcome:
        """Polls for as long as `drive` takes in its own thread, and no longer."""
        settings = self.settings(**more)

        async def run() -> Outcome:
            stop = asyncio.Event()
            async with open_store(settings) as store:
                following = asyncio.create_task(ingest_cca(store, settings, once=False, stop=stop))
                driving = asyncio.create_task(asyncio.to_thread(drive))
                await asyncio.wait((following, driving), return_when=asyncio.FIRST_COMPLETED)
                stop.set()
                await driving
                async with asyncio.timeout(5):  # half of how long an answer is waited for
                    return await following

        return asyncio.run(run())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._con.execute(query).fetchall()

    def one(self, query: str) -> Any:
        return self._con.execute(query).fetchone()[0]

    def samples(self, endpoint: str) -> list[tuple[Any, ...]]:
        found = self._con.execute("select body, error from sample where endpoint = ? order by sample_id", (endpoint,))
        return [(json.loads(body) if body else None, error) for body, error in found]

    def wait_for(self, is_there: Callable[[], object]) -> None:
        """A condition that must come; the assertions after it say what did not."""
        until = time.monotonic() + 10
        while not is_there() and time.monotonic() < until:
            time.sleep(0.01)

    @property
    def state(self) -> tuple[Any, ...]:
        found = self.rows("select state, error from run order by run_id desc limit 1")
        return found[0] if found else (None, None)


@pytest.fixture
def server() -> Iterator[Emulator]:
    with Emulator() as one:
        yield one


@pytest.fixture
def ledger(tmp_path: Path, server: Emulator) -> Iterator[Recording]:
    db = tmp_path / "ledger.db"
    db.write_bytes(empty_ledger())
    uri = f"{db.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as con:
        yield Recording(db, server.url, con)


# --- what is asked, and what is kept


def test_once_asks_each_endpoint_once_and_again_keeps_nothing_new(ledger: Recording, server: Emulator) -> None:
    first = ledger.once()
    assert server.paths == list(cca.ENDPOINTS)
    assert (first.outcome, first.frames, first.events, first.rows, first.error) == ("ok", 12, 12, 12, None)
    for each in ("/api/v1/agents", "/api/v1/rl/stats"):  # another order of the same
        body = json.loads(server.replies[each].body)
        server.replies[each] = reply({key: one[::-1] if isinstance(one, list) else one for key, one in body.items()})
    second = ledger.once()
    assert (second.outcome, second.frames, second.events, second.rows) == ("ok", 12, 0, 0)
    assert ledger.rows("select endpoint, error from sample order by sample_id") == [
        (each, None) for each in cca.ENDPOINTS
    ]
    assert ledger.rows("select kind, name, address from source") == [
        ("cca", "cca", server.url.replace("127.0.0.1", "localhost"))
    ]
    assert ledger.rows("select outcome, connections, frames, events, rows, error from run") == [
        ("ok", 1, 12, 12, 12, None),
        ("ok", 1, 12, 0, 0, None),
    ]


def test_endpoints_are_asked_one_at_a_time_in_round_after_round(ledger: Recording, server: Emulator) -> None:
    outcome = ledger.follow(lambda: ledger.wait_for(lambda: len(server.requests) > 60))
    assert outcome.outcome == "stopped"
    assert server.most_at_once == 1
    assert server.paths[:48] == [*cca.ENDPOINTS] * 4
    assert ledger.one("select count(*) from sample") == 12


def test_what_changes_is_sampled_while_it_is_followed(ledger: Recording, server: Emulator) -> None:
    def drive() -> None:
        for status in ("pending", "running", "completed"):
            server.replies[TASKS] = reply({"tasks": [{"task_id": "t", "status": status, "output": "a secret"}]})
            ledger.wait_for(lambda status=status: (status,) in ledger.rows("select status from agent_tasks"))

    ledger.follow(drive)
    found = ledger.rows("select status, until_at is null from agent_tasks where task_id = 't' order by polled_ns")
    assert found == [("pending", 0), ("running", 0), ("completed", 1)]
    assert b"a secret" not in ledger.db.read_bytes()
    assert ledger.one("select last_event_ns is not null from run")


def test_an_error_in_a_200_is_kept_as_one_and_so_is_its_end(ledger: Recording, server: Emulator) -> None:
    good = server.replies[TASKS]
    for given in (good, reply({"error": "no index", "success": False}), reply({"error": "no index"}), good):
        server.replies[TASKS] = given
        outcome = ledger.once()
        assert outcome.outcome == "ok"
    assert [error for _, error in ledger.samples(TASKS)] == [None, "no index", None]
    assert [body is None for body, _ in ledger.samples(TASKS)] == [False, True, False]
    assert ledger.rows("select error from run order by run_id")[1:3] == [(f"{TASKS}: no index",)] * 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (Reply(b'{"tasks":['), f"{TASKS}: no readable JSON"),
        (Reply(b"[]"), f"{TASKS}: the document is no object"),
        (Reply(b'{"tasks":["' + b"x" * 5000 + b'"]}'), f"{TASKS}: larger than may be read"),
        (Reply(is_endless=True), f"{TASKS}: larger than may be read"),
    ],
)
def test_what_cannot_be_read_is_refused_and_costs_only_itself(
    ledger: Recording, server: Emulator, given: Reply, reason: str
) -> None:
    server.replies[TASKS] = given
    for _ in range(2):
        outcome = ledger.once(frame_max_bytes=4096)
        assert (outcome.outcome, outcome.error) == ("ok", reason)
    assert ledger.samples(TASKS) == [(None, reason)]
    assert ledger.rows("select reason, excerpt, times from rejected") == [(reason, None, 1)]
    assert ledger.one("select count(*) from sample where body is not null") == 11


def test_a_large_answer_is_kept_in_part_and_one_beyond_all_bounds_not_at_all(
    ledger: Recording, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = []

    def parse(*given: Any, **more: Any) -> Any:
        where.append((given[0], threading.current_thread() is threading.main_thread()))
        return understood(*given, **more)

    understood = cca.parse
    monkeypatch.setattr(cca, "parse", parse)
    server.replies["/api/v1/agents"] = reply({"agents": [{"agent_id": f"{one:05d}"} for one in range(9000)]})
    server.replies[TASKS] = reply({"tasks": ["x" * 100] * 12_000})
    ledger.once()
    assert ledger.one("select max(length(body)) from sample") <= 65_536
    assert ledger.one("select count(*) from agents where agent_id = '00001'") == 1
    assert ledger.samples(TASKS) == [(None, f"{TASKS}: larger than may be read")]
    assert ("/api/v1/agents", False) in where  # beside the event loop
    assert ("/health", True) in where


@pytest.mark.parametrize("given", [Reply(b"{", is_cut=True), Reply(b"", 301, {"location": "/elsewhere"})])
def test_an_answer_that_breaks_off_or_leads_away_costs_only_itself(
    ledger: Recording, server: Emulator, given: Reply
) -> None:
    server.replies[TASKS] = given
    outcome = ledger.once()
    assert outcome.outcome == "ok"
    assert (outcome.error or "").startswith(TASKS)
    assert "/elsewhere" not in server.paths
    assert ledger.one("select count(*) from sample where body is not null") == 11


def test_what_a_version_lacks_is_asked_seldom_until_another_version_answers(
    ledger: Recording, server: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = server.replies.pop(TASKS)

    def drive() -> None:
        ledger.wait_for(lambda: server.paths.count("/health") > 3)
        assert server.paths.count(TASKS) == 1
        server.replies[TASKS] = tasks
        health = json.loads(server.replies["/health"].body)
        server.replies["/health"] = reply({**health, "version": "2.0.0"})
        ledger.wait_for(lambda: len(ledger.samples(TASKS)) > 1)

    ledger.follow(drive)
    assert [error for _, error in ledger.samples(TASKS)] == ["HTTP 404", None]
    assert ledger.one("select error from run") is None
    assert caplog.records == []


# --- the key


def test_the_key_is_sent_in_its_header_and_nowhere_kept(
    tmp_path: Path, ledger: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Emulator(api_key=KEY) as server:
        server.replies["/api/v1/status"] = reply({"status": "running", "echo": f"you sent {KEY}"})
        server.replies[TASKS] = reply({"error": f"{KEY} may not"})
        outcome = ledger.once(cca_url=server.url, cca_api_key=KEY)
    assert outcome.outcome == "ok"
    assert all(headers["x-api-key"] == KEY for _, headers in server.requests)
    assert not [path for path in server.paths if KEY in path]
    assert ledger.samples("/api/v1/status")[0][0]["echo"] == "you sent [key]"
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes()
    assert KEY not in caplog.text
    assert KEY not in repr(outcome)


@pytest.mark.parametrize(
    ("key", "said"), [(None, "it asks for a key"), ("another-key-000", "it does not take this key")]
)
def test_without_its_key_little_is_asked_and_the_reason_said_once(
    ledger: Recording, caplog: pytest.LogCaptureFixture, key: str | None, said: str
) -> None:
    reason = f"HTTP 401: {said}; set CCOSTDB_CCA_API_KEY"
    with Emulator(api_key=KEY) as server:
        outcome = ledger.once(cca_url=server.url, cca_api_key=key)
        assert (outcome.outcome, outcome.error) == ("failed", reason)
        assert server.paths == ["/health", "/api/v1/status"]
        ledger.follow(
            lambda: ledger.wait_for(lambda: len(server.requests) > 10 and ledger.state == ("error", reason)),
            cca_url=server.url,
            cca_api_key=key,
        )
    assert [record.getMessage() for record in caplog.records] == [f"cca: {reason}"]
    assert set(server.paths) == {"/health", "/api/v1/status"}
    assert ledger.samples("/api/v1/status") == [(None, "HTTP 401")]
    assert ledger.rows("select outcome, error from run") == [("failed", reason), ("stopped", reason)]


# --- limits


def test_a_429_is_waited_for_and_the_same_endpoint_asked_again(ledger: Recording, server: Emulator) -> None:
    server.refusals = [
        reply({"error": "Too many requests", "retry_after_seconds": 60}, 429, **{"retry-after": "0"}),
        reply({"error": "Too many requests", "limit_type": "ip", "retry_after_seconds": 0.2}, 429),
    ]
    outcome = ledger.once(cca_interval_s=30.0)
    assert (outcome.outcome, outcome.error) == ("ok", None)
    assert server.paths == ["/health", "/health", *cca.ENDPOINTS]
    assert ledger.one("select count(*) from sample") == 12


def test_a_429_that_asks_for_longer_than_a_round_ends_it(ledger: Recording, server: Emulator) -> None:
    server.refusals = [reply({"retry_after_seconds": 60}, 429)]
    outcome = ledger.once(cca_interval_s=30.0)
    assert (outcome.outcome, outcome.error) == ("failed", "HTTP 429: too many ask at once")
    assert server.paths == ["/health"]
    assert ledger.one("select count(*) from sample") == 0


def test_the_next_round_waits_as_long_as_a_429_asks(ledger: Recording, server: Emulator) -> None:
    server.refusals = [reply({}, 429, **{"retry-after": "3600"})]

    def drive() -> None:
        ledger.wait_for(lambda: ledger.state[0] == "error")
        time.sleep(0.3)  # six rounds

    ledger.follow(drive)
    assert server.paths == ["/health"]


def test_a_server_that_refuses_for_ever_is_left_alone_for_the_rest_of_a_round(
    ledger: Recording, server: Emulator
) -> None:
    server.refusals = [reply({}, 429, **{"retry-after": "0"})] * 10
    assert ledger.once(cca_interval_s=30.0).outcome == "failed"
    assert len(server.requests) == 4


# --- servers that are not there, go, and come back


def test_once_fails_with_the_reason_where_nothing_answers(ledger: Recording) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        outcome = ledger.once(cca_url=url)
    assert outcome.outcome == "failed"
    assert outcome.error == "All connection attempts failed"
    assert ledger.rows("select outcome, error from run") == [("failed", outcome.error)]
    assert ledger.one("select count(*) from sample") == 0


def test_once_fails_where_something_else_answers(ledger: Recording, server: Emulator) -> None:
    server.replies.clear()
    outcome = ledger.once()
    assert (outcome.outcome, outcome.error) == ("failed", "what answers is not CCA")


def test_a_server_that_goes_and_comes_back_is_followed_and_its_loss_said_once(
    ledger: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[tuple[Any, ...]] = []

    def drive(port: int = 0) -> None:
        for capture in ("nodb-idle", "auth-active", "nodb-idle"):
            with Emulator(capture, port=port) as one:
                ledger.wait_for(lambda: ledger.state[0] == "connected")
                states.append(ledger.state)
                ledger.wait_for(lambda one=one: len(one.requests) > 24)
            ledger.wait_for(lambda: ledger.state[0] == "disconnected")
            states.append(ledger.state)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ledger.follow(lambda: drive(port), cca_url=f"http://127.0.0.1:{port}")
    assert [state for state, _ in states] == ["connected", "disconnected"] * 3
    assert states[0][1] is None
    assert len(ledger.samples("/api/v1/agents")) == 3
    assert len(ledger.samples("/api/v1/acp/status")) == 3
    assert len({record.getMessage() for record in caplog.records}) == len(caplog.records)
    assert ledger.one("select connections from run") == 3


def test_a_pass_stops_soon_though_an_answer_never_comes(ledger: Recording, server: Emulator) -> None:
    server.replies[TASKS] = Reply(is_silent=True)
    outcome = ledger.follow(lambda: ledger.wait_for(lambda: TASKS in server.paths))
    assert outcome.outcome == "stopped"
    assert ledger.one("select count(*) from sample") == cca.ENDPOINTS.index(TASKS)  # what came before it is kept


@pytest.mark.parametrize("interval_s", [600.0, 0.05])
def test_a_pass_stops_soon_though_it_waits(ledger: Recording, server: Emulator, interval_s: float) -> None:
    server.refusals = [reply({}, 429, **{"retry-after": "599"})]
    outcome = ledger.follow(lambda: ledger.wait_for(lambda: server.paths), cca_interval_s=interval_s)
    assert outcome.outcome == "stopped"


def test_a_transaction_that_fails_leaves_nothing_and_the_next_pass_has_all(ledger: Recording) -> None:
    with closing(sqlite3.connect(ledger.db, isolation_level=None)) as con:
        con.execute("create trigger fails before insert on sample begin select raise(abort, 'no room'); end")
        with pytest.raises(sqlite3.DatabaseError, match="no room"):
            ledger.once()
        con.execute("drop trigger fails")
    assert ledger.once().outcome == "ok"
    assert ledger.one("select count(*) from sample") == 12
    assert ledger.rows("select outcome from run") == [("failed",), ("ok",)]


# --- finding it


def found(settings: Settings) -> str | None:
    one = asyncio.run(find_cca(settings))
    return None if one is None else one.cca_url


def test_cca_is_found_where_it_is_set_without_showing_the_key(ledger: Recording) -> None:
    with Emulator(api_key=KEY) as server:
        settings = ledger.settings(cca_url=server.url, cca_api_key=KEY, origins={"cca_url": "command line"})
        assert found(settings) == server.url
    assert server.paths == ["/health"]
    assert "x-api-key" not in server.requests[0][1]
    assert found(settings) is None


def test_another_address_is_looked_at_only_where_none_was_set(
    ledger: Recording, server: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cca, "USUAL_URLS", (server.url,))  # the real ones are not ours to listen at
    nowhere = "http://127.0.0.1:9"
    assert found(ledger.settings(cca_url=nowhere)) == server.url
    assert found(ledger.settings(cca_url=nowhere, origins={"cca_url": "command line"})) is None


@pytest.mark.parametrize(
    "other",
    [reply({"status": "ok", "uptime": 5, "cache_stats": {}}), Reply(b"OK"), Reply(is_endless=True), Reply(status=404)],
)
def test_another_server_is_not_taken_for_cca(ledger: Recording, server: Emulator, other: Reply) -> None:
    server.replies["/health"] = other
    settings = ledger.settings(origins={"cca_url": "command line"}, frame_max_bytes=100_000)
    assert found(settings) is None
