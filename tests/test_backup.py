"""Backups: whole, sound, for this user only, made beside whoever writes; only our own are rotated away."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import ccostdb, environment, run
from transcripts import empty_ledger, line, settings_for, write

from ccostdb.errors import CcostError
from ccostdb.jobs.backup import LEFT_OVER_S, back_up, copied_ns, copies
from ccostdb.jobs.schedule import Schedule
from ccostdb.settings import Settings
from ccostdb.store import open_store

HOUR_NS = 3_600_000_000_000
JULY_1 = 20_635 * 24 * HOUR_NS
WAIT_S = 30


@pytest.fixture
def settings(home: Path) -> Settings:
    return settings_for(home, backup_keep=3)


def one(path: Path, query: str) -> Any:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as con:
        return con.execute(query).fetchone()[0]


def grow(settings: Settings, rows: int) -> None:
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        con.execute("insert into source (source_id, kind, name, address) values (1, 'cca', 'cca', 'x')")
        con.execute("begin")
        values = ((number, "y" * 2000) for number in range(rows))
        con.executemany("insert into sample (source_id, endpoint, polled_ns, body) values (1, '/a', ?, ?)", values)
        con.execute("commit")


def test_a_backup_is_a_sound_ledger_named_after_its_time_and_private(home: Path, settings: Settings) -> None:
    path = back_up(settings, home / "new" / "backups", JULY_1)
    assert path == home / "new" / "backups" / "ledger-20260701T000000Z.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert one(path, "pragma integrity_check") == "ok"
    assert one(path, "pragma user_version") == one(settings.db, "pragma user_version")
    assert ccostdb("report", "--db", str(path)).exit_code == 0


def test_the_newest_stay_and_nothing_foreign_goes(home: Path, settings: Settings) -> None:
    folder = home / "backups"
    folder.mkdir()
    another = folder / "ledger-20200101T000000Z.db"
    another.write_bytes(empty_ledger().read_bytes())
    with closing(sqlite3.connect(another)) as con, con:
        con.execute("update ledger set made_at_s = 1")  # of another ledger that has the same name
    foreign = ("ledger-20200102T000000Z.db", "notes.txt", "ledger-old.db", "other-20200101T000000Z.db")
    for name in foreign:
        (folder / name).write_text("mine")
    (folder / "ledger-20200103T000000Z.db").symlink_to(settings.db)
    made = [back_up(settings, folder, JULY_1 + hour * HOUR_NS) for hour in range(5)]
    assert [path.exists() for path in made] == [False, False, True, True, True]
    assert all((folder / name).read_text() == "mine" for name in foreign)
    assert another.exists()
    assert (folder / "ledger-20200103T000000Z.db").is_symlink()
    assert settings.db.exists()


def test_backups_of_one_second_have_numbers_and_the_oldest_go_first(home: Path, settings: Settings) -> None:
    made = [back_up(settings_for(home, backup_keep=11), home / "backups", JULY_1) for _ in range(12)]
    stamp = "ledger-20260701T000000Z"
    assert [path.name for path in made] == [f"{stamp}.db", *(f"{stamp}_{number}.db" for number in range(2, 13))]
    assert sorted(home.joinpath("backups").iterdir()) == sorted(made[1:])
    assert {copied_ns(path) for path in made} == {JULY_1}


@pytest.mark.skipif(sys.platform != "linux", reason="where file names are any bytes")
def test_a_ledger_whose_path_is_not_utf8_is_backed_up_by_hand_and_by_the_schedule(home: Path) -> None:
    path = home / os.fsdecode(b"n\xff") / "ledger.db"
    path.parent.mkdir()
    path.write_bytes(empty_ledger().read_bytes())
    done = run("backup", "--db", str(path))
    assert (done.returncode, done.stderr) == (0, "")

    async def scheduled() -> None:
        settings = Settings(path, home_tz="UTC")
        async with open_store(settings, stop := asyncio.Event()) as store:
            schedule = Schedule(store, settings, stop)
            await schedule.run(next(job for job in schedule.nightly if job.name == "backup"))

    asyncio.run(scheduled())
    assert one(path, "select outcome from job_run") == "ok"
    assert len(copies(path.parent / "backups", "ledger", one(path, "select made_at_s from ledger"))) == 2


def test_one_that_is_ended_early_leaves_nothing(home: Path, settings: Settings) -> None:
    grow(settings, 5000)
    asked = iter([False] * 3)
    with pytest.raises(CcostError, match="before it was whole"):
        back_up(settings, home / "backups", JULY_1, lambda: next(asked, True))
    assert list((home / "backups").iterdir()) == []


def test_what_a_killed_one_left_is_never_taken_for_a_backup_and_goes_after_a_day(
    home: Path, settings: Settings
) -> None:
    grow(settings, 40_000)
    folder = home / "backups"
    command = [sys.executable, "-m", "ccostdb", "backup", "--db", str(settings.db)]
    with subprocess.Popen(command, env=environment()) as process:
        until_s = time.monotonic() + WAIT_S
        while not folder.exists() or not any(path.stat().st_size for path in folder.iterdir()):
            assert time.monotonic() < until_s
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    left = list(folder.iterdir())
    assert left
    assert all(path.name.startswith(".ledger-") for path in left)
    done = back_up(settings, folder, JULY_1)
    assert set(folder.iterdir()) == {*left, done}
    for path in left:
        os.utime(path, (0, time.time() - LEFT_OVER_S - 10))
    again = back_up(settings, folder, JULY_1)
    assert set(folder.iterdir()) == {done, again}


def test_it_is_made_while_another_process_writes(home: Path, settings: Settings) -> None:
    write(home / "projects" / "a.jsonl", line())
    command = [sys.executable, "-m", "ccostdb", "ingest", "claude-code", str(home / "projects")]
    with subprocess.Popen(
        [*command, "--db", str(settings.db)], env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        until_s = time.monotonic() + WAIT_S
        while not one(settings.db, "select count(*) from call"):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        done = run("backup", "--to", str(home / "there"), "--db", str(settings.db))
        process.send_signal(signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    assert one(Path(done.stdout.strip()), "select count(*) from call") == 1
    assert process.returncode == 0


def test_what_cannot_be_backed_up_or_written_is_one_sentence_and_a_hint(home: Path, settings: Settings) -> None:
    (home / "file").write_text("")
    for words in (("--to", str(home / "file")), ("--to", str(home / "file" / "below")), ("--db", str(home / "no.db"))):
        done = run("backup", "--db", str(settings.db), *words)
        assert (done.returncode, done.stderr.count("\n"), done.stderr.startswith("Error: ")) == (1, 2, True), (
            done.stderr
        )
    assert not (home / "no.db").exists()
