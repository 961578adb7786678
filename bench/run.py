"""Prints what ccostdb costs, as ratios measured in one run: python bench/run.py [--size 500MB] [--ccusage PATH]

CPU is user + system seconds of whole processes, the median of several runs; memory the peak of one. Figures of
another machine, or of another minute, do not compare; their ratios do: tools run in turn, and what is printed is the
median of the ratios of each turn.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import ccostdb

HERE = Path(__file__).parent
CCOSTDB = [sys.executable, "-m", "ccostdb"]


class Spent(NamedTuple):
    """What one process used."""

    cpu_s: float
    wall_s: float
    peak_mb: float


def spent(command: list[str], **environ: str) -> Spent:
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environ}
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Spent(usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss / unit)


def median(runs: list[Spent]) -> Spent:
    return Spent(*(statistics.median(values) for values in zip(*runs, strict=True)))


def ratio(ours: list[Spent], theirs: list[Spent]) -> float:
    """The median of what one used beside the other in the same turn."""
    return statistics.median(one.cpu_s / other.cpu_s for one, other in zip(ours, theirs, strict=True))


class Bench:
    """One tree of transcripts, one ledger, and the rows of the table as they are measured."""

    def __init__(self, folder: Path, size: str, ccusage: str | None, runs: int) -> None:
        self.folder, self.size, self.ccusage, self.runs = folder, size, ccusage, runs
        self.db = folder / "bench.db"
        self.tree = folder / "tree" / ".claude"
        self.rows: list[tuple[str, float, float | None]] = []

    def add(self, what: str, ratio: float, goal: float | None = None) -> None:
        self.rows.append((what, ratio, goal))
        held = "" if goal is None else f"   at most {goal}" + ("" if ratio <= goal else "   MISSED")
        print(f"{what:<64} {ratio:8.2f}{held}", flush=True)

    def ccostdb(self, *words: str) -> Spent:
        return spent([*CCOSTDB, *words, "--db", str(self.db)])

    def clear(self) -> None:
        for path in self.folder.glob("bench.db*"):
            path.unlink()

    def make_tree(self) -> None:
        generator = [sys.executable, str(HERE / "gen_transcripts.py")]
        subprocess.run(
            [*generator, "--size", self.size, "--out", str(self.tree.parent)], check=True, capture_output=True
        )

    def imports(self) -> None:
        """A cold import beside reading the same bytes and beside another tool, in turn."""
        ours, reading, others, making = [], [], [], []
        list_files = f"find {self.tree} -name '*.jsonl' -print0 | xargs -0 cat | wc -l"
        for _ in range(self.runs):
            self.clear()
            making.append(self.ccostdb("migrate"))
            ours.append(self.ccostdb("ingest", "claude-code", str(self.tree), "--once"))
            reading.append(spent(["sh", "-c", list_files]))
            if self.ccusage:
                others.append(spent([self.ccusage, "daily", "--json", "--offline"], CLAUDE_CONFIG_DIR=str(self.tree)))
        cold = median(ours)
        self.add("making the ledger, prices included: wall seconds", median(making).wall_s, 2)
        self.add("cold import / cat | wc -l", ratio(ours, reading), 5)
        if others:
            self.add("cold import / ccusage", ratio(ours, others), 1)
        self.add("memory of a cold import, MB", cold.peak_mb, 200)
        again = median([self.ccostdb("ingest", "claude-code", str(self.tree), "--once") for _ in range(self.runs)])
        self.add("unchanged import / cold import", again.cpu_s / cold.cpu_s, 0.2)
        daily = median([self.ccostdb("report", "daily") for _ in range(self.runs)])
        self.add("report daily / cold import", daily.cpu_s / cold.cpu_s, 0.15)

    def truth(self) -> None:
        """The bench stands on exact figures, or on nothing."""
        done = subprocess.run(
            [*CCOSTDB, "report", "monthly", "--tz", "UTC", "--json", "--db", str(self.db)],
            check=True,
            capture_output=True,
            text=True,
        )
        total = json.loads((self.tree.parent / "truth.json").read_text())["total"]
        cost = sum(round(row["cost_usd"] * 1e9) for row in json.loads(done.stdout))
        if cost != total["cost_nanousd"]:
            raise SystemExit(f"the ledger says {cost} nano-USD, the truth is {total['cost_nanousd']}")

    def start_up(self) -> None:
        ours, click = [], []
        for _ in range(2 * self.runs):
            ours.append(spent([*CCOSTDB, "--help"]))
            click.append(spent([sys.executable, "-c", "import click"]))
        self.add("ccostdb --help / import click", ratio(ours, click), 1.6)

    def following(self) -> None:
        """Memory of the process that stays, after its import."""
        process = subprocess.Popen(
            [*CCOSTDB, "ingest", "claude-code", str(self.tree), "--db", str(self.db)], stdout=subprocess.DEVNULL
        )
        time.sleep(4)
        status = Path(f"/proc/{process.pid}/status")
        if status.exists():
            resident = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
            self.add("memory of the running process, MB", int(resident.split()[1]) / 1024, 60)
        process.send_signal(signal.SIGTERM)
        process.wait(10)

    def stream(self) -> None:
        """Events a second of CPU through parse, windows and store."""
        for line in spent_stream(self.folder).splitlines():
            self.add(line.rsplit(" ", 1)[0], float(line.rsplit(" ", 1)[1]))


def spent_stream(folder: Path) -> str:
    command = [sys.executable, str(HERE / "stream.py"), str(folder / "stream.db")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="500MB", help="of the generated transcripts")
    parser.add_argument("--ccusage", default=shutil.which("ccusage"), help="a ccusage to compare with")
    parser.add_argument("--runs", type=int, default=7, help="turns of each comparison")
    asked = parser.parse_args()
    # Where no bytecode is written (PYTHONDONTWRITEBYTECODE), each run would compile the package again.
    compileall.compile_dir(Path(ccostdb.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory(prefix="ccostdb-bench-") as folder:
        bench = Bench(Path(folder), asked.size, asked.ccusage, asked.runs)
        bench.make_tree()
        bench.imports()
        bench.truth()
        bench.start_up()
        bench.following()
        bench.stream()


if __name__ == "__main__":
    main()
