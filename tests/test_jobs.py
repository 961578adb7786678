"""The schedule: each run is a row, what was missed runs once, a job that fails or is killed harms nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import ccostdb, environment, objects
from ledger_rows import add_calls, add_source
from transcripts import settings_for

from ccostdb.jobs import schedule as schedule_module
from ccostdb.jobs.schedule import CHECKPOINT_S, MINUTE_S, Job, Schedule
from ccostdb.jobs.upkeep import LARGE_WAL_BYTES, checkpoint
from ccostdb.settings import Settings
from ccostdb.store import Store, open_store

DAY_S = 86_400
DAY_NS = DAY_S * 1_000_000_000
RUNS = "select job, outcome, detail from jobs order by started_at"
WAIT_S = 30


@pytest.fixture
def settings(home: Path) -> Settings:
    return settings_for(home, backup_at="never")


def query(settings: Settings, text: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        return con.execute(text, values).fetchall()


def scheduled(
    settings: Settings, act: Callable[[Schedule, Store], Awaitable[None]], *, is_started: bool = True
) -> list[tuple[Any, ...]]:
    """The rows of the jobs that ran in a real schedule while `act` did what it does."""

    async def run() -> None:
        stop = asyncio.Event()
        async with open_store(settings, stop) as store:
            schedule = Schedule(store, settings, stop)
            if is_started:
                await schedule.start()
            try:
                await asyncio.wait_for(act(schedule, store), WAIT_S)
            finally:
                stop.set()
                if is_started:
                    await schedule.end()

    asyncio.run(run())
    return query(settings, RUNS)


async def until(store: Store, question: str) -> None:
    while not await store.db.execute_fetchall(question):
        await asyncio.sleep(0.01)


def ran_before(settings: Settings, *jobs: str, days: float) -> None:
    """Rows of runs that went well so many days ago."""
    then = time.time_ns() - int(days * DAY_NS)
    for job in jobs:
        query(settings, "insert into job_run (job, started_ns, ended_ns, outcome) values (?1, ?2, ?2, 'ok')", job, then)


def add_call(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        add_calls(con, [{"call_id": "c1", "source_id": add_source(con, "cco"), "occurred_ns": 20_635 * DAY_NS}])


def test_a_machine_that_slept_for_days_runs_each_job_once(settings: Settings) -> None:
    query(settings, "update ledger set made_at_s = ?", int(time.time()))
    add_call(settings)

    async def sleep(schedule: Schedule, store: Store) -> None:
        for job in schedule.scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC) - timedelta(days=3))
        await until(store, "select 1 where (select count(distinct job) from job_run where ended_ns is not null) = 3")
        await asyncio.sleep(0.3)  # for a second run of any

    runs = scheduled(settings, sleep)
    assert sorted(job for job, *_ in runs) == ["optimize", "prune", "rollups"]
    assert {outcome for _, outcome, _ in runs} == {"ok"}


def test_what_was_missed_while_no_process_ran_runs_at_the_start_and_what_was_not_does_not(settings: Settings) -> None:
    ran_before(settings, "prune", days=2)
    ran_before(settings, "optimize", days=0)

    async def wait(schedule: Schedule, store: Store) -> None:
        await until(store, "select 1 from job_run where job = 'prune' and ended_ns > started_ns")

    runs = scheduled(settings, wait)
    assert [job for job, *_ in runs] == ["prune", "optimize", "prune"]


def test_a_night_that_has_an_hour_twice_runs_its_job_once(settings: Settings) -> None:
    ran_before(settings, "prune", "optimize", days=1 / 24)

    async def night(schedule: Schedule, store: Store) -> None:
        for job in schedule.scheduler.get_jobs():
            job.modify(next_run_time=datetime.now(UTC))
        await asyncio.sleep(0.5)  # for a second run

    assert sorted(job for job, *_ in scheduled(settings, night)) == ["optimize", "prune"]


def test_a_clock_that_is_put_back_stops_no_job(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "WATCH_S", 0.05)
    query(settings, "update ledger set made_at_s = ?", int(time.time()))

    async def put_back(schedule: Schedule, store: Store) -> None:
        for job in schedule.scheduler.get_jobs():  # what is due as it was, while the clock says two days less
            job.modify(next_run_time=job.next_run_time + timedelta(days=2))
        most = {"minute": MINUTE_S, "checkpoint": CHECKPOINT_S, "prune": DAY_S, "optimize": DAY_S}
        while any(
            job.next_run_time > datetime.now(UTC) + timedelta(seconds=most[job.id])
            for job in schedule.scheduler.get_jobs()
        ):
            await asyncio.sleep(0.02)

    assert scheduled(settings, put_back) == []


def test_a_run_in_a_future_that_a_wrong_clock_made_keeps_no_night_from_its_job(settings: Settings) -> None:
    ran_before(settings, "prune", days=-400)

    async def night(schedule: Schedule, store: Store) -> None:
        await schedule.run_nightly(next(job for job in schedule.nightly if job.name == "prune"))

    assert [job for job, *_ in scheduled(settings, night, is_started=False)] == ["prune", "prune"]


def test_a_new_ledger_waits_for_its_first_night(settings: Settings) -> None:
    query(settings, "update ledger set made_at_s = ?", int(time.time()))

    async def wait(schedule: Schedule, store: Store) -> None:
        await asyncio.sleep(0.2)
        assert all(job.next_run_time > datetime.now(UTC) for job in schedule.scheduler.get_jobs())

    assert scheduled(settings, wait) == []


def test_a_minute_in_which_there_was_nothing_to_do_leaves_no_row(settings: Settings) -> None:
    async def two_minutes(schedule: Schedule, store: Store) -> None:
        await schedule.run(*schedule.minutely, schedule.checkpoint)
        add_call(settings)
        await schedule.run(*schedule.minutely, schedule.checkpoint)

    runs = scheduled(settings, two_minutes, is_started=False)
    assert runs == [("rollups", "ok", "1 quarter hour recomputed")]
    assert query(settings, "select count(*) from dirty_bucket") == [(0,)]
    assert query(settings, "select sum(calls) from rollup_day") == [(1,)]


def test_a_job_that_fails_says_why_and_everything_else_goes_on(
    home: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "file").write_text("in the way")
    failing = settings_for(home, backup_folder=home / "file" / "backups", keep_activities_days=1)

    async def night(schedule: Schedule, store: Store) -> None:
        await schedule.run(*reversed(schedule.nightly))

    runs = scheduled(failing, night, is_started=False)
    assert [(job, outcome) for job, outcome, _ in runs] == [("backup", "failed"), ("optimize", "ok"), ("prune", "ok")]
    assert "cannot be made" in runs[0][2]
    assert "backup failed" in caplog.text
    assert runs[2][2] == "nothing deleted"


def test_a_budget_whose_command_failed_is_a_failed_run_that_says_so_first(home: Path, settings: Settings) -> None:
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        call = {"call_id": "c1", "source_id": add_source(con, "cco"), "occurred_ns": time.time_ns()}
        add_calls(con, [{**call, "computed_nusd": 2 * 10**9}])
    budget = {"name": "work", "monthly": 1, "command": ["sh", "-c", "exit 3"]}

    async def minute(schedule: Schedule, store: Store) -> None:
        await schedule.run(*schedule.minutely)

    *_, (job, outcome, detail) = scheduled(settings_for(home, user_budgets=(budget,)), minute, is_started=False)
    assert (job, outcome) == ("budgets", "failed")
    assert detail.startswith("the command of work failed: exit status 3; work: $2.00 spent in ")


def test_a_backup_is_a_job_in_the_home_time_zone_and_never_is_never(home: Path) -> None:
    settings = settings_for(home, backup_at="02:30")
    query(settings, "update ledger set home_tz = 'Asia/Kolkata'")
    kolkata = Settings(settings.db, home_tz="Asia/Kolkata", backup_at="02:30")
    query(settings, "update ledger set made_at_s = ?", int(time.time()))

    async def look(schedule: Schedule, store: Store) -> None:
        at = schedule.scheduler.get_job("backup").next_run_time
        assert (at.astimezone(UTC).hour, at.astimezone(UTC).minute) == (21, 0)
        await schedule.run(next(job for job in schedule.nightly if job.name == "backup"))

    runs = scheduled(kolkata, look)
    assert [(job, outcome) for job, outcome, _ in runs] == [("backup", "ok")]
    assert Path(runs[0][2]).parent == home / "backups"

    async def look_again(schedule: Schedule, store: Store) -> None:
        assert schedule.scheduler.get_job("backup") is None

    scheduled(settings_for(home, backup_at="never"), look_again)


def test_a_job_that_runs_when_the_process_ends_is_cut_off_and_noted(settings: Settings) -> None:
    async def end(schedule: Schedule, store: Store) -> None:
        schedule._stop.set()
        await schedule._run_one(next(job for job in schedule.nightly if job.name == "backup"))

    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:  # enough for the copy to take its time
        rows = ((1, "x", number, "y" * 1000) for number in range(20_000))
        con.execute("insert into source (source_id, kind, name, address) values (1, 'cca', 'cca', 'x')")
        con.executemany("insert into sample (source_id, endpoint, polled_ns, body) values (?, ?, ?, ?)", rows)
    runs = scheduled(settings, end, is_started=False)
    assert runs == [("backup", "failed", "The backup was ended before it was whole.")]
    assert list((settings.db.parent / "backups").iterdir()) == []


@pytest.mark.parametrize("is_quiet", [False, True])
def test_a_job_that_hangs_when_the_process_ends_is_cut_off_and_noted_at_once(
    settings: Settings, caplog: pytest.LogCaptureFixture, is_quiet: bool
) -> None:
    ran_before(settings, "optimize", "prune", days=0)
    cut, hanging = [], asyncio.Event()

    async def hang() -> None:
        try:
            hanging.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append("backup")
            raise

    async def begin(schedule: Schedule, store: Store) -> None:
        schedule.scheduler.add_job(schedule.run, args=[Job("backup", hang, is_quiet)])
        await hanging.wait()

    began_s = time.monotonic()
    assert ("backup", "killed", "the process ended before it did") in scheduled(settings, begin)
    assert time.monotonic() - began_s < WAIT_S
    assert cut == ["backup"]
    assert caplog.messages == []  # no traceback


KILLED_IN_A_JOB = """
import asyncio, os, signal, sys
from pathlib import Path
from ccostdb.jobs.schedule import Job, Schedule
from ccostdb.settings import Settings
from ccostdb.store import open_store

async def die():
    os.kill(os.getpid(), signal.SIGKILL)

async def run():
    settings = Settings(Path(sys.argv[1]), backup_at="never")
    async with open_store(settings, stop := asyncio.Event()) as store:
        await Schedule(store, settings, stop).run(Job("prune", die, False))

asyncio.run(run())
"""


def test_a_run_that_was_killed_is_seen_as_such(settings: Settings) -> None:
    command = [sys.executable, "-c", KILLED_IN_A_JOB, str(settings.db)]
    done = subprocess.run(command, env=environment(), timeout=WAIT_S, check=False)
    assert done.returncode == -signal.SIGKILL
    assert query(settings, "select job, outcome, seconds from jobs") == [("prune", None, None)]

    async def nothing(schedule: Schedule, store: Store) -> None:
        assert schedule.scheduler.running

    ran_before(settings, "optimize", days=0)
    runs = scheduled(settings, nothing)
    assert runs[0] == ("prune", "killed", "the process ended before it did")


def test_the_wal_is_emptied_and_a_reader_is_not_waited_for(settings: Settings) -> None:
    wal = Path(f"{settings.db}-wal")

    async def fill(store: Store, number: int) -> None:
        async with store.transaction() as db:
            await db.execute("insert or ignore into source (source_id, kind, name, address) values (1, 'a', 'a', 'a')")
            rows = [(1, f"{number}", each, "y" * 1000) for each in range(6000)]
            await db.executemany("insert into sample (source_id, endpoint, polled_ns, body) values (?, ?, ?, ?)", rows)

    async def work(schedule: Schedule, store: Store) -> None:
        await fill(store, 1)
        assert wal.stat().st_size > LARGE_WAL_BYTES
        await schedule.run(schedule.checkpoint)
        assert wal.stat().st_size < 100_000  # the job's own row
        assert await checkpoint(store, settings.db) is None
        with closing(sqlite3.connect(settings.db, isolation_level=None)) as reader:
            reader.execute("begin")
            reader.execute("select count(*) from sample").fetchone()
            await fill(store, 2)
            said = await checkpoint(store, settings.db)
            assert said is not None
            assert said.endswith("kept: someone reads them")
        assert await store.db.execute_fetchall("pragma busy_timeout") == [(1000,)]

    ((job, outcome, detail),) = scheduled(settings, work, is_started=False)
    assert (job, outcome, detail.endswith("of WAL emptied")) == ("checkpoint", "ok", True)


def test_jobs_shows_the_newest_first_and_no_more_than_asked_for(settings: Settings) -> None:
    empty = ccostdb("jobs", "--db", str(settings.db))
    assert (empty.exit_code, "No job has run yet" in empty.stderr) == (0, True)
    for number in range(4):
        ran_before(settings, f"job {number}", days=9 - number)
    shown = objects(ccostdb("jobs", "--last", "3", "--json", "--db", str(settings.db)))
    assert [row["job"] for row in shown] == ["job 3", "job 2", "job 1"]
    assert list(shown[0]) == ["job", "started_at", "seconds", "outcome", "detail"]
    assert os.environ["HOME"]
