"""A reference CCO: a ring of events and cumulative counters, seen through snapshots that can go wrong; and its reader.

The server knows the truth. The reader keeps what a ledger would: rows, gaps and the persisted state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ccostdb.model import Activity, Gap, Numbered, Snapshot, replace
from ccostdb.windows import Step, WindowState, step

SECOND = 1_000_000_000
T0 = 1_790_000_000 * SECOND


def event(name: str, nusd: int | None = 1_050_000, kind: str = "api_call", occurred_ns: int | None = None) -> Activity:
    """An activity whose identity is what it says: equal arguments are indistinguishable events."""
    return Activity(
        identity=f"{name} {kind} {nusd} {occurred_ns}",
        timestamp=None,
        occurred_ns=occurred_ns,
        event_type=kind,
        agent_name=None,
        model=name,
        tokens=None,
        latency_ms=None,
        status=None,
        cost_text=None,
        cost_nusd=nusd,
    )


def is_counted(activity: Activity) -> bool:
    return activity.event_type in ("api_call", "cache_hit")


@dataclass
class Server:
    """One CCO. `records` and the counters follow the truth; `shown` is the ring; `skew` moves the counters alone."""

    size: int = 20
    now_ns: int = T0
    boot_ns: int = T0
    truth: list[Activity] = field(default_factory=list)
    shown: list[Activity] = field(default_factory=list)
    totals: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])
    has_uptime: bool = True

    def call(self, *activities: Activity) -> None:
        for activity in activities:
            self.truth.append(activity)
            self.shown.append(activity)
            if is_counted(activity):
                calls, nusd = self.totals[-1]
                self.totals.append((calls + 1, nusd + (activity.cost_nusd or 0)))

    def fresh(self, count: int, nusd: int = 1_050_000) -> None:
        """Calls as real ones: each has a time of its own."""
        for _ in range(count):
            self.now_ns += 2_000_000
            self.call(event("m", nusd + len(self.truth) % 7, occurred_ns=self.now_ns))

    def disorder(self, count: int, step_ns: int = 1_100_000) -> None:
        """Calls that ended at once and are recorded in the wrong order: each is earlier than the one before."""
        self.now_ns += SECOND
        first = len(self.truth)
        self.call(*(event("m", first + n, occurred_ns=self.now_ns - n * step_ns) for n in range(count)))

    def set_clock_back(self, by_s: int = 2) -> None:
        """Uptime goes on, so the server seems to have been started earlier."""
        self.now_ns -= by_s * SECOND
        self.boot_ns -= by_s * SECOND

    def frame(self, skew: int = 0, after_s: float = 5) -> Snapshot:
        """The next snapshot. A skew below 0 gives older totals, above 0 totals of calls not yet shown."""
        self.now_ns += int(after_s * SECOND)
        calls, nusd = self.totals[max(0, len(self.totals) - 1 + min(skew, 0))]
        if skew > 0:
            calls, nusd = calls + skew, nusd + skew * 1_050_000
        return Snapshot(
            received_ns=self.now_ns + 3_000_000,
            last_updated_ns=self.now_ns,
            uptime_s=float((self.now_ns - self.boot_ns) // SECOND) if self.has_uptime else None,
            calls=calls,
            cost_text=None,
            cost_nusd=nusd,
            activity=tuple(self.shown[-self.size :]),
        )

    def restart(self, lost_totals: int | None = 0, keeps_ring: bool = False, after_s: int = 7) -> None:
        """Start anew. `lost_totals`: records that were not saved; None: counters begin at 0."""
        self.now_ns += after_s * SECOND
        self.boot_ns = self.now_ns
        if not keeps_ring:
            self.shown = []
        if lost_totals is None:
            self.totals = [(0, 0)]
        else:
            self.totals = self.totals[: max(1, len(self.totals) - lost_totals)]


@dataclass
class Reader:
    """What a ledger holds after each transaction; the state goes through JSON as it would through SQLite."""

    size: int = 20
    rows: list[Numbered] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    persisted: str | None = None
    state: WindowState | None = None

    def see(self, snapshot: Snapshot) -> Step:
        result = step(self.state, snapshot, size=self.size)
        if result.is_changed:
            self.rows += result.new
            self.gaps += result.gaps
            self.persisted = result.state.to_json()
        else:
            assert not result.new and not result.gaps
        self.state = result.state
        return result

    def crash(self) -> None:
        self.state = None if self.persisted is None else WindowState.from_json(self.persisted)

    @property
    def events(self) -> list[Activity]:
        return [row.activity for row in self.rows]

    @property
    def missing_calls(self) -> int:
        return sum(gap.calls or 0 for gap in self.gaps)

    @property
    def calls(self) -> int:
        """Accepted calls and gaps: what the server's counter must say, if it never restarted."""
        return sum(map(is_counted, self.events)) + self.missing_calls

    @property
    def nusd(self) -> int:
        accepted = sum(one.cost_nusd or 0 for one in self.events if is_counted(one))
        return accepted + sum(gap.cost_nusd or 0 for gap in self.gaps)


Fault = Callable[[Snapshot], Snapshot]

FAULTS: dict[str, Fault] = {
    "empty": lambda good: replace(good, activity=()),
    "no activity": lambda good: replace(good, activity=None),
    "zeroed counters": lambda good: replace(good, calls=0, cost_nusd=0),
    "no counters": lambda good: replace(good, calls=None, cost_nusd=None),
    "leapt counter": lambda good: replace(good, calls=10**12),
    "zeroed": lambda good: replace(good, activity=(), calls=0, cost_nusd=0, uptime_s=0.0),
    "odd uptime": lambda good: replace(good, uptime_s=0.0),
    "odd uptime, empty": lambda good: replace(good, activity=(), uptime_s=0.0),
    "far time, empty": lambda good: replace(good, activity=(), last_updated_ns=9_000_000_000 * SECOND),
    "no cost": lambda good: replace(good, cost_nusd=None),
    "no uptime": lambda good: replace(good, uptime_s=None),
    "no time": lambda good: replace(good, last_updated_ns=None),
    "newest first": lambda good: replace(good, activity=(good.activity or ())[::-1]),
    "shortened": lambda good: replace(good, activity=(good.activity or ())[3:]),
    "cut off": lambda good: replace(good, activity=(good.activity or ())[:-2]),
    "hole": lambda good: replace(good, activity=_without(good.activity or (), 2)),
    "garbled": lambda good: replace(good, activity=_garbled(good.activity or ())),
}

# A young server's window that lacks its first events cannot be told from a younger server's.
HIDING = {"shortened", "hole", "garbled"}


def _without(activity: Sequence[Activity], place: int) -> tuple[Activity, ...]:
    return (*activity[:place], *activity[place + 1 :])


def _garbled(activity: Sequence[Activity]) -> tuple[Activity, ...]:
    """One field of one old event was not readable this once."""
    if len(activity) < 5:
        return tuple(activity)
    return (*activity[:2], replace(activity[2], identity="garbled"), *activity[3:])
