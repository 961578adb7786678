"""Which events of a window are new: the last window is found in it, and the counter decides what repeats.

Pure. Within one boot the server appends to a sequence and shows its last 20 events beside a counter of some of them.
A choice is a number k: the newest k events are new. Windows alone cannot tell 20 equal events from 20 equal events and
one more; with the counter, and at most 20 new events a frame, only the true k fits both.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from ccostdb.model import Activity, Snapshot
from ccostdb.windows.state import HASH_BYTES, Hashes, WindowState

SECOND_NS = 1_000_000_000
BOOT_TOLERANCE_NS = 1_500_000_000  # uptime is sent in whole seconds
LEAP_CALLS = 1_000_000  # no server counts so many between two frames


class Frame(NamedTuple):
    """A snapshot made ready for alignment. A counter not to be used is in `odd_calls`."""

    events: tuple[Activity, ...]
    hashes: Hashes
    is_counted: tuple[bool, ...]
    is_timed: bool
    calls: int | None
    nusd: int | None
    boot_ns: int | None
    time_ns: int
    received_ns: int
    odd_calls: int | None = None

    def counted_calls(self, newest: int) -> int:
        """How many of the newest events the server's counter counts."""
        return sum(self.is_counted[len(self.events) - newest :])

    def turned(self) -> Frame:
        """The events in the opposite order."""
        events, hashes, is_counted = self.events[::-1], self.hashes[::-1], self.is_counted[::-1]
        return self._replace(events=events, hashes=hashes, is_counted=is_counted)


class Choice(NamedTuple):
    """So many newest events are new. `is_reset`: the counters began anew, and with them an epoch."""

    newest: int
    is_reset: bool = False


def read_frame(snapshot: Snapshot, activity: Sequence[Activity], counted: frozenset[str]) -> Frame:
    """The snapshot's events as sent, their hashes, and when the server was started, if it says so."""
    events = tuple(activity)
    updated_ns, uptime_s = snapshot.last_updated_ns, snapshot.uptime_s
    boot_ns = None if updated_ns is None or uptime_s is None else updated_ns - round(uptime_s * 1e9)
    return Frame(
        events=events,
        hashes=tuple(hash_text(event.identity) for event in events),
        is_counted=tuple(event.event_type in counted for event in events),
        is_timed=any((event.occurred_ns or 0) % SECOND_NS for event in events),
        calls=snapshot.calls,
        nusd=snapshot.cost_nusd,
        boot_ns=boot_ns,
        time_ns=snapshot.received_ns if updated_ns is None else updated_ns,
        received_ns=snapshot.received_ns,
    )


def hash_text(text: str) -> bytes:
    """Identity is text: NaN must equal itself, and 1.0 must not merge with 1 or true."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()[:HASH_BYTES]


def is_near(boot_ns: int | None, other_ns: int | None) -> bool | None:
    """Whether two times of a server's start are one; None where either is unknown."""
    if boot_ns is None or other_ns is None:
        return None
    return abs(boot_ns - other_ns) <= BOOT_TOLERANCE_NS


def is_same_boot(state: WindowState, frame: Frame, size: int) -> bool | None:
    """Whether one server process sent both; None where that cannot be told.

    Where either did not say when it was started, a ring that plainly moved on shows that the server lived on.
    """
    is_same = is_near(state.boot_ns, frame.boot_ns)
    if is_same is not None:
        return is_same
    ways = continuations(state.window, frame.hashes, size)
    return None if plain_overlap(state.window, frame, ways) is None else True


def is_odd_counter(state: WindowState, frame: Frame) -> bool:
    """Whether the counter is not one that could follow, within one boot, on the last one."""
    has_leapt = state.calls is not None and frame.calls is not None and frame.calls - state.calls > LEAP_CALLS
    return has_leapt or has_fallen(state, frame)


def has_fallen(state: WindowState, frame: Frame) -> bool:
    """Whether the counter is lower than it was."""
    return state.calls is not None and frame.calls is not None and frame.calls < state.calls


def choose(state: WindowState, frame: Frame, size: int) -> Choice | None:
    """What is new; None for a window that does not fit and is not to be believed, or not yet."""
    if state.epoch == 0:
        return Choice(len(frame.hashes), is_reset=True)
    is_same = is_same_boot(state, frame, size)
    if is_copy(state, frame, is_same):
        return None
    ways = ways_on(state, frame, size)
    if is_same is False or (is_same is None and (has_fallen(state, frame) or not ways)):
        return choose_after_restart(state, frame, size)
    if ways:
        return Choice(choose_in_boot(state, frame, ways))
    if overlaps(state.rejected, frame.hashes, size):
        return choose_after_restart(state, frame, size)  # it goes on from a rejected one: believed
    return None


def ways_on(state: WindowState, frame: Frame, size: int) -> list[int]:
    """The ways from the last window to this one, within one boot; none for a window that does not fit."""
    old, new = state.window, frame.hashes
    ways = continuations(old, new, size)
    if ways and not (ways == [len(new)] and is_contradicted(state, frame)):
        return ways
    joints = overlaps(old, new, size)
    plain = plain_overlap(old, frame, joints)
    if plain is not None:
        return [plain]  # a shortened window, or a server that shows fewer events
    return [len(new)] if not joints and is_all_new(state, frame) else []


def continuations(old: Hashes, new: Hashes, size: int) -> list[int]:
    """Every k for which `new` can be `old` moved on by k events within one boot, ascending.

    Fewer than `size` events are all since the boot, so all of `old` must still stand at their beginning. A
    full window may also have moved on by more than it shows.
    """
    if len(new) >= size:
        return [*overlaps(old, new, size), len(new)]
    return [len(new) - len(old)] if new[: len(old)] == old else []


def overlaps(old: Hashes, new: Hashes, size: int) -> list[int]:
    """Every k for which the end of `old`, not empty, stands in `new` right before its newest k, ascending."""
    found = []
    for newest in range(len(new)):
        end = len(new) - newest
        shared = min(end, len(old))
        # `new` can hold events from before `old` only where `old` was cut off at `size`.
        is_placed = end <= len(old) or len(old) >= size
        if shared and is_placed and old[-shared:] == new[end - shared : end]:
            found.append(newest)
    return found


def plain_overlap(old: Hashes, frame: Frame, ways: Sequence[int]) -> int | None:
    """The overlap that joins both windows into one sequence in which no event repeats.

    It is proof only where events have times finer than a second. Others do repeat, even in a whole window: [a b]
    is again [a b] after `a b`. (One event unique in both windows would be less: [a b] becomes [b a] by `b a`.)
    """
    for newest in ways if frame.is_timed else ():
        joined = old + frame.hashes[len(frame.hashes) - newest :]
        if newest < len(frame.hashes) and len(set(joined)) == len(joined):
            return newest
    return None


def is_copy(state: WindowState, frame: Frame, is_same: bool | None) -> bool:
    """True for an empty or shortened copy of the last window: it tells nothing.

    After a restart an empty window says much, and events without fine times may be others, though equal.
    """
    old, new = state.window, frame.hashes
    starts = range(len(old) - len(new) + 1)
    if len(new) == len(old) or not any(old[start : start + len(new)] == new for start in starts):
        return False
    is_plain = bool(new) and frame.is_timed and len(set(old)) == len(old)
    return is_plain or is_same is True or (is_same is None and not new)


def is_contradicted(state: WindowState, frame: Frame) -> bool:
    """Nothing of the last window is left, and the counter knows of less than half of that: it was rewritten.

    Half, because an honest counter may lag by the calls in flight.
    """
    calls = frame.odd_calls or frame.calls  # one that fell to zero knows nothing
    if calls is None or not state.window:
        return False
    excess = min(state.deficit.calls, 0) if state.deficit else 0
    return 2 * (calls - state.accounted_calls - excess) < frame.counted_calls(len(frame.hashes))


def is_all_new(state: WindowState, frame: Frame) -> bool:
    """A window that fits nowhere, of which the counter has counted every event since."""
    if frame.calls is None or len(frame.hashes) < len(state.window):
        return False
    return frame.calls - state.accounted_calls >= frame.counted_calls(len(frame.hashes)) > 0


def choose_in_boot(state: WindowState, frame: Frame, ways: Sequence[int]) -> int:
    """The plain overlap, else the way that the counter confirms; the fewest events on a tie, or without a counter.

    A counter may run ahead, and real events do not repeat. Where they do, the counter is exact.
    """
    plain = plain_overlap(state.window, frame, ways)
    if plain is not None:
        return plain
    return min(ways, key=lambda newest: (unexplained(state, frame, newest), newest))


def choose_after_restart(state: WindowState, frame: Frame, size: int) -> Choice:
    """Whether ring and counters survived: what leaves least unexplained, then the longest overlap.

    Old counters beside a new ring must cover what we know and what it shows: a lower total is an older one,
    restored from disk. A ring that plainly moved on survived: the machine slept, or its clock was set.
    """
    old, new = state.window, frame.hashes
    plain = plain_overlap(old, frame, continuations(old, new, size))
    ways = {*overlaps(old, new, size), len(new)} if plain is None else {plain}
    options = []
    for newest in ways:
        options.append((unexplained(WindowState(), frame, newest), newest, True))
        known = state.accounted_calls + frame.counted_calls(newest)
        if newest < len(new) or (frame.calls is not None and frame.calls >= known):
            options.append((unexplained(state, frame, newest), newest, False))
    _, newest, is_reset = min(options)
    return Choice(newest, is_reset)


def unexplained(state: WindowState, frame: Frame, newest: int) -> int:
    """The calls by which the counter and a choice disagree; 0 without a counter.

    A deficit that is still pending may be calls lost for good or calls about to be shown: both are agreement.
    Beyond belief all choices disagree alike.
    """
    if frame.calls is None:
        return 0
    beyond = frame.calls - state.accounted_calls - frame.counted_calls(newest)
    pending = state.deficit.calls if state.deficit else 0
    return min(abs(beyond), abs(beyond - pending), LEAP_CALLS)
