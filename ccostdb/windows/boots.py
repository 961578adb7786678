"""Which frames are another server's: an older one's that lives on, or a restart's, if confirmed. Pure."""

from __future__ import annotations

from ccostdb.model import Snapshot
from ccostdb.windows.alignment import BOOT_TOLERANCE_NS, Choice, Frame, choose_after_restart, is_near, overlaps
from ccostdb.windows.state import WindowState

FUTURE_NS = 60_000_000_000
SILENCE_NS = 120_000_000_000  # of the newer of two servers; connections are reopened every 30 s


def is_stale(state: WindowState, snapshot: Snapshot) -> bool:
    """True for a frame older than the last one, of this boot or an earlier one.

    A last time that lies in the future of our own clock, where this one does not, proves nothing: a clock was
    set back, or one frame had an absurd time, and nothing would be read until that time has come.
    """
    last, now = state.last_updated_ns, snapshot.last_updated_ns
    if last is None or now is None or now >= last:
        return False
    return not last > snapshot.received_ns + FUTURE_NS >= now


def is_ghost(state: WindowState, frame: Frame, size: int) -> bool:
    """True for a server that is older than the last one heard and lives on beside it: its window is another.

    Unless a clock was set back, or the newer one has been silent for so long that it must have gone.
    """
    if state.boot_ns is None or frame.boot_ns is None or state.frame_ns is None:
        return False
    is_older = state.boot_ns - frame.boot_ns > BOOT_TOLERANCE_NS
    is_beside = 0 <= frame.time_ns - state.frame_ns <= SILENCE_NS
    return is_older and is_beside and not overlaps(state.window, frame.hashes, size)


def has_moved(state: WindowState, frame: Frame) -> bool:
    """True for another boot told for the first time: beside a window that goes on it may be one odd uptime."""
    is_other = is_near(state.boot_ns, frame.boot_ns) is False
    return is_other and not is_near(state.moved_boot_ns, frame.boot_ns)


def begins_empty(state: WindowState, frame: Frame) -> bool:
    """True for an empty window of another boot: a restart, or one odd frame of a server that lives on."""
    return state.epoch > 0 and not frame.hashes and is_near(state.boot_ns, frame.boot_ns) is False


def is_emptied(state: WindowState, frame: Frame, size: int) -> bool:
    """True where the frame confirms that an empty window before it was another boot's, and no odd frame."""
    if state.emptied is None or not is_near(state.emptied.boot_ns, frame.boot_ns):
        return False
    return choose_after_restart(state, frame, size).newest == len(frame.hashes)


def restart_of(state: WindowState, size: int) -> tuple[Frame, Choice]:
    """The empty frame that was put off, and what it means now that it is believed."""
    assert state.emptied is not None
    boot_ns, calls, nusd, time_ns, received_ns = state.emptied
    frame = Frame((), (), (), False, calls, nusd, boot_ns, time_ns, received_ns)
    return frame, choose_after_restart(state, frame, size)
