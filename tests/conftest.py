"""Fixtures of the tests that run commands: a home of its own, and ledgers in it. How properties are tested."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from commands import ccostdb, run
from hypothesis import settings
from transcripts import line, write

# The same examples in every run, so that a failure is a change's. To look for new ones: --hypothesis-profile=explore
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore")
settings.load_profile("repeatable")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: no settings, no transcripts, no ledger."""
    for name in [name for name in os.environ if name.startswith(("CCOSTDB_", "CLAUDE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CCOSTDB_HOME_TZ", "UTC")
    monkeypatch.setenv("CCOSTDB_CCO_URL", "http://127.0.0.1:9")  # nobody answers at the discard port
    monkeypatch.setenv("CCOSTDB_CCD_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CCOSTDB_CCA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CCOSTDB_HEALTH_PORT", "0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with three calls of one session, on two days, imported by the command."""
    folder = tmp_path_factory.mktemp("imported")
    write(
        folder / "projects" / "web" / "session-1.jsonl",
        line("msg_01AAAAAAAAAAAAAAAAAAAAAAAA", 100, at="2026-07-01T23:30:00.000Z"),
        line("msg_01BBBBBBBBBBBBBBBBBBBBBBBB", 200, at="2026-07-02T10:00:00.000Z", request_id="req_2"),
        line("msg_01CCCCCCCCCCCCCCCCCCCCCCCC", 300, at="2026-07-02T11:00:00.000Z", model="claude-opus-4-5-20251101"),
        "{not json",
    )
    path = folder / "ledger.db"
    done = run(
        *("ingest", "--once", "claude-code", str(folder / "projects"), "--db", str(path)),
        environ={"CCOSTDB_HOME_TZ": "UTC", "HOME": str(folder), "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture
def ledger(imported: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The imported ledger, to write to."""
    path = home / "ledger.db"
    shutil.copy(imported, path)
    path.chmod(0o600)
    monkeypatch.setenv("CCOSTDB_DB", str(path))
    return path


@pytest.fixture
def empty(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger without calls."""
    path = home / "empty.db"
    monkeypatch.setenv("CCOSTDB_DB", str(path))
    assert ccostdb("migrate").exit_code == 0
    return path
