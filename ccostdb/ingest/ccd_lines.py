"""Daemon events as lines: of a file, which is followed as it grows, or of stdin. Rows and position go in together."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

from ccostdb.errors import SourceUnavailable
from ccostdb.ingest.ccd_rows import GATHER_S, NAME, Rows, event_max_bytes, read_event
from ccostdb.ingest.following import is_heartbeat_due
from ccostdb.model import DaemonEvent, Position, Reject
from ccostdb.settings import Settings
from ccostdb.sources.ndjson import FilePart, FollowedFile, LineCutter, TextLine, read_stdin
from ccostdb.stopping import stopped_within

STDIN = "-"
STDIN_DESCRIPTOR = 0
REJECTS_A_FILE = 1000  # with their place, in one process; what is more is one row for each reason


async def record_lines(rows: Rows, settings: Settings, path: str, *, once: bool, stop: asyncio.Event) -> str:
    """Records a file, or stdin, to its end; a file unless `once` also what is added to it, until `stop`.

    Returns the run's outcome. Raises SourceUnavailable for a file that is not there or cannot be read; one that goes
    away while it is followed may come again.
    """
    lines = _Lines(rows, settings, "stdin" if path == STDIN else os.path.realpath(path))
    if path == STDIN:
        await lines.record_stdin(STDIN_DESCRIPTOR, stop)
    else:
        await lines.record_file(path, once, stop)
    return "stopped" if stop.is_set() else "ok" if rows.outcome.frames or not once else "no_data"


class _Lines:
    """One input of lines."""

    def __init__(self, rows: Rows, settings: Settings, name: str) -> None:
        self._rows = rows
        self._settings = settings
        self._max_bytes = event_max_bytes(settings)
        self._name = name
        self._file = FollowedFile()
        self._placed_rejects = 0

    async def record_stdin(self, descriptor: int, stop: asyncio.Event) -> None:
        cutter = LineCutter(0, self._max_bytes)
        is_ended = False
        while not (is_ended or stop.is_set()):
            lines, is_ended = await asyncio.to_thread(read_stdin, descriptor, cutter, GATHER_S)
            if lines or is_heartbeat_due(self._rows.appended_s):
                taken = await asyncio.to_thread(self._understood, lines, is_placed=False)
                await self._rows.append(taken, None, frames=len(lines))

    async def record_file(self, path: str, once: bool, stop: asyncio.Event) -> None:
        store, source_id = self._rows.store, self._rows.source_id
        position = await store.position(source_id, self._name) or Position(store.new_position_id(), self._name)
        self._rows.outcome.files = 1
        is_found = False
        try:
            while True:
                try:
                    position = await self._read_new(position, stop)
                    is_found, self._rows.outcome.error = True, None
                except OSError as error:
                    self._rows.outcome.error = error.strerror
                    if not is_found:
                        hint = "Give a file of daemon events, one JSON object a line, or - for stdin."
                        raise SourceUnavailable(f"{NAME}: {path} cannot be read: {error.strerror}.", hint) from error
                if once or stop.is_set():
                    return
                if is_heartbeat_due(self._rows.appended_s):
                    await self._rows.append([], None, frames=0)
                if await stopped_within(stop, self._settings.follow_interval_s):
                    return
        finally:
            self._file.close()

    async def _read_new(self, position: Position, stop: asyncio.Event) -> Position:
        """Appends what is new, part by part; ends early, between two of them, when `stop` is set."""
        parts = self._file.read_new(position, self._max_bytes)
        while not stop.is_set() and (read := await asyncio.to_thread(self._next, parts)) is not None:
            part, taken = read
            await self._rows.append(taken, part.position, frames=len(part.lines))
            position = part.position
        return position

    def _next(self, parts: Iterator[FilePart]) -> tuple[FilePart, list[DaemonEvent | Reject]] | None:
        """The next part and what its lines say, with a last line that only lacks its newline."""
        part = next(parts, None)
        if part is None:
            return None
        last = [read_event(line.text, time.time_ns(), self._settings) for line in part.last if line.text]
        return part, [*self._understood(part.lines), *(each for each in last if isinstance(each, DaemonEvent))]

    def _understood(self, lines: list[TextLine], *, is_placed: bool = True) -> list[DaemonEvent | Reject]:
        return [self._one(line, is_placed) for line in lines]

    def _one(self, line: TextLine, is_placed: bool) -> DaemonEvent | Reject:
        place = f"{self._name}:{line.offset}" if is_placed and self._placed_rejects < REJECTS_A_FILE else None
        if line.text is None:
            read: DaemonEvent | Reject = Reject(time.time_ns(), f"a line over {self._max_bytes} bytes", place=place)
        else:
            read = read_event(line.text, time.time_ns(), self._settings, place)
        self._placed_rejects += isinstance(read, Reject)
        return read
