"""Transcript files: which there are, what of each is new, and its lines. The reading edge of source claude-code.

A file is remembered by device, inode and the hash of its first bytes; what was read of it by the offset after its last
newline. A half-written last line waits. A truncated or rewritten file is read again from its start, which changes
nothing that it said before; a deleted file deletes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ccostdb.errors import Rejected
from ccostdb.model import Position, Record, Reject
from ccostdb.sources.claude_code import MARKER, parse, sightings

BLOCK_BYTES = 64 * 1024  # fits the processor's cache: larger blocks are slower to search
MAX_LINE_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 1024
RECORDS_A_PART = 10_000
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_OPEN_BRACE, _CLOSE_BRACE = b"{}"


@dataclass(slots=True)
class Part:
    """What was read since the last part: sightings of calls, refused lines, how far each file is read now."""

    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    lines: int = 0
    bytes_done: int = 0


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A transcript on disk, as its folder lists it."""

    path: str
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


def find_files(roots: Iterable[Path]) -> list[FoundFile]:
    """Every transcript under the roots, oldest change first: ids sort by time, so the ledger's key grows at its end.

    A root is a config folder, a projects folder, any folder below, or a file. Links are not followed below a root.
    """
    found: dict[tuple[int, int], FoundFile] = {}
    pending: list[str] = []
    for root in roots:
        folder = root / "projects" if (root / "projects").is_dir() else root
        if folder.is_dir():
            pending.append(os.path.realpath(folder))
        elif folder.is_file():
            _keep(found, os.path.realpath(folder), folder.stat())
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.name.endswith(".jsonl") and entry.is_file(follow_symlinks=False):
                        _keep(found, entry.path, entry.stat(follow_symlinks=False))
        except OSError:
            continue  # a folder that vanished or may not be read: its files are not there
    return sorted(found.values(), key=lambda each: (each.mtime_ns, each.path))


def _keep(found: dict[tuple[int, int], FoundFile], path: str, status: os.stat_result) -> None:
    if path.isprintable():  # else no name that Claude Code makes, and none that SQLite can always hold
        found[(status.st_dev, status.st_ino)] = FoundFile(
            path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        )


class Shelf:
    """The files of one source as the ledger knows them. Kept in step with the disk by `read_new`."""

    def __init__(self, positions: Iterable[Position], new_id: Callable[[], int]) -> None:
        self.ages: dict[int, int] = {}  # position id → mtime when first seen
        self._by_inode: dict[tuple[int | None, int | None], Position] = {}
        self._by_path: dict[str, Position] = {}
        self._new_id = new_id
        self._part = Part()
        for position in positions:
            self.ages[position.position_id] = position.first_mtime_ns or 0
            if position.is_current:
                self._remember(position)

    def changed(self, files: Iterable[FoundFile]) -> list[FoundFile]:
        """The files that are new, or not as they were when they were last read."""
        return [file for file in files if not self._is_unchanged(file)]

    def read_new(self, files: Iterable[FoundFile], now_ns: int) -> Iterator[Part]:
        """Everything in `files` that was not read before, in parts of about RECORDS_A_PART sightings."""
        for file in files:
            try:
                descriptor = os.open(file.path, _OPEN)
            except OSError:
                continue  # deleted since it was listed, or a link: nothing to read, nothing to forget
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    yield from self._read_file(descriptor, file, now_ns)
            finally:
                os.close(descriptor)
            self._part.bytes_done += file.size_bytes
            if len(self._part.records) >= RECORDS_A_PART:
                yield self._cut()
        if self._part.positions:
            yield self._cut()

    def _read_file(self, descriptor: int, file: FoundFile, now_ns: int) -> Iterator[Part]:
        """Takes in what is new in one file; yields a part where it gets large in the middle."""
        position = self._place(descriptor, file)
        agent = side_car_agent(file.path)
        reader = LineReader(descriptor, position.offset_bytes or 0)

        def reject(offset: int, why: Rejected) -> None:
            self._part.rejects.append(Reject(now_ns, why.reason, why.excerpt, f"{file.path}:{offset}"))

        for record in sightings(reader.lines(), position.position_id, agent, reject):
            self._part.records.append(record)
            if len(self._part.records) >= 2 * RECORDS_A_PART:
                # Not all of the file is read: without a size it counts as changed, should we stop here.
                self._part.positions.append(replace(position, offset_bytes=record.offset, size_bytes=None))
                yield self._cut()
        last = _whole_tail(reader.tail, position.position_id, reader.offset, agent) if reader.tail else None
        if last is not None:
            self._part.records.append(last)
        position.offset_bytes = reader.offset
        self._part.lines += reader.line_count
        self._part.positions.append(replace(position))

    def _cut(self) -> Part:
        part, self._part = self._part, Part()
        return part

    def _is_unchanged(self, file: FoundFile) -> bool:
        known = self._by_inode.get((file.device, file.inode))
        return (
            known is not None
            and known.size_bytes == file.size_bytes
            and known.mtime_ns == file.mtime_ns
            and known.name == file.path
        )

    def _place(self, descriptor: int, file: FoundFile) -> Position:
        """Where to read on: the file's known position, or a new one at its start."""
        known = self._by_inode.get((file.device, file.inode)) or self._by_path.get(file.path)
        if known is not None and not _has_same_head(descriptor, known):
            # Another content under a known name or inode: the calls of the old one still point to its position.
            self._part.positions.append(replace(known, is_current=False))
            known = None
        if known is None:
            known = Position(self._new_id(), file.path, offset_bytes=0, first_mtime_ns=file.mtime_ns)
            self.ages[known.position_id] = file.mtime_ns
        elif known.inode != file.inode or file.size_bytes < (known.offset_bytes or 0):
            known.offset_bytes = 0  # the same start, but rewritten or cut: what follows may differ
        head = os.pread(descriptor, HEAD_BYTES, 0)
        known.name, known.device, known.inode = file.path, file.device, file.inode
        known.size_bytes, known.mtime_ns = file.size_bytes, file.mtime_ns
        known.head_bytes, known.head_sha256 = len(head), hashlib.sha256(head).digest()
        self._remember(known)
        return known

    def _remember(self, position: Position) -> None:
        self._by_inode[position.device, position.inode] = position
        self._by_path[position.name] = position


class LineReader:
    """The lines of one open file from an offset on. Afterwards `offset` is where the last whole line ended."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self.offset = offset
        self.line_count = 0
        self.tail = b""  # what follows the last newline
        self._descriptor = descriptor

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """(offset, line) of every line that may carry a call, or does not look like a JSON object; None: too long.

        The others are searched, never copied: this loop is where an import spends its time.
        """
        os.lseek(self._descriptor, self.offset, os.SEEK_SET)
        pieces: list[bytes] = []  # of a line that goes on in the next block
        held_bytes = 0
        while block := os.read(self._descriptor, BLOCK_BYTES):
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
                if line is None or MARKER in line or not _looks_whole(line):
                    yield self.offset, line
                self.line_count += 1
                self.offset += held_bytes + 1
                start, pieces = cut + 1, []
            base, find = self.offset - start, block.find
            while (end := find(b"\n", start)) >= 0:
                if end > start and (
                    find(MARKER, start, end) >= 0 or block[start] != _OPEN_BRACE or block[end - 1] != _CLOSE_BRACE
                ):
                    yield base + start, block[start:end]
                self.line_count += 1
                start = end + 1
            self.offset = base + start
            if start < len(block):
                pieces.append(block[start:])
                held_bytes = len(block) - start
        self.tail = b"".join(pieces)


def _looks_whole(line: bytes) -> bool:
    return not line or (line[0] == _OPEN_BRACE and line[-1] == _CLOSE_BRACE)


def _whole_tail(tail: bytes, position_id: int, offset: int, agent: str | None) -> Record | None:
    """The sighting in a last line that only lacks its newline. Half a line is no JSON: it waits for its other half."""
    try:
        return parse(tail, position_id, offset, agent) if _looks_whole(tail) else None
    except Rejected:
        return None


def _has_same_head(descriptor: int, known: Position) -> bool:
    head = os.pread(descriptor, known.head_bytes or 0, 0)
    return len(head) == (known.head_bytes or 0) and hashlib.sha256(head).digest() == known.head_sha256


def side_car_agent(path: str) -> str | None:
    """The sub-agent's type from `agent-….meta.json` beside its transcript; None where there is none."""
    transcript = Path(path)
    if not transcript.name.startswith("agent-"):
        return None
    try:
        with transcript.with_suffix(".meta.json").open("rb") as file:
            found = json.loads(file.read(64 * 1024))
    except (OSError, ValueError, RecursionError):
        return None
    agent = found.get("agentType") if isinstance(found, dict) else None
    return agent if isinstance(agent, str) and 0 < len(agent) <= 200 else None
