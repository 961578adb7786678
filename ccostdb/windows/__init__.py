"""Overlapping snapshots → new events and gaps. Pure: its whole memory is one small WindowState.

CCO shows its last 20 events again in every frame, without ids, beside cumulative counters. `alignment.py`
tells what is new; here it is numbered, and what the counters say beyond it, in two frames, becomes a gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ccostdb.model import Gap, Numbered, Snapshot
from ccostdb.windows.alignment import (
    Choice,
    Frame,
    choose,
    hash_text,
    is_copy,
    is_odd_counter,
    is_same_boot,
    read_frame,
)
from ccostdb.windows.boots import begins_empty, has_moved, is_emptied, is_ghost, is_stale, restart_of
from ccostdb.windows.orientation import orient
from ccostdb.windows.state import Deficit, Emptied, Unsettled, WindowState

__all__ = ["Step", "WindowState", "step"]

WINDOW_SIZE = 20
COUNTED_TYPES = frozenset({"api_call", "cache_hit"})  # what the server's `calls` counts


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame brought. Where `is_changed` is False there is nothing to persist.

    `saturation`: new events / window size; near 1 the stream should be sampled more often.
    """

    state: WindowState
    new: tuple[Numbered, ...] = ()
    gaps: tuple[Gap, ...] = ()
    is_changed: bool = False
    saturation: float = 0.0
    is_restart: bool = False


def step(
    state: WindowState | None,
    snapshot: Snapshot,
    *,
    size: int = WINDOW_SIZE,
    counted: frozenset[str] = COUNTED_TYPES,
) -> Step:
    """The events not seen before, the gaps that are now certain, and the next state."""
    known = state or WindowState()
    if snapshot.activity is None or is_stale(known, snapshot):
        return Step(known)
    old, frame = orient(known, read_frame(snapshot, snapshot.activity, counted), size)
    frame_hash = hash_frame(snapshot, frame) or known.frame_hash
    is_repeated = snapshot.last_updated_ns is not None and frame_hash == known.frame_hash
    if is_repeated or is_ghost(old, frame, size):
        return Step(known)  # a frame delivered again must not confirm its own deficit
    gaps: tuple[Gap, ...] = ()
    if is_emptied(old, frame, size):
        old, _, gaps = take(old, *restart_of(old, size), size)
    elif begins_empty(old, frame):
        emptied = Emptied(frame.boot_ns, frame.calls, frame.nusd, frame.time_ns, frame.received_ns)
        return Step(replace(known, emptied=emptied, frame_hash=frame_hash), is_changed=True)

    is_same = is_same_boot(old, frame, size)
    is_odd = is_same is True and is_odd_counter(old, frame) and not old.is_odd
    if is_odd:  # passed over once; a counter that is odd twice in a row is used
        frame = frame._replace(calls=None, nusd=None, odd_calls=frame.calls)
    choice = choose(old, frame, size)
    if choice is None and is_copy(old, frame, is_same):
        return Step(known)
    if choice is None:
        rejecting = replace(known, rejected=frame.hashes[-size:], frame_hash=frame_hash)
        return Step(rejecting, is_changed=True)

    taken, new, more_gaps = take(old, frame, choice, size)
    last_updated_ns = old.last_updated_ns if snapshot.last_updated_ns is None else snapshot.last_updated_ns
    after = replace(taken, is_odd=is_odd, last_updated_ns=last_updated_ns, frame_hash=frame_hash)
    return Step(
        state=after,
        new=new,
        gaps=gaps + more_gaps,
        is_changed=after.lasting() != known.lasting(),
        saturation=len(new) / size,
        is_restart=after.epoch > known.epoch > 0,
    )


def take(
    old: WindowState, frame: Frame, choice: Choice, size: int
) -> tuple[WindowState, tuple[Numbered, ...], tuple[Gap, ...]]:
    """The state after a frame that is believed, with its new events and the gaps it makes certain."""
    # Where nothing of the old window is left, and no uptime came, it may be another boot.
    is_joined = choice.newest == 0 or choice.newest < len(frame.events)
    boot_ns = old.boot_ns if frame.boot_ns is None and is_joined else frame.boot_ns
    moved_boot_ns = None
    if not choice.is_reset and has_moved(old, frame):
        boot_ns, moved_boot_ns = old.boot_ns, frame.boot_ns
    begun, lost = begin_epoch(old, frame, size) if choice.is_reset else (old, ())
    accepted, new = accept(begun, frame, choice.newest, size)
    settled, missed = settle(accepted, frame, size)
    after = replace(settled, rejected=(), emptied=None, boot_ns=boot_ns, frame_ns=frame.time_ns)
    return replace(after, moved_boot_ns=moved_boot_ns), new, lost + missed


def hash_frame(snapshot: Snapshot, frame: Frame) -> bytes:
    """Tells a frame that is delivered again; empty where the frame has no time of its own."""
    if snapshot.last_updated_ns is None:
        return b""
    window = b"".join(frame.hashes).hex()
    return hash_text(f"{snapshot.last_updated_ns} {snapshot.uptime_s} {frame.calls} {frame.nusd} {window}")


def begin_epoch(state: WindowState, frame: Frame, size: int) -> tuple[WindowState, tuple[Gap, ...]]:
    """A new event sequence. A deficit still pending will never be seen, so it is missing; more is unknown."""
    is_first = state.epoch == 0
    gaps: tuple[Gap, ...] = ()
    calls, nusd = state.accounted_calls, state.accounted_nusd
    if state.deficit is None and state.unsettled is not None:  # started again before any counter came
        calls, nusd = calls + state.unsettled.calls, nusd + state.unsettled.nusd
    elif state.deficit is not None and state.deficit.calls > 0:
        gaps = missing(state, frame, state.deficit, size)
        calls, nusd = calls + state.deficit.calls, nusd + (state.deficit.nusd or 0)
    epoch = state.epoch + 1
    if not is_first:
        gaps += (Gap(epoch, "restart", state.frame_ns, frame.time_ns, None, None, frame.received_ns),)
    begun = replace(
        state,
        epoch=epoch,
        seq=0,
        calls=None,
        accounted_calls=0,
        accounted_nusd=0,
        deficit=None,
        unsettled=Unsettled(calls, nusd, len(frame.hashes) >= size, is_first),
    )
    return begun, gaps


def accept(state: WindowState, frame: Frame, newest: int, size: int) -> tuple[WindowState, tuple[Numbered, ...]]:
    """The newest events, numbered on; their calls and money are accounted for. No cost counts as 0."""
    start = len(frame.events) - newest
    new = zip(frame.events[start:], frame.is_counted[start:], strict=True)
    cost_nusd = sum(event.cost_nusd or 0 for event, counts in new if counts)
    # Not the frame's window as it is: a shortened one, once believed, must not forget what came before it.
    known = state.window if start else ()
    accepted = replace(
        state,
        seq=state.seq + newest,
        window=(known + frame.hashes[start:])[-size:],
        accounted_calls=state.accounted_calls + frame.counted_calls(newest),
        accounted_nusd=state.accounted_nusd + cost_nusd,
    )
    numbered = enumerate(frame.events[start:], state.seq)
    return accepted, tuple(Numbered(state.epoch, seq, event) for seq, event in numbered)


def settle(state: WindowState, frame: Frame, size: int) -> tuple[WindowState, tuple[Gap, ...]]:
    """Compare with the counters. A deficit of calls that stood in two frames is a gap.

    Money alone makes none: the server adds floats, and an event may come without its cost.
    """
    if frame.calls is None:
        return state, ()
    stood = standing(state.deficit, deficit(state, frame.calls, frame.nusd))
    gaps: tuple[Gap, ...] = ()
    if stood.calls:
        gaps = missing(state, frame, stood, size)
        state = replace(
            state,
            accounted_calls=state.accounted_calls + stood.calls,
            accounted_nusd=state.accounted_nusd + (stood.nusd or 0),
            unsettled=None,
            whole_ns=state.frame_ns,
        )
    left = deficit(state, frame.calls, frame.nusd)
    is_whole = left.calls == 0
    if is_whole and state.deficit is not None and state.deficit.calls == 0:
        state = replace(state, unsettled=None)  # the epoch's counters began with its events
    elif is_whole and state.deficit is None and state.unsettled is not None and not state.unsettled.was_full:
        state = replace(state, unsettled=state.unsettled._replace(is_whole=True))
    whole_ns = frame.time_ns if is_whole else state.whole_ns
    return replace(state, calls=frame.calls, deficit=left, whole_ns=whole_ns), gaps


def deficit(state: WindowState, calls: int, nusd: int | None) -> Deficit:
    """The counters beyond what is accounted for."""
    return Deficit(calls - state.accounted_calls, None if nusd is None else nusd - state.accounted_nusd)


def standing(before: Deficit | None, now: Deficit) -> Deficit:
    """The part of a deficit that two frames show; calls and money apart: either may run ahead."""
    if before is None or before.calls * now.calls <= 0:
        return Deficit(0, None)
    money = [nusd for nusd in (before.nusd, now.nusd) if nusd is not None]
    return Deficit(min(before.calls, now.calls, key=abs), min(money, key=abs, default=None))


def missing(state: WindowState, frame: Frame, stood: Deficit, size: int) -> tuple[Gap, ...]:
    """The gap that a deficit is, if it is one: after a restart it may be totals restored from disk."""
    kind, calls, nusd = "overflow", stood.calls, stood.nusd
    before = state.unsettled
    if calls < 0:
        kind = "excess"
    elif before is not None and before.is_first and not before.is_whole:
        kind = "attach"
    elif before is not None and are_restored(before, calls, len(state.window) >= size):
        calls -= before.calls
        nusd = None if nusd is None else max(0, nusd - before.nusd)
        if calls <= 0:
            return ()
    return (Gap(state.epoch, kind, state.whole_ns, frame.time_ns, calls, nusd, frame.received_ns),)


def are_restored(before: Unsettled, calls: int, is_full: bool) -> bool:
    """Whether calls that no window showed were counted before the restart and restored from disk.

    A ring that was not full showed every call since the boot, so the rest was restored; unless its counters began
    with it and it has overflowed since. Behind a ring full at once the nearer of all restored and nothing is taken.
    """
    if before.is_whole:
        return not is_full
    return not before.was_full or abs(calls - before.calls) < calls
