"""What a pass says about itself when it has ended, and how far a long one is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ccostdb.errors import CcostError
from ccostdb.store import Store


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
    hint: str | None = None  # what to do about it, where that is not to start the source


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long import is, in bytes of input."""

    source: str
    done_bytes: int
    total_bytes: int


@asynccontextmanager
async def recorded_run(store: Store, source_id: int, state: str, outcome: Outcome) -> AsyncIterator[int]:
    """A new row of `run`, whose id it gives. It ends as `outcome` says, or as `failed` where the pass raises."""
    run_id, began_s = await store.start_run(source_id, time.time_ns(), state), time.monotonic()
    try:
        yield run_id
    except Exception as error:
        message = error.message if isinstance(error, CcostError) else repr(error)
        await store.finish_run(run_id, "failed", message, time.time_ns())
        raise
    outcome.seconds = time.monotonic() - began_s
    await store.finish_run(run_id, outcome.outcome, outcome.error, time.time_ns())
