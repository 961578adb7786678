"""What a pass says about itself: while it runs, and when it has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ccostdb.clock import iso
from ccostdb.errors import CcostError
from ccostdb.model import Gap
from ccostdb.store import Store
from ccostdb.words import count_of

HEARTBEAT_S = 60.0
MOST_SAID = 100


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


@dataclass(slots=True)
class Shown:
    """What a run and the log were told of a source that is followed: each only what is new."""

    name: str
    log: logging.Logger
    is_following: bool  # else the outcome says it
    state: str | None = None
    error: str | None = None
    said: set[str] = field(default_factory=set)

    def turn(self, state: str, error: str | None) -> str | None:
        """The state, where it or what is wrong is another than before; None: there is nothing to tell the run."""
        if (state, error) == (self.state, self.error):
            return None
        if self.is_following and state == "connected" != self.state:
            self.log.info("%s: connected", self.name)
        elif self.is_following and self.state == "connected" != state:
            self.log.info("%s: lost: %s", self.name, error)
        self.state, self.error = state, error
        return state

    def say_gaps(self, gaps: list[Gap]) -> None:
        """Tells the log of each gap that was stored."""
        for gap in gaps if self.is_following else ():
            since = f"from {iso(gap.from_ns)} " if gap.from_ns is not None else ""
            missing = ((gap.calls, "call"), (gap.events, "event"))
            many = "".join(f", {count_of(number, noun)}" for number, noun in missing if number is not None)
            self.log.info("%s: a gap, %s: %suntil %s%s", self.name, gap.kind, since, iso(gap.to_ns), many)

    def say(self, problem: str, level: int = logging.WARNING) -> None:
        """Tells the log, once of each problem and of MOST_SAID at most."""
        if self.is_following and problem not in self.said and len(self.said) < MOST_SAID:
            self.log.log(level, "%s: %s", self.name, problem)
            self.said.add(problem)


def is_heartbeat_due(appended_s: float) -> bool:
    """Whether a run should show that it is followed, though there was nothing to append since."""
    return time.monotonic() > appended_s + HEARTBEAT_S
