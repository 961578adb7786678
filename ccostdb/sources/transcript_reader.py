"""Transcripts as bytes: the lines of one, and what its side-car says."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ccostdb.json_object import object_of
from ccostdb.sources.open_files import open_regular
from ccostdb.sources.transcript_lines import MARKER

BLOCK_BYTES = 64 * 1024  # fits the processor's cache: larger blocks are slower to search
MAX_LINE_BYTES = 20 * 1024 * 1024  # the largest lines hold 16 MiB; what is longer would fill the memory
SIDE_CAR_BYTES = 64 * 1024
_OPEN_BRACE, _CLOSE_BRACE = b"{}"


class LineReader:
    """The lines of one open file from an offset on. Afterwards `offset` is where the last whole line ended.

    `failure`: why reading ended before the file did.
    """

    def __init__(self, descriptor: int, offset: int) -> None:
        self.offset = offset
        self.line_count = 0
        self.tail = b""  # what follows the last newline
        self.failure: OSError | None = None
        self._descriptor = descriptor

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """(offset, line) of every line that may carry a call, or does not look like a JSON object; None: too long.

        The others are searched, never copied. So half a line with a whole one glued to it is passed over unseen where
        the marker is in neither.
        """
        os.lseek(self._descriptor, self.offset, os.SEEK_SET)
        pieces: list[bytes] = []  # of a line that goes on in the next block
        held_bytes = 0
        while block := self._read():
            start = 0
            if pieces:
                cut = block.find(b"\n")
                pieces.append(block if cut < 0 else block[:cut])
                held_bytes += len(pieces[-1])
                if held_bytes > MAX_LINE_BYTES:
                    pieces = [b""]
                if cut < 0:
                    continue
                line = None if held_bytes > MAX_LINE_BYTES else b"".join(pieces)
                if line is None or MARKER in line or not looks_whole(line):
                    yield self.offset, line
                self.line_count += 1
                self.offset += held_bytes + 1
                start, pieces = cut + 1, []
            base, find = self.offset - start, block.find
            count = 0  # a local name: this loop is where an import spends its time
            marker = find(MARKER, start)  # the next one: most lines have none, and one search passes over many
            while (end := find(b"\n", start)) >= 0:
                if start <= marker < end:
                    yield base + start, block[start:end]
                    marker = find(MARKER, end)
                elif end > start and (block[start] != _OPEN_BRACE or block[end - 1] != _CLOSE_BRACE):
                    yield base + start, block[start:end]
                count += 1
                start = end + 1
            self.line_count += count
            self.offset = base + start
            if start < len(block):
                pieces.append(block[start:])
                held_bytes = len(block) - start
        self.tail = b"".join(pieces)

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, BLOCK_BYTES)
        except OSError as error:
            self.failure = error
            return b""


def looks_whole(line: bytes) -> bool:
    """Whether a line begins and ends as a JSON object does, or is empty."""
    return not line or (line[0] == _OPEN_BRACE and line[-1] == _CLOSE_BRACE)


def side_car_agent(path: str) -> str | None:
    """The sub-agent's type from `agent-….meta.json` beside its transcript; None where there is none.

    It is read when lines of the transcript are: lines that were read before it was written keep "subagent".
    """
    # Asked of every file of an import: pathlib would take four times as long.
    if not os.path.basename(path).startswith("agent-"):  # noqa: PTH119
        return None
    try:
        with open_regular(f"{os.path.splitext(path)[0]}.meta.json") as descriptor:  # noqa: PTH122
            found = object_of(os.read(descriptor, SIDE_CAR_BYTES)) or {}
    except (OSError, ValueError):  # a name with a NUL is no file's
        return None
    agent = found.get("agentType")
    return agent if isinstance(agent, str) and 0 < len(agent) <= 200 else None
