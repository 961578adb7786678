"""SIGKILL at any instant, inside a commit too: in the end nothing is missing and nothing is there twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from cco_recording import QUICK, Recording, recording
from commands import environment

from ccostdb.ingest.cco import ingest_cco
from ccostdb.settings import Settings
from ccostdb.store import open_store

KILLS = 24


@pytest.fixture
def cco(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


def record_and_die(settings: Settings, fatal: int) -> None:
    """One pass with `once`, in a process that kills itself before its statement number `fatal`."""

    async def run() -> None:
        async with open_store(settings) as store:
            statements = count(1)

            def trace(_: str) -> None:
                if next(statements) == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)

            await store.db.set_trace_callback(trace)
            await ingest_cco(store, settings, once=True, stop=asyncio.Event())

    asyncio.run(run())


def test_a_kill_before_any_statement_leaves_the_whole_transaction_or_nothing(cco: Recording) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["test_crash"])
    chance = random.Random(1)
    outcomes = []
    for fatal in count(1):
        cco.emulator.some(4, chance)
        before = cco.stored, cco.rows("select state from position")
        process = processes.Process(target=record_and_die, args=(cco.settings(), fatal))
        process.start()
        process.join()
        after = cco.stored, cco.rows("select state from position")
        assert after == before or (cco.stored == cco.truth and after[1] != before[1])
        assert cco.calls == cco.one("select count(*) from activity where event_type in ('api_call', 'cache_hit')")
        outcomes.append((process.exitcode, after != before))
        process.close()
        if outcomes[-1] == (0, True):
            break
        if after == before:
            cco.record_once()
    assert cco.stored == cco.truth
    assert cco.gaps == []
    assert (-signal.SIGKILL, True) in outcomes  # killed after the commit
    assert outcomes.count((-signal.SIGKILL, False)) > 10


def start(cco: Recording) -> subprocess.Popen[bytes]:
    quick = {**QUICK, "stream_reopen_s": 0.2}
    environ = environment({**os.environ, **{f"CCOSTDB_{name.upper()}": str(quick[name]) for name in quick}})
    command = ("-m", "ccostdb", "ingest", "cco", "--cco-url", cco.emulator.url, "--db", str(cco.db))
    return subprocess.Popen([sys.executable, *command], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_write(wal: Path, seconds: float) -> None:
    """Until the write-ahead log is written to: whoever does that is inside a commit."""
    until, before = time.monotonic() + seconds, _seen(wal)
    while _seen(wal) == before and time.monotonic() < until:
        pass


def _seen(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def test_kills_at_any_instant_lose_nothing_and_double_nothing(cco: Recording) -> None:
    chance = random.Random(2)
    cco.emulator.tick_s = 0.01
    wal = cco.db.with_name(f"{cco.db.name}-wal")
    with closing(sqlite3.connect(f"{cco.db.as_uri()}?mode=ro", uri=True, isolation_level=None)) as watcher:
        for kill in range(KILLS):
            process = start(cco)
            cco.emulator.call()
            cco.wait_for_all()
            if kill % 3 == 0:  # a reader that holds on to what it saw, over some deaths
                watcher.execute("begin")
                assert watcher.execute("select count(*) from call").fetchone()[0] > 0
            for _ in range(chance.randrange(12)):
                cco.emulator.some(chance.randrange(1, 4), chance)
                cco.wait_for(lambda: len(cco.stored) > len(cco.emulator.events) - 12)
            cco.emulator.some(chance.randrange(1, 5), chance)
            wait_for_write(wal, 0.2)
            time.sleep(chance.choice((0, 0, 0.0002, 0.001, 0.003)))
            process.kill()
            process.communicate()
            if kill % 3 == 2:
                watcher.execute("rollback")
    process = start(cco)
    cco.emulator.call()
    cco.wait_for_all()
    process.send_signal(signal.SIGTERM)
    _, complaints = process.communicate(timeout=10)
    assert process.returncode == 0
    assert all(b" info " in said for said in complaints.splitlines()[1:]), complaints  # no complaint after the first
    assert cco.stored == cco.truth
    assert cco.calls == cco.emulator.calls
    assert cco.gaps == []
    assert cco.one("select count(*) from run where outcome is null") == KILLS
    assert cco.one("pragma integrity_check") == "ok"
