"""What must be remembered of an overlapping stream: one small frozen value, kept as JSON beside the rows."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

HASH_BYTES = 12

Hashes = tuple[bytes, ...]


class Deficit(NamedTuple):
    """What the server counted beyond what we account for. `nusd` is None where the frame had no cost."""

    calls: int
    nusd: int | None


class Unsettled(NamedTuple):
    """What was accounted for before an epoch, until its first totals are known to be new, or restored ones.

    `was_full`: the epoch's first window was full, so it may hide calls of this boot. `is_whole`: it was not, and
    its counters counted just what it showed, so they began with it.
    """

    calls: int
    nusd: int
    was_full: bool
    is_first: bool
    is_whole: bool = False


class Emptied(NamedTuple):
    """An empty window of another boot: it begins an epoch if the next frame is of that boot, too."""

    boot_ns: int | None
    calls: int | None
    nusd: int | None
    time_ns: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class WindowState:
    """The state of one source, to be written in the transaction of its rows. Epoch 0: nothing seen yet.

    `accounted_*` is accepted events plus gaps of this epoch, so it meets the server's counters. `deficit` is
    that of the last frame with counters, `whole_ns` the last time at which there was none. `rejected` is a
    window that did not fit, `emptied` an empty one that may be a restart. `is_odd`: the last counter fell or leapt
    within one boot and was passed over. `moved_boot_ns`: another boot that one frame told while its server went on.
    `is_newest_first`: how the source sends its windows; `window` is turned.
    """

    epoch: int = 0
    seq: int = 0
    window: Hashes = ()
    calls: int | None = None
    accounted_calls: int = 0
    accounted_nusd: int = 0
    deficit: Deficit | None = None
    unsettled: Unsettled | None = None
    rejected: Hashes = ()
    emptied: Emptied | None = None
    is_odd: bool = False
    is_newest_first: bool = False
    boot_ns: int | None = None
    moved_boot_ns: int | None = None
    last_updated_ns: int | None = None
    frame_ns: int | None = None
    whole_ns: int | None = None
    frame_hash: bytes = b""

    def to_json(self) -> str:
        """Under 1.5 KB: the hashes of a window are joined."""
        fields = asdict(self)
        for name in ("window", "rejected"):
            fields[name] = _base64(b"".join(fields[name]))
        return json.dumps(fields | {"frame_hash": _base64(self.frame_hash)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> WindowState:
        """The state that `to_json` wrote."""
        fields = json.loads(text)
        for name in ("window", "rejected"):
            joined = b64decode(fields[name])
            starts = range(0, len(joined), HASH_BYTES)
            fields[name] = tuple(joined[start : start + HASH_BYTES] for start in starts)
        fields["frame_hash"] = b64decode(fields["frame_hash"])
        fields["deficit"] = Deficit(*fields["deficit"]) if fields["deficit"] else None
        fields["unsettled"] = Unsettled(*fields["unsettled"]) if fields["unsettled"] else None
        fields["emptied"] = Emptied(*fields["emptied"]) if fields.get("emptied") else None
        return cls(**fields)

    def lasting(self) -> WindowState:
        """Without what every quiet frame renews, and a restart of ours can do without."""
        return replace(
            self, boot_ns=None, moved_boot_ns=None, last_updated_ns=None, frame_ns=None, whole_ns=None, frame_hash=b""
        )


def _base64(joined: bytes) -> str:
    return b64encode(joined).decode("ascii")
