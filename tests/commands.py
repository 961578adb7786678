"""Runs commands for tests: in this process, in one of their own with pipes, and on a terminal."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from ledger_rows import add_calls, add_name, add_source

import ccostdb as package
from ccostdb.cli import main

ROOT = Path(package.__file__).parent.parent  # of the checkout, or of what is installed
DAY_NS = 86_400_000_000_000
JULY_1 = 20_635 * DAY_NS  # 2026-07-01T00:00Z


def ccostdb(*words: str) -> Result:
    """The command in this process."""
    return CliRunner().invoke(main, words, prog_name="ccostdb")


def environment(given: Mapping[str, str] = os.environ, **more: str) -> dict[str, str]:
    """Variables under which a process of its own finds the same ccostdb."""
    return {**given, "PYTHONPATH": str(ROOT), **more}


def run(*words: str, environ: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, its output a pipe; a warning is an error."""
    return run_python("-W", "error", "-m", "ccostdb", *words, environ=environ)


def run_python(*words: str, environ: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    """Python with these words, its output a pipe."""
    return run_words([sys.executable, *words], environ)


def run_words(words: Sequence[str], environ: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    """Any command, its output a pipe."""
    env = environment(environ)
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)


def on_terminal(*words: str, columns: int = 200) -> str:
    """What the command writes to a terminal."""
    here, there = pty.openpty()
    env = environment(COLUMNS=str(columns), TERM="xterm")
    command = [sys.executable, "-m", "ccostdb", *words]
    with subprocess.Popen(command, env=env, stdout=there, stderr=there, stdin=subprocess.DEVNULL):
        os.close(there)
        written = b""
        try:
            while chunk := os.read(here, 65536):
                written += chunk
        except OSError:  # Linux: the other side is closed
            pass
    os.close(here)
    return written.decode().replace("\r\n", "\n")


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that commits each statement."""
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        yield con


def add_cco(con: sqlite3.Connection, *, counted: bool | None = None) -> int:
    """A CCO that saw one call of a model without a price, a response-cache hit, and missed some."""
    source = add_source(con, "cco", counted=counted)
    model = add_name(con, "model", "mystery-1")
    call = {"source_id": source, "model_id": model, "total_tokens": 1000, "occurred_ns": JULY_1 + DAY_NS}
    paid, hit = {"reported_nusd": 2_500_000_000}, {"reported_nusd": 0, "is_response_cache_hit": 1}
    add_calls(
        con, [{**call, "call_id": "cco:1", **paid}, {**call, "call_id": "cco:2", **hit}, {**call, "call_id": "cco:3"}]
    )
    con.execute(
        "insert into gap (source_id, epoch, kind, from_ns, to_ns, calls, cost_nusd, detected_ns) values "
        "(?1, 0, 'overflow', null, ?2, 7, 1250000000, ?2), (?1, 1, 'restart', null, ?2, null, null, ?2)",
        (source, JULY_1),
    )
    return source


def objects(result: Result) -> list[dict[str, Any]]:
    """What a command printed as JSON."""
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found
