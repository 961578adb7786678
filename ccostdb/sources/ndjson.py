"""Lines of JSON, from a file that may still grow or from stdin. What they mean is not here.

A file is remembered by the hash of its first bytes and of those before the offset up to which it was read: where
either differs, it is another file, or was cut, and is read from its start. The last line waits for its newline.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ccostdb.model import Position, replace
from ccostdb.sources.open_files import head_of, is_same_head, open_regular, tail_sha256

BLOCK_BYTES = 256 * 1024
PART_LINES = 500
PART_BYTES = 4 * 1024 * 1024
LOOK_S = 0.2  # how often a read that waits for stdin looks whether it should go on
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class TextLine:
    """One line without its newline, and where it begins. `text` is None where it is too long."""

    offset: int
    text: str | None


class LineCutter:
    """bytes → lines, cut at LF only, however the bytes come. A line over `max_bytes` is skipped, not held."""

    def __init__(self, offset: int, max_bytes: int) -> None:
        self.offset = offset  # where the line begins that has not ended
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._held_bytes = 0

    def feed(self, block: bytes) -> list[TextLine]:
        """The lines that `block` completes. Empty ones are none."""
        *ends, rest = block.split(b"\n")
        found = []
        for end in ends:
            self._hold(end)
            found += self.end()
            self.offset += 1
        self._hold(rest)
        return found

    def end(self) -> list[TextLine]:
        """The line as far as it has come, where the input ends; it is forgotten then."""
        is_long = self._held_bytes > self._max_bytes
        line = b"".join(self._pieces)
        if self.offset == 0:
            line = line.removeprefix(_BOM)
        text = None if is_long else line.decode("utf-8", "replace")
        found = [TextLine(self.offset, text)] if text is None or text.strip() else []
        self.offset += self._held_bytes
        self._pieces, self._held_bytes = [], 0
        return found

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes > self._max_bytes:
            self._pieces = []
        elif piece:
            self._pieces.append(piece)


@dataclass(frozen=True, slots=True)
class FilePart:
    """Some lines of a file and how far it is read with them. `last`: what follows them has no newline yet."""

    lines: list[TextLine]
    position: Position
    last: list[TextLine]


class FollowedFile:
    """The file of a name, and the one that it was before: what that got until it was renamed is read, too."""

    def __init__(self) -> None:
        self._held: int | None = None

    def read_new(self, known: Position, max_bytes: int) -> Iterator[FilePart]:
        """What is new in the file `known.name`, in parts; nothing where it is as it was. OSError: it cannot be read."""
        try:
            with open_regular(known.name) as descriptor:
                if self._held is not None and not os.path.sameopenfile(self._held, descriptor):
                    for part in _read(self._held, known, max_bytes):
                        known = part.position
                        yield part
                self.close()
                self._held = os.dup(descriptor)
                yield from _read(descriptor, known, max_bytes)
        except FileNotFoundError:
            if self._held is None:
                raise
            yield from _read(self._held, known, max_bytes)

    def close(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _read(descriptor: int, known: Position, max_bytes: int) -> Iterator[FilePart]:
    status, is_same = os.fstat(descriptor), _is_same(descriptor, known)
    if is_same and (known.size_bytes, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return
    offset = (known.offset_bytes or 0) if is_same else 0
    position = replace(known, size_bytes=None, mtime_ns=status.st_mtime_ns)
    cutter, lines, part_start = LineCutter(offset, max_bytes), list[TextLine](), offset
    os.lseek(descriptor, offset, os.SEEK_SET)
    while block := os.read(descriptor, BLOCK_BYTES):
        lines += cutter.feed(block)
        if len(lines) >= PART_LINES or cutter.offset - part_start >= PART_BYTES:
            yield FilePart(lines, _read_up_to(descriptor, position, cutter.offset), [])
            lines, part_start = [], cutter.offset
    # Only now with a size: a file that was left in the middle is read on, though it has not changed.
    done = replace(_read_up_to(descriptor, position, cutter.offset), size_bytes=status.st_size)
    yield FilePart(lines, done, cutter.end())


def read_stdin(descriptor: int, cutter: LineCutter, wait_s: float) -> tuple[list[TextLine], bool]:
    """The lines that come, and whether that was all. Waits at most LOOK_S for the first, then `wait_s` for more."""
    lines: list[TextLine] = []
    until_s = time.monotonic() + LOOK_S
    is_first = True
    while len(lines) < PART_LINES:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, until_s - time.monotonic()))
        if not ready:
            break
        block = os.read(descriptor, BLOCK_BYTES)
        if not block:
            return lines + cutter.end(), True
        lines += cutter.feed(block)
        if is_first:
            is_first, until_s = False, time.monotonic() + wait_s
    return lines, False


def _read_up_to(descriptor: int, position: Position, offset: int) -> Position:
    head_bytes, head_sha256 = head_of(descriptor)
    return replace(
        position,
        offset_bytes=offset,
        head_bytes=head_bytes,
        head_sha256=head_sha256,
        tail_sha256=tail_sha256(descriptor, offset),
    )


def _is_same(descriptor: int, known: Position) -> bool:
    """Whether the file holds what was read of it."""
    if not is_same_head(descriptor, known):
        return False
    return known.tail_sha256 in (None, tail_sha256(descriptor, known.offset_bytes or 0))
