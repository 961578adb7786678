"""What the running process does besides recording: sums, budgets, pruning, upkeep, backups. Each run leaves a row.

A job that fails is `failed`, with its reason, and everything goes on. What runs every minute leaves a row only where
it did something. A job that was missed, by a machine that slept or was off, runs once as soon as it can. A clock that
is put back stops none.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from ccostdb.budgets import check
from ccostdb.clock import SECOND_NS
from ccostdb.errors import CcostError
from ccostdb.jobs.backup import back_up, backup_folder
from ccostdb.jobs.prune import prune, sentence
from ccostdb.jobs.upkeep import checkpoint, optimize
from ccostdb.settings import Settings
from ccostdb.stopping import stopped_within
from ccostdb.store import Store
from ccostdb.words import count_of, repeated

MINUTE_S = 60
CHECKPOINT_S = 300
WATCH_S = 5.0  # how often the clock is looked at
REPEATED_S = 7200  # a night in which clocks are put back has the same hour twice
MOST_DETAIL = 4096  # characters of a path
END_S = 1.0  # how long a job may take to end when it is told to
KILLED = "the process ended before it did"

log = logging.getLogger(__name__)


class Job(NamedTuple):
    """`work` returns what it did, None: nothing. A quiet one leaves no row then; others have theirs from the start."""

    name: str
    work: Callable[[], Awaitable[str | None]]
    is_quiet: bool


class Schedule:
    """The jobs of a running process, between `start` and `end`."""

    def __init__(self, store: Store, settings: Settings, stop: asyncio.Event) -> None:
        self._store, self._settings, self._stop = store, settings, stop
        self._running: set[asyncio.Task[Any]] = set()
        self._watching: asyncio.Task[None] | None = None
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self.scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)
        self.minutely = (
            Job("rollups", self._refresh, True),
            Job("budgets", self._check_budgets, True),
        )  # in this order
        self.checkpoint = Job("checkpoint", self._checkpoint, True)
        self.nightly = {
            Job("prune", self._prune, False): "03:30",
            Job("optimize", self._optimize, False): "04:00",
            Job("backup", self._back_up, False): settings.backup_at,
        }

    async def start(self) -> None:
        """Begins. Runs of before that have no end were killed; nightly jobs that were missed come at once."""
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a minute's job still runs is no news
        await self._store.patience.insist(self._fail_killed)
        now = datetime.now(UTC)
        ((made_ns,),) = await self._store.db.execute_fetchall("select made_at_s * 1000000000 from ledger")
        self.scheduler.add_job(self.run, IntervalTrigger(seconds=MINUTE_S), self.minutely, id="minute")
        self.scheduler.add_job(self.run, IntervalTrigger(seconds=CHECKPOINT_S), [self.checkpoint], id="checkpoint")
        for job, at in self.nightly.items():
            if at != "never":
                hour, minute = map(int, at.split(":"))
                trigger = CronTrigger(hour=hour, minute=minute, timezone=self._store.home_tz)
                last_ns = await self._last_ns(job) or made_ns
                first = now if _is_missed(trigger, last_ns, now) else trigger.get_next_fire_time(None, now)
                self.scheduler.add_job(self.run_nightly, trigger, [job], id=job.name, next_run_time=first)
        self.scheduler.start()
        self._watching = asyncio.create_task(self._watch())

    async def end(self) -> None:
        """Ends in good order: what runs is told by `stop`, which the caller has set, and cut off if it will not."""
        if self._watching:
            await self._watching
        self.scheduler.remove_all_jobs()
        if self._running:
            await asyncio.wait(self._running, timeout=END_S)
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self.scheduler.shutdown(wait=False)
        await asyncio.sleep(0)  # it shuts down in the loop's next turn

    async def run(self, *jobs: Job) -> None:
        """These jobs, one after the other, each with its row."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        for job in jobs:
            if not self._stop.is_set():
                await self._run_one(job)

    async def run_nightly(self, job: Job) -> None:
        """The job and its row, unless it went well within the last two hours: see REPEATED_S."""
        if (await self._last_ns(job) or 0) < time.time_ns() - REPEATED_S * SECOND_NS:
            await self.run(job)

    async def _watch(self) -> None:
        while not await stopped_within(self._stop, WATCH_S):
            self._retime(datetime.now(UTC))

    def _retime(self, now: datetime) -> None:
        """Brings back what is due later than a schedule made now would have it: the clock was put back."""
        for job in self.scheduler.get_jobs():
            trigger = job.trigger
            is_interval = isinstance(trigger, IntervalTrigger)
            due = now + trigger.interval if is_interval else trigger.get_next_fire_time(None, now)
            if due and job.next_run_time > due:
                job.modify(next_run_time=due)

    async def _run_one(self, job: Job) -> None:
        began_ns, row, outcome, is_cut = time.time_ns(), None, "ok", False
        try:
            row = None if job.is_quiet else await self._begin_row(job, began_ns)
            detail = await job.work()
            if not job.is_quiet:
                log.info("%s: %s", job.name, detail or "done")
        except asyncio.CancelledError:  # by `end` alone, which waits for the row
            outcome, detail, is_cut = "failed", KILLED, True
        except Exception as error:
            outcome, detail = "failed", _reason(error)
            log.error("%s failed: %s", job.name, detail)
            if not isinstance(error, CcostError | sqlite3.Error | OSError):
                log.exception("this is a bug")
        if detail is None and job.is_quiet:
            return
        try:
            row = row or await self._begin_row(job, began_ns)
            async with self._store.transaction() as db:
                done = "update job_run set ended_ns = ?, outcome = ?, detail = ? where job_run_id = ?"
                await db.execute(done, (None if is_cut else time.time_ns(), outcome, detail, row))
        except sqlite3.Error as error:
            log.error("the run of %s cannot be noted: %s", job.name, error)

    async def _begin_row(self, job: Job, began_ns: int) -> int:
        async with self._store.transaction() as db:
            done = await db.execute("insert into job_run (job, started_ns) values (?, ?)", (job.name, began_ns))
        return int(done.lastrowid or 0)

    async def _fail_killed(self) -> None:
        async with self._store.alone() as db:
            await db.execute("update job_run set outcome = 'failed', detail = ? where outcome is null", (KILLED,))

    async def _last_ns(self, job: Job) -> int | None:
        """When the job was last begun and went well; a time that a wrong clock put into the future is none."""
        query = "select max(started_ns) from job_run where outcome = 'ok' and job = ? and started_ns < ?"
        latest_ns = time.time_ns() + REPEATED_S * SECOND_NS
        ((last_ns,),) = await self._store.db.execute_fetchall(query, (job.name, latest_ns))
        return None if last_ns is None else int(last_ns)

    # --- the jobs

    async def _refresh(self) -> str | None:
        refreshed = await self._store.refresh()
        return f"{count_of(refreshed, 'quarter hour')} recomputed" if refreshed else None

    async def _check_budgets(self) -> str | None:
        return await check(self._store, self._settings, time.time_ns())

    async def _prune(self) -> str:
        return f"{sentence(await prune(self._store, self._settings, time.time_ns(), self._stop))} deleted"

    async def _optimize(self) -> None:
        await optimize(self._store)

    async def _checkpoint(self) -> str | None:
        return await checkpoint(self._store, self._settings.db)

    async def _back_up(self) -> str:
        folder, now_ns = backup_folder(self._settings), time.time_ns()
        made = await asyncio.to_thread(back_up, self._settings, folder, now_ns, self._stop.is_set)
        return repeated(str(made), MOST_DETAIL)


def _is_missed(trigger: CronTrigger, last_ns: int, now: datetime) -> bool:
    """Whether the last time that it was due has passed since it ran."""
    due = trigger.get_next_fire_time(None, now - timedelta(days=1))
    return due is not None and last_ns / 1e9 < due.timestamp() <= now.timestamp()


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, CcostError) else repeated(str(error) or repr(error))
