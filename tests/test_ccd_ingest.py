"""Daemon events from the socket, a file or stdin to the ledger: each once, what is missing as gaps, never blocked."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from ccd_emulator import event, frame
from ccd_recording import Recording, lines, recording

from ccostdb.errors import SourceUnavailable
from ccostdb.ingest import ccd as daemon_events
from ccostdb.ingest.ccd_rows import read_event
from ccostdb.settings import Settings
from ccostdb.sources.ccd import CONFLICT
from ccostdb.sources.finding import find_ccd

DATA = Path(__file__).parent / "data" / "ccd"
DISCONNECTED = ("disconnected", None, None, None)
NOBODY = "http://127.0.0.1:9/events"


@pytest.fixture
def ccd(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


# --- the stream


@pytest.mark.parametrize("path", sorted(DATA.glob("*.sse")), ids=lambda path: path.stem)
@pytest.mark.parametrize("step", [1, 1000, 10**9], ids=["byte by byte", "in chunks", "at once"])
def test_a_capture_of_the_real_daemon_is_stored_event_by_event(path: Path, step: int, ccd: Recording) -> None:
    sent = path.read_bytes()
    events = [json.loads(line[6:]) for line in sent.split(b"\n") if line.startswith(b"data: ")]

    def drive() -> None:
        ccd.wait_for_listener()
        for start in range(0, len(sent), step):
            ccd.ccd.send(sent[start : start + step])
        ccd.wait_for_events(len(events))

    outcome = ccd.record(drive)
    query = "select event_id, family, kind, profile, timestamp, runtime, payload, source from daemon_events"
    found = [(*row[:5], json.loads(row[5]), json.loads(row[6]), row[7]) for row in ccd.rows(query)]
    names = ("event_id", "family", "kind", "profile", "timestamp", "runtime", "payload")
    assert found == [(*(each[name] for name in names), "ccd") for each in events]
    assert (outcome.outcome, outcome.events, outcome.rows) == ("stopped", len(events), len(events))
    assert (ccd.gaps, ccd.rows("select * from rejected")) == ([], [])


def test_any_name_of_an_sse_event_and_unknown_families_are_recorded(ccd: Recording) -> None:
    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.send(b"event: something\n" + frame(event(1)).partition("\n")[2].partition("\n")[2].encode())
        ccd.ccd.tell(event(2, family="runtime.weather", kind="forecast", payload=["rain"]))
        ccd.wait_for_events(2)

    ccd.record(drive)
    assert ccd.rows("select family, kind, payload from daemon_events")[1] == ("runtime.weather", "forecast", '["rain"]')


def test_a_repeat_changes_nothing_and_a_conflict_keeps_the_first_and_is_shown(ccd: Recording) -> None:
    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(1), event(1), event(1, payload="other"), event(1, payload="other"))
        ccd.ccd.tell(event(2))
        ccd.wait_for_events(2)
        ccd.ccd.tell(event(1, payload="other"), event(1, payload="third"), event(1), event(3))
        ccd.wait_for_events(3)

    ccd.record(drive)
    stored = ccd.rows("select payload ->> '$.current_activity', conflicts from daemon_event")
    assert stored == [("step 1", 2), ("step 2", 0), ("step 3", 0)]
    rejects = ccd.rows("select reason, excerpt, times from rejected order by rejected_id")
    assert [(reason, times) for reason, _, times in rejects] == [(CONFLICT, 3), (CONFLICT, 1)]
    assert all(excerpt.startswith(event(1)["event_id"]) for _, excerpt, _ in rejects)


def test_what_is_no_event_is_counted_and_nothing_of_it_is_kept(ccd: Recording) -> None:
    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.send(b"data: secret\n\n" * 3 + b'data: {"payload": "secret"}\n\n' * 2)
        ccd.ccd.send(b"data: " + b"secret" * 1000 + b"\n\n")
        ccd.ccd.tell(event(1))
        ccd.wait_for_events(1)

    assert ccd.record(drive, frame_max_bytes=2048).rejected == 6
    assert ccd.rows("select reason, excerpt, times from rejected") == [
        ("no readable JSON", None, 3),
        ("an event without event_id", None, 2),
        ("an event over 2048 bytes", None, 1),
    ]


def test_the_headers_set_and_the_last_event_id_are_sent(ccd: Recording) -> None:
    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(1))
        ccd.wait_for_events(1)
        ccd.ccd.hang_up()
        ccd.wait_for_listener()

    ccd.record(drive, ccd_headers=(("Authorization", "Bearer KEY"),), ccd_url=f"{ccd.ccd.url}?profile=main")
    first, second = ccd.ccd.requests
    assert first[""] == "/events?profile=main"
    assert first["authorization"] == second["authorization"] == "Bearer KEY"
    assert "last-event-id" not in first
    assert second["last-event-id"] == event(1)["event_id"]
    assert b"Bearer" not in ccd.db.read_bytes()


def test_times_without_a_connection_are_gaps_of_unknown_size_and_the_first_connection_has_none(ccd: Recording) -> None:
    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(1))
        ccd.wait_for_events(1)
        ccd.ccd.hang_up()
        ccd.wait_for_listener()
        ccd.wait_for(lambda: ccd.gaps)

    ccd.record(drive)
    assert ccd.gaps == [DISCONNECTED]
    from_ns, to_ns = ccd.rows("select from_ns, to_ns from gap")[0]
    assert 0 < to_ns - from_ns < 60_000_000_000
    ccd.record(lambda: ccd.wait_for(lambda: len(ccd.gaps) == 2))  # from the last word of the run before
    assert ccd.gaps == [DISCONNECTED, DISCONNECTED]
    (ended_ns,) = ccd.rows("select ended_ns from run")[0]
    from_ns, to_ns = ccd.rows("select from_ns, to_ns from gap")[1]
    assert abs(from_ns - ended_ns) < 1_000_000_000
    assert to_ns > from_ns
    assert ccd.rows("select kind, missing_calls, missing_events from gaps") == [("disconnected", None, None)] * 2


def test_after_a_kill_the_gap_begins_no_later_than_what_was_stored(ccd: Recording) -> None:
    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(1))
        ccd.wait_for_events(1)

    ccd.record(drive)
    with closing(sqlite3.connect(ccd.db, isolation_level=None)) as con:  # as a kill leaves it
        con.execute("update position set state = json_set(state, '$.connected_until_ns', 5)")
    ccd.record(lambda: ccd.wait_for(lambda: ccd.gaps))
    assert ccd.one("select from_ns from gap") == 5


def test_nobody_there_is_usual_and_said_once(ccd: Recording, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    seen = []

    def drive() -> None:
        ccd.wait_for(lambda: ccd.rows("select 1 from run where state = 'disconnected'"))
        threading.Event().wait(0.3)
        seen.append(ccd.rows("select state, error, connections from run"))

    outcome = ccd.record(drive, ccd_url=NOBODY)
    assert (outcome.outcome, outcome.error) == ("stopped", "All connection attempts failed")
    assert seen == [[("disconnected", "All connection attempts failed", 0)]]
    said = [record for record in caplog.records if record.name.startswith("ccostdb")]
    assert [(record.levelname, record.getMessage()) for record in said] == [
        ("INFO", "ccd: All connection attempts failed; it is tried again")
    ]
    assert ccd.gaps == []


def test_what_is_no_event_stream_is_an_error_and_tried_again(ccd: Recording) -> None:
    ccd.ccd.status = 404
    seen = []

    def drive() -> None:
        ccd.wait_for(lambda: ccd.rows("select 1 from run where state = 'error'"))
        seen.append(ccd.one("select error from run"))
        ccd.ccd.status = 200
        ccd.wait_for_listener()

    assert ccd.record(drive).outcome == "stopped"
    assert seen == ["the answer is HTTP 404"]
    assert asyncio.run(find_ccd(Settings(ccd.db, ccd_url=ccd.ccd.url))) is not None
    assert asyncio.run(find_ccd(Settings(ccd.db, ccd_url=NOBODY))) is None


def test_comments_keep_a_quiet_connection_alive_and_silence_ends_it(
    ccd: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_events, "DEAD_AFTER_S", 1.0)

    def drive() -> None:
        ccd.wait_for_listener()
        for _ in range(30):
            ccd.ccd.send(b":\n\n")
            threading.Event().wait(0.05)
        assert len(ccd.ccd.requests) == 1  # longer than the silence that ends it
        ccd.wait_for(lambda: len(ccd.ccd.requests) > 1)

    ccd.record(drive, stream_dead_after_s=0.1)
    assert ccd.gaps == [DISCONNECTED]
    from_ns, to_ns = ccd.rows("select from_ns, to_ns from gap")[0]
    assert to_ns - from_ns >= 1_000_000_000  # since it was last heard


def test_a_writer_that_waits_for_sqlite_does_not_stop_the_reader(
    ccd: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_events, "QUEUE_EVENTS", 100)
    count = 1000

    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(0))
        ccd.wait_for_events(1)
        with closing(sqlite3.connect(ccd.db, isolation_level=None)) as other:
            other.execute("begin immediate")
            for number in range(1, count):
                ccd.ccd.tell(event(number))
            threading.Event().wait(0.5)
            other.execute("rollback")
        ccd.wait_for(lambda: ccd.gaps)
        ccd.ccd.tell(event(count))
        ccd.wait_for(lambda: ccd.ids[-1] == event(count)["event_id"])

    outcome = ccd.record(drive)
    assert outcome.frames == count + 1
    dropped = sum(events for *_, events in ccd.gaps)
    assert {gap[:3] for gap in ccd.gaps} == {("dropped", None, None)}
    assert dropped > 0
    assert len(ccd.ids) + dropped == count + 1
    assert ccd.ids[:100] == [event(number)["event_id"] for number in range(100)]


def test_a_queue_of_large_payloads_is_bounded_by_their_size(ccd: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_events, "QUEUE_CHARACTERS", 50_000)

    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(0))
        ccd.wait_for_events(1)
        with closing(sqlite3.connect(ccd.db, isolation_level=None)) as other:
            other.execute("begin immediate")
            for number in range(1, 9):
                ccd.ccd.tell(event(number, payload=["x" * 60_000]))
                threading.Event().wait(0.1)
            other.execute("rollback")
        ccd.wait_for(lambda: ccd.gaps)

    outcome = ccd.record(drive)
    dropped = sum(events for *_, events in ccd.gaps)
    assert dropped > 0
    assert 1 < len(ccd.ids) == outcome.frames - dropped  # one that is larger than the bound is taken, too


def test_a_large_event_is_understood_beside_the_event_loop(ccd: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    where = []

    def spied(*given: Any) -> Any:
        where.append(threading.current_thread() is threading.main_thread())
        return read_event(*given)

    monkeypatch.setattr(daemon_events, "read_event", spied)

    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(1), event(2, payload=["x" * 100_000]), event(3))
        ccd.wait_for_events(3)

    ccd.record(drive)
    assert where == [True, False, True]
    assert ccd.ids == [event(number)["event_id"] for number in (1, 2, 3)]


def test_a_burst_is_written_in_batches(ccd: Recording) -> None:
    written = []

    def drive() -> None:
        ccd.wait_for_listener()
        written.append(ccd.one("pragma data_version"))
        ccd.ccd.tell(*map(event, range(1700)))
        ccd.wait_for_events(1700)
        written.append(ccd.one("pragma data_version"))

    ccd.record(drive)
    assert len(ccd.ids) == 1700
    assert ccd.gaps == []
    assert written[1] - written[0] < 30


def test_what_is_queued_is_written_on_stop(ccd: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_events, "GATHER_S", 60.0)
    monkeypatch.setattr(daemon_events, "BATCH_EVENTS", 10_000)

    def drive() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(*map(event, range(1200)))
        threading.Event().wait(1.0)
        assert ccd.ids == []

    outcome = ccd.record(drive)
    assert 0 < outcome.frames == outcome.events == len(ccd.ids)


def test_an_idle_connection_says_now_and_then_that_it_is_followed(
    ccd: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_events, "GATHER_S", 0.01)
    written = []

    def drive() -> None:
        ccd.wait_for(lambda: ccd.rows("select 1 from run where state = 'connected'"))
        for _ in range(2):
            written.append(ccd.one("select max(updated_ns) from run"))
            for _ in range(10):
                ccd.ccd.send(b":\n\n")
                threading.Event().wait(0.02)

    ccd.record(drive)
    assert written[0] == written[1]  # a comment is no news
    monkeypatch.setattr(daemon_events, "HEARTBEAT_S", 0.05)
    written.clear()
    ccd.record(drive)
    assert written[0] < written[1]


def test_once_reads_what_comes_until_it_is_quiet(
    ccd: Recording, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(daemon_events, "ONCE_QUIET_S", 0.3)

    def tell() -> None:
        ccd.wait_for_listener()
        ccd.ccd.tell(event(1), event(2))

    telling = threading.Thread(target=tell)
    telling.start()
    outcome = ccd.record()
    telling.join()
    assert (outcome.outcome, outcome.events, outcome.error) == ("ok", 2, None)
    assert "cannot be sent again" in caplog.text
    assert ccd.record().outcome == "no_data"
    nobody = ccd.record(ccd_url=NOBODY)
    assert (nobody.outcome, nobody.error) == ("failed", "All connection attempts failed")


# --- lines


def test_the_sample_file_is_recorded_once_however_often_it_is_read(ccd: Recording) -> None:
    sample = DATA / "daemon-events.ndjson"
    ids = list(dict.fromkeys(json.loads(line)["event_id"] for line in sample.read_text().splitlines()))
    outcome = ccd.record(path=sample)
    assert (outcome.outcome, outcome.files, outcome.events, outcome.frames) == ("ok", 1, 11, 12)
    again = ccd.record(path=sample)
    assert (again.outcome, again.events, again.frames) == ("no_data", 0, 0)
    assert ccd.ids == ids
    assert ccd.one("select address from source") == "files"


def test_a_file_is_followed_as_it_grows_and_its_torn_last_line_waits(ccd: Recording) -> None:
    ccd.write(event(1))
    torn = lines([event(2, payload={"text": "raw \u2028 and \u0085"})]).encode()

    def drive() -> None:
        ccd.wait_for_events(1)
        for byte in range(0, len(torn), 40):
            with ccd.file.open("ab") as file:
                file.write(torn[byte : byte + 40])
            threading.Event().wait(0.03)
        ccd.wait_for_events(2)
        ccd.write(event(3))
        ccd.wait_for_events(3)

    assert ccd.record(drive, ccd.file).outcome == "stopped"
    assert ccd.ids == [event(number)["event_id"] for number in (1, 2, 3)]
    assert ccd.rows("select * from rejected") == []


def test_a_last_line_that_only_lacks_its_newline_is_recorded(ccd: Recording) -> None:
    ccd.file.write_text(lines([event(1)]) + json.dumps(event(2)))
    assert ccd.record(path=ccd.file).events == 2
    ccd.file.write_text(lines([event(1), event(2), event(3)]))
    assert ccd.record(path=ccd.file).events == 1
    assert ccd.rows("select conflicts from daemon_event") == [(0,)] * 3


def test_a_file_that_is_cut_replaced_or_gone_for_a_while_is_read_again(ccd: Recording) -> None:
    ccd.write(event(1), event(2))

    def drive() -> None:
        ccd.wait_for_events(2)
        ccd.file.write_text(lines([event(3)]))
        ccd.wait_for_events(3)
        other = ccd.file.with_name("other")
        other.write_text(lines([event(1), event(4), event(2)]))
        other.replace(ccd.file)
        ccd.wait_for_events(4)
        ccd.file.unlink()
        threading.Event().wait(0.1)
        ccd.write(event(5))
        ccd.wait_for_events(5)

    ccd.record(drive, ccd.file)
    assert ccd.ids == [event(number)["event_id"] for number in (1, 2, 3, 4, 5)]
    assert ccd.one("select count(*) from position") == 1


def test_bad_lines_cost_only_themselves_and_are_named_by_their_place_once(ccd: Recording) -> None:
    ccd.file.write_bytes(
        b"\xef\xbb\xbf" + lines([event(1)]).encode() + b"secret\r\n\n  \n" + lines([event(2)]).encode()[:-1] + b"\r\n"
        b'{"payload": "secret"}\n' + b'"' + b"x" * 5000 + b'"\n' + lines([event(3)]).encode()
    )
    for _ in range(2):
        ccd.record(path=ccd.file, frame_max_bytes=2048)
        ccd.file.touch()
    assert len(ccd.ids) == 3
    first = len(lines([event(1)])) + 3
    rows = ccd.rows("select place, reason, excerpt, times from rejected order by rejected_id")
    assert [row[1:] for row in rows] == [
        ("no readable JSON", None, 1),
        ("an event without event_id", None, 1),
        ("a line over 2048 bytes", None, 1),
    ]
    assert rows[0][0] == f"{ccd.file}:{first}"


def test_a_file_that_is_something_else_makes_a_bounded_number_of_rejects(ccd: Recording) -> None:
    ccd.file.write_text("no event\n" * 5000)
    assert ccd.record(path=ccd.file).rejected == 5000
    assert ccd.rows("select count(*), sum(times), max(times) from rejected") == [(1001, 5000, 4000)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "No such file or directory"),
        (".", "it is no regular file"),
        ("/dev/null", "it is no regular file"),
    ],
)
def test_a_file_that_is_not_there_is_said_in_a_sentence(name: str, why: str, ccd: Recording) -> None:
    with pytest.raises(SourceUnavailable, match=f"cannot be read: {why}"):
        ccd.record(path=ccd.db.parent / name)
    assert ccd.one("select outcome from run") == "failed"
