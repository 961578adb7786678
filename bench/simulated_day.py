"""A day of a busy user for bench/soak.py: all four sources on loopback, in hurried time.

The demo's CCO, transcripts that grow line by line, daemon events, and a CCA that changes. Servers restart, connections
are cut, lines are torn, events come twice. `World` remembers what it sent, which is the truth.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccostdb.demo import traffic
from ccostdb.demo.server import SimulatedCco
from ccostdb.demo.transcripts import MODELS, PROJECTS, Thread

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from cca_emulator import Emulator as Cca
from cca_emulator import Reply, reply
from ccd_emulator import Ccd, emulated, event, frame

SECOND_NS = 1_000_000_000
HOUR_NS = 3600 * SECOND_NS
CALLS_AN_HOUR, DAEMON_EVENTS_AN_HOUR, SESSIONS_AN_HOUR = 125, 125, 2.5
MESSAGES = 84  # of a session, in about an hour
BOOT_HOURS, FAULTS_AN_HOUR = 4, 2  # how long a CCO lives; how often connections are cut
TICK_S, DOWN_S, SETTLE_S = 0.02, 1.0, 60.0
TOKENS = "/api/v1/tokens/metrics"


@dataclass
class Clock:
    """Simulated time, which ends now and goes `speed` times as fast as ours."""

    hours: float
    minutes: float

    def __post_init__(self) -> None:
        self.end_ns = time.time_ns() // 1_000_000 * 1_000_000
        self.start_ns = self.end_ns - int(self.hours * HOUR_NS)
        self.speed = self.hours * 60 / self.minutes
        self.began_s: float | None = None

    def now_ns(self) -> int:
        if self.began_s is None:
            return self.start_ns
        return min(self.end_ns, self.start_ns + int((time.monotonic() - self.began_s) * self.speed * SECOND_NS))

    def shorter(self, seconds: float) -> str:
        """An interval of ours as a setting that fits the simulated time."""
        return str(max(0.1, seconds / self.speed))


class Cco(SimulatedCco):
    """One boot of the demo's server, at a port that stays and by the clock."""

    def __init__(self, events: Sequence[traffic.Event], clock: Clock) -> None:
        super().__init__(events)
        self._booted_ns = self._now_ns = events[0].at_ns  # not before the last event of the boot before
        self._clock = clock

    @property
    def sent(self) -> Sequence[traffic.Event]:
        return self._traffic[: self._happened]

    @property
    def is_over(self) -> bool:
        return self._happened >= len(self._traffic)

    def happen(self) -> None:
        if not self.is_over and self._traffic[self._happened].at_ns <= self._clock.now_ns():
            super().happen()

    def drop(self) -> None:
        for subscriber in self._subscribers:
            subscriber.cancel()

    async def live(self, port: int, *, is_last: bool) -> None:
        """Answers until all has happened and is told; the last boot until it is cancelled."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", port)
        try:
            while is_last or not self.is_over:
                await asyncio.sleep(TICK_S)
        finally:
            server.close()
            self.drop()


class World:
    """All that the process can see, what was sent of it, and when."""

    def __init__(self, clock: Clock, home: Path, ccd: Ccd) -> None:
        self.clock, self.home, self.ccd = clock, home, ccd
        self.cco_port, self.cca = free_port(), Cca().__enter__()
        events = list(cco_events(clock))
        count = max(1, round(clock.hours / BOOT_HOURS))
        size = -(-len(events) // count)
        self.boots = [Cco(events[first : first + size], clock) for first in range(0, len(events), size)]
        self.boot = self.boots[0]
        self.threads = list(sessions(clock))
        self.pieces = deque(sorted(piece for thread in self.threads for piece in pieces(thread, home)))
        self.pieces[0][1].touch()  # so that transcripts are found at once
        self.told_ns: dict[str, int] = {}  # daemon events: when, by our clock
        self.cca_states = 0

    async def play(self) -> None:
        """Lets the clock run to its end."""
        self.clock.began_s = time.monotonic()
        disturbing = asyncio.create_task(self._disturb())
        step_ns, number = HOUR_NS // DAEMON_EVENTS_AN_HOUR, 0
        while (now_ns := self.clock.now_ns()) < self.clock.end_ns or self.pieces:
            while self.pieces and (self.pieces[0][0] <= now_ns or now_ns == self.clock.end_ns):
                _, path, text = self.pieces.popleft()
                with path.open("a") as file:
                    file.write(text)
            while self.clock.start_ns + number * step_ns <= now_ns:
                self._tell(number, self.clock.start_ns + number * step_ns)
                number += 1
            self._change_cca((now_ns - self.clock.start_ns) // (60 * SECOND_NS))
            await asyncio.sleep(TICK_S)
        await disturbing
        until_s = time.monotonic() + SETTLE_S
        while not self.boots[-1].is_over and time.monotonic() < until_s:
            await asyncio.sleep(TICK_S)
        await asyncio.sleep(3 * DOWN_S)

    async def boot_cco(self) -> None:
        for boot in self.boots:
            self.boot = boot
            await boot.live(self.cco_port, is_last=boot is self.boots[-1])
            await asyncio.sleep(DOWN_S)

    async def _disturb(self) -> None:
        """Cuts connections; now and then a server is away for a moment, or has had enough."""
        number = 0
        while self.clock.now_ns() < self.clock.end_ns:
            await asyncio.sleep(3600 / FAULTS_AN_HOUR / self.clock.speed)
            number += 1
            self.boot.drop()
            if number % 3 == 0:
                self.ccd.hang_up()
            if number % 12 == 6:
                self.ccd.status = 503
                self.ccd.hang_up()
                await asyncio.sleep(DOWN_S)
                self.ccd.status = 200
            if number % 4 == 1:
                self.cca.refusals.append(Reply(status=429, headers={"retry-after": "1"}))
            if number % 12 == 9:
                self.cca.__exit__()
                await asyncio.sleep(DOWN_S)
                self.cca, old = Cca(port=self.cca.port), self.cca
                self.cca.replies = old.replies
                self.cca.__enter__()

    def _tell(self, number: int, at_ns: int) -> None:
        text = "word " * (number * 7919 % 800)
        kind = ("heartbeat_session", "approval_requested", "checkpoint", "context_health")[number % 4]
        told = event(number, kind=kind, timestamp=traffic.rfc3339(at_ns))
        told["payload"] |= {"session_id": f"ses_{number // 50}", "text": text}
        self.told_ns[told["event_id"]] = time.time_ns()
        self.ccd.send(frame(told).encode() * (1 + (number % 20 == 0)))

    def _change_cca(self, minute: int) -> None:
        if minute > self.cca_states:
            self.cca_states = minute
            body = {"total_tokens": minute * 1000, "agents": {f"agent-{n}": minute * n for n in range(20)}}
            self.cca.replies[TOKENS] = reply({"success": True, "data": body})


@asynccontextmanager
async def world_of(clock: Clock, home: Path) -> AsyncIterator[World]:
    """The servers answer as long as the context is open; nothing happens before `play`."""
    with emulated() as ccd:
        world = World(clock, home, ccd)
        booting = asyncio.create_task(world.boot_cco())
        try:
            yield world
        finally:
            booting.cancel()
            await asyncio.gather(booting, return_exceptions=True)
            world.cca.__exit__()


def cco_events(clock: Clock) -> list[traffic.Event]:
    """The demo's traffic, again and again, oldest first."""
    traffic.MEAN_WAIT_S = 3600 // CALLS_AN_HOUR
    events = traffic.make_traffic(clock.end_ns)
    while events[0].at_ns > clock.start_ns:
        events = traffic.make_traffic(events[0].at_ns) + events
    return [each for each in events if each.at_ns >= clock.start_ns]


def sessions(clock: Clock) -> Iterator[Thread]:
    """Sessions that begin at any time but in the last hour, if there are more."""
    chance = random.Random(4)
    latest_ns = max(1, clock.end_ns - clock.start_ns - HOUR_NS)
    for _ in range(max(1, round(clock.hours * SESSIONS_AN_HOUR))):
        start_ns = clock.start_ns + chance.randrange(latest_ns) // 1_000_000 * 1_000_000
        name = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        thread = Thread(chance, chance.choice(PROJECTS), name, chance.choice(MODELS), start_ns)
        for _ in range(MESSAGES):
            thread.turn()
        yield thread


def pieces(thread: Thread, home: Path) -> Iterator[tuple[int, Path, str]]:
    """What is written when: each line in two halves."""
    path = thread.path(home / ".claude")
    path.parent.mkdir(parents=True, exist_ok=True)
    for line in thread.lines:
        at_ns = int(datetime.fromisoformat(line["timestamp"]).timestamp() * 1000) * 1_000_000
        text = json.dumps(line, separators=(",", ":")) + "\n"
        yield at_ns, path, text[: len(text) // 2]
        yield at_ns + SECOND_NS * 9 // 10, path, text[len(text) // 2 :]


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
