"""The last calls, the newest first. Pure: rows of recent_calls → lines of a table, or all of one call."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from ccostdb.clock import SECOND_NS
from ccostdb.tui.columns import Cell, Column, lay_out
from ccostdb.tui.models import Listed
from ccostdb.tui.palette import ACCENT, BAD, GOOD, QUIET, TEXT, WARNING
from ccostdb.words import printable
from ccostdb.written import UNKNOWN, short, usd, usd_digits

_COLUMNS = (
    Column("Time", is_number=False),
    Column("Model", is_number=False, least=25, is_stretched=True),
    Column("Project", is_number=False, rank=3, least=12, is_stretched=True),
    Column("Agent", is_number=False, rank=6, least=10, is_stretched=True),
    Column("Source", is_number=False, rank=9),
    Column("Tokens", rank=2),
    Column("In", rank=7),
    Column("Out", rank=4),
    Column("Written", rank=8),
    Column("Read", rank=5),
    Column("ms", rank=10),
    Column("Saved", rank=5),
    Column("Cost"),
    Column("", is_number=False, rank=1),
)
_SEARCHED = ("model", "project", "agent", "source", "session_id", "status")

Row = sqlite3.Row


def matching(calls: Sequence[Row], words: str) -> list[Row]:
    """The calls of which each word is in some name, whatever its case."""
    asked = words.lower().split()
    return [call for call in calls if all(word in _searched(call) for word in asked)] if asked else list(calls)


def _searched(call: Row) -> str:
    hit = "hit" if call["is_response_cache_hit"] else ""
    unpriced = "unpriced" if call["cost_nusd"] is None else ""
    return " ".join([hit, unpriced, *(str(call[name] or "") for name in _SEARCHED)]).lower()


def recent_lines(calls: Sequence[Row], zone: ZoneInfo, today: date, width: int) -> Listed:
    """A line for each call; of today its time, of other days the day, too."""
    if not calls:
        return Listed("None.", [], [])
    digits = usd_digits([call["cost_nusd"] for call in calls])
    rows = [_row(call, datetime.fromtimestamp(call["occurred_ns"] // SECOND_NS, zone), today, digits) for call in calls]
    return Listed(*lay_out(_COLUMNS, rows, width), [call["call_id"] for call in calls])


def _row(call: Row, at: datetime, today: date, digits: int) -> list[Cell]:
    note, colour = _note(call)
    style = TEXT if call["counted"] else QUIET
    saved = call["savings_nusd"]
    return [
        Cell(f"{at:%H:%M:%S}" if at.date() == today else f"{at:%m-%d %H:%M}", QUIET),
        Cell(_name(call["model"]), style),
        Cell(_name(call["project"]), style),
        Cell(_name(call["agent"]), style),
        Cell(_name(call["source"]), QUIET),
        Cell(short(call["total_tokens"]), style),
        Cell(short(call["input_tokens"]), style),
        Cell(short(call["output_tokens"]), style),
        Cell(short(call["cache_write_tokens"]), style),
        Cell(short(call["cache_read_tokens"]), style),
        Cell(UNKNOWN if call["latency_ms"] is None else f"{call['latency_ms']:,}", QUIET),
        Cell(usd(saved, digits), QUIET if not saved else GOOD if saved > 0 else BAD),
        Cell(usd(call["cost_nusd"], digits), f"bold {ACCENT}" if call["counted"] else QUIET),
        Cell(note, colour),
    ]


def _note(call: Row) -> tuple[str, str]:
    """What is special about a call, and its colour."""
    if call["status"] == "error":
        return "failed", BAD
    if call["cost_nusd"] is None:
        return "no price", WARNING
    if not call["counted"]:
        return "not counted", QUIET
    return ("cache hit", GOOD) if call["is_response_cache_hit"] else ("", QUIET)


def _name(text: str | None) -> str:
    return UNKNOWN if text is None else printable(text)


def call_words(call: Row, zone: ZoneInfo) -> dict[str, str]:
    """All that is known of one call, and how to ask which rates made its cost."""
    at = datetime.fromtimestamp(call["occurred_ns"] / SECOND_NS, zone)
    told = {
        "Call": call["call_id"],
        "Time": f"{at:%Y-%m-%d %H:%M:%S} {zone.key}",
        "Source": call["source"] + ("" if call["counted"] else ", in no total"),
        "Model": call["model"],
        "Project": call["project"],
        "Agent": call["agent"],
        "Session": call["session_id"],
        "Status": call["status"],
        "Latency": None if call["latency_ms"] is None else f"{call['latency_ms']:,} ms",
        "Tokens": ", ".join(_kinds(call)) or None,
        "Cost": usd(call["cost_nusd"]),
        "Saved": usd(call["savings_nusd"]),
        "Rates": f"ccostdb explain {shlex.quote(call['call_id'])}",
    }
    return {name: _name(value) for name, value in told.items()}


def _kinds(call: Row) -> list[str]:
    kinds = ("input", "output", "cache_write", "cache_read", "total")
    found = [(kind.replace("_", " "), call[f"{kind}_tokens"]) for kind in kinds]
    return [f"{count:,} {kind}" for kind, count in found if count is not None]
