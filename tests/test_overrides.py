"""Which model CCO used instead: asked beside the stream when an override was seen, and each override shown once."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cco_emulator import Emulator
from cco_recording import Recording, recording
from ledger_rows import add_source, make_ledger

from ccostdb.ingest import cco_overrides as overrides

PATH = "/api/overrides/stats"
OVERRIDES = "select original_model, override_to, timestamp from model_overrides order by timestamp, override_to"


class Stats:
    """CCO's statistics of its overrides: the last ten, newest first. `events` is the truth."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.events: list[dict[str, Any]] = []
        self.failures: list[bytes] = []
        emulator.pages[PATH.encode()] = self.page

    def override(self, to: str = "claude-haiku-4") -> None:
        event = self.emulator.override(model="claude-opus-4")
        one = {"original_model": "claude-opus-4", "override_to": to, "timestamp": event["timestamp"]}
        self.events.append(one)

    def page(self) -> bytes:
        if self.failures:
            return self.failures.pop(0)
        shown = self.events[-10:][::-1]
        by_model = {"claude-opus-4": [self.events[0]["override_to"], len(self.events)]} if self.events else {}
        stats = {"total_overrides": len(self.events), "overrides_by_model": by_model, "recent_overrides": shown}
        return json.dumps(stats).encode()

    @property
    def truth(self) -> list[tuple[Any, ...]]:
        return [tuple(each.values()) for each in self.events]

    @property
    def asked(self) -> int:
        return self.emulator.asked.count(PATH.encode())


@pytest.fixture
def cco(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


@pytest.fixture
def stats(cco: Recording) -> Stats:
    return Stats(cco.emulator)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overrides, "EVERY_S", 0.05)


def test_an_override_is_shown_with_what_was_used_instead(cco: Recording, stats: Stats, quick: None) -> None:
    def drive() -> None:
        for number in range(6):
            stats.override(to=f"model-{number}")
            cco.emulator.call()
            cco.wait_for(lambda: len(cco.rows(OVERRIDES)) == len(stats.events))

    cco.record(drive)
    assert cco.rows(OVERRIDES) == stats.truth
    (event,) = cco.rows("select source, substr(occurred_at, 1, 23) from model_overrides limit 1")
    assert event == ("cco", stats.events[0]["timestamp"][:23])
    assert cco.rows("select distinct endpoint, error from sample") == [(PATH, None)]
    assert cco.one("select count(*) from call") == 6


def test_without_an_override_nothing_is_asked(cco: Recording, stats: Stats) -> None:
    def drive() -> None:
        for _ in range(3):
            cco.emulator.call()
            cco.wait_for_all()

    cco.record(drive)
    assert cco.emulator.asked == []


def test_a_pass_that_ends_has_asked_and_another_keeps_nothing_new(cco: Recording, stats: Stats) -> None:
    stats.override()
    stats.override("gpt-4")
    for _ in range(3):
        assert cco.record_once().outcome == "ok"
        assert cco.rows(OVERRIDES) == stats.truth
    assert cco.one("select count(*) from sample") == 1
    assert stats.asked == 3  # a window that shows one may be all that is left of a pass that was killed


def test_overrides_that_come_together_are_one_question(cco: Recording, stats: Stats) -> None:
    def drive() -> None:
        for _ in range(8):
            stats.override()
            cco.wait_for_all()
        cco.wait_for(lambda: stats.asked)

    cco.record(drive)
    assert stats.asked == 1


def test_a_question_that_was_answered_is_not_asked_again(cco: Recording, stats: Stats, quick: None) -> None:
    def drive() -> None:
        stats.override()
        cco.wait_for(lambda: cco.rows(OVERRIDES))
        frames = cco.emulator.frames
        cco.wait_for(lambda: cco.emulator.frames > frames + 8)

    cco.record(drive)
    assert stats.asked == 1


def test_a_question_that_failed_is_asked_once_more_at_the_next_frame(cco: Recording, stats: Stats, quick: None) -> None:
    stats.failures = [b"{not json"]

    def drive() -> None:
        stats.override()
        cco.wait_for(lambda: len(cco.rows(OVERRIDES)) == 1)

    cco.record(drive)
    assert cco.rows(OVERRIDES) == stats.truth
    assert [error for (error,) in cco.rows("select error from sample")] == [f"{PATH}: no readable JSON", None]
    assert cco.rows("select reason from rejected") == [(f"{PATH}: no readable JSON",)]


def test_a_server_without_statistics_is_asked_twice_for_an_override(cco: Recording, quick: None) -> None:
    def drive() -> None:
        cco.emulator.override()
        cco.wait_for(lambda: len(cco.emulator.asked) == 2)
        frames = cco.emulator.frames
        cco.wait_for(lambda: cco.emulator.frames > frames + 5)

    outcome = cco.record(drive)
    assert cco.emulator.asked == [PATH.encode()] * 2
    assert cco.rows("select body, error from sample") == [(None, "HTTP 404")]
    assert outcome.error is None


def test_an_answer_that_never_comes_neither_delays_the_stream_nor_its_end(cco: Recording, stats: Stats) -> None:
    def silent() -> bytes:
        cco.emulator.is_closing.wait(20)
        return b""

    cco.emulator.pages[PATH.encode()] = silent

    def drive() -> None:
        stats.override()
        cco.wait_for(lambda: cco.emulator.asked)
        cco.emulator.some(10, random.Random(1))
        cco.wait_for_all()

    began_s = time.monotonic()
    assert cco.record(drive).outcome == "stopped"
    assert time.monotonic() - began_s < 15  # it would be silent for twenty
    assert cco.stored == cco.truth


def test_overrides_are_followed_through_a_longer_history_than_is_shown(
    cco: Recording, stats: Stats, quick: None
) -> None:
    def drive() -> None:
        for _ in range(5):
            for _ in range(7):
                stats.override()
            cco.wait_for(lambda: len(cco.rows(OVERRIDES)) == len(stats.events))

    cco.record(drive)
    assert cco.rows(OVERRIDES) == stats.truth
    assert len(stats.truth) == 35


def test_overrides_alike_are_as_many_as_one_answer_shows(tmp_path: Path) -> None:
    con = make_ledger(tmp_path / "views.db")
    for kind in ("cco", "cco two"):
        add_source(con, kind)
    one = {"original_model": "a", "override_to": "b", "timestamp": "2026-11-21T05:00:00.123456789+00:00"}
    other = {**one, "override_to": "c", "timestamp": "2026-11-21T06:00:00+01:00"}
    bodies: list[tuple[int, Any]] = [(1, [one]), (1, [other, one, one]), (1, [one, other]), (2, [one])]
    bodies += [(1, None), (1, 5), (1, "text"), (1, [None, 1, "x", []]), (1, {"a": 1})]
    bodies.append((1, [{"timestamp": "now", "original_model": ["x"]}]))
    for timestamp in ("2026-11-21T07:00:00.9999999Z", "2026-11-21T08:00:00Z", "2026-11-21T09:00:00.5-01:00"):
        bodies.append((2, [{**one, "override_to": "d", "timestamp": timestamp}]))
    for source_id, recent in bodies:
        add = "insert into sample (source_id, endpoint, polled_ns, body) values (?, ?, 0, ?)"
        con.execute(add, (source_id, PATH, json.dumps({"recent_overrides": recent})))
    query = "select source, override_to, occurred_at from model_overrides order by source, override_to, occurred_at"
    assert con.execute(query).fetchall() == [
        ("cco", None, "1970-01-01T00:00:00.000Z"),
        ("cco", "b", "2026-11-21T05:00:00.123Z"),
        ("cco", "b", "2026-11-21T05:00:00.123Z"),
        ("cco", "c", "2026-11-21T05:00:00.000Z"),
        ("cco two", "b", "2026-11-21T05:00:00.123Z"),
        ("cco two", "d", "2026-11-21T07:00:00.999Z"),
        ("cco two", "d", "2026-11-21T08:00:00.000Z"),
        ("cco two", "d", "2026-11-21T10:00:00.500Z"),
    ]
    con.close()
