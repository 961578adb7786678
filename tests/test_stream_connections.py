"""What a stream's connections can do wrong, what is said about it, and that it is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cco_emulator import Manner
from cco_recording import Recording, recording


@pytest.fixture
def cco(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


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
    cco.record(cco.drive_some(9), stream_dead_after_s=0.25)
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


def test_health_shows_what_is_wrong_now_and_no_more_when_it_is_mended(cco: Recording) -> None:
    seen: list[tuple[str, str | None]] = []

    def see(state: str, error: str | None) -> None:
        query = "select state, error from source_health"
        cco.wait_for(lambda: cco.rows(query) == [(state, error)])
        seen.extend(cco.rows(query))

    def drive() -> None:
        cco.emulator.call()
        cco.wait_for_all()
        see("connected", None)
        cco.emulator.manner = lambda _: Manner(status=503)
        cco.emulator.restart()
        see("error", "the answer is HTTP 503")
        cco.emulator.manner = lambda _: Manner(content_type="text/html")
        see("error", "the answer is text/html, not text/event-stream")
        cco.emulator.manner = lambda _: Manner()
        see("connected", None)

    assert cco.record(drive).error is None
    assert seen == [
        ("connected", None),
        ("error", "the answer is HTTP 503"),
        ("error", "the answer is text/html, not text/event-stream"),
        ("connected", None),
    ]
    assert cco.rows("select state, outcome, error from source_health") == [(None, "stopped", None)]


def test_what_a_server_says_reaches_no_terminal_unseen(cco: Recording, caplog: pytest.LogCaptureFixture) -> None:
    cco.emulator.manner = lambda _: Manner(content_type="text/\x1b[2J\x07" + "x" * 5000)
    outcome = cco.record(lambda: cco.wait_for(lambda: cco.emulator.connections >= 2))
    shown = "the answer is text/�[2j�" + "x" * 70 + ", not text/event-stream"
    assert outcome.error == cco.one("select error from run") == shown
    assert [record.getMessage() for record in caplog.records if record.name.startswith("ccostdb")] == [f"cco: {shown}"]


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
    monkeypatch.setattr("ccostdb.ingest.following.HEARTBEAT_S", 0.05)
    seen = []

    def drive() -> None:
        cco.wait_for(lambda: cco.one("select max(frames) from run"))
        seen.append(cco.one("select frames from run"))
        cco.wait_for(lambda: cco.one("select frames from run") > seen[0])
        seen.append(cco.one("select frames from run"))

    cco.record(drive)
    assert seen[1] > seen[0] > 0
