"""A progress bar on a terminal; nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccostdb.ingest import Progress

LONG_BYTES = 4 * 1024 * 1024  # less is read before a bar could be seen


@contextmanager
def progress() -> Iterator[Callable[[Progress], None] | None]:
    """Gives the function that an ingest calls as it reads; None where nobody would see the bar."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    bars = Bars(*columns, console=Console(stderr=True), transient=True)

    def on_progress(now: Progress) -> None:
        if now.total_bytes < LONG_BYTES:
            return
        task = next((each for each in bars.tasks if each.description == now.source), None)
        task_id = bars.add_task(now.source) if task is None else task.id
        bars.update(task_id, completed=now.done_bytes, total=now.total_bytes)
        if now.done_bytes < now.total_bytes:
            bars.start()
        else:  # a bar that is not drawn costs nothing while the source is followed
            bars.stop()

    try:
        yield on_progress
    finally:
        bars.stop()
