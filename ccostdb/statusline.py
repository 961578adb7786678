"""One line for Claude Code's status line: what it sends on stdin and what the ledger says → text. It never fails.

It is asked several times a minute beside people's work: it opens the ledger as it is, waits for nobody, and imports
little, click least of all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ccostdb.clock import SECOND_NS, span_at
from ccostdb.errors import CcostError
from ccostdb.resources import sql
from ccostdb.words import repeated
from ccostdb.written import percent, usd

MOST_BYTES = 1 << 20
WAIT_S = 0.3  # for stdin's end, and for a ledger that is locked
BEHIND_NS = 600 * SECOND_NS  # a process that records writes each minute
LEAST_SHARE = 0.8  # of a budget, to be named
HOUR_NS = 3600 * SECOND_NS
USD_NUSD = 1_000_000_000
RED, YELLOW, DIM, PLAIN = "\033[31m", "\033[33m", "\033[2m", "\033[0m"


class Told(NamedTuple):
    """What Claude Code says of its session; None: not said. The cost is its own estimate, which /clear sets to 0."""

    session_id: str | None = None
    cost_nusd: int | None = None
    read_tokens: int | None = None
    context_tokens: int | None = None


class Recorded(NamedTuple):
    """What the ledger says; a sum is None where there are no calls, or none says it. `as_of` is set where it is behind.

    `near`: name, period and used share of each limit of the ledger's budgets of which LEAST_SHARE is spent.
    """

    session_nusd: int | None = None
    today_nusd: int | None = None
    hour_nusd: int | None = None
    is_partial: bool = False
    cache_share: float | None = None
    as_of: str | None = None
    near: tuple[tuple[str, str, float], ...] = ()


def main(arguments: list[str]) -> int:
    """Prints the line, in colours with `--color`; the exit status is always 0."""
    now_ns = time.time_ns()
    told = parse_told(read_stdin())
    recorded, hint = None, None
    try:
        path = ledger_path(_value_of("--db", arguments))
        if path.exists():
            recorded = read_recorded(path, told.session_id, now_ns)
        else:
            hint = "no ledger yet: ccostdb ingest"
    except (CcostError, OSError, RuntimeError, ValueError):  # RuntimeError: `~nobody/…` has no home
        hint = "ccostdb: see ccostdb doctor"
    is_coloured = "--color" in arguments and not os.environ.get("NO_COLOR")
    line = render_line(told, recorded, hint, is_coloured=is_coloured)
    try:
        sys.stdout.buffer.write(f"{line}\n".encode())
        sys.stdout.flush()
    except OSError:  # whoever asked is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _value_of(option: str, arguments: list[str]) -> str | None:
    """What stands behind an option, or behind its `=`; of several the last."""
    found = None
    for number, each in enumerate(arguments):
        if each == option:
            found = next(iter(arguments[number + 1 : number + 2]), None)
        elif each.startswith(f"{option}="):
            found = each.partition("=")[2]
    return found


def read_stdin() -> bytes:
    """What stdin holds, as far as it comes at once; nothing from a terminal."""
    try:
        descriptor = sys.stdin.fileno()
        if os.isatty(descriptor):
            return b""
        if sys.platform == "win32":
            return os.read(descriptor, MOST_BYTES)
        import select

        found, end_s = b"", time.monotonic() + WAIT_S
        while len(found) < MOST_BYTES and select.select([descriptor], [], [], max(end_s - time.monotonic(), 0))[0]:
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            found += chunk
    except (AttributeError, OSError, ValueError):  # None, closed, or none of the system's
        return b""
    return found


def parse_told(data: bytes) -> Told:
    """What Claude Code's JSON says; what is missing, null or of another type is not said."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return Told()
    session_id = _get(said, "session_id")
    cost_usd = _get(said, "cost", "total_cost_usd")
    is_cost = isinstance(cost_usd, int | float) and not isinstance(cost_usd, bool) and 0 <= cost_usd < 1e9
    usage = [
        _get(said, "context_window", "current_usage", name)
        for name in ("cache_read_input_tokens", "input_tokens", "cache_creation_input_tokens")
    ]
    is_usage = all(type(count) is int and 0 <= count < 1 << 32 for count in usage)
    return Told(
        session_id if isinstance(session_id, str) and session_id.isprintable() else None,
        round(cost_usd * USD_NUSD) if is_cost else None,
        *((usage[0], sum(usage)) if is_usage else (None, None)),
    )


def _get(said: Any, *names: str) -> Any:
    for name in names:
        said = said.get(name) if isinstance(said, dict) else None
    return said


def ledger_path(flag: str | None = None) -> Path:
    """The file that flag, variable or settings name. The first two need no settings, whose import costs 15 ms."""
    named = flag or os.environ.get("CCOSTDB_DB", "").strip()
    if named:
        return Path(named).expanduser()
    from ccostdb.settings import load_settings

    return load_settings().db


def read_recorded(path: Path, session_id: str | None, now_ns: int) -> Recorded | None:
    """What the ledger says of today, the last hour and the session; None: it cannot be read now, or is none of ours."""
    import sqlite3

    if not path.is_file():  # to open a pipe would wait for whoever writes it
        return None
    try:
        con = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=WAIT_S)
        try:
            con.execute("pragma mmap_size = 268435456")
            con.execute("begin")
            return _recorded(con, session_id, now_ns)
        finally:
            con.close()
    except (sqlite3.Error, OSError, LookupError, TypeError, ValueError):  # busy, damaged, or of another version
        return None


def _recorded(con: Any, session_id: str | None, now_ns: int) -> Recorded:
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(con.execute("select home_tz from ledger").fetchone()[0])
    today = span_at("day", now_ns, zone)
    con.row_factory = _by_name
    values = {
        "today": today.label,
        "today_s": today.from_ns // SECOND_NS,
        "hour_ns": now_ns - HOUR_NS,
        "session": session_id,
    }
    row = con.execute(sql("queries/statusline.sql"), values).fetchone()
    updated_ns = row["updated_ns"]
    is_behind = updated_ns is not None and updated_ns < now_ns - BEHIND_NS
    session_share = _share(row["session_read_tokens"], row["session_context_tokens"])
    return Recorded(
        row["session_nusd"],
        row["today_nusd"],
        row["hour_nusd"],
        is_partial=row["unpriced_calls"] > 0,
        cache_share=_share(row["read_tokens"], row["context_tokens"]) if session_share is None else session_share,
        as_of=_moment(updated_ns, now_ns, zone) if is_behind else None,
        near=tuple(sorted(_near(con, now_ns, zone), key=lambda limit: -limit[2])),
    )


def _near(con: Any, now_ns: int, zone: Any) -> Iterator[tuple[str, str, float]]:
    for limit in con.execute("select * from budget order by budget_id").fetchall():
        asked = {**limit, "first_day": str(span_at(limit["period"], now_ns, zone).first_day)}
        spent_nusd = con.execute(sql("queries/budget_spent.sql"), asked).fetchone()["cost_nusd"]
        if spent_nusd is not None and spent_nusd >= LEAST_SHARE * limit["limit_nusd"]:
            yield limit["name"], limit["period"], spent_nusd / limit["limit_nusd"]


def _by_name(cursor: Any, row: tuple[Any, ...]) -> Mapping[str, Any]:
    return dict(zip([column[0] for column in cursor.description], row, strict=True))


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _moment(then_ns: int, now_ns: int, zone: Any) -> str:
    """A local time, with its day where it is more than half a day ago."""
    form = "%H:%M" if now_ns - then_ns < 12 * HOUR_NS else "%Y-%m-%d"
    return datetime.fromtimestamp(then_ns // SECOND_NS, zone).strftime(form)


def render_line(told: Told, recorded: Recorded | None, hint: str | None = None, *, is_coloured: bool = False) -> str:
    """The line. A session's cost is the larger of the ledger's and Claude Code's: either may know only a part of it."""
    colour = (lambda text, code: f"{code}{text}{PLAIN}") if is_coloured else (lambda text, _: text)
    parts = list(_parts(told, recorded or Recorded(), colour, is_known=recorded is not None))
    if hint or not parts:
        parts.append(colour(hint or "ccostdb: the ledger cannot be read now", DIM))
    return colour(" · ", DIM).join(parts)


def _parts(told: Told, recorded: Recorded, colour: Any, *, is_known: bool) -> Iterator[str]:
    session = [cost for cost in (told.cost_nusd, recorded.session_nusd) if cost is not None]
    if session:
        yield f"{usd(max(session))} session"
    if is_known:
        yield f"{usd(recorded.today_nusd)}{'+' * recorded.is_partial} today"
        yield f"{usd(recorded.hour_nusd)}/h"
    share = recorded.cache_share if recorded.cache_share is not None else _share(told.read_tokens, told.context_tokens)
    if share is not None:
        yield f"cache {percent(share)}"
    for name, period, used in recorded.near:
        yield colour(f"{repeated(name, 40)} {percent(used)} of the {period}", RED if used >= 1 else YELLOW)
    if recorded.as_of:
        yield colour(f"as of {recorded.as_of}", DIM)
