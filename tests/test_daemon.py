"""The process that keeps running: how it starts, ends, stands aside, and outlives a full disk. Real processes."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from cca_emulator import Emulator as Cca
from ccd_emulator import emulated, event
from cco_emulator import Emulator
from commands import ccostdb, environment, run, run_python
from transcripts import CALLS, line, rows, settings_for, text_of, write

from ccostdb import __version__, ingest
from ccostdb.daemon.process import _endpoint
from ccostdb.daemon.record import read_record
from ccostdb.errors import CcostError
from ccostdb.ingest import Asked
from ccostdb.settings import Settings
from ccostdb.store import open_store

WAIT_S = 30


started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def none_is_left() -> Iterator[None]:
    """What a failed test has left running is ended."""
    yield
    while started:
        with started.pop() as process:
            process.kill()


def start(settings: Settings, *words: str, **more: Any) -> subprocess.Popen[str]:
    """`ccostdb ingest …` in a process of its own."""
    command = [sys.executable, "-W", "error", "-m", "ccostdb", "ingest", *words, "--db", str(settings.db)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started.append(subprocess.Popen(command, env=environment(), text=True, **pipes, **more))
    return started[-1]


def end(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    """Ends it, as it should; what it said on stderr."""
    process.send_signal(number)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    return said


def wait_until(is_so: Callable[[], object]) -> None:
    until_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def is_recording(process: subprocess.Popen[str], settings: Settings) -> bool:
    record = read_record(settings.db)
    return record is not None and record.pid == process.pid


def one(settings: Settings, query: str) -> Any:
    try:
        with closing(sqlite3.connect(f"{settings.db.as_uri()}?mode=ro", uri=True)) as con:
            row = con.execute(query).fetchone()
            return row and row[0]
    except sqlite3.OperationalError:  # SQLite makes the files of its own as the process starts
        return 0


def big_tree(folder: Path, files: int = 30, calls: int = 700) -> int:
    """Transcripts enough that an import takes its time; how many calls."""
    template = text_of(line("msg_01" + "@" * 24))
    for number in range(files):
        text = "".join(template.replace("@" * 24, f"{number:012d}{each:012d}") for each in range(calls))
        path = folder / "projects" / f"p{number}" / "s.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return files * calls


@pytest.fixture
def settings(home: Path) -> Settings:
    return settings_for(home)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_in_the_middle_of_an_import_it_does_so_in_good_order(
    home: Path, settings: Settings, number: int
) -> None:
    total = big_tree(home)
    process = start(settings, "claude-code", str(home / "projects"))
    wait_until(lambda: one(settings, "select count(*) from call"))
    end(process, number)
    wal, record = Path(f"{settings.db}-wal"), Path(f"{settings.db}.daemon")
    assert (wal.exists() and wal.stat().st_size, record.exists()) == (False, False)
    assert one(settings, "select outcome from run") == "stopped"
    assert run("ingest", "--once", "claude-code", str(home / "projects"), "--db", str(settings.db)).returncode == 0
    assert one(settings, "select count(*) from call") == total
    assert ccostdb("rollup", "--verify", "--db", str(settings.db)).exit_code == 0


def test_the_log_says_when_it_begins_and_when_it_ends(home: Path, settings: Settings) -> None:
    write(home / "projects" / "a.jsonl", line())
    port = free_port()
    process = start(settings, "claude-code", str(home / "projects"), "--health-port", str(port))
    wait_until(lambda: one(settings, "select count(*) from call"))
    lines = [line.partition(" info ccostdb.daemon.process: ")[2] for line in end(process).splitlines()]
    where = f"process {process.pid}, http://127.0.0.1:{port}/health"
    assert [each for each in lines if each] == [
        f"ccostdb {__version__} records into {settings.db}: {where}",
        f"process {process.pid} records no more",
    ]


def test_killed_at_any_moment_it_goes_on_where_it_was(home: Path, settings: Settings) -> None:
    total = big_tree(home, files=12)
    for _ in range(4):
        before = one(settings, "select count(*) from call")
        process = start(settings, "claude-code", str(home / "projects"))
        wait_until(lambda before=before: one(settings, "select count(*) from call") != before or before == total)
        process.kill()
        process.communicate()
    process = start(settings, "claude-code", str(home / "projects"))
    wait_until(lambda: is_recording(process, settings) and one(settings, "select count(*) from call") == total)
    end(process)
    assert one(settings, "select count(distinct call_id) from call") == total
    assert one(settings, "pragma integrity_check") == "ok"
    assert ccostdb("rollup", "--verify", "--db", str(settings.db)).exit_code == 0


def health(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urlopen(f"{url}/health") as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no other process's limits can be raised here")
def test_a_full_disk_pauses_it_turns_it_red_and_costs_nothing(home: Path, settings: Settings) -> None:
    total = big_tree(home, files=8)
    room = 300_000  # no file may be written beyond
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    port = free_port()
    process = start(
        *(settings, "claude-code", str(home / "projects"), "--health-port", str(port)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, unlimited[1])),
    )
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: one(settings, "select state from run") == "error")
    assert "cannot be written" in one(settings, "select error from run")
    wait_until(lambda: health(url)[0] == 503)
    stored = rows(settings, "select position_id, (select count(*) from call where call.position_id = p.position_id) "
                  "as calls, offset_bytes from position as p")  # fmt: skip
    assert all(row["calls"] * len(text_of(line("msg_01" + "@" * 24))) == row["offset_bytes"] for row in stored)
    assert process.poll() is None
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
    wait_until(lambda: one(settings, "select count(*) from call") == total)
    wait_until(lambda: one(settings, "select state from run") == "reading")
    assert one(settings, "select error from run") is None
    wait_until(lambda: health(url)[0] == 200)
    said = end(process)
    assert (said.count("cannot be written"), said.count("can be written again")) == (1, 1), said
    assert one(settings, "select count(*) from run") == 1


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="as above")
def test_told_to_end_while_the_disk_is_full_it_says_that_not_everything_was_written(
    home: Path, settings: Settings
) -> None:
    big_tree(home, files=4)
    limit = (300_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    process = start(
        *(settings, "claude-code", str(home / "projects")),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert process.stderr
    while "cannot be written" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode in (0, 1)  # 0: there was room for the little that was left to say
    assert "Traceback" not in said


def test_another_program_that_holds_the_ledger_is_waited_for(home: Path, settings: Settings) -> None:
    path = write(home / "projects" / "a.jsonl", line())
    port = free_port()
    process = start(settings, "claude-code", str(home / "projects"), "--health-port", str(port))
    wait_until(lambda: one(settings, "select count(*) from call") == 1)
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as holder:
        holder.execute("begin immediate")
        with path.open("a") as file:
            file.write(text_of(line("msg_01" + "B" * 24)))
        wait_until(lambda: health(f"http://127.0.0.1:{port}")[0] == 503)
        holder.execute("rollback")
    wait_until(lambda: one(settings, "select count(*) from call") == 2)
    wait_until(lambda: health(f"http://127.0.0.1:{port}")[0] == 200)
    assert "another program holds it" in end(process)


def test_the_second_daemon_stands_aside_and_says_who_holds_the_lock(home: Path, settings: Settings) -> None:
    write(home / "projects" / "a.jsonl", line())
    first = start(settings, "claude-code", str(home / "projects"))
    wait_until(lambda: one(settings, "select count(*) from call"))
    second = run("ingest", "claude-code", str(home / "projects"), "--db", str(settings.db))
    third = run("prune", "--db", str(settings.db))
    assert (second.returncode, third.returncode) == (1, 1)
    assert f"Another ccostdb process writes {settings.db} (pid {first.pid})." in second.stderr
    assert f"(pid {first.pid})" in third.stderr
    assert "prunes each night" in third.stderr
    end(first)


def test_a_busy_port_is_an_error_where_it_was_asked_for_and_a_warning_where_not(
    home: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    write(home / "projects" / "a.jsonl", line())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        words = ("ingest", "claude-code", str(home / "projects"), "--db", str(settings.db), "--health-port", str(port))
        done = run(*words)
        assert (done.returncode, f"Error: Port {port}" in done.stderr) == (1, True)
        assert "--health-port" in done.stderr
        with _endpoint(settings, port, is_port_asked=False) as endpoint:
            assert endpoint is None
        assert "Going on without" in caplog.text
        with pytest.raises(CcostError), _endpoint(settings, port, is_port_asked=True):
            pass


def test_a_host_that_was_asked_for_and_is_not_ours_is_an_error(settings: Settings) -> None:
    asked = Settings(settings.db, health_host="192.0.2.1", origins={"health_host": "command line"})
    with pytest.raises(CcostError, match=r"192\.0\.2\.1"), _endpoint(asked, 1, is_port_asked=False):
        pass


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder here that not even root may write to")
def test_a_folder_that_may_not_be_written_is_one_sentence_and_a_hint(home: Path) -> None:
    done = run("ingest", "--db", "/sys/kernel/ledger.db")
    message, hint = done.stderr.splitlines()[-2:]
    assert done.returncode == 1
    assert message.startswith("Error: /sys/kernel/ledger.db.lock cannot be written: ")
    assert hint == "Choose another file with --db."


def test_a_source_that_was_not_there_is_looked_for_again(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "LOOK_AGAIN_S", 0.05)
    monkeypatch.setattr("ccostdb.sources.cco_stream.USUAL_URL", "http://127.0.0.1:9")
    away = Settings(settings.db, claude_paths=(home / "projects",), cco_url="http://127.0.0.1:9",
                    ccd_url="http://127.0.0.1:9", cca_url="http://127.0.0.1:9")  # fmt: skip

    async def go() -> list[ingest.Outcome]:
        stop = asyncio.Event()
        async with open_store(away, stop) as store:
            recording = asyncio.create_task(ingest.record(store, away, Asked(), stop))
            await asyncio.sleep(0.2)
            write(home / "projects" / "late.jsonl", line())
            while not await store.db.execute_fetchall("select 1 from call"):
                await asyncio.sleep(0.02)
            stop.set()
            return await recording

    outcomes = {each.source: each.outcome for each in asyncio.run(asyncio.wait_for(go(), WAIT_S))}
    assert outcomes == {"claude-code": "stopped", "cco": "absent", "ccd": "absent", "cca": "absent"}


def test_all_four_sources_are_recorded_by_one_process_and_a_named_one_that_is_away_is_waited_for(
    home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCOSTDB_RECONNECT_MAX_S", "0.1")
    port = free_port()
    process = start(settings, "cco", "--cco-url", f"http://127.0.0.1:{port}")
    wait_until(lambda: one(settings, "select count(*) from run where state in ('disconnected', 'error')"))
    assert process.poll() is None
    end(process)
    with Emulator() as emulator:
        emulator.call()
        write(home / ".claude" / "projects" / "w" / "s.jsonl", line())
        process = start(settings, "--cco-url", emulator.url)
        wait_until(lambda: one(settings, "select count(*) from call") == 2)
        end(process)


def test_told_to_end_with_every_source_connected_it_is_gone_within_two_seconds(home: Path, settings: Settings) -> None:
    write(home / ".claude" / "projects" / "w" / "s.jsonl", line())
    with Emulator() as cco, emulated() as ccd, Cca() as cca:
        cco.call()
        port = free_port()
        words = ("--cco-url", cco.url, "--ccd-url", ccd.url, "--cca-url", cca.url, "--health-port", str(port))
        process = start(settings, *words)
        wait_until(lambda: one(settings, "select count(*) from run where state in ('connected', 'reading')") == 4)
        wait_until(lambda: one(settings, "select count(*) from call") == 2)
        ccd.tell(event(1))
        wait_until(lambda: one(settings, "select count(*) from daemon_event"))
        began_s = time.monotonic()
        end(process)
        assert time.monotonic() - began_s < 2
    assert one(settings, "select count(*) from run where outcome = 'stopped'") == 4


def test_events_are_read_from_a_file_and_from_stdin(home: Path, settings: Settings) -> None:
    event = {"event_id": "e1", "family": "daemon_lifecycle", "kind": "daemon_started", "profile": "p",
             "timestamp": "2026-07-01T12:00:00Z", "runtime": {}, "payload": {}}  # fmt: skip
    path = home / "events.ndjson"
    path.write_text(json.dumps(event) + "\n")
    assert run("ingest", "ccd", str(path), "--once", "--db", str(settings.db)).returncode == 0
    process = start(settings, "ccd", "-", stdin=subprocess.PIPE)
    said, _ = process.communicate(json.dumps({**event, "event_id": "e2"}) + "\n", timeout=WAIT_S)  # its end is ours
    assert (process.returncode, said.startswith("ccd: ok")) == (0, True)
    assert one(settings, "select count(*) from daemon_event") == 2
    absent = run("ingest", "ccd", str(home / "none.ndjson"), "--once", "--db", str(settings.db))
    assert (absent.returncode, "ccd was not found" in absent.stderr) == (1, True)


HEAVY = (
    "apscheduler",
    "uvicorn",
    "httpx",
    "pandas",
    "sqlite_utils",
    "ccostdb.budgets",
    "ccostdb.daemon.process",
    "ccostdb.health.endpoint",
)


def test_catching_up_imports_nothing_that_only_the_daemon_needs(home: Path, settings: Settings) -> None:
    write(home / "projects" / "a.jsonl", line())
    words = ("ingest", "--once", "claude-code", str(home / "projects"), "--db", str(settings.db))
    done = run_python("-X", "importtime", "-m", "ccostdb", *words)
    assert done.returncode == 0, done.stderr
    imported = {text.rpartition("|")[2].strip() for text in done.stderr.splitlines()}
    assert "ccostdb.ingest.claude_code" in imported
    assert not {name for name in imported if name.startswith(HEAVY)}
    assert len(rows(settings, CALLS)) == 1
    assert os.environ["HOME"] == str(home)
