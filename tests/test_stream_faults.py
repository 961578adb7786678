"""What a stream can do wrong, frame by frame and connection by connection: the ledger ends the same."""

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


def drive_some(cco: Recording, seed: int) -> Callable[[], None]:
    chance = random.Random(seed)

    def drive() -> None:
        for _ in range(5):
            cco.emulator.some(chance.randrange(1, 16), chance)
            cco.wait_for_all()
            time.sleep(0.03)

    return drive


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
    cco.record(drive_some(cco, 6), frame_max_bytes=200_000)
    assert cco.stored == cco.truth
    assert cco.gaps == []


def test_a_frame_from_before_is_passed_over(cco: Recording) -> None:
    frames: list[Body] = []

    def mangle(body: Body, number: int) -> Body:
        frames.append(body)
        return frames[max(0, number - 4)] if number % 3 == 1 else body

    cco.emulator.mangle = mangle
    cco.emulator.tick_s = 0.01
    cco.record(drive_some(cco, 7))
    assert cco.stored == cco.truth
    assert cco.gaps == []


def test_a_server_that_always_shows_the_newest_first_is_read_as_well(cco: Recording) -> None:
    cco.emulator.mangle = lambda body, _: {**body, "activity": body["activity"][::-1]}
    cco.record(drive_some(cco, 8))
    assert cco.stored == cco.truth


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
    frames = [b"event: analytics\ndata: {" + b"x" * 1000, b"event: analytics\ndata: [1]", b"event: error\ndata: no"]
    cco.emulator.mangle = lambda body, number: frames[number] + b"\n\n" if number < 3 else body
    outcome = cco.record(lambda: cco.wait_for(lambda: cco.emulator.frames > 6))
    assert [(reason[:20], len(text)) for reason, text in cco.rows("select reason, excerpt from rejected")] == [
        ("no readable JSON: Ex", 500),
        ("the document is no o", 3),
    ]
    assert outcome.rejected == cco.one("select rejected from run") == 2
    assert cco.one("select frames from run") >= 4


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


# --- connections


MANNERS: dict[str, Callable[[int], Manner]] = {
    "CRLF": lambda _: Manner(line_end=b"\r\n"),
    "CR": lambda _: Manner(line_end=b"\r"),
    "cut anywhere": lambda number: Manner(chance=random.Random(number)),
    "gzip": lambda _: Manner(is_gzip=True),
    "gzip cut anywhere": lambda number: Manner(is_gzip=True, chance=random.Random(number)),
    "BOM": lambda _: Manner(before=b"\xef\xbb\xbf"),
    "a retry of nothing": lambda _: Manner(before=b"retry: 1\n\n", frames=2),
    "a frame each": lambda _: Manner(frames=1),
    "a clean end": lambda _: Manner(frames=2, end="clean"),
    "a reset": lambda _: Manner(frames=2, end="reset"),
    "a frame cut in the middle": lambda _: Manner(frames=3, end="cut"),
    "HTTP 500 between": lambda number: Manner(status=500 if number % 2 else 200, frames=3),
    "HTTP 204 between": lambda number: Manner(status=204 if number % 2 else 200, frames=3),
    "a redirect between": lambda number: Manner(status=302 if number % 2 else 200, frames=3),
    "a web page between": lambda number: Manner(
        content_type="text/html" if number % 2 else "Text/Event-Stream; x=y", frames=3
    ),
    "silence between": lambda number: Manner(is_silent=number % 4 == 1, frames=3),
}


@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS.keys())
def test_a_connection_of_any_manner_loses_nothing(manner: Callable[[int], Manner], cco: Recording) -> None:
    cco.emulator.manner = manner
    cco.emulator.tick_s = 0.02
    cco.record(drive_some(cco, 9), stream_dead_after_s=0.25)
    assert cco.stored == cco.truth
    assert cco.gaps == []


@pytest.mark.parametrize(
    ("manner", "state", "error"),
    [
        (Manner(status=503), "error", "the answer is HTTP 503"),
        (Manner(content_type="text/html"), "error", "the answer is text/html, not text/event-stream"),
        (Manner(frames=0), "disconnected", "the server ended the stream"),
        (Manner(is_silent=True), "disconnected", "silent for 0.5 s"),
    ],
    ids=["HTTP 503", "a web page", "nothing", "silence"],
)
def test_what_is_wrong_with_a_server_is_shown_and_it_is_tried_again(
    manner: Manner, state: str, error: str, cco: Recording
) -> None:
    seen: list[str] = []

    def drive() -> None:
        cco.wait_for(lambda: cco.emulator.connections >= 3)
        seen.append(cco.one("select state from run"))

    cco.emulator.manner = lambda _: manner
    assert cco.record(drive).error == error
    assert seen == [state]
    once = cco.record_once()
    assert (once.outcome, once.error) == ("failed", error)
    assert cco.rows("select outcome, error from run") == [("stopped", error), ("failed", error)]


@pytest.mark.parametrize("frame", [b"event: error\ndata: no\n\n", b"event: analytics\ndata: no\n\n"])
def test_once_ends_though_no_snapshot_comes(frame: bytes, cco: Recording) -> None:
    cco.emulator.mangle = lambda body, _: frame
    outcome = cco.record_once()
    assert (outcome.outcome, outcome.error) == ("failed", "no snapshot came")


def test_a_server_that_is_not_there_yet_is_waited_for(cco: Recording) -> None:
    cco.emulator.call()
    absent = cco.settings(cco_url="http://127.0.0.1:9")
    assert cco.record_once(cco_url=absent.cco_url).outcome == "failed"
    outcome = cco.record(lambda: time.sleep(0.3), cco_url=absent.cco_url)
    assert (outcome.outcome, outcome.frames) == ("stopped", 0)
    assert outcome.error == "All connection attempts failed"


def test_frames_that_bring_nothing_new_write_nothing(cco: Recording) -> None:
    cco.emulator.some(20, random.Random(13))
    cco.emulator.tick_s = 0.01
    written = []

    def drive() -> None:
        cco.wait_for_all()
        seen = cco.emulator.frames
        cco.wait_for(lambda: cco.emulator.frames > seen + 5)  # the first of them confirm the counters
        written.append(cco.one("pragma data_version"))
        cco.wait_for(lambda: cco.emulator.frames > seen + 25)
        written.append(cco.one("pragma data_version"))

    cco.record(drive)
    assert written[0] == written[1]
    assert cco.one("select frames from run") > 20


def test_an_idle_stream_shows_now_and_then_that_it_is_followed(cco: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ccostdb.ingest.streams.HEARTBEAT_S", 0.05)
    seen = []

    def drive() -> None:
        cco.wait_for(lambda: cco.one("select max(frames) from run"))
        seen.append(cco.one("select frames from run"))
        cco.wait_for(lambda: cco.one("select frames from run") > seen[0])
        seen.append(cco.one("select frames from run"))

    cco.record(drive)
    assert seen[1] > seen[0] > 0
