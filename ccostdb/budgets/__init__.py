"""Rollups → what is spent of each budget, and whom to tell: once in a period for each share of a limit.

A crossing is committed before its command runs. So a command runs at most once: one that a crash cut off, or
kept from starting, is not run again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from ccostdb.budgets.entries import Budget, Row, read_budgets, threshold_nusd
from ccostdb.budgets.standing import LIMITS, Standing, spans_at, spent_question, standings
from ccostdb.clock import span_at
from ccostdb.errors import CcostError
from ccostdb.settings import SECRET_VARIABLES, TOLD, Settings
from ccostdb.store import Store
from ccostdb.words import repeated
from ccostdb.written import usd_text

if TYPE_CHECKING:
    import aiosqlite

COMMAND_S = 30.0  # how long a command may run
LATE_NS = 180 * 1_000_000_000  # so long after its end a period is still looked at, for what came in its last minutes
_STORED = "select name, period, limit_nusd, models, projects, agents, sources from budget order by budget_id"
_ALERTS = "select threshold, spent_nusd from budget_alert where (name, period, period_label) = (?, ?, ?)"
_FORGET = "delete from budget_alert where (name, period, period_label, threshold) = (?, ?, ?, ?)"
_MOST_SAID = 200  # bytes of the end of what a command says that are shown

log = logging.getLogger(__name__)


class Crossing(NamedTuple):
    """The highest share of a limit that was newly reached, and whom to tell."""

    standing: Standing
    share: float
    command: tuple[str, ...] | None


async def used(db: aiosqlite.Connection, now_ns: int) -> list[Standing]:
    """Every limit of the ledger's table `budget` as it stands now. `db` may be read-only."""
    ((home_tz,),) = await db.execute_fetchall("select home_tz from ledger")
    limits = list(await db.execute_fetchall(LIMITS))
    if not limits:
        return []
    spans = spans_at(now_ns, home_tz)
    return standings(spans, limits, await db.execute_fetchall(*spent_question(spans, limits)))


async def sync(store: Store, settings: Settings, now_ns: int) -> None:
    """Makes table `budget` what the settings say. Raises BadSettings."""
    budgets = read_budgets(settings)

    async def write() -> None:
        async with store.transaction() as db:
            await _sync(db, budgets, now_ns, store.home_tz)

    if await _stored(store.db) != _wanted(budgets):
        await store.patience.insist(write)


async def check(store: Store, settings: Settings, now_ns: int) -> str | None:
    """Tells of each share of a limit that was newly reached, by the log and the budget's command.

    Returns what happened; None: nothing. A cost that was corrected since, to a lower one, takes nothing back. Raises
    CcostError, with what happened, where a command failed.
    """
    budgets = read_budgets(settings)
    async with store.transaction() as db:
        await _sync(db, budgets, now_ns, store.home_tz)
        crossings = await _cross(db, budgets, now_ns, store.home_tz) if budgets else []
    told = await asyncio.gather(*map(_tell, crossings))
    failures = [failure for _, failure in told if failure]
    said = "; ".join([*failures, *(what for what, _ in told)])
    if failures:
        raise CcostError(said)
    return said or None


async def _sync(db: aiosqlite.Connection, budgets: Sequence[Budget], now_ns: int, zone: ZoneInfo) -> None:
    wanted, stored = _wanted(budgets), await _stored(db)
    if stored == wanted:
        return
    before = {row[:2]: row for row in stored}
    for row in wanted:
        if before.get(row[:2], row) != row:
            await _forget_alerts(db, before[row[:2]], row, span_at(row[1], now_ns, zone).label)
    await db.execute("delete from budget")
    names = "name, period, limit_nusd, models, projects, agents, sources"
    await db.executemany(f"insert into budget ({names}) values (?, ?, ?, ?, ?, ?, ?)", wanted)


def _wanted(budgets: Sequence[Budget]) -> list[Row]:
    return [row for budget in budgets for row in budget.rows()]


async def _stored(db: aiosqlite.Connection) -> list[Row]:
    return [tuple(row) for row in await db.execute_fetchall(_STORED)]


async def _forget_alerts(db: aiosqlite.Connection, old: Row, new: Row, label: str) -> None:
    """Lets a changed budget alert anew in this period: at all shares if it looks at other calls now, else at those of
    a raised limit that the money which crossed them would not have reached."""
    key = (*new[:2], label)
    for threshold, spent_nusd in await db.execute_fetchall(_ALERTS, key):
        if old[3:] != new[3:] or spent_nusd < threshold_nusd(new[2], threshold):
            await db.execute(_FORGET, (*key, threshold))


async def _cross(db: aiosqlite.Connection, budgets: Sequence[Budget], now_ns: int, zone: ZoneInfo) -> list[Crossing]:
    """Records every share that was newly reached; tells of the highest, unless a higher one was told of."""
    by_name = {budget.name: budget for budget in budgets}
    earlier_ns = now_ns - LATE_NS
    is_new_day = earlier_ns < span_at("day", now_ns, zone).from_ns
    found = [*(await used(db, earlier_ns) if is_new_day else ()), *await used(db, now_ns)]
    crossings = []
    for standing in found:
        budget, key = by_name[standing.budget], (standing.budget, standing.period, standing.span.label)
        known = {row[0] for row in await db.execute_fetchall(_ALERTS, key)}
        new = [share for share in budget.alert_at if share not in known and standing.is_reached(share)]
        rows = [(*key, share, now_ns, standing.spent_nusd) for share in new]
        await db.executemany("insert into budget_alert values (?, ?, ?, ?, ?, ?)", rows)
        if new and max(new) > max(known, default=0.0):
            crossings.append(Crossing(standing, max(new), budget.command))
    return crossings


async def _tell(crossing: Crossing) -> tuple[str, str | None]:
    """What was reached, and why the command failed, if it did."""
    standing, share, command = crossing
    limit, spent = usd_text(standing.limit_nusd), usd_text(standing.spent_nusd or 0)
    what = (
        f"{repeated(standing.budget)}: ${spent} spent in {standing.span.label}, {share * 100:g} % of ${limit} reached"
    )
    if standing.unpriced_calls:
        what += f", and {standing.unpriced_calls:,} unpriced"
    log.warning("budget %s", what)
    failure = await _run(command, crossing) if command else None
    return what, f"the command of {repeated(standing.budget)} failed: {failure}" if failure else None


async def _run(command: Sequence[str], crossing: Crossing) -> str | None:
    """Runs a command without a shell; returns why it failed. Its stdin and stderr are files: no pipe can block us."""
    standing, share, _ = crossing
    facts = {
        "name": standing.budget,
        "period": standing.period,
        "period_label": standing.span.label,
        "spent_usd": usd_text(standing.spent_nusd or 0),
        "limit_usd": usd_text(standing.limit_nusd),
        "threshold": repr(share),
        "unpriced_calls": str(standing.unpriced_calls),
    }
    numbers = {name: json.loads(facts[name]) for name in ("spent_usd", "limit_usd", "threshold", "unpriced_calls")}
    environ = {name: text for name, text in os.environ.items() if name not in SECRET_VARIABLES}
    environ |= {f"{TOLD}{name.upper()}": text for name, text in facts.items()}
    try:
        with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as said:
            told.write(json.dumps({**facts, **numbers}).encode() + b"\n")
            told.seek(0)
            status = await _status(command, environ, told, said)
            said.seek(max(0, said.seek(0, os.SEEK_END) - _MOST_SAID))
            last = " ".join(said.read(_MOST_SAID).decode(errors="replace").split())
    except (OSError, ValueError) as error:  # it cannot be started, or there is no room for what it is told
        return repeated(str(error))
    if status is None:
        return f"it took longer than {COMMAND_S:g} s"
    return f"exit status {status} {repeated(last)}".strip() if status else None


async def _status(command: Sequence[str], environ: Mapping[str, str], told: IO[bytes], said: IO[bytes]) -> int | None:
    """The exit status; None: it took too long. It is ended then, with what it started, and also when we are."""
    program = str(Path(command[0]).expanduser())
    process = await asyncio.create_subprocess_exec(
        *(program, *command[1:]),
        stdin=told,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env=environ,
        start_new_session=True,
    )
    try:
        return await asyncio.wait_for(process.wait(), COMMAND_S)
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill() if sys.platform == "win32" else os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
