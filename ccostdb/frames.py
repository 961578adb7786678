"""bytes → frames: server-sent events, conforming to the WHATWG rules however the bytes were cut. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
Cutting whole blocks is ours, and so is what sseclient-py gets wrong inside one; it reads the fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice

from sseclient import SSEClient

from ccostdb.errors import Rejected
from ccostdb.model import SseEvent

__all__ = ["EXCERPT_BYTES", "MAX_BYTES", "SseEvent", "SseFramer", "sse_events"]

MAX_BYTES = 16 * 1024 * 1024
EXCERPT_BYTES = 500
_BOM = b"\xef\xbb\xbf"
# Lines without effect, that sseclient-py would let replace an earlier one: an id with NUL, a retry in words.
_VOID_LINE = re.compile(rb"\n|id:[^\n]*\0|retry(?!: ?[0-9]{1,15}\n)")
_LINES_AT_ONCE = 64  # sseclient-py is quadratic in the lines of a block: few at a time keep it linear


def sse_events(chunks: Iterable[bytes]) -> Iterator[SseEvent]:
    """The events of a stream, of any size. A last block without its blank line is dropped, by the rules."""
    framer = SseFramer(max_bytes=None)
    for chunk in chunks:
        yield from (event for event in framer.feed(chunk) if isinstance(event, SseEvent))


class SseFramer:
    """The same, fed by hand and with a limit: an event over `max_bytes` is skipped and comes as one Rejected.

    `last_event_id` and `retry_ms` (None: none sent) are the stream's, as of its last whole block.
    """

    def __init__(self, max_bytes: int | None = MAX_BYTES) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._max_bytes = max_bytes
        self._start: bytes | None = b""  # the first bytes, while they may be a BOM
        self._is_after_cr = False
        self._held_lf = b""  # a last line end: the next one would end the block
        self._block = bytearray()  # the one that has not ended
        self._is_skipping = False

    def feed(self, chunk: bytes) -> list[SseEvent | Rejected]:
        """What `chunk` completes, in order."""
        *ends, rest = (self._held_lf + self._normalised(chunk)).split(b"\n\n")
        self._held_lf = b"\n" if rest.endswith(b"\n") else b""
        found: list[SseEvent | Rejected | None] = []
        for end in ends:
            found += self._hold(end), self._end_block()
        found.append(self._hold(rest.removesuffix(b"\n")))
        return [one for one in found if one is not None]

    def _normalised(self, chunk: bytes) -> bytes:
        """The chunk with LF as its only line end, and without the BOM of the stream."""
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return b""
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if not chunk:
            return b""
        if self._is_after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._is_after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, part: bytes) -> Rejected | None:
        """Keeps a part of the block that has not ended; the part that makes it too big rejects it."""
        if self._is_skipping:
            return None
        self._block += part
        if self._max_bytes is None or len(self._block) <= self._max_bytes:
            return None
        head = self._block[:EXCERPT_BYTES]
        self._block = bytearray()
        self._is_skipping = True
        return Rejected(f"an event over {self._max_bytes} bytes", head.decode("utf-8", "replace"))

    def _end_block(self) -> SseEvent | None:
        """The event of the block that ends here; None if it was skipped or has no data."""
        block = bytes(self._block) + b"\n"
        self._block = bytearray()
        if self._is_skipping:
            self._is_skipping = False
            return None
        event_type, data = "message", ""
        lines = (line for line in BytesIO(block) if not _VOID_LINE.match(line))
        while some := b"".join(islice(lines, _LINES_AT_ONCE)).decode("utf-8", "replace"):
            # First the type so far. Last a bare `data`: it makes an event of anything, and the empty line
            # that it adds is the one that sseclient-py cuts off.
            piece = f"event: {event_type}\n{some}data\n\n".encode()
            fields = next(SSEClient(iter([piece])).events())
            event_type = fields.event
            data += fields.data
            if fields.id is not None:
                self.last_event_id = fields.id
            if fields.retry is not None:
                self.retry_ms = int(fields.retry)
        return SseEvent(event_type, data[:-1], self.last_event_id) if data else None
