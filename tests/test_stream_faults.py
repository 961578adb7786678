"""What a stream can do wrong, frame by frame: the ledger ends the same."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cco_emulator import Body, Manner
from cco_recording import Recording, recording

Fault = Callable[[Body, random.Random], Body | bytes]


@pytest.fixture
def cco(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


def changed(body: Body, **project: object) -> Body:
    return {**body, "project": {**body["project"], **project}}


FAULTS: dict[str, Fault] = {
    "empty": lambda body, _: {**body, "activity": []},
    "no activity": lambda body, _: {key: body[key] for key in ("project", "machine")},
    "activity null": lambda body, _: {**body, "activity": None},
    "activity an object": lambda body, _: {**body, "activity": {"0": body["activity"]}},
    "shortened": lambda body, chance: {**body, "activity": body["activity"][: chance.randrange(20)]},
    "newest first": lambda body, _: {**body, "activity": body["activity"][::-1]},
    "too many activities": lambda body, _: {**body, "activity": body["activity"] * 1001},
    "zeroed counters": lambda body, _: changed(body, calls=0, cost=0.0),
    "no counters": lambda body, _: {**body, "project": {}},
    "null counters": lambda body, _: changed(body, calls=None, cost=None),
    "counters of other types": lambda body, _: changed(body, calls=True, cost="free", last_updated=7),
    "counters beyond all bounds": lambda body, _: changed(body, calls=2**64, cost=float("inf")),
    "negative counters": lambda body, _: changed(body, calls=-1, cost=-2.5),
    "uptime beyond all bounds": lambda body, _: {**body, "machine": {"uptime": 1e300}},
    "no project": lambda body, _: {key: body[key] for key in ("machine", "activity")},
    "no machine": lambda body, _: {key: body[key] for key in ("project", "activity")},
    "project a number": lambda body, _: {**body, "project": 7},
    "flat": lambda body, _: {"cache": {}, "models": [], "totals": {"requests": 3, "actual_cost": 0.5}},
    "broken JSON": lambda body, _: b'event: analytics\ndata: {"project": {"name": "Cla\n\n',
    "no object": lambda body, _: b"event: analytics\ndata: [1, 2]\n\n",
    "deep": lambda body, _: b"event: analytics\ndata: " + b"[" * 100_000 + b"\n\n",
    "error event": lambda body, _: b'event: error\ndata: {"error": "Serialization failed: "oh" no"}\n\n',
    "unnamed": lambda body, _: b"data: hello\n\n",
    "unknown event": lambda body, _: b"event: tick\ndata: {}\n\n",
    "comment": lambda body, _: b": keep-alive\n\n",
    "too big": lambda body, _: b"event: analytics\ndata: " + b"x" * 300_000 + b"\n\n",
    "bad UTF-8": lambda body, _: b"event: analytics\ndata: \xff\xfe{\n\n",
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_bad_frame_between_good_ones_changes_nothing(fault: Fault, cco: Recording) -> None:
    chance = random.Random(6)
    cco.emulator.tick_s = 0.01
    cco.emulator.mangle = lambda body, number: fault(body, chance) if number % 3 == 1 else body
    cco.record(cco.drive_some(6), frame_max_bytes=200_000)
    assert cco.stored == cco.truth
    assert cco.gaps == []


def test_a_frame_from_before_is_passed_over(cco: Recording) -> None:
    frames: list[Body] = []

    def mangle(body: Body, number: int) -> Body:
        frames.append(body)
        return frames[max(0, number - 4)] if number % 3 == 1 else body

    cco.emulator.mangle = mangle
    cco.emulator.tick_s = 0.01
    cco.record(cco.drive_some(7))
    assert cco.stored == cco.truth
    assert cco.gaps == []


def test_a_server_that_always_shows_the_newest_first_is_read_as_well(cco: Recording) -> None:
    cco.emulator.mangle = lambda body, _: {**body, "activity": body["activity"][::-1]}
    cco.record(cco.drive_some(8))
    assert sorted(cco.stored) == sorted(cco.truth)  # of a short first window the order cannot be told


def test_elements_of_every_type_cost_themselves_only(cco: Recording) -> None:
    hostile: list[object] = [None, True, 7, "text", [1], [[]]]
    emulator = cco.emulator
    emulator.mangle = lambda body, _: {**body, "activity": [*hostile, *body["activity"]]}

    def drive() -> None:
        emulator.call(tokens=True, latency_ms=-1, model=["m"], agent_name={"a": 1}, status=7)
        emulator.call(tokens=3.0, latency_ms=2**64, model="\ud800", timestamp="yesterday", extra="more")
        emulator.call(tokens=1e999, latency_ms=float("nan"), model="m" * 2000, timestamp=None)
        emulator.call("something_new", cost=None)
        cco.wait_for_all()
        time.sleep(0.15)

    cco.record(drive)
    columns = "tokens, latency_ms, model, agent_name, status, raw is not null, is_receipt_time"
    assert cco.rows(f"select {columns} from activity order by seq") == [
        (None, None, None, None, None, 1, 0),
        (3, None, None, None, "success", 1, 1),
        (None, None, None, None, "success", 1, 1),
        (150, 3, "claude-opus-4", None, "success", 0, 0),
    ]
    assert cco.calls == 3
    assert sorted(cco.rows("select reason, excerpt from rejected")) == sorted(
        ("an activity is no object", json.dumps(element, separators=(",", ":"))) for element in hostile
    )  # once each, though every frame shows them


def test_every_frame_that_cannot_be_read_is_kept_with_its_beginning(cco: Recording) -> None:
    frames = [
        b"event: analytics\ndata: {" + b"x" * 1000,
        b"event: analytics\ndata: [1]",
        b'event: error\ndata: {"error": "Serialization failed: "oh" no"}',
        b"event: tick\ndata: {}",
        b"data: hello",
    ]
    cco.emulator.mangle = lambda body, number: frames[number] + b"\n\n" if number < len(frames) else body
    outcome = cco.record(lambda: cco.wait_for(lambda: cco.emulator.frames > 8))
    assert cco.rows("select reason, excerpt from rejected") == [
        ("no readable JSON", "{" + "x" * 499),
        ("the document is no object", "[1]"),
        ('event "error"', '{"error": "Serialization failed: "oh" no"}'),
        ('event "tick"', "{}"),
        ('event "message"', "hello"),
    ]
    assert outcome.rejected == cco.one("select rejected from run") == 5
    assert cco.one("select frames from run") >= 6


def test_absurd_values_leave_sums_and_reports_that_work(cco: Recording) -> None:
    for number in (2**63 - 1, 2**63 - 2, 2**63 - 3):
        cco.emulator.call(tokens=number, latency_ms=number, cost=number / 1e9)
    cco.record_once()
    query = "select sum(total_tokens), sum(latency_ms), sum(reported_nusd), count(*) from call"
    assert cco.rows(query) == [(None, None, None, 3)]
    assert cco.one("select count(*) from activity where raw is not null") == 3
    assert cco.one("select calls from daily_costs") == 3


def test_flat_statistics_are_kept_and_make_neither_calls_nor_gaps(cco: Recording) -> None:
    models = [{"model": "gpt-4", "requests": 2, "actual_cost": 0.25}]
    requests = iter([2, 2, 2, 5, 5])
    cco.emulator.mangle = lambda body, _: {
        "models": models,
        "totals": {"requests": next(requests, 9), "actual_cost": 0.25},
    }
    cco.emulator.manner = lambda _: Manner(frames=1)
    cco.record(lambda: cco.wait_for(lambda: cco.emulator.frames > 8))
    assert cco.rows("select calls, cost_text, cost_nusd, models from snapshot") == [
        (calls, "0.25", 250_000_000, json.dumps(models, separators=(",", ":"))) for calls in (2, 5, 9)
    ]
    assert (cco.calls, cco.gaps) == (0, [])
