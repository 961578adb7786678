"""Prints how long pages take at 10 million calls, beside the scan that they avoid: python bench/pages.py [--db LEDGER]

Pages are asked for over HTTP from `ccostdb serve`; what is printed is the least CPU of the server, and the least wall
time, of several turns. Then a CSV of a million calls, made by the command and by the page, beside `csv.writer` over the
same query: CPU of whole processes, and their peak memory.
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice, takewhile
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import aiosqlite
import httpx
from run import CCOSTDB, HERE, Spent, spent

import ccostdb
from ccostdb.clock import DAY_NS, parse_ns
from ccostdb.datasette_plugin.metadata import load_metadata
from ccostdb.resources import sql_names
from ccostdb.rollups import refresh

sys.path.insert(0, str(HERE.parent / "tests"))

PAGE_MS = 300
CSV_RATIO = 1.5
SCAN = "select model_id, count(*), sum(ifnull(reported_nusd, computed_nusd)) from call group by model_id"
OWN = ("/-/ccostdb", "/-/ccostdb/health", "/-/ccostdb/health.json", "/-/dashboards/ccostdb", "/ccostdb")
WRITER = """
import csv, sqlite3, sys
con = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
con.execute("pragma mmap_size = 1073741824")
rows = con.execute("select * from calls where occurred_ns >= ? order by occurred_ns", (int(sys.argv[2]),))
with open("/dev/null", "w", newline="") as out:
    csv.writer(out).writerows(rows)
"""


def make_ledger(path: Path, calls: int) -> None:
    """Two years of about so many calls: those of the tests' ledger, each of them again and again."""
    from sized_ledgers import CALL_COLUMNS, two_year_ledger

    two_year_ledger(path)
    names = ", ".join(CALL_COLUMNS[1:])
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("pragma journal_mode = off")
        con.execute("pragma synchronous = off")
        con.execute("pragma cache_size = -500000")
        con.execute("pragma temp_store = memory")
        (there,) = con.execute("select count(*) from call").fetchone()
        made = (
            "select type, name, sql from sqlite_master where tbl_name = 'call' and type <> 'table' and sql is not null"
        )
        parts = con.execute(made).fetchall()
        for kind, name, _ in parts:  # an index is made quicker at once, and all that triggers mark is marked below
            con.execute(f"drop {kind} {name}")
        for copy in range(1, calls // there):
            ids = f"printf('copy {copy:06d} %09d', rowid)"
            con.execute(f"insert into call (call_id, {names}) select {ids}, {names} from call where rowid <= {there}")
        for _, _, sql in parts:
            con.execute(sql)
        con.execute("insert or ignore into dirty_bucket select bucket_s from calendar")

    async def roll_up() -> None:
        async with aiosqlite.connect(path, isolation_level=None) as db:
            while await refresh(db, limit=100_000):
                pass
            await db.execute(
                "insert into dirty_bucket select bucket_s from calendar where day = (select max(day) from calendar)"
            )
            await db.execute("pragma journal_mode = wal")

    asyncio.run(roll_up())


@contextmanager
def serving(db: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server that runs."""
    from served import process

    with process(db, stderr=None) as (child, url):
        yield url, child


def ended(process: subprocess.Popen[str], began: float) -> Spent:
    """What a server used in all, once it was told to end."""
    process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Spent(usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / unit)


def pages() -> list[str]:
    """Every page: ours, every question, every chart's rows for all time and for some of it, every view."""
    plugins = load_metadata()["plugins"]
    found = [*OWN, *(f"/ccostdb/{name}" for name in plugins["ccostdb"]["questions"])]
    month_ago = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 30 * 86400))
    for dashboard in plugins["datasette-dashboards"].values():
        for name, chart in dashboard["charts"].items():
            for label, filters in (("all time", {}), ("30 days", {"since": month_ago})):
                asked = urlencode({"sql": filtered(chart["query"], filters), **filters, "_shape": "objects"})
                found.append(f"/ccostdb.json?{asked}#chart {name}, {label}")
    return [*found, *(f"/ccostdb/{name}" for name in sorted(sql_names("views")))]


def filtered(query: str, filters: dict[str, str]) -> str:
    """The chart's query as datasette-dashboards sends it: without the [[ … ]] of filters that are not given."""
    kept = "|".join(filters) or "(?!)"
    return re.sub(r"\[\[(.*?)\]\]", lambda found: found[1] if re.search(f":({kept})\\b", found[1]) else "", query)


def time_pages(db: Path, runs: int) -> None:
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as con:
        con.execute("pragma mmap_size = 1073741824")
        took = []
        for _ in range(2):
            began = time.process_time()
            con.execute(SCAN).fetchall()
            took.append(1000 * (time.process_time() - began))
    scan_ms = min(took)
    print(f"{'scan of all calls':<52} {scan_ms:8.0f} ms of CPU")
    with serving(db) as (url, process), httpx.Client(base_url=url, timeout=120, follow_redirects=True) as client:
        for page in pages():
            path, _, label = page.partition("#")
            wall_ms, cpu_ms = map(min, zip(*(timed(client, path, process) for _ in range(runs)), strict=True))
            held = "" if cpu_ms <= PAGE_MS else f"   MISSED: at most {PAGE_MS}"
            beside = f"{cpu_ms / scan_ms:7.3f} of the scan, {wall_ms:6.0f} ms of wall"
            print(f"{label or path:<52} {cpu_ms:8.0f} ms {beside}{held}", flush=True)
        print(f"{'own memory of the server after all pages':<52} {next(islice(memory_mb(process), 1, None)):8.0f} MB")
    line = [spent([*CCOSTDB, "statusline", "--db", str(db)]).cpu_s for _ in range(2 * runs)]
    print(f"{'statusline':<52} {1000 * min(line):8.0f} ms of CPU")


def timed(client: httpx.Client, path: str, server: subprocess.Popen[str]) -> tuple[float, float]:
    """Milliseconds to the end of the answer, and the server's CPU for it (Linux only; else the same)."""
    began, before_ms = time.perf_counter(), cpu_ms(server)
    got = client.get(path)
    if got.status_code != 200:
        print(f"{path[:60]} answered {got.status_code}")
    wall_ms = 1000 * (time.perf_counter() - began)
    return wall_ms, cpu_ms(server) - before_ms if before_ms else wall_ms


def cpu_ms(process: subprocess.Popen[str]) -> float:
    """Milliseconds that all threads of a process have run; 0 where the system does not say."""
    total_ns = 0
    for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # a thread that ended
            total_ns += int(path.read_text().split()[0])
    return total_ns / 1e6


def time_csv(db: Path, rows: int, runs: int) -> None:
    """A CSV of about so many of the newest calls, which begins with a local day."""
    since_ns, since_day, zone = newest(db, rows)
    asked: dict[str, Any] = {"since": since_day, "tz": zone}
    idle, page, command, writer = [], [], [], []
    for _ in range(runs):
        began = time.monotonic()
        with serving(db) as (url, process):
            httpx.get(f"{url}/-/static/app.css")
            idle.append(ended(process, began))
        began = time.monotonic()
        with serving(db) as (url, process):
            lines = download(f"{url}/-/ccostdb/export/calls.csv", asked)
            page.append(ended(process, began))
        command.append(spent([*CCOSTDB, "export", "calls", "--since", since_day, "--tz", zone, "--db", str(db)]))
        writer.append(spent([sys.executable, "-c", WRITER, str(db), str(since_ns)]))
    base = statistics.median(each.cpu_s for each in idle)
    print(f"{lines:,} lines; csv.writer takes {statistics.median(each.cpu_s for each in writer):.2f} s")
    for what, ours, less in (("ccostdb export", command, 0.0), ("the page's download", page, base)):
        ratio = statistics.median((one.cpu_s - less) / other.cpu_s for one, other in zip(ours, writer, strict=True))
        held = f"at most {CSV_RATIO}" + ("" if ratio <= CSV_RATIO else "   MISSED")
        print(f"{'CSV by ' + what + ' / csv.writer':<52} {ratio:8.2f}   {held}")
    time_memory(db, asked)


def time_memory(db: Path, asked: dict[str, Any]) -> None:
    """Prints the memory of an export and of a server that sends one: what is not the ledger's, mapped (Linux only)."""
    options = [word for name, value in asked.items() for word in (f"--{name}", value)]
    with subprocess.Popen(
        [*CCOSTDB, "export", "calls", *options, "--db", str(db)], stdout=subprocess.DEVNULL
    ) as process:
        peak_mb = max(memory_mb(process))
    with serving(db) as (url, server):
        idle_mb = max(islice(memory_mb(server), 5))
        downloading = Thread(target=download, args=(f"{url}/-/ccostdb/export/calls.csv", asked))
        downloading.start()
        server_mb = max(takewhile(lambda _: downloading.is_alive(), memory_mb(server)), default=0.0)
        downloading.join()
    print(f"peak MB of own memory: export {peak_mb:.0f}, server {server_mb:.0f}, which has {idle_mb:.0f} when idle")


def memory_mb(process: subprocess.Popen[Any]) -> Iterator[float]:
    """Megabytes that are the process's own, ten times a second until it ends."""
    yield 0.0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status")
        found = re.search(r"RssAnon:\s+(\d+)", status.read_text()) if status.exists() else None
        yield int(found[1]) / 1024 if found else 0.0
        time.sleep(0.1)


def newest(db: Path, rows: int) -> tuple[int, str, str]:
    """Since when about so many calls were made: the start of a UTC day in nanoseconds, that day, its zone."""
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as con:
        nth = "select occurred_ns from call order by occurred_ns desc limit 1 offset ?"
        (at_ns,) = con.execute(nth, (rows,)).fetchone() or con.execute("select min(occurred_ns) from call").fetchone()
    day = time.strftime("%Y-%m-%d", time.gmtime(at_ns // DAY_NS * 86400))
    return parse_ns(f"{day}T00:00:00Z") or 0, day, "UTC"


def download(url: str, asked: dict[str, Any]) -> int:
    """How many lines came; none is kept."""
    with httpx.stream("GET", url, params=asked, timeout=600) as got:
        if got.status_code != 200:
            raise SystemExit(f"{got.url} answered {got.status_code}: {json.dumps(got.read().decode()[-300:])}")
        return sum(chunk.count(b"\n") for chunk in got.iter_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path, help="a ledger; without one, one is made, which takes minutes")
    parser.add_argument("--calls", type=int, default=10_000_000, help="how many calls are made, about")
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many calls the CSV has, about")
    parser.add_argument("--runs", type=int, default=3, help="turns of each comparison")
    asked = parser.parse_args()
    compileall.compile_dir(Path(ccostdb.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory(prefix="ccostdb-bench-") as folder:
        db = asked.db and asked.db.absolute()
        if db is None:
            db = Path(folder) / "ten.db"
            make_ledger(db, asked.calls)
        time_pages(db, asked.runs)
        time_csv(db, asked.rows, asked.runs)


if __name__ == "__main__":
    main()
