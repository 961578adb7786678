"""Fixtures of the tests that run commands: a home of its own, and ledgers in it. How properties are tested."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import ccostdb, run
from filelock import FileLock
from hypothesis import settings
from sized_ledgers import empty_ledger, two_year_ledger, week_ledger
from transcripts import line, write

if TYPE_CHECKING:
    from browser import Looking

# The same examples in every run, so that a failure is a change's. To look for new ones: --hypothesis-profile=explore
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore")
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-screenshot", action="store_true", help="take the README's picture anew")


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


@pytest.fixture(scope="session")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without calls, to read."""
    return _made_once(tmp_path_factory, empty_ledger)


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of everything that a ledger can hold, to read."""
    return _made_once(tmp_path_factory, week_ledger)


@pytest.fixture(scope="session")
def two_years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much as 10 million calls leave in rollups and names, to read."""
    return _made_once(tmp_path_factory, two_year_ledger)


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """The address of `ccostdb serve` for a ledger; one process for each."""
    from browser import servers  # few tests need Playwright

    with servers() as url_of:
        yield url_of


@pytest.fixture(scope="session")
def looking(serve: Callable[[Path], str]) -> Iterator[Looking]:
    """A Chromium that looks at pages of `serve`."""
    from browser import chromium

    with chromium(serve) as made:
        yield made


def _made_once(tmp_path_factory: pytest.TempPathFactory, make: Callable[[Path], Path]) -> Path:
    """One file for all processes of a test run."""
    base = tmp_path_factory.getbasetemp()
    path = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"{make.__name__}.db"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            make(path.with_suffix(".making")).rename(path)
    return path
