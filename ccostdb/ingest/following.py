"""What a source that is followed says while it runs: to its run, and to the log, each only what is new."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from ccostdb.clock import iso
from ccostdb.model import Gap
from ccostdb.words import count_of

HEARTBEAT_S = 60.0
MOST_SAID = 100


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
