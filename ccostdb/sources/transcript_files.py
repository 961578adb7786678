"""Transcript files: which there are, what of each is new, and the sightings in it. The reading edge of source
claude-code: lines are parsed as they are read, because to keep them would cost more than to parse them.

A file is remembered by device, inode and the hash of its first bytes; what was read of it by the offset after its last
newline. A half-written last line waits. A truncated or rewritten file is read again from its start, which changes
nothing that it said before; a deleted file deletes nothing. A file or folder that is there and cannot be read is a
reject, once in a process, and read as soon as it can be.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ccostdb.errors import Rejected
from ccostdb.model import Position, Reject, Sighting, replace
from ccostdb.sources.claude_code import parse, sightings
from ccostdb.sources.open_files import head_of, is_same_head, open_regular, tail_sha256
from ccostdb.sources.transcript_reader import LineReader, looks_whole, side_car_agent

SIGHTINGS_A_PART = 2_000  # small enough for the processor's cache: larger parts take longer
BYTES_A_PART = 16 * 1024 * 1024
REJECTS_A_FILE = 1_000  # in one pass; what is more is one reject that says how many
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}  # deleted since it was listed, or a link now: nothing to read


@dataclass(slots=True)
class Part:
    """What was read since the last part: sightings of calls, refused lines, how far each file is read now."""

    sightings: list[Sighting] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)
    lines: int = 0
    bytes_done: int = 0


class FoundFile(NamedTuple):
    """A transcript on disk, as its folder lists it. `refusal`: why it, or a folder of them, cannot even be opened."""

    path: str
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    refusal: str | None = None


def find_files(roots: Iterable[Path]) -> list[FoundFile]:
    """Every transcript under the roots, oldest change first: ids sort by time, so the ledger's key grows at its end.

    A root is a config folder, a projects folder, any folder below, or a file. Links are not followed below a root.
    What cannot be listed is among them, with a refusal.
    """
    # One that is found twice, over two roots or by two names, is one.
    found = {(each.path if each.refusal else (each.device, each.inode)): each for each in _found(roots)}
    return sorted(found.values(), key=lambda each: (each.mtime_ns, each.path))


def has_files(roots: Iterable[Path]) -> bool:
    """Whether `find_files` finds any: it looks no further than to the first."""
    return next(_found(roots), None) is not None


def _found(roots: Iterable[Path]) -> Iterator[FoundFile]:
    pending: list[str] = []
    for root in roots:
        try:
            folder = root / "projects" if _is_folder(root / "projects") else root
            path = os.path.realpath(folder)
            if _is_folder(folder):
                pending.append(path)
            elif stat.S_ISREG((status := folder.stat()).st_mode):
                yield _kept(path, status)
        except OSError as error:
            yield from _refused(str(root), error)
        except ValueError:
            continue  # a name with a NUL: no file has it
    while pending:
        yield from _listed(pending.pop(), pending)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise


def _listed(folder: str, pending: list[str]) -> Iterator[FoundFile]:
    """The transcripts of one folder; the folders in it are pending then."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.name.endswith(".jsonl") and entry.is_file(follow_symlinks=False):
                        yield _kept(entry.path, entry.stat(follow_symlinks=False))
                except OSError as error:
                    yield from _refused(entry.path, error)
    except OSError as error:
        yield from _refused(folder, error)


def _kept(path: str, status: os.stat_result) -> FoundFile:
    if _is_text(path):
        device, inode = _signed(status.st_dev), _signed(status.st_ino)
        return FoundFile(path, device, inode, status.st_size, status.st_mtime_ns)
    return FoundFile(_printable(path), 0, 0, 0, 0, "the file's name is no UTF-8")


def _is_text(path: str) -> bool:
    """Whether SQLite can hold the name."""
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


def _signed(number: int) -> int:
    """The same 64 bits, as SQLite holds them: some file systems number up to 2^64."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _refused(path: str, error: OSError) -> Iterator[FoundFile]:
    if error.errno not in _GONE:
        yield FoundFile(_printable(path), 0, 0, 0, 0, f"it cannot be listed: {error.strerror}")


def _printable(path: str) -> str:
    return path if path.isprintable() else path.encode("unicode_escape").decode()


class Shelf:
    """The files of one source as the ledger knows them. Kept in step with the disk by `read_new`."""

    def __init__(self, positions: Iterable[Position], new_id: Callable[[], int]) -> None:
        self.ages: dict[int, int] = {}  # position id → mtime when first seen
        self._by_inode: dict[tuple[int | None, int | None], Position] = {}
        self._by_path: dict[str, Position] = {}
        self._new_id = new_id
        self._refused: dict[str, int] = {}  # path → the offset at which it cannot be read
        self._part = Part()
        self._uncounted_bytes = 0  # of the file that is being read
        for position in positions:
            self.ages[position.position_id] = position.first_mtime_ns or 0
            if position.is_current:
                self._remember(position)

    def changed(self, files: Iterable[FoundFile]) -> list[FoundFile]:
        """The files that are new, or not as they were when they were last read; but none that still cannot be read."""
        return [file for file in files if not self._is_unchanged(file) and not self._is_still_refused(file)]

    def unread_bytes(self, files: Iterable[FoundFile]) -> int:
        """How much is new in `files`, as far as their sizes tell."""
        known = ((file, self._by_inode.get((file.device, file.inode))) for file in files)
        return sum(max(0, file.size_bytes - (place.offset_bytes or 0 if place else 0)) for file, place in known)

    def read_new(self, files: Iterable[FoundFile], now_ns: int) -> Iterator[Part]:
        """What in `files` was not read before, in parts of about SIGHTINGS_A_PART sightings or BYTES_A_PART.

        `now_ns` is the time of what was refused, and stands in for a time that cannot be read.
        """
        for file in files:
            self._uncounted_bytes = file.size_bytes
            try:
                if file.refusal is not None:
                    self._refuse(file.path, 0, file.refusal, now_ns)
                else:
                    with open_regular(file.path) as descriptor:
                        yield from self._read_file(descriptor, file, now_ns)
            except OSError as error:
                if error.errno not in _GONE:
                    self._refuse(file.path, 0, f"the file cannot be read: {error.strerror}", now_ns)
            self._part.bytes_done += self._uncounted_bytes
            part = self._part
            if len(part.sightings) + len(part.rejects) >= SIGHTINGS_A_PART or part.bytes_done >= BYTES_A_PART:
                yield self._cut()
        if self._part.positions or self._part.rejects:
            yield self._cut()

    def _read_file(self, descriptor: int, file: FoundFile, now_ns: int) -> Iterator[Part]:
        """Takes in what is new in one file; yields a part where it gets large in the middle."""
        position = self._place(descriptor, file)
        agent = side_car_agent(file.path)
        reader = LineReader(descriptor, position.offset_bytes or 0)
        self._count_bytes(file, reader.offset)
        cut_at, reject_count = reader.offset + BYTES_A_PART, 0

        def tell(offset: int, why: Rejected) -> None:
            nonlocal reject_count
            reject_count += 1
            if reject_count <= REJECTS_A_FILE:
                self._part.rejects.append(Reject(now_ns, why.reason, why.excerpt, f"{file.path}:{offset}"))

        for seen in sightings(reader.lines(), position.position_id, agent, now_ns, tell):
            self._part.sightings.append(seen)
            if len(self._part.sightings) >= 2 * SIGHTINGS_A_PART or seen.position_offset >= cut_at:
                # Not all of the file is read: without a size it counts as changed, should we stop here.
                self._part.positions.append(replace(position, offset_bytes=seen.position_offset, size_bytes=None))
                self._count_bytes(file, seen.position_offset)
                cut_at = seen.position_offset + BYTES_A_PART
                yield self._cut()
        last = _whole_tail(reader.tail, position.position_id, reader.offset, agent, now_ns) if reader.tail else None
        if last is not None:
            self._part.sightings.append(last)
        if reject_count > REJECTS_A_FILE:
            reason, more = "more lines of this file that cannot be understood", reject_count - REJECTS_A_FILE
            self._part.rejects.append(Reject(now_ns, reason, None, f"{file.path}:more", more))
        self._refused.pop(file.path, None)
        if reader.failure is not None:
            position.size_bytes = None  # another process tries again
            failed_at = os.lseek(descriptor, 0, os.SEEK_CUR)
            self._refuse(file.path, failed_at, f"the file cannot be read: {reader.failure.strerror}", now_ns)
        position.offset_bytes = reader.offset
        position.tail_sha256 = tail_sha256(descriptor, reader.offset)
        self._part.lines += reader.line_count
        self._part.positions.append(replace(position))

    def _refuse(self, path: str, offset: int, reason: str, now_ns: int) -> None:
        self._refused[path] = offset
        self._part.rejects.append(Reject(now_ns, reason, None, path))

    def _is_still_refused(self, file: FoundFile) -> bool:
        """Whether a file that could not be read still cannot be. Its mtime does not tell."""
        if file.path not in self._refused or file.refusal is not None:
            return file.path in self._refused
        try:
            with open_regular(file.path) as descriptor:
                os.pread(descriptor, 1, self._refused[file.path])
        except OSError:
            return True
        return False

    def _count_bytes(self, file: FoundFile, offset: int) -> None:
        """Counts the file as done up to an offset."""
        uncounted = max(0, file.size_bytes - offset)
        self._part.bytes_done += self._uncounted_bytes - uncounted
        self._uncounted_bytes = uncounted

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
        if known is not None and not is_same_head(descriptor, known):
            # Another content under a known name or inode: the calls of the old one still point to its position.
            self._part.positions.append(replace(known, is_current=False))
            known = None
        if known is None:
            known = Position(self._new_id(), file.path, offset_bytes=0, first_mtime_ns=file.mtime_ns)
            self.ages[known.position_id] = file.mtime_ns
        elif known.tail_sha256 is not None and known.tail_sha256 != tail_sha256(descriptor, known.offset_bytes or 0):
            known.offset_bytes = 0  # the same start, but rewritten or cut: what follows differs
        known.name, known.device, known.inode = file.path, file.device, file.inode
        known.size_bytes, known.mtime_ns = file.size_bytes, file.mtime_ns
        known.head_bytes, known.head_sha256 = head_of(descriptor)
        self._remember(known)
        return known

    def _remember(self, position: Position) -> None:
        self._by_inode[position.device, position.inode] = position
        self._by_path[position.name] = position


def _whole_tail(tail: bytes, position_id: int, offset: int, agent: str | None, now_ns: int) -> Sighting | None:
    """The sighting in a last line that only lacks its newline. Half a line is no JSON: it waits for its other half."""
    try:
        return parse(tail, position_id, offset, agent, now_ns) if looks_whole(tail) else None
    except Rejected:
        return None
