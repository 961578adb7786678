"""What a pass says about itself: while it runs, and when it has ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Outcome:
    """How one source went in this process. `outcome`: ok, no_data, failed, stopped, absent (not found: no run)."""

    source: str
    outcome: str = "ok"
    files: int = 0
    frames: int = 0
    events: int = 0
    calls: int = 0  # new ones
    rows: int = 0
    rejected: int = 0
    gaps: int = 0
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long import is, in bytes of input."""

    source: str
    done_bytes: int
    total_bytes: int
