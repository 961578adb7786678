"""In which order a source sends its windows: CCO the oldest event first, until a window says otherwise. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ccostdb.model import Activity
from ccostdb.windows.alignment import SECOND_NS, Frame, continuations, is_copy, is_near, unexplained
from ccostdb.windows.state import WindowState

MANY_EVENTS = 10


def orient(state: WindowState, frame: Frame, size: int) -> tuple[WindowState, Frame]:
    """The frame with its oldest event first, and the state that knows how its source sends them.

    Times prove little: calls end out of order, and clocks are set back. What the source sent so far is its order, at
    first CCO's, oldest first. Where only the other one continues the last window, the source has another; and where
    only the last window turned round is continued, that one was misjudged.
    """
    usual, other = (frame.turned(), frame) if state.is_newest_first else (frame, frame.turned())
    turned_state = replace(state, is_newest_first=not state.is_newest_first)
    if not state.window:
        return (turned_state, other) if is_falling(usual.events) else (state, usual)
    can_be_another = not frame.is_timed and is_near(state.boot_ns, frame.boot_ns) is False
    if can_be_another or is_copy(state, usual, True) or is_proven(state, usual, size, can_be_all_new=True):
        return state, usual
    window = state.window[::-1]
    ways_to_read = ((turned_state, other), (replace(state, window=window), usual))
    for read_state, read in (*ways_to_read, (replace(turned_state, window=window), other)):
        if is_copy(read_state, read, False) or is_proven(read_state, read, size, can_be_all_new=False):
            return read_state, read
    return state, usual


def is_falling(events: Sequence[Activity]) -> bool:
    """Whether a first window is surely newest first: it is long, and every event is earlier than the one before."""
    times = [event.occurred_ns for event in events if event.occurred_ns is not None]
    is_strict = all(later < earlier for earlier, later in pairwise(times))
    return len(times) >= MANY_EVENTS and is_strict and times[0] - times[-1] > SECOND_NS


def is_proven(state: WindowState, frame: Frame, size: int, *, can_be_all_new: bool) -> bool:
    """Whether that no event repeats, or the counter, proves that the window goes on from the last one.

    Events with fine times do not repeat, so a counter that is ahead must not outweigh one that does.
    """
    for newest in continuations(state.window, frame.hashes, size):
        joined = state.window + frame.hashes[len(frame.hashes) - newest :]
        is_unique = len(set(joined)) == len(joined)
        is_all_new = newest == len(frame.hashes)
        if is_unique and not is_all_new:
            return True
        is_explained = frame.calls is not None and unexplained(state, frame, newest) == 0
        if is_explained and (is_unique or not frame.is_timed) and (can_be_all_new or not is_all_new):
            return True
    return False
