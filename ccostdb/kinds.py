"""What a column of a table, view or query holds, told by its name: units and meanings are in the names. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Kind = Literal[
    "moment", "hour", "day", "week", "month", "flag", "identity", "money", "rate", "share", "number", "count", "text"
]

_COUNTS = (
    "alike_hours|calls|conflicts|cost_alerts|blocking_escalations|connections|dropped|errors|events|frames|gaps"
    "|heartbeats|hours|rejected|requests|restarts|rows|sessions|takeovers|times|tokens|used|web_searches"
    "|.*_(bytes|calls|characters|checks|completed|count|events|failed|hits|max|ms|nusd|s|saved|sum|tasks|tokens|used)"
    "|.*_tokens_.*"
)
# The first that fits the whole name holds.
_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile("at|.*_at"), "moment"),  # UTC, as `clock.iso` writes it
    (re.compile("hour"), "hour"),  # local, with its offset
    (re.compile("day|date|(first|last)_day|checked_on"), "day"),
    (re.compile("week"), "week"),
    (re.compile("month"), "month"),
    (re.compile("counted|safe_clean_close|(is|can|has|needs|requires)_.*"), "flag"),  # 0 or 1
    (re.compile("(activity|sample)_id|.*_ns|(bucket|made_at|valid_from|valid_to)_s"), "identity"),  # whole, no amount
    (re.compile("(.*_)?usd_per_(million|thousand)"), "rate"),  # US dollars
    (re.compile("(.*_)?usd(_estimate)?|.*_cost"), "money"),  # US dollars
    (re.compile("(.*_)?share|pace|saturation|success_rate|threshold"), "share"),  # 1 is the whole
    (re.compile("seconds|away_s|session_minutes|avg_completion_time|reads_per_write|.*_pct"), "number"),
    (re.compile(_COUNTS), "count"),  # whole
)


@lru_cache(maxsize=1000)
def kind_of(name: str) -> Kind:
    """What a column of that name holds, beside NULL; anything at all where it is `text`."""
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(name)), "text")


def adds_up(name: str) -> bool:
    """Whether the cells of several rows have a sum. What is counted apart in each row, as sessions are, has none."""
    return kind_of(name) == "money" or name.endswith(("_tokens", "calls", "errors", "_hits"))
