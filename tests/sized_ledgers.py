"""Ledgers of three sizes for tests of what people see: empty, a week of everything, and two years.

They are real files from the migrations and the views, their rollups are made by `rollups.refresh`, and they end now.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiosqlite
from cca_emulator import captured
from cco_recording import empty_ledger as empty_ledger_bytes
from ledger_rows import add_name, add_source

from ccostdb.clock import DAY_NS, SECOND_NS, calendar_row, iso
from ccostdb.rollups import refresh, rezone
from ccostdb.sources import cca

HOUR_NS = 3600 * SECOND_NS
QUARTER_HOUR_NS = HOUR_NS // 4
ZONE = "Europe/Berlin"
DATA = Path(__file__).parent / "data"
SCRIPT = "<script>window.hacked = 1</script>"
# A page that runs any of these sets window.hacked; one that renders them as a template shows 5332114.
HOSTILE = (
    SCRIPT,
    '<img src=x onerror="window.hacked = 1">',
    '</title></textarea></style></script><svg onload="window.hacked = 1">',
    '" onmouseover="window.hacked = 1" autofocus onfocus="window.hacked = 1',
    "'; drop table call; --",
    "{{ 1234 * 4321 }}${1234 * 4321}{% raw %}",
    '=HYPERLINK("http://example.invalid/", "open")',
    "javascript:window.hacked=1",
    "http://example.invalid/?a=1&b=<b>2</b>",
    "\u202egnp.tluser\u202c \u0645\u0631\u062d\u0628\u0627",
    "two\nlines\tand a tab",
    "a/b,c~d%2F?e=f&g#h + .csv",
    "long " + "w" * 300,
)
# Input in nano-USD a token; output is five times that, a cache write 1.25 times, a cache read a tenth.
RATES = {
    "claude-opus-4-5-20251101": 5_000,
    "claude-sonnet-4-5-20250929": 3_000,
    "claude-haiku-4-5-20251001": 1_000,
    "claude-opus-4-1-20250805": 15_000,
    "claude-sonnet-4-20250514": 3_000,
    "claude-3-7-sonnet-20250219": 3_000,
    "claude-3-5-sonnet-20241022": 3_000,
    "claude-3-5-haiku-20241022": 800,
}
AGENTS = ("Explore", "Plan", "general-purpose", "code-reviewer", "statusline-setup")
CALL_COLUMNS = (
    *("call_id", "source_id", "occurred_ns", "model_id", "project_id", "agent_id", "session_id", "is_sidechain"),
    *("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens"),
    *("total_tokens", "latency_ms", "status", "is_response_cache_hit"),
    *("reported_nusd", "computed_nusd", "uncached_nusd"),
)
ADD_CALL = f"insert into call ({', '.join(CALL_COLUMNS)}) values (:{', :'.join(CALL_COLUMNS)})"
Call = dict[str, Any]


def empty_ledger(path: Path, home_tz: str = ZONE) -> Path:
    """A ledger as `ccostdb migrate` makes it: no source, no call."""
    path.write_bytes(empty_ledger_bytes())
    path.chmod(0o600)

    async def move() -> None:
        async with aiosqlite.connect(path, isolation_level=None) as db:
            await rezone(db, ZoneInfo(home_tz))

    asyncio.run(move())
    return path


def week_ledger(path: Path, now_ns: int | None = None, home_tz: str = ZONE) -> Path:
    """Seven days to now, of every kind of row that there is: under hostile names, too. About 1,200 calls.

    The calls of the last hour are not in the rollups yet.
    """
    now_ns = now_ns or time.time_ns()
    empty_ledger(path, home_tz)
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        add_sources(con)
        add_calls(con, (call for call in week_calls(con, now_ns) if call["occurred_ns"] < now_ns - HOUR_NS))
        roll_up(path)
        add_calls(con, (call for call in week_calls(con, now_ns) if call["occurred_ns"] >= now_ns - HOUR_NS))
        for add in (add_activities, add_runs, add_losses, add_daemon_events, add_samples, add_jobs, add_budgets):
            add(con, now_ns)
    return path


def two_year_ledger(path: Path, now_ns: int | None = None, home_tz: str = ZONE) -> Path:
    """Two years to now, with as many cells of rollups, names and sessions as 10 million calls have, one call a cell.

    About 120,000 cells of days, 290,000 of quarter hours, 29,200 sessions; daemon events and samples of all the time.
    It takes 7 s, so tests read the one that the fixture `two_years` makes for all.
    """
    now_ns = now_ns or time.time_ns()
    empty_ledger(path, home_tz)
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("pragma synchronous = off")
        add_sources(con)
        add_calls(con, two_years_of_calls(con, now_ns))
        roll_up(path)
        con.execute("insert into dirty_bucket select bucket_s from calendar order by bucket_s desc limit 4")
        for day in range(0, 730, 3):
            add_daemon_events(con, now_ns - day * DAY_NS)
        for week in range(104):
            add_samples(con, now_ns - week * 7 * DAY_NS)
        for add in (add_runs, add_losses, add_jobs, add_budgets):
            add(con, now_ns)
    return path


def add_sources(con: sqlite3.Connection) -> None:
    """claude-code (1), cco (2) that does not count beside it, ccd (3), cca (4), and a CCO with a hostile name (5)."""
    for kind in ("claude-code", "cco", "ccd", "cca"):
        add_source(con, kind)
    add_source(con, "cco", f"cco {SCRIPT}", counted=True)
    con.execute("update source set has_calls = 0 where kind in ('ccd', 'cca')")


def add_calls(con: sqlite3.Connection, calls: Iterable[Call]) -> None:
    """Rows of `call` with the calendar that they need, in one transaction."""
    zone = ZoneInfo(con.execute("select home_tz from ledger").fetchone()[0])
    rows = list(calls)
    buckets = {row["occurred_ns"] // QUARTER_HOUR_NS * 900 for row in rows}
    con.execute("begin")
    days = (calendar_row(bucket_s, zone) for bucket_s in sorted(buckets))
    con.executemany("insert or ignore into calendar values (?, ?, ?, ?, ?)", days)
    con.executemany(ADD_CALL, rows)
    con.execute("commit")


def roll_up(path: Path) -> None:
    """Brings the rollups up to date."""

    async def run() -> None:
        async with aiosqlite.connect(path, isolation_level=None) as db:
            while await refresh(db, limit=100_000):
                pass

    asyncio.run(run())


def week_calls(con: sqlite3.Connection, now_ns: int) -> Iterator[Call]:
    """The same calls each time: newest first, most of them by day, some without names, prices or kinds of tokens."""
    chance = random.Random(5)
    models = [add_name(con, "model", name) for name in RATES]
    rates = dict(zip(models, RATES.values(), strict=True))
    models += [add_name(con, "model", name) for name in ("mystery-1", *HOSTILE)]
    projects = [add_name(con, "project", name) for name in ("/home/me/web", "/home/me/api", *HOSTILE)]
    agents = [0, 0, 0, *(add_name(con, "agent", name) for name in (*AGENTS, *HOSTILE))]
    sessions = [add_name(con, "session", name) for name in (*(f"session-{n}" for n in range(30)), *HOSTILE)]
    at_ns = now_ns - 20 * SECOND_NS
    for number in range(1200):
        model = chance.choice([*models[:3] * 6, *models])
        call = priced(chance, rates.get(model))
        place = number // 25 % len(sessions)
        call |= {"model_id": model, "session_id": sessions[place], "project_id": projects[place % len(projects)]}
        call |= {"call_id": f"week {number}", "occurred_ns": at_ns, "source_id": 1, "agent_id": chance.choice(agents)}
        if number % 13 == 0:
            call |= {"source_id": chance.choice([2, 5]), "reported_nusd": (call["computed_nusd"] or 0) + number % 3}
        if number % 131 == 0:
            call |= {"source_id": 5, "is_response_cache_hit": 1, "reported_nusd": 0}
        if number % 97 == 0:
            call |= dict.fromkeys(name for name in call if name.endswith(("_tokens", "_nusd")) and name[0] != "t")
        if number % 89 == 0:
            call |= {"model_id": 0, "project_id": 0, "agent_id": 0, "session_id": 0, "computed_nusd": None}
        yield call
        at_ns -= chance.randrange(2 * 7 * DAY_NS // 1200)


def two_years_of_calls(con: sqlite3.Connection, now_ns: int) -> Iterator[Call]:
    """40 sessions a day of one project each, in 4 combinations of model and agent, each in 2 or 3 quarter hours."""
    chance = random.Random(730)
    rates = {add_name(con, "model", name): rate for name, rate in RATES.items()}
    projects = [add_name(con, "project", f"/home/me/code/project-{number:02d}") for number in range(60)]
    agents = [add_name(con, "agent", name) for name in AGENTS]
    con.executemany("insert into session (name) values (?)", ((f"session-{n:05d}",) for n in range(730 * 40)))
    now_bucket = (now_ns - 60 * SECOND_NS) // QUARTER_HOUR_NS
    priced_calls = {model: [priced(chance, rate) for _ in range(200)] for model, rate in rates.items()}
    number = 0
    for session in range(730 * 40):
        days_ago, place = divmod(session, 40)
        project, (model, other) = chance.choice(projects), chance.sample(list(rates), 2)
        for model_id, agent_id in ((model, 0), (other, 0), (model, chance.choice(agents)), (other, agents[place % 5])):
            first = now_bucket - days_ago * 96 - place * 2
            for step in chance.sample(range(12), chance.choice((2, 3))):
                call = chance.choice(priced_calls[model_id])
                names = {"project_id": project, "agent_id": agent_id, "session_id": session + 1}
                at_ns = (first - step) * QUARTER_HOUR_NS + chance.randrange(60 * SECOND_NS)
                yield {**call, **names, "model_id": model_id, "call_id": f"call {number}", "occurred_ns": at_ns}
                number += 1


def priced(chance: random.Random, rate: int | None) -> Call:
    """A call of some size with its costs; rate None: it has none."""
    fresh, written, read = chance.randrange(1, 3_000), chance.randrange(20_000), chance.choice((0, 1, 4, 9)) * 15_000
    output = chance.randrange(20, 2_500)
    cost = None if rate is None else rate * (fresh + 5 * output) + rate * written * 5 // 4 + rate * read // 10
    tokens = {"input_tokens": fresh, "output_tokens": output, "cache_read_tokens": read, "cache_write_1h_tokens": 0}
    return {
        **tokens,
        "source_id": 1,
        "is_sidechain": int(chance.random() < 0.2),
        "cache_write_5m_tokens": written,
        "total_tokens": fresh + written + read + output,
        "latency_ms": chance.choice((None, chance.randrange(200, 30_000))),
        "status": chance.choice((None, *["success"] * 8, "error")),
        "is_response_cache_hit": 0,
        "reported_nusd": None,
        "computed_nusd": cost,
        "uncached_nusd": None if rate is None else rate * (fresh + written + read + 5 * output),
    }


def add_activities(con: sqlite3.Connection, now_ns: int) -> None:
    """What a CCO told, hostile words in every field that can hold some."""
    add = "insert into activity (source_id, epoch, seq, timestamp, occurred_ns, event_type, agent_name, model, tokens,"
    add += " latency_ms, status, cost_text, cost_nusd) values (2, 1, ?, ?, ?, ?, ?, ?, 150, 12, ?, '0.00525', 5250000)"
    for number, text in enumerate((*HOSTILE, None, *["api_call"] * 20)):
        at_ns = now_ns - number * HOUR_NS
        con.execute(add, (number, iso(at_ns), at_ns, text or "cache_hit", text, text, text))


def add_runs(con: sqlite3.Connection, now_ns: int) -> None:
    """A run of each source, one of them red, one with a hostile error."""
    add = "insert into run (source_id, started_ns, updated_ns, ended_ns, outcome, state, connections, frames, events,"
    add += (
        " rows, rejected, saturation, last_event_ns, error) values (?, ?, ?, ?, ?, ?, 2, 400, 900, 800, 3, 0.7, ?, ?)"
    )
    states = ((1, "reading", None), (2, "connected", None), (3, "disconnected", "no answer"), (4, "error", HOSTILE[1]))
    for source_id, state, error in (*states, (5, "error", HOSTILE[2])):
        started_ns, ended_ns = now_ns - 5 * HOUR_NS, now_ns - HOUR_NS if error else None
        seen_ns = now_ns - source_id * 60 * SECOND_NS
        outcome = "failed" if error else None
        con.execute(add, (source_id, started_ns, seen_ns, ended_ns, outcome, state, seen_ns, error))


def add_losses(con: sqlite3.Connection, now_ns: int) -> None:
    """A gap of each kind, and what was rejected."""
    add = "insert into gap (source_id, epoch, kind, from_ns, to_ns, calls, cost_nusd, detected_ns, events)"
    add += " values (?, 1, ?, ?, ?, ?, ?, ?, ?)"
    known = (
        ("overflow", 7, 1_250_000_000, None),
        ("attach", 40, 2_000_000_000, None),
        ("excess", -1, -5_000_000, None),
    )
    for kind, calls, cost, events in (*known, ("restart", None, None, None)):
        con.execute(add, (2, kind, None, now_ns - DAY_NS, calls, cost, now_ns - DAY_NS, events))
    for kind, events in (("disconnected", None), ("dropped", 12)):
        con.execute(add, (3, kind, now_ns - 3 * HOUR_NS, now_ns - 2 * HOUR_NS, None, None, now_ns - HOUR_NS, events))
    add = "insert into rejected (source_id, at_ns, place, reason, excerpt) values (?, ?, ?, ?, ?)"
    for number, text in enumerate((*HOSTILE, None)):
        con.execute(add, (1 + number % 2, now_ns - number * HOUR_NS, f"{number}:0", text or "no JSON", text))


def add_daemon_events(con: sqlite3.Connection, now_ns: int) -> None:
    """What a real daemon told, moved to the hours before `now_ns`, and each kind of it again with hostile texts."""
    add = "insert into daemon_event (source_id, event_id, family, kind, profile, timestamp, occurred_ns, received_ns,"
    add += " runtime, payload, content_sha256) values (3, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'00')"
    con.execute("begin")
    for number, (event, text) in enumerate(daemon_events()):
        at_ns = now_ns - number * 300 * SECOND_NS
        payload = {**event.get("payload", {}), **({"path": text} if text else {})}
        if "session_id" in payload:  # another each day
            payload["session_id"] = f"{payload['session_id']} {iso(now_ns)[:10]}"
        what = (f"{at_ns} {number}", event["family"], event["kind"], text or event.get("profile"), iso(at_ns))
        con.execute(add, (*what, at_ns, at_ns, json.dumps(event.get("runtime")), json.dumps(payload)))
    con.execute("commit")


def daemon_events() -> Sequence[tuple[dict[str, Any], str | None]]:
    """Each event that was captured, and one of each kind with a hostile text for it."""
    lines = [line for path in sorted((DATA / "ccd").glob("*.sse")) for line in path.read_text().split("\n")]
    events = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    by_kind = {event["kind"]: event for event in events}
    hostile = [(event, HOSTILE[number % len(HOSTILE)]) for number, event in enumerate(by_kind.values())]
    return [*((event, None) for event in events), *hostile]


def add_samples(con: sqlite3.Connection, now_ns: int) -> None:
    """Answers of a real CCA, the same from a hostile one, and CCO's overrides."""
    add = "insert into sample (source_id, endpoint, polled_ns, body, error) values (?, ?, ?, ?, ?)"
    for endpoint, raw in captured("auth-active").items():
        body = cca.parse(endpoint, 200, raw, now_ns, 65_536).body
        con.execute(add, (4, endpoint, now_ns - 2 * HOUR_NS, body, None))
    words = [
        {**dict.fromkeys(("agent_id", "task_id", "role", "current_task", "message", "error"), each)} for each in HOSTILE
    ]
    agents = [{**word, "status": "Busy", "capabilities": [word["role"]], "max_tasks": 5} for word in words]
    tokens = [{**word, "tokens_used": 1000, "tokens_saved": 300, "requests": 2} for word in words]
    advice = [{**word, "category": word["role"], "severity": "high", "potential_savings": 5} for word in words]
    bodies = {
        "agents": {"agents": agents},
        "tasks": {"tasks": agents},
        "workloads": {"agents": agents, "total_tasks": 3, "pending_tasks": 1},
        "tokens/metrics": {"agents": tokens, "total_tokens_used": 13_000, "total_tokens_saved": 3_900},
        "tokens/recommendations": {"recommendations": advice},
    }
    for name, body in bodies.items():
        con.execute(add, (4, f"/api/v1/{name}", now_ns - HOUR_NS, json.dumps(body), None))
    con.execute(add, (4, "/api/v1/agents", now_ns - 60 * SECOND_NS, None, HOSTILE[0]))
    overrides = [
        {"original_model": each, "override_to": "claude-haiku-4-5", "timestamp": iso(now_ns)} for each in HOSTILE
    ]
    con.execute(add, (2, "/api/overrides/stats", now_ns - HOUR_NS, json.dumps({"recent_overrides": overrides}), None))


def add_jobs(con: sqlite3.Connection, now_ns: int) -> None:
    """Runs of jobs: done, failed, killed, and one that is on."""
    add = "insert into job_run (job, started_ns, ended_ns, outcome, detail) values (?, ?, ?, ?, ?)"
    outcomes = (
        ("backup", "ok", "1 file"),
        ("budgets", "failed", HOSTILE[0]),
        ("prune", "failed", None),
        ("rollups", None, None),
    )
    for number, (job, outcome, detail) in enumerate(outcomes):
        started_ns = now_ns - (len(outcomes) - number) * HOUR_NS
        con.execute(add, (job, started_ns, started_ns + SECOND_NS if detail else None, outcome, detail))


def add_budgets(con: sqlite3.Connection, now_ns: int) -> None:
    """Limits for all calls that are over, near and far, and hostile ones for some."""
    add = "insert into budget (name, period, limit_nusd, models) values (?, ?, ?, ?)"
    for name, period, limit_usd in (("all", "day", 1), ("all", "week", 90), ("all", "month", 1_000_000)):
        con.execute(add, (name, period, limit_usd * 10**9, None))
    for name in HOSTILE:
        con.execute(add, (name, "week", 10**9, json.dumps([name, "claude-*"])))
