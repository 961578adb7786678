"""Exactly once: however lines are split, repeated, reordered, cut or contradicted, and whenever a process is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ccd_emulator import event
from ccd_recording import Recording, lines, recording
from cco_recording import empty_ledger
from commands import environment
from hypothesis import given, settings
from hypothesis import strategies as st

from ccostdb.ingest.ccd import ingest_ccd
from ccostdb.model import Position
from ccostdb.settings import Settings
from ccostdb.sources.ndjson import FollowedFile
from ccostdb.store import open_store

KILLS = 8
# One pass over a path, or the stream where it is empty, in a process of its own, stopped by SIGTERM.
RECORD = """
import asyncio, signal, sys
from pathlib import Path
from ccostdb.ingest.ccd import ingest_ccd
from ccostdb.settings import Settings
from ccostdb.store import open_store

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    db, path, url = sys.argv[1:]
    settings = Settings(db=Path(db), ccd_url=url, home_tz="UTC", follow_interval_s=0.02)
    async with open_store(settings) as store:
        print((await ingest_ccd(store, settings, once=False, stop=stop, path=path or None)).outcome)

asyncio.run(main())
"""


@pytest.fixture
def ccd(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


def start(ccd: Recording, path: Path | str, stdin: int | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "error", "-c", RECORD, str(ccd.db), str(path), ccd.ccd.url]
    return subprocess.Popen(command, env=environment(), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes]) -> bytes:
    """SIGTERM; what it printed. It must not take long."""
    process.send_signal(signal.SIGTERM)
    out, complaints = process.communicate(timeout=10)
    assert (process.returncode, complaints) == (0, b"")
    return out.strip()


# --- properties

SENT = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=30)  # (event, its content)


def told(sent: Sequence[tuple[int, int]]) -> bytes:
    return lines(event(number, payload={"content": content}) for number, content in sent).encode()


def truth(*passes: Sequence[tuple[int, int]]) -> list[tuple[Any, ...]]:
    """Of each event the first content, and how many others came."""
    seen: dict[int, list[int]] = {}
    for number, content in (each for sent in passes for each in sent):
        contents = seen.setdefault(number, [])
        contents += [content] if content not in contents else []
    return [(event(number)["event_id"], contents[0], len(contents) - 1) for number, contents in seen.items()]


@settings(max_examples=30, deadline=None)
@given(SENT, st.lists(st.integers(1, 3000), max_size=6), st.randoms(use_true_random=False))
def test_any_split_replay_and_order_leaves_each_event_once(
    sent: list[tuple[int, int]], cuts: list[int], chance: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        db, path = Path(folder) / "ledger.db", Path(folder) / "events.ndjson"
        db.write_bytes(empty_ledger())
        mixed = [*sent, *sent]
        chance.shuffle(mixed)

        async def record() -> list[list[tuple[Any, ...]]]:
            config = Settings(db=db, home_tz="UTC")
            found = []
            async with open_store(config) as store:

                async def one_pass() -> None:
                    await ingest_ccd(store, config, once=True, stop=asyncio.Event(), path=str(path))
                    query = "select event_id, payload ->> '$.content', conflicts from daemon_event"
                    found.append([tuple(row) for row in await store.db.execute_fetchall(query)])

                data = told(sent)
                for cut in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
                    path.write_bytes(data[:cut])  # as it grows, cut anywhere
                    await one_pass()
                for again in (told(mixed), told(sent)[: cuts[0] if cuts else 100], told(sent)):
                    path.write_bytes(again)  # replaced, cut, restored
                    await one_pass()
            return found

        *_, grown, reordered, cut, restored = asyncio.run(record())
        assert grown == reordered == cut == restored == truth(sent)


# --- kills


def test_a_kill_at_any_instant_while_a_file_is_followed_leaves_each_event_once(ccd: Recording) -> None:
    chance, number = random.Random(3), 0
    ccd.file.touch()
    for _ in range(KILLS):
        before = len(ccd.ids)
        process = start(ccd, ccd.file)
        for _ in range(chance.randrange(1, 12)):
            ccd.write(*map(event, range(number, number := number + chance.randrange(1, 900))))
        ccd.wait_for_events(before + 1)
        time.sleep(chance.choice((0, 0, 0.001, 0.01, 0.05)))
        process.kill()
        process.communicate()
        assert len(set(ccd.ids)) == len(ccd.ids)
    process = start(ccd, ccd.file)
    ccd.wait_for_events(number)
    assert end(process) == b"stopped"
    assert ccd.ids == [event(each)["event_id"] for each in range(number)]
    assert ccd.rows("select * from rejected") == []
    assert ccd.one("select offset_bytes from position") == ccd.file.stat().st_size
    assert ccd.one("select count(*) from run where outcome is null") == KILLS
    assert ccd.one("pragma integrity_check") == "ok"


def test_a_process_that_is_told_to_stop_writes_what_it_has_and_ends_at_once(ccd: Recording) -> None:
    process = start(ccd, "")
    ccd.wait_for_listener()
    for number in range(100):
        ccd.ccd.tell(*map(event, range(10 * number, 10 * number + 10)))
    ccd.wait_for_events(1)
    began_s = time.monotonic()
    assert end(process) == b"stopped"
    assert time.monotonic() - began_s < 5
    assert ccd.rows("select frames, events, rows, outcome from run") == [(len(ccd.ids),) * 3 + ("stopped",)]
    assert ccd.gaps == []


@pytest.mark.parametrize("is_heard_late", [False, True])
def test_a_gap_holds_what_was_told_while_the_process_stood_still(is_heard_late: bool, ccd: Recording) -> None:
    process = start(ccd, "")
    ccd.wait_for_listener()
    ccd.ccd.tell(event(1))
    ccd.wait_for_events(1)
    process.send_signal(signal.SIGSTOP)
    if is_heard_late:  # it lies in the machine until the process goes on
        ccd.ccd.tell(event(2))
    ccd.ccd.hang_up()
    time.sleep(0.3)
    lost_ns = time.time_ns()  # what is told now, nobody hears
    time.sleep(1.5)
    process.send_signal(signal.SIGCONT)
    ccd.wait_for(lambda: ccd.gaps)
    assert end(process) == b"stopped"
    assert len(ccd.ids) == 1 + is_heard_late
    ((heard_ns,),) = ccd.rows("select received_ns from daemon_event where event_id like '%000001'")
    ((kind, from_ns, to_ns),) = ccd.rows("select kind, from_ns, to_ns from gap")
    assert kind == "disconnected"
    assert heard_ns <= from_ns <= lost_ns <= to_ns


def test_what_a_file_got_before_it_was_renamed_is_read_when_another_has_its_name(tmp_path: Path) -> None:
    path, followed = tmp_path / "events.ndjson", FollowedFile()
    path.write_text("1\n")
    seen: list[str | None] = []
    position = Position(1, str(path))

    def look() -> None:
        nonlocal position
        for part in followed.read_new(position, 100):
            seen.extend(line.text for line in part.lines)
            position = part.position

    look()
    with path.open("a") as file:
        file.write("2\n")
    path.rename(tmp_path / "events.1")
    look()
    with (tmp_path / "events.1").open("a") as file:
        file.write("3\n")
    path.write_text("4\n")
    look()
    followed.close()
    assert seen == ["1", "2", "3", "4"]


# --- stdin


def test_stdin_is_recorded_as_it_comes_to_its_end(ccd: Recording) -> None:
    process = start(ccd, "-", subprocess.PIPE)
    assert process.stdin
    process.stdin.write(lines([event(1)]).encode())
    process.stdin.flush()
    ccd.wait_for_events(1)
    assert len(ccd.ids) == 1
    process.stdin.write(b"secret\n" + lines([event(1), event(2), event(3)]).encode().rstrip())
    out, complaints = process.communicate(timeout=30)
    assert (out.strip(), complaints, process.returncode) == (b"ok", b"", 0)
    assert ccd.ids == [event(number)["event_id"] for number in (1, 2, 3)]
    assert ccd.rows("select place, reason, excerpt, times from rejected") == [(None, "no readable JSON", None, 1)]


def test_waiting_for_stdin_ends_when_asked_to(ccd: Recording) -> None:
    here, there = os.pipe()
    process = start(ccd, "-", here)
    os.write(there, lines([event(1)]).encode())
    ccd.wait_for_events(1)
    began_s = time.monotonic()
    assert end(process) == b"stopped"
    assert time.monotonic() - began_s < 5  # it would never end
    for each in (here, there):
        os.close(each)


def test_what_is_interrupted_before_its_end_says_so_with_its_status(ccd: Recording) -> None:
    command = [sys.executable, "-m", "ccostdb", "--db", str(ccd.db), "ingest", "ccd", "-", "--once"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), **streams) as process:
        assert process.stdin
        process.stdin.write(lines([event(1)]).encode())
        process.stdin.flush()
        ccd.wait_for_events(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stdout
        assert process.stdout.read().startswith(b"ccd: stopped, 1 new event,")


def test_stdin_may_be_a_file(ccd: Recording) -> None:
    ccd.write(event(1), event(2))
    with ccd.file.open("rb") as file:
        process = start(ccd, "-", file.fileno())
        out, complaints = process.communicate(timeout=30)
    assert (out.strip(), complaints) == (b"ok", b"")
    assert len(ccd.ids) == 2
