"""Prints how the running process bears a day: python bench/soak.py [--minutes 10] [--hours 24]

The real `ccostdb ingest`, with a home of its own, follows the four sources of simulated_day.py while so many hours
pass in so many minutes. Afterwards each call and event must be in the ledger once, or in a time that a gap covers.
What goes by our clock (the schedule, heartbeats) is not hurried. Exit status 1: something was lost, or LIMITS were
passed. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from simulated_day import TOKENS, Clock, World, free_port, world_of

import ccostdb
from ccostdb.model import Usage

CCOSTDB = [sys.executable, "-m", "ccostdb"]
SAMPLE_S, START_S, BOUND_S = 2.0, 30.0, 30.0
MB = 1 << 20
LIMITS = {"memory, MB": 60.0, "WAL, MB": 64.0}
MOST_GROWTH = 1.2  # of memory, from the second to the last quarter
MOST_EXIT_S = 2.0


class Health:
    """/health, asked each second: how long it took at most, and how often it said what."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/health"
        self.longest_s = 0.0
        self.said: Counter[str] = Counter()

    async def ask(self) -> bool:
        """Whether it is healthy."""
        answer, took_s = await asyncio.to_thread(self._ask)
        self.longest_s = max(self.longest_s, took_s)
        self.said[answer] += 1
        return answer == "200"

    def _ask(self) -> tuple[str, float]:
        began_s = time.monotonic()
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                answer.read()
                said = str(answer.status)
        except urllib.error.HTTPError as error:
            said = str(error.code)
        except OSError:
            said = "nothing"
        return said, time.monotonic() - began_s


class Process:
    """The process under test, and what it held as it was looked at."""

    def __init__(self, world: World, home: Path) -> None:
        self.db, self.log, self.home = home / "soak.db", home / "log", home
        port = free_port()
        self.health = Health(port)
        shorter = world.clock.shorter
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("CCOSTDB_", "CLAUDE_", "XDG_"))}
        self.environ = kept | {
            "HOME": str(home),
            "CCOSTDB_DB": str(self.db),
            "CCOSTDB_HOME_TZ": "UTC",
            "CCOSTDB_HEALTH_PORT": str(port),
            "CCOSTDB_CCO_URL": f"http://127.0.0.1:{world.cco_port}",
            "CCOSTDB_CCD_URL": world.ccd.url,
            "CCOSTDB_CCA_URL": world.cca.url,
            "CCOSTDB_CCA_INTERVAL_S": shorter(30),
            "CCOSTDB_STREAM_REOPEN_S": shorter(30),
            "CCOSTDB_FOLLOW_INTERVAL_S": shorter(1),
            "CCOSTDB_RECONNECT_MAX_S": "0.5",
        }
        self.samples: list[dict[str, float]] = []
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*CCOSTDB, "ingest"], env=self.environ, cwd=home, stdout=log, stderr=log)

    async def start(self) -> None:
        until_s = time.monotonic() + START_S
        while not await self.health.ask() or self._connected() < 4:
            if time.monotonic() > until_s or self.process.poll() is not None:
                raise SystemExit(f"ccostdb did not start:\n{self.log.read_text()}")
            await asyncio.sleep(0.2)
        self.health.said.clear()

    def _connected(self) -> int:
        query = "select count(*) as runs from run where state in ('connected', 'reading')"
        return int(self.rows(query)[0]["runs"])

    async def watch(self) -> None:
        """Samples it for as long as it runs and nobody cancels."""
        looks = 0
        while self.process.poll() is None:
            await self.health.ask()
            if looks % SAMPLE_S == 0:
                self.samples.append(self._sample())
            looks += 1
            await asyncio.sleep(1)
        raise SystemExit(f"ccostdb ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")

    def _sample(self) -> dict[str, float]:
        proc = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        anon, of_files = (int(status[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
        wal = Path(f"{self.db}-wal")
        return {
            "memory, MB": anon + of_files,
            "memory without pages of files, MB": anon,
            "WAL, MB": wal.stat().st_size / MB if wal.exists() else 0.0,
            "ledger, MB": self.db.stat().st_size / MB,
            "open descriptors": len(list((proc / "fd").iterdir())),
            "threads": int(status["Threads"]),
        }

    def stop(self) -> tuple[float, int]:
        """Seconds from SIGTERM to the end, and the exit status."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(BOUND_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        return time.monotonic() - began_s, status

    def rows(self, query: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(f"{self.db.as_uri()}?mode=ro", uri=True)) as con:
            con.row_factory = sqlite3.Row
            return [dict(row) for row in con.execute(query)]

    def verified(self) -> tuple[str, bool]:
        """What `rollup --verify` says, and whether it finds nothing amiss."""
        command = [*CCOSTDB, "rollup", "--verify"]
        done = subprocess.run(command, env=self.environ, cwd=self.home, check=False, capture_output=True, text=True)
        return (done.stdout + done.stderr).strip(), done.returncode == 0


class Verdict:
    """What is printed, and whether all of it is well."""

    is_well = True

    def say(self, what: str, how: str, is_well: bool = True) -> None:
        self.is_well &= is_well
        print(f"{what:<34} {how}{'' if is_well else '   MISSED'}", flush=True)

    def table(self, samples: list[dict[str, float]], hours: float) -> None:
        """Medians and maxima of the quarters, and the growth from the first to the last."""
        size = len(samples) // 4
        quarters = [samples[number * size : (number + 1) * size] for number in (0, 1, 3)]
        print(f"{'median / most in a quarter':<34} {'first':>15} {'second':>15} {'last':>15} {'growth an hour':>15}")
        for name in samples[0]:
            values = [[sample[name] for sample in quarter] for quarter in quarters]
            medians = [statistics.median(each) for each in values]
            cells = [f"{middle:6.1f} /{max(each):6.1f}" for middle, each in zip(medians, values, strict=True)]
            growth = (medians[2] - medians[0]) / (hours * 3 / 4)
            limit = LIMITS.get(name, float("inf"))
            is_steady = name != "memory, MB" or medians[2] <= MOST_GROWTH * medians[1]
            is_well = is_steady and max(sample[name] for sample in samples) <= limit
            self.say(name, "".join(f"{cell:>16}" for cell in cells)[1:] + f" {growth:15.3f}", is_well)

    def compare(
        self, what: str, sent: Counter[Any], stored: Counter[Any], is_in_gap: Callable[[Any], bool] | None = None
    ) -> None:
        """All that was sent is stored as often as it should be, or is in a gap."""
        missing, extra = sent - stored, stored - sent
        in_gaps = sum(count for key, count in missing.items() if is_in_gap and is_in_gap(key))
        lost = missing.total() - in_gaps
        how = f"{sent.total():,} sent, {stored.total():,} stored, {in_gaps} in gaps, {lost} lost, {extra.total()} extra"
        self.say(what, how, not lost and not extra)


def check(world: World, process: Process, verdict: Verdict) -> None:
    """The ledger beside what was sent."""
    gaps = process.rows("select source.kind as source, gap.* from gap join source using (source_id)")

    def is_in_gap(source: str, at_ns: int) -> bool:
        known = [gap for gap in gaps if gap["source"] == source and gap["from_ns"] is not None]
        return any(gap["from_ns"] <= at_ns <= gap["to_ns"] for gap in known)

    sent = [each for boot in world.boots for each in boot.sent]
    at_ns = {(each.activity["timestamp"], each.activity["event_type"]): each.at_ns for each in sent}
    activities = Counter(tuple(row.values()) for row in process.rows("select timestamp, event_type from activities"))
    verdict.compare("events of CCO", Counter(at_ns.keys()), activities, lambda key: is_in_gap("cco", at_ns[key]))
    calls = Counter(row["occurred_ns"] for row in process.rows("select occurred_ns from calls where source = 'cco'"))
    counted = Counter(each.at_ns for each in sent if each.is_call)
    verdict.compare("calls of CCO", counted, calls, lambda key: is_in_gap("cco", key))
    columns = ", ".join(("session_id", "model", *Usage._fields[:5]))
    rows = process.rows(f"select {columns} from calls where source = 'claude-code'")
    stored = Counter(tuple(row.values()) for row in rows)
    written = Counter((c.session, c.model, *c.usage[:5]) for thread in world.threads for c in thread.calls)
    verdict.compare("calls in transcripts", written, stored)
    events = process.rows("select event_id, conflicts from daemon_event")
    told, ids = Counter(world.told_ns.keys()), Counter(row["event_id"] for row in events)
    verdict.compare("daemon events", told, ids, lambda key: is_in_gap("ccd", world.told_ns[key]))
    last = process.rows(f"select body from samples where endpoint = '{TOKENS}' order by sample_id desc limit 1")
    is_last = bool(last) and json.loads(last[0]["body"])["data"]["total_tokens"] == world.cca_states * 1000
    samples = len(process.rows(f"select 1 from samples where endpoint = '{TOKENS}'"))
    verdict.say("states of CCA", f"{world.cca_states:,} shown, {samples:,} stored, the last one: {is_last}", is_last)
    kinds = Counter(f"{gap['source']} {gap['kind']}" for gap in gaps)
    verdict.say("gaps", ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none")
    rejected, conflicts = len(process.rows("select 1 from rejected")), sum(row["conflicts"] for row in events)
    verdict.say("rejected, in conflict", f"{rejected}, {conflicts}", not rejected + conflicts)
    verdict.say("rollup --verify", *process.verified())


async def soak(clock: Clock, home: Path) -> bool:
    """Lets the day pass. Returns whether all is well."""
    verdict = Verdict()
    async with world_of(clock, home) as world:
        process = Process(world, home)
        try:
            await process.start()
            watching = asyncio.create_task(process.watch())
            await world.play()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            took_s, status = await asyncio.to_thread(process.stop)
        finally:
            process.process.kill()
        verdict.table(process.samples, clock.hours)
        check(world, process, verdict)
    health = process.health
    said = ", ".join(f"{count} {answer}" for answer, count in sorted(health.said.items()))
    verdict.say("/health", f"{said}; the longest took {health.longest_s * 1000:.0f} ms", "nothing" not in health.said)
    verdict.say("SIGTERM", f"exit {status} after {took_s:.2f} s", status == 0 and took_s <= MOST_EXIT_S)
    return verdict.is_well


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--hours", type=float, default=24)
    asked = parser.parse_args()
    compileall.compile_dir(Path(ccostdb.__file__).parent, quiet=1)  # else the process may hold what a compiler took
    with tempfile.TemporaryDirectory(prefix="ccostdb-soak-") as folder:
        if not asyncio.run(soak(Clock(asked.hours, asked.minutes), Path(folder))):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
