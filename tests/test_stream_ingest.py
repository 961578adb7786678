"""CCO's stream from the socket to the ledger, through the real pass and store: captures, loss, restarts, once."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cco_emulator import Body, Manner
from cco_recording import Recording, recording

from ccostdb.ingest.cco import ingest_cco, next_reopen_s
from ccostdb.store import open_store

CAPTURES = Path(__file__).parent / "data" / "cco"


@pytest.fixture
def cco(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


def test_every_event_is_stored_once_as_it_was_sent(cco: Recording) -> None:
    chance = random.Random(1)

    def drive() -> None:
        for _ in range(12):
            cco.emulator.some(chance.randrange(20), chance)
            cco.wait_for_all()

    outcome = cco.record(drive)
    assert cco.stored == cco.truth
    assert cco.calls == cco.emulator.calls
    assert cco.gaps == []
    paid_nusd = sum(round(event["cost"] * 1e9) for event in cco.emulator.events if event["cost"])
    assert cco.one("select sum(reported_nusd) from call") == paid_nusd
    assert (outcome.outcome, outcome.events) == ("stopped", len(cco.emulator.events))


@pytest.mark.parametrize("capture", sorted(CAPTURES.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize("is_in_a_row", [False, True], ids=["a frame a connection", "in a row"])
def test_a_capture_of_the_real_server_gives_the_rows_that_are_known(
    capture: Path, is_in_a_row: bool, cco: Recording
) -> None:
    streams = [path.read_bytes() for path in sorted(capture.glob("*.sse"))]
    blocks = [block + b"\n\n" for stream in streams for block in stream.split(b"\n\n") if block]
    expected = json.loads((capture / "expected.json").read_text())
    in_flight = 4 if capture.name == "concurrent" else 0
    cco.emulator.tick_s = 0.005
    if is_in_a_row:
        cco.emulator.mangle = lambda body, number: blocks[-1]
        cco.emulator.manner = lambda number: Manner(before=b"".join(blocks[:-1]) if number == 0 else b"")
    else:
        cco.emulator.mangle = lambda body, number: blocks[min(number, len(blocks) - 1)]
        cco.emulator.manner = lambda number: Manner(frames=1, end="clean")

    def drive() -> None:
        cco.wait_for(lambda: cco.emulator.frames > len(blocks))
        cco.wait_for(lambda: len(cco.stored) >= expected["rows"])
        cco.wait_for(lambda: cco.missing >= expected["missing_calls"] - in_flight)

    cco.record(drive, stream_reopen_s=30.0)  # longer than the backlog takes
    kinds: dict[str, int] = dict(cco.rows("select event_type, count(*) from activity group by 1"))
    assert kinds == {kind: count for kind, count in expected["rows_by_type"].items() if count}
    assert cco.calls == kinds.get("api_call", 0) + kinds.get("cache_hit", 0)
    assert cco.one("select ifnull(sum(reported_nusd), 0) from call") == round(expected["cost_of_rows"] * 1e9)
    assert expected["missing_calls"] - in_flight <= cco.missing <= expected["missing_calls"]
    last = cco.rows("select calls, cast(cost_text as real) from snapshot order by snapshot_id desc limit 1")
    assert last == [(expected["last_calls"], expected["last_cost"])]
    assert cco.rows("select * from rejected") == []


# --- loss


def test_rows_and_gaps_together_are_what_the_server_counted(cco: Recording) -> None:
    chance, emulator = random.Random(2), cco.emulator

    def drive() -> None:
        emulator.call()
        cco.wait_for_all()
        time.sleep(0.2)  # for the totals to be seen twice
        for _ in range(25):
            emulator.some(chance.randrange(60), chance)
            time.sleep(chance.random() * 0.1)
        cco.wait_for(lambda: cco.calls + cco.missing == emulator.calls)

    cco.record(drive)
    assert cco.calls + cco.missing == emulator.calls
    assert {kind for kind, _ in cco.gaps} == {"overflow"}  # else nothing was lost, and nothing was tested
    paid_nusd = cco.one("select sum(reported_nusd) from call") + cco.one("select sum(cost_nusd) from gap")
    assert abs(paid_nusd - round(emulator.boot.cost * 1e9)) < 100  # the server's own sum is one of doubles


@pytest.mark.parametrize("ahead", [-2, -1, 1, 2])
def test_counters_ahead_of_the_events_or_behind_for_a_moment_are_no_gap(ahead: int, cco: Recording) -> None:
    emulator = cco.emulator

    def mangle(now: Body, number: int) -> Body:
        if number % 2 == 0:
            emulator.land()
            return emulator.body()
        for _ in range(abs(ahead)):
            emulator.call(is_in_flight=ahead > 0)
        body = emulator.body()
        if ahead < 0:
            body["project"]["calls"] += ahead
        return body

    emulator.mangle = mangle
    emulator.manner = lambda _: Manner(frames=1, end="clean")  # so that every frame is read
    emulator.tick_s = 0.005
    cco.record(lambda: cco.wait_for(lambda: cco.calls > 30))
    assert cco.stored == cco.truth[: len(cco.stored)]
    assert cco.calls > 30
    assert cco.gaps == []


def test_a_burst_is_followed_by_connecting_more_often(cco: Recording) -> None:
    emulator = cco.emulator
    emulator.tick_s = 3.0  # whoever does not connect again sees nothing of the burst but its end

    def drive() -> None:
        emulator.some(19, random.Random(4))
        cco.wait_for_all()
        for _ in range(150):
            emulator.call()
            time.sleep(0.01)
        cco.wait_for(lambda: cco.calls + cco.missing == emulator.calls)

    cco.record(drive, stream_dead_after_s=9.0, stream_reopen_s=0.5)
    assert cco.calls + cco.missing == emulator.calls
    assert cco.missing < 75
    assert emulator.connections >= 8
    assert cco.one("select saturation from run") >= 0.5


def test_the_pace_follows_the_new_events_between_its_bounds() -> None:
    assert next_reopen_s(30.0, 5.0, 20, 30.0) == 0.1
    assert next_reopen_s(30.0, 5.0, 25, 30.0) == 0.1
    assert next_reopen_s(30.0, 5.0, 12, 30.0) == 2.5  # at first half of what was seen
    assert next_reopen_s(2.5, 5.0, 12, 30.0) == 1.25
    assert next_reopen_s(0.15, 0.15, 12, 30.0) == 0.1
    assert next_reopen_s(30.0, 0.0, 12, 30.0) == 0.1
    assert next_reopen_s(2.0, 2.0, 9, 30.0) == 2.0
    assert next_reopen_s(2.0, 2.0, 4, 30.0) == 2.0
    assert next_reopen_s(2.0, 2.0, 3, 30.0) == 3.0
    assert next_reopen_s(29.0, 5.0, 0, 30.0) == 30.0
    assert next_reopen_s(0.05, 0.05, 20, 0.05) == 0.05


def test_a_server_that_never_pauses_is_let_go_all_the_same(cco: Recording) -> None:
    cco.emulator.tick_s = 0.001  # always a backlog
    cco.emulator.call()
    cco.record(lambda: cco.wait_for(lambda: cco.emulator.connections >= 4), stream_reopen_s=0.2)
    assert cco.emulator.connections >= 4
    assert cco.one("select error from run") is None


# --- restarts


@pytest.mark.parametrize("is_ghost", [False, True], ids=["gone", "ghost"])
@pytest.mark.parametrize("restored", [0, None, -4, 5], ids=["reset", "kept", "4 lost", "5 kept"])
def test_a_restart_loses_and_doubles_nothing(restored: int | None, is_ghost: bool, cco: Recording) -> None:
    chance = random.Random(5)

    def drive() -> None:
        for _ in range(2):
            for _ in range(3):
                cco.emulator.some(chance.randrange(1, 15), chance)
                cco.wait_for_all()
            time.sleep(0.15)  # for the totals to be seen twice
            cco.emulator.restart(restored=restored, is_ghost=is_ghost)
        cco.emulator.call()
        cco.wait_for_all()

    cco.record(drive)
    assert cco.stored == cco.truth
    assert [gap for gap in cco.gaps if gap != ("restart", None)] == []
    if restored == 0:
        assert cco.gaps == [("restart", None)] * 2


def test_what_was_pending_at_a_restart_is_a_gap(cco: Recording) -> None:
    emulator = cco.emulator

    def drive() -> None:
        emulator.call()
        cco.wait_for_all()
        emulator.manner = lambda _: Manner(frames=1, end="clean")
        for _ in range(50):
            emulator.call()
        cco.wait_for(lambda: cco.calls == 21)
        emulator.restart()
        emulator.call()
        cco.wait_for(lambda: cco.calls == 22)

    cco.record(drive)
    assert cco.calls == 22
    assert cco.missing == 30


# --- passes that end


def test_once_takes_one_snapshot_and_again_nothing(cco: Recording) -> None:
    cco.emulator.some(15, random.Random(8))
    first, second = cco.record_once(), cco.record_once()
    assert (first.outcome, first.frames, first.events) == ("ok", 1, 15)
    assert (second.outcome, second.frames, second.events) == ("ok", 1, 0)
    assert cco.emulator.connections == 2
    assert cco.one("select count(*) from snapshot") == 1
    assert cco.rows("select outcome, connections, frames, events, rejected, error from run") == [
        ("ok", 1, 1, 15, 0, None),
        ("ok", 1, 1, 0, 0, None),
    ]


def test_a_deficit_pending_at_the_end_of_a_pass_is_a_gap_in_the_next(cco: Recording) -> None:
    cco.emulator.call()
    cco.record_once()
    cco.record_once()
    for _ in range(50):
        cco.emulator.call()
    cco.record_once()
    assert cco.gaps == []
    cco.record_once()
    assert cco.gaps == [("overflow", 30)]
    assert cco.calls == 21


def test_a_pass_goes_on_where_the_last_one_was(cco: Recording) -> None:
    chance = random.Random(9)

    def drive() -> None:
        for _ in range(2):
            cco.emulator.some(chance.randrange(20), chance)
            cco.wait_for_all()

    for _ in range(5):
        cco.record(drive)
    assert cco.stored == cco.truth
    assert cco.gaps == []


def test_a_pass_stops_soon_though_nothing_comes(cco: Recording) -> None:
    cco.emulator.manner = lambda _: Manner(is_silent=True)
    outcome = cco.record(lambda: cco.wait_for(lambda: cco.emulator.connections), stream_dead_after_s=600.0)
    assert outcome.outcome == "stopped"


def test_a_transaction_that_fails_leaves_nothing_and_the_next_pass_has_all(cco: Recording) -> None:
    cco.emulator.some(5, random.Random(10))
    cco.record_once()
    cco.emulator.some(10, random.Random(11))
    with closing(sqlite3.connect(cco.db, isolation_level=None)) as con:
        con.execute("create trigger fails before insert on snapshot begin select raise(abort, 'no room'); end")
        before = cco.stored, cco.rows("select state from position")
        with pytest.raises(sqlite3.DatabaseError, match="no room"):
            cco.record_once()
        assert (cco.stored, cco.rows("select state from position")) == before
        con.execute("drop trigger fails")
    cco.record_once()
    assert cco.stored == cco.truth
    assert [outcome for (outcome,) in cco.rows("select outcome from run")] == ["ok", "failed", "ok"]


def test_loopback_has_one_name_in_the_ledger(cco: Recording) -> None:
    port = cco.emulator.url.rpartition(":")[2]
    cco.emulator.call()
    cco.record_once()
    cco.record_once(cco_url=f"http://localhost:{port}")
    assert cco.rows("select kind, name, address from source") == [("cco", "cco", f"http://localhost:{port}")]
    assert cco.calls == 1


def test_two_servers_are_two_sources_in_one_process(cco: Recording, tmp_path: Path) -> None:
    chance = random.Random(12)
    (tmp_path / "other").mkdir()
    with recording(tmp_path / "other") as other:
        for each in (cco, other):
            each.emulator.some(20, chance)

        async def run() -> None:
            stop = asyncio.Event()
            async with open_store(cco.settings()) as store:
                both = [ingest_cco(store, each.settings(), once=True, stop=stop) for each in (cco, other)]
                await asyncio.gather(*both)

        asyncio.run(run())
        assert cco.stored == cco.truth + other.truth
