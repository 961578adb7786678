"""What a daemon that says too much can cost, and what the ledger never keeps of its address."""

from __future__ import annotations

import logging
import sqlite3
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ccd_emulator import event
from ccd_recording import Recording, recording

from ccostdb.ingest import ccd as daemon_events
from ccostdb.settings import Settings
from ccostdb.sources.ccd import MAX_EVENT_BYTES, address_of
from ccostdb.sources.json_bounds import kept_json


@pytest.fixture
def ccd(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


def test_an_event_has_a_limit_of_its_own_below_that_of_a_frame(ccd: Recording) -> None:
    assert Settings(Path("x")).frame_max_bytes > 2 * MAX_EVENT_BYTES
    large = event(1, payload=["x" * MAX_EVENT_BYTES])

    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(large, event(2))
        ccd.wait_for_events(1)

    ccd.record(drive)
    ccd.write(large, event(3))
    ccd.record(path=ccd.file)
    assert ccd.ids == [event(2)["event_id"], event(3)["event_id"]]
    assert ccd.rows("select reason, excerpt from rejected") == [
        (f"an event over {MAX_EVENT_BYTES} bytes", None),
        (f"a line over {MAX_EVENT_BYTES} bytes", None),
    ]


def test_a_payload_of_many_small_members_is_cut_without_a_copy_of_it() -> None:
    payload = [{}] * 1_000_000
    tracemalloc.start()
    try:
        text, is_cut = kept_json({"members": payload}, 64 * 1024)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (is_cut, text.startswith('{"members":[{},{}'), "[999900 more]" in text) == (True, True, True)
    assert most_bytes < 24_000_000  # its text and that in bytes; a copy would be three times as much


def test_what_is_dropped_in_one_outage_is_one_gap(ccd: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_events, "QUEUE_EVENTS", 50)

    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(0))
        ccd.wait_for_events(1)
        number, seen = 0, 0
        for _ in range(3):
            with closing(sqlite3.connect(ccd.db, isolation_level=None)) as other:
                other.execute("begin immediate")
                for _ in range(200):
                    number += 1
                    ccd.ccd.tell(event(number))
                threading.Event().wait(0.5)
                other.execute("rollback")
            ccd.wait_for(lambda: sum(gap[3] for gap in ccd.gaps) > seen)  # noqa: B023
            seen = sum(gap[3] for gap in ccd.gaps)

    outcome = ccd.record(drive)
    ((kind, *_, dropped),) = ccd.gaps
    assert (kind, outcome.gaps) == ("dropped", 1)
    assert len(ccd.ids) + dropped == outcome.frames == 601
    assert ccd.one("select to_ns - from_ns > 500000000 and detected_ns >= to_ns from gap")


def test_the_log_says_each_change_once_and_each_gap(ccd: Recording, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def drive() -> None:
        for times in range(3):
            ccd.wait_for_listener()
            ccd.ccd.tell(event(times))
            ccd.wait_for_events(times + 1)
            ccd.ccd.hang_up()
        ccd.wait_for(lambda: len(ccd.gaps) == 3)

    ccd.record(drive)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("ccostdb")]
    assert {record.levelname for record in caplog.records if record.name.startswith("ccostdb")} == {"INFO"}
    assert [each for each in said if "gap" not in each] == [
        *["ccd: connected", "ccd: lost: the server ended the stream"] * 3,
        "ccd: connected",
    ]
    gaps = [each for each in said if "gap" in each]
    assert [each.partition(" from ")[0] for each in gaps] == ["ccd: a gap, disconnected:"] * 3
    from_at, to_at = ccd.rows("select from_at, to_at from gaps order by from_at")[0]
    assert from_at[:19] in gaps[0]
    assert to_at[:19] in gaps[0]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8820/events?token=SECRET", "http://localhost:8820/events"),
        ("http://h/e?profile=b&token=SECRET&family=a%20b", "http://h/e?family=a+b&profile=b"),
        ("http://h/e?SECRET", "http://h/e"),
    ],
)
def test_the_ledgers_address_holds_no_key(url: str, address: str) -> None:
    assert address_of(url) == address == address_of(address)
