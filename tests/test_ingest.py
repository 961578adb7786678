"""A whole `ingest`: which sources it finds, how it follows them, and that a kill at any moment costs nothing."""

import asyncio
import json
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from cca_emulator import Emulator as Cca
from cco_emulator import Emulator
from commands import ccostdb, environment, objects, run
from transcripts import empty_ledger, line, text_of, write

from ccostdb.ingest import SOURCES, Asked, record
from ccostdb.settings import load_settings
from ccostdb.store import open_store

TREE = Path(__file__).parent / "data" / "claude-code"
WAIT_S = 20


@contextmanager
def following(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`ccostdb ingest …` in a process of its own, ended by SIGTERM, as a service manager would."""
    command = [sys.executable, "-m", "ccostdb", "ingest", *words]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=WAIT_S)
    assert process.returncode == 0


def count(path: Path, query: str = "select count(*) from call") -> int:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as con:
            return int(con.execute(query).fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def wait_for(number: int, path: Path, query: str = "select count(*) from call") -> None:
    until_s = time.monotonic() + WAIT_S
    while count(path, query) < number:
        assert time.monotonic() < until_s, f"{count(path, query)} of {number}"
        time.sleep(0.05)


@pytest.fixture
def db(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of its own, where the environment says."""
    shutil.copy(empty_ledger(), home / "ledger.db")
    monkeypatch.setenv("CCOSTDB_DB", str(home / "ledger.db"))
    return home / "ledger.db"


def test_a_bare_ingest_records_every_source_that_it_finds(home, db):
    write(home / ".claude" / "projects" / "-w" / "s.jsonl", line())
    with Emulator() as emulator:
        emulator.call(cost=0.25)
        (home / ".cco").mkdir()
        (home / ".cco" / "daemon.pid").write_text(json.dumps({"pid": 1, "port": int(emulator.url.rsplit(":", 1)[1])}))
        result = ccostdb("ingest", "--once")
    assert result.exit_code == 0, result.output
    said = [text.split(",")[0] for text in result.stdout.splitlines()]
    assert said == ["claude-code: ok", "cco: ok", "ccd: not found", "cca: not found"]
    sources = {row["source"]: row for row in objects(ccostdb("report", "sources", "--json"))}
    assert {name: (row["calls"], row["counted"]) for name, row in sources.items()} == {
        "claude-code": (1, 1),
        "cco": (1, 0),
    }


def test_cco_by_name_is_looked_for_where_no_address_is_set(home, db, monkeypatch):
    monkeypatch.delenv("CCOSTDB_CCO_URL")
    with Emulator() as emulator:
        emulator.call()
        monkeypatch.setattr("ccostdb.sources.cco_stream.USUAL_URL", emulator.url)
        assert ccostdb("ingest", "cco", "--once").exit_code == 0
        named = ccostdb("ingest", "cco", "--once", "--cco-url", "http://127.0.0.1:9")
        assert (named.exit_code, "http://127.0.0.1:9" in named.stderr) == (1, True)
    assert count(db) == 1


def test_a_cca_that_asks_for_a_key_was_found_and_the_hint_says_how_to_give_it(home, db):
    with Cca(api_key="a key of its own") as server:
        result = ccostdb("ingest", "cca", "--once", "--cca-url", server.url)
    assert result.exit_code == 1
    assert "not found" not in result.stderr
    assert f"cca answers, but not to us, at {server.url}: HTTP 401: it asks for a key" in result.stderr
    assert "api_key under [sources.cca]" in result.stderr
    assert "Start CCA" not in result.stderr


def test_a_bare_ingest_without_any_source_says_so_and_is_no_error(home, db):
    result = ccostdb("ingest", "--once")
    assert (result.exit_code, result.stdout) == (0, "".join(f"{name}: not found\n" for name in SOURCES))
    assert "ccostdb demo" in result.stderr


def test_lines_are_followed_as_they_are_written_and_files_as_they_appear(home, db):
    path = write(home / "p" / "a.jsonl", line())
    with following("claude-code", str(home / "p")):
        wait_for(1, db)
        with path.open("a") as file:
            file.write(text_of(line("msg_01" + "B" * 24)))
        wait_for(2, db)
        write(home / "p" / "new" / "b.jsonl", line("msg_01" + "C" * 24))
        wait_for(3, db)
        assert objects(ccostdb("report", "--json"))[0]["calls"] == 3
    assert objects(ccostdb("export", "source_health", "--format", "json"))[0]["outcome"] == "stopped"
    assert ccostdb("rollup", "--verify").exit_code == 0


def test_cco_is_followed_while_it_comes_goes_and_comes_again(home, db, monkeypatch):
    monkeypatch.setenv("CCOSTDB_RECONNECT_MAX_S", "0.1")
    with Emulator() as emulator:
        emulator.call()
        with following("cco", "--cco-url", emulator.url):
            wait_for(1, db)
            emulator.restart()
            emulator.call()
            wait_for(2, db)


def test_both_sources_share_one_ledger(home, db):
    write(home / ".claude" / "projects" / "-w" / "s.jsonl", line())
    with Emulator() as emulator:
        emulator.call()
        with following("--cco-url", emulator.url):
            wait_for(2, db)
            emulator.call()
            wait_for(3, db)


def test_the_second_ingest_stands_aside_with_one_sentence(home, db):
    write(home / "a.jsonl", line())
    with following("claude-code", str(home / "a.jsonl")):
        wait_for(1, db)
        second = run("ingest", "claude-code", str(home / "a.jsonl"), "--once")
        assert second.returncode == 1
        assert second.stderr.startswith("Error: Another ccostdb process writes")
        assert "Traceback" not in second.stderr


def content(path: Path) -> list[tuple]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as con:
        queries = (
            "select * from calls order by call_id",
            "select * from daily_costs",
            "select source, reason from rejects",
        )
        return [row for query in queries for row in con.execute(query)]


def test_a_kill_at_any_moment_costs_nothing(home, db, monkeypatch):
    tree = home / "tree"
    for number in range(12):  # enough files for the kills to fall in the middle
        for path in TREE.rglob("*.jsonl"):
            target = tree / str(number) / path.relative_to(TREE)
            target.parent.mkdir(parents=True)
            target.write_bytes(path.read_bytes().replace(b"msg_01", b"msg_%02d" % number))
    words = ["ingest", "claude-code", str(tree), "--once"]
    undisturbed = home / "whole.db"
    assert run(*words, "--db", str(undisturbed)).returncode == 0
    total, seen = count(undisturbed), []
    small_parts = (  # each is a batch; and as in a large import, some share a transaction
        "import ccostdb.sources.transcript_files as t, ccostdb.ingest.claude_code as c, ccostdb.store as s; "
        "t.SIGHTINGS_A_PART = 1; c.BYTES_A_PART = 0; s.BATCHES_A_TRANSACTION = 3; "
        "from ccostdb.cli import main; main()"
    )
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("begin")
        assert reader.execute("select count(*) from call").fetchone() == (0,)  # its snapshot stands all the while
        for _ in range(12):
            order = [sys.executable, "-c", small_parts, *words]
            with subprocess.Popen(order, env=environment(), stdout=subprocess.DEVNULL) as process:
                before = count(db)
                while process.poll() is None and count(db) == before:
                    pass
                process.kill()
            seen.append(count(db))
        assert reader.execute("select count(*) from call").fetchone() == (0,)
    assert any(0 < number < total for number in seen), "no kill fell into the import"
    assert seen == sorted(seen)
    assert run(*words).returncode == 0
    assert content(db) == content(undisturbed)
    assert ccostdb("rollup", "--verify").exit_code == 0


def test_what_was_not_looked_for_any_more_is_not_said_to_be_absent(home, db):
    async def run_stopped() -> list[str]:
        stop = asyncio.Event()
        stop.set()
        settings = load_settings({"db": str(db)})
        async with open_store(settings) as store:
            return [outcome.outcome for outcome in await record(store, settings, Asked(once=True), stop)]

    assert set(asyncio.run(run_stopped())) == {"stopped"}


def test_two_sources_of_one_ledger_never_take_each_others_place(home, db):
    folder = home / ".claude" / "projects" / "-w"
    write(folder / "a.jsonl", line())
    with Emulator() as emulator:
        emulator.some(15, random.Random(1))
        assert ccostdb("ingest", "--once", "--cco-url", emulator.url).exit_code == 0
        write(folder / "b.jsonl", line(session="session-2"))  # a copy: its origin is compared by both files' age
        emulator.some(10, random.Random(2))
        assert ccostdb("ingest", "--once", "--cco-url", emulator.url).exit_code == 0
        assert count(db, "select count(*) from activity") == 25
        assert count(db, "select count(*) from call") == emulator.calls + 1
    assert count(db, "select count(*) from gap") == 0
    assert count(db, "select count(distinct source_id) from position") == 2


@contextmanager
def dripping() -> Iterator[str]:
    """A server that sends the head of its answer a byte at a time, for as long as it is listened to."""

    def drip(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_never_ends_its_head_is_not_waited_for(home, db, monkeypatch):
    with dripping() as url:
        said = ccostdb("ingest", "--once", "--cco-url", url).stdout
        assert said.startswith("claude-code: not found\ncco: not found\n")
        monkeypatch.setenv("CCOSTDB_STREAM_DEAD_AFTER_S", "0.3")
        failed = ccostdb("ingest", "cco", "--once", "--cco-url", url)
        assert (failed.exit_code, "silent for 0.3 s" in failed.stderr) == (1, True)


def test_where_files_cannot_be_followed_streams_are_recorded_and_a_named_file_is_refused(
    db: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home / ".claude" / "projects" / "w" / "s.jsonl", line())
    (home / "events.ndjson").touch()
    monkeypatch.setattr("ccostdb.ingest.CAN_FOLLOW", False)  # as on Windows
    found = ccostdb("ingest", "--once")
    assert (found.exit_code, "claude-code: not found" in found.stdout, count(db)) == (0, True, 0)
    for words in (["claude-code"], ["ccd", "-"], ["ccd", str(home / "events.ndjson")]):
        refused = ccostdb("ingest", *words, "--once")
        assert (refused.exit_code, "On Windows neither transcripts" in refused.stderr) == (1, True)
