"""What a column of a view or query holds, told by its name: units and meanings are in the names. Pure."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["time", "day", "truth", "number", "count", "text"]

_COUNTS = (
    "activity_id|sample_id|alike_hours|calls|conflicts|cost_alerts|blocking_escalations|connections|dropped|errors"
    "|events|frames|gaps|heartbeats|hours|rejected|requests|restarts|rows|sessions|takeovers|times|tokens"
    "|.*_(calls|characters|checks|completed|count|events|failed|hits|max|ms|ns|nusd|s|saved|sum|tasks|tokens|used)"
    "|.*_tokens_.*"
)
_NUMBERS = (
    "saturation|seconds|away_s|session_minutes|success_rate|avg_completion_time"
    "|(.*_)?(share|usd)(_.*)?|.*_(cost|pct|per_write)"
)
# The first that fits the whole name holds.
_KINDS: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile("at|.*_at"), "time"),  # UTC, as `clock.iso` writes it
    (re.compile("day|date"), "day"),
    (re.compile("counted|safe_clean_close|(is|can|needs|requires)_.*"), "truth"),  # 0 or 1
    (re.compile(_NUMBERS), "number"),
    (re.compile(_COUNTS), "count"),  # whole
)


def kind_of(name: str) -> Kind:
    """What a column of that name holds, beside NULL."""
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(name)), "text")
