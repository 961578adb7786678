"""Start, stop and status with real processes: one runs, it is found, it is the only one that is ever signalled."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from commands import ccostdb, environment, opened, run
from ledger_rows import add_source
from recorders import BOUND_S, HOLD, SLEEP, process, wait_for
from transcripts import line, write

from ccostdb.daemon import background
from ccostdb.daemon.record import (
    is_alive,
    log_file,
    print_file,
    read_record,
    record_path,
)
from ccostdb.errors import CcostError
from ccostdb.lock import is_written, writing_lock
from ccostdb.settings import Settings


@pytest.fixture
def settings(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those of a ledger that is not there yet, without a health port; what runs on it in the end is ended."""
    monkeypatch.setenv("CCOSTDB_DB", str(home / "new.db"))
    monkeypatch.setenv("CCOSTDB_HEALTH_PORT", "0")
    made = Settings(db=home / "new.db", health_port=0)
    yield made
    if left := read_record(made.db):
        with suppress(ProcessLookupError):
            os.kill(left.pid, signal.SIGKILL)


def told(*words: str) -> dict[str, Any]:
    """What `status --json` says."""
    found: dict[str, Any] = json.loads(ccostdb("status", "--json", *words).stdout)
    return found


# --- stop ---


def test_stop_ends_the_process_that_records(settings: Settings) -> None:
    with process("-c", HOLD, str(settings.db)) as made:
        result = ccostdb("stop")
        assert (result.exit_code, result.stdout) == (0, f"Stopped, pid {made.pid}.\n")
        assert made.wait(BOUND_S) == 0
    assert not is_written(settings.db)
    result = ccostdb("stop")
    assert (result.exit_code, result.stdout) == (0, "Nothing to stop: it is not running.\n")


def test_stop_waits_for_a_process_that_is_ending_already(settings: Settings) -> None:
    ending = HOLD.replace("time.sleep(600)", "time.sleep(1); sys.exit()")
    with process("-c", ending, str(settings.db), "mute"):
        result = ccostdb("stop")
        assert (result.exit_code, result.stdout) == (0, "Nothing to stop: it is not running.\n")
    assert not is_written(settings.db)


def test_stop_never_signals_a_process_that_took_the_number_of_one_that_recorded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RECORD_S", 0.2)
    with process("-c", HOLD, str(settings.db)) as made:
        left = json.loads(record_path(settings.db).read_text())
        made.kill()
    with process("-c", SLEEP) as stranger, writing_lock(settings.db):
        record_path(settings.db).write_text(json.dumps({**left, "pid": stranger.pid}))
        result = ccostdb("stop", "--force")
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: A process writes {settings.db}, but which one cannot be told.\n")
        assert stranger.poll() is None


def test_stop_does_not_look_for_a_process_that_never_said_who_it_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RECORD_S", 0.2)
    with process("-c", HOLD, str(settings.db), "mute") as made:
        assert ccostdb("stop").exit_code == 1
        assert (ccostdb("status").exit_code, told()["status"]) == (3, "busy")
        assert made.poll() is None


def test_a_process_that_does_not_stop_is_ended_only_by_force(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "STOP_S", 0.5)
    with process("-c", HOLD, str(settings.db), "deaf") as made:
        result = ccostdb("stop")
        assert result.exit_code == 1
        assert result.stderr.endswith("Give it more time, or end it at once: ccostdb stop --force\n")
        assert made.poll() is None
        assert ccostdb("stop", "--force").exit_code == 0
        assert made.wait(BOUND_S) == -signal.SIGKILL


# --- status ---


def test_status_without_a_ledger_is_a_sentence_and_makes_none(settings: Settings) -> None:
    result = ccostdb("status")
    assert result.exit_code == 3
    assert f"There is no ledger at {settings.db} yet." in result.stdout
    assert (told()["status"], told()["pid"], told()["sources"]) == ("stopped", None, [])
    assert list(settings.db.parent.iterdir()) == []


def test_status_tells_the_process_and_its_sources(ledger: Path) -> None:
    assert told()["status"] == "stopped"
    with process("-c", HOLD, str(ledger)) as made:
        result = ccostdb("status")
        assert result.exit_code == 0
        assert f"pid {made.pid}, ccostdb " in result.stdout
        assert "\nHealth: there is no endpoint.\n" in result.stdout
        assert "\nclaude-code: up to date, last event 2026-07-02T11:00:00.000Z\n" in result.stdout
        found = told()
        assert (found["status"], found["pid"], found["health_url"]) == ("running", made.pid, None)
        assert 0 <= found["uptime_seconds"] < BOUND_S
        assert [(each["source"], each["last_event_at"]) for each in found["sources"]] == [
            ("claude-code", "2026-07-02T11:00:00.000Z")
        ]


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://127.0.0.1:99999999/health", "http://127.0.0.1:x", "http://a:b:9"]
)
def test_an_address_of_a_record_that_is_none_has_no_answer(ledger: Path, url: str) -> None:
    with process("-c", HOLD, str(ledger)):
        record = json.loads(record_path(ledger).read_text())
        record_path(ledger).write_text(json.dumps({**record, "health_url": url}))
        assert (told()["status"], told()["health"], told()["health_url"]) == ("running", None, url)


def test_a_source_that_never_answered_is_told_only_while_the_running_process_looks_for_it(ledger: Path) -> None:
    with opened(ledger) as con:
        add = "insert into run (source_id, started_ns, updated_ns, outcome) values (?, ?, 1, 'failed')"
        source = add_source(con, "cco")
        con.execute(add, (source, 1))
        assert [each["source"] for each in told()["sources"]] == ["claude-code"]
        with process("-c", HOLD, str(ledger)):
            assert [each["source"] for each in told()["sources"]] == ["claude-code"]
            con.execute(add, (source, time.time_ns()))
            assert [each["source"] for each in told()["sources"]] == ["cco", "claude-code"]


def test_a_key_in_ccds_address_is_not_in_the_status(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_CCD_URL", "http://127.0.0.1:9/events?token=sekrit-1")
    with opened(ledger) as con:
        source = add_source(con, "ccd", "ccd (http://localhost:9/events?token=sekrit-1)")
        con.execute(
            "insert into run (source_id, started_ns, updated_ns, frames, error) values (?, 1, 1, 1, 'token=sekrit-1')",
            (source,),
        )
    for words in (("status",), ("status", "--json")):
        said = ccostdb(*words).stdout
        assert "sekrit" not in said
        assert said.count("token=[hidden]") == 2


def test_a_control_character_of_a_source_does_not_reach_the_terminal(ledger: Path) -> None:
    with opened(ledger) as con:
        con.execute("update run set error = 'x' || char(27) || '[2J'")
    assert ": up to date, last event 2026-07-02T11:00:00.000Z, x�[2J\n" in ccostdb("status").stdout


# --- start ---


@pytest.mark.parametrize(
    ("db", "said"),
    [("file/new.db", "file/new.db.lock cannot be written"), ("file/in/new.db", "The folder file/in cannot be made")],
)
def test_start_says_what_is_wrong_with_the_folder(settings: Settings, home: Path, db: str, said: str) -> None:
    (home / "file").write_text("")
    result = ccostdb("start", "--db", db)
    assert result.exit_code == 1
    assert said in result.stderr.replace(f"{home}/", "")
    assert result.stderr.endswith("\nChoose another file with --db.\n") or "another with --db" in result.stderr
    assert not log_file(settings.db).exists()


def test_start_says_that_the_log_cannot_be_written(settings: Settings) -> None:
    log_file(settings.db).parent.parent.mkdir(parents=True)
    log_file(settings.db).parent.write_text("")
    result = ccostdb("start")
    assert result.exit_code == 1
    assert "ccostdb start --foreground" in result.stderr


def test_start_says_that_a_file_is_no_ledger_and_leaves_it_alone(settings: Settings) -> None:
    settings.db.write_bytes(b"this is a letter to a friend, not a database\n" * 100)
    done = run("start", environ=os.environ)
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: {settings.db} is no SQLite file.\nChoose another file with --db.\n",
    )
    assert not settings.db.with_name("new.db.lock").exists()


def test_the_log_is_for_its_owner_only(settings: Settings) -> None:
    assert run("start").returncode == 0
    assert run("stop").returncode == 0
    for path in (log_file(settings.db), print_file(settings.db)):
        assert path.stat().st_mode & 0o777 == 0o600
    assert log_file(settings.db).parent.stat().st_mode & 0o777 == 0o700


def test_start_finds_the_one_that_runs(settings: Settings) -> None:
    with process("-c", HOLD, str(settings.db)) as made:
        result = ccostdb("start")
        assert (result.exit_code, result.stdout) == (0, f"Already running, pid {made.pid}.\n")
        assert "ccostdb stop" in ccostdb("start", "--log-level", "debug").stderr


def test_start_stands_aside_where_another_command_writes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "RECORD_S", 0.2)
    with writing_lock(settings.db):
        result = ccostdb("start")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: Another ccostdb process writes {settings.db}.\n")


def test_the_reason_of_an_end_is_the_last_line_where_it_is_no_sentence_of_ours(home: Path) -> None:
    log = home / "x.log"
    log.write_text("Error: an old one\nTraceback\nValueError: \x1b[2J nonsense\n")
    error = background._why_it_ended(1, log, len("Error: an old one\n"))
    assert isinstance(error, CcostError)
    assert error.message == "The process ended with status 1: ValueError: \x1b[2J nonsense"


# --- all of it, with the process itself ---


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_what_is_started_with_a_port_answers_there_when_start_returns(settings: Settings, port: int) -> None:
    done = run("start", "--health-port", str(port))
    assert done.returncode == 0, done.stderr
    url = f"http://127.0.0.1:{port}/health"
    assert f"\nHealth: {url}\n" in done.stdout
    with closing(HTTPConnection("127.0.0.1", port, timeout=BOUND_S)) as con:
        con.request("GET", "/health")
        assert con.getresponse().status in (200, 503)
    found = told()
    assert (found["health_url"], found["health"] in ("healthy", "starting")) == (url, True)
    assert f" at {url}\n" in ccostdb("status").stdout
    assert run("stop").returncode == 0


def test_a_port_that_is_in_use_is_the_reason_that_start_says(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("start", "--health-port", str(port))
    assert done.returncode == 1
    assert f"Error: Port {port} of 127.0.0.1 is in use" in done.stderr
    assert "Following" not in done.stderr
    assert told()["status"] == "stopped"


def test_a_key_in_an_address_is_neither_among_the_arguments_nor_in_the_log(settings: Settings) -> None:
    assert run("start", "--ccd-url", "http://127.0.0.1:9/events?key=hushhush").returncode == 0
    record = read_record(settings.db)
    assert record is not None
    command = subprocess.run(["ps", "-o", "args=", "-p", str(record.pid)], capture_output=True, text=True, check=True)
    assert "--log-file" in command.stdout
    assert "hush" not in command.stdout
    assert run("stop").returncode == 0
    printed = print_file(settings.db).read_text()
    assert "http://127.0.0.1:9/events" in printed
    assert "hush" not in printed + log_file(settings.db).read_text()


def test_start_status_stop_and_again(settings: Settings, home: Path) -> None:
    write(home / ".claude" / "projects" / "p" / "s.jsonl", line())
    for _ in range(2):
        done = run("start", "--log-level", "debug")
        assert done.returncode == 0, done.stderr
        record = read_record(settings.db)
        assert record is not None
        assert done.stdout == f"Started, pid {record.pid}.\nLog: {log_file(settings.db)}\n"
        assert run("start").stdout.startswith(f"Already running, pid {record.pid}.")
        wait_for(lambda: [each["source"] for each in told()["sources"] if each["last_event_at"]] == ["claude-code"])
        done = run("stop")
        assert (done.returncode, done.stdout) == (0, f"Stopped, pid {record.pid}.\n")
        assert told()["status"] == "stopped"
        assert not is_alive(record)
        assert not record_path(settings.db).exists()


def test_what_was_killed_is_started_again(settings: Settings) -> None:
    assert run("start").returncode == 0
    first = read_record(settings.db)
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(first))
    assert run("status").returncode == 3
    assert run("stop").stdout == "Nothing to stop: it is not running.\n"
    assert run("start").stdout.startswith("Started, ")
    second = read_record(settings.db)
    assert second is not None
    assert second.pid != first.pid
    assert run("stop").returncode == 0


def test_of_starts_at_once_one_wins_and_all_find_it(settings: Settings) -> None:
    command = [sys.executable, "-m", "ccostdb", "start"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=environment(), **pipes) for _ in range(3)]
    said = [each.communicate(timeout=BOUND_S) for each in started]
    assert [each.returncode for each in started] == [0, 0, 0], said
    record = read_record(settings.db)
    assert record is not None
    assert all(f", pid {record.pid}." in out for out, _ in said)
    assert sum(out.startswith("Started, ") for out, _ in said) == 1
    assert run("stop").returncode == 0


def test_it_outlives_the_terminal_it_was_started_from(settings: Settings) -> None:
    assert run("start").returncode == 0
    record = read_record(settings.db)
    assert record is not None
    assert os.getsid(record.pid) == record.pid
    assert run("stop").returncode == 0


def test_an_ingest_on_a_terminal_is_running_too(settings: Settings) -> None:
    command = [sys.executable, "-m", "ccostdb", "ingest", "claude-code"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as made:
        wait_for(lambda: told()["pid"] == made.pid)
        assert told()["log"] is None
        assert run("stop").returncode == 0
        assert made.wait(BOUND_S) == 0
