"""Whether what is heard now was heard in time: what was said while we did not listen may be lost, unnoticed."""

from __future__ import annotations

import asyncio
import time

LOOK_S = 0.5
LATE_NS = 1_000_000_000
SETTLE_S = 5.0  # after standing still: until then what is heard may have waited in the machine


class Punctuality:
    """Notices that this process stood still: was stopped, slept with its machine, or was busy with something long.

    By the time of day, which goes on while a machine sleeps. Whoever sets it stands still, too.
    """

    def __init__(self) -> None:
        self.is_busy = False  # whoever listens does something else: that is looked at when it is done
        self._looked_ns = time.time_ns()
        self._settled_s = time.monotonic()

    def is_in_time(self) -> bool:
        """Whether we have listened without a break for long enough."""
        now_ns = time.time_ns()
        if not 0 <= now_ns - self._looked_ns <= LATE_NS:
            self._settled_s = time.monotonic() + SETTLE_S
        self._looked_ns = now_ns
        return time.monotonic() >= self._settled_s

    async def watch(self) -> None:
        """Looks again and again, for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self.is_busy:
                self.is_in_time()
