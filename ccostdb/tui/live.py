"""The live monitor: who records, how each source does, how many calls a minute. Pure: a snapshot → lines."""

from __future__ import annotations

from rich.text import Text

from ccostdb.clock import SECOND_NS
from ccostdb.health.vitals import SourceVitals
from ccostdb.tui.bars import sparkline
from ccostdb.tui.columns import Cell, Column, lay_out
from ccostdb.tui.palette import ACCENT, BAD, GOOD, QUIET, TEXT, WARNING
from ccostdb.tui.reading import Snapshot
from ccostdb.words import printable
from ccostdb.written import age, per_second

_MARKS = {
    "following": ("●", GOOD), "connecting": ("◐", WARNING), "disconnected": ("○", WARNING), "failed": ("✗", BAD),
}  # fmt: skip
_COLUMNS = (
    Column("Source", is_number=False, least=13, is_stretched=True),
    Column("State", is_number=False),
    Column("ev/s"),
    Column("Last", rank=1),
    Column("Gaps", rank=3),
    Column("Rejected", rank=4),
    Column("Events", rank=5),
)


def live_lines(snapshot: Snapshot, width: int, height: int) -> list[Text]:
    """What the panel shows; with empty lines between its parts where there is room."""
    told = _writer(snapshot)
    heading, rows = lay_out(_COLUMNS, [_row(each, snapshot.now_ns) for each in snapshot.sources], width)
    sources = [Text(heading, QUIET), *rows] if rows else [Text("No source has been found yet.", QUIET)]
    errors = [Text(printable(f"✗ {each.name}: {each.error}"), BAD) for each in snapshot.sources if each.error]
    parts = [told, sources + errors, _minutes(snapshot, width)]
    is_roomy = sum(map(len, parts)) + len(parts) - 1 <= height
    lines: list[Text] = []
    for part in parts:
        lines += [Text("")] if lines and part and is_roomy else []
        lines += part
    return lines


def _writer(snapshot: Snapshot) -> list[Text]:
    writer = snapshot.writer
    if writer.record:
        seconds = (snapshot.now_ns - writer.record.started_ns) / SECOND_NS
        return [Text(f"● Recording for {age(seconds)}, pid {writer.record.pid}", f"bold {GOOD}")]
    if writer.is_busy:
        return [Text("● Another process writes the ledger", f"bold {WARNING}")]
    return [Text.assemble(("○ Nobody records. ", f"bold {WARNING}"), ("Type: ", TEXT), ("ccostdb start", ACCENT))]


def _row(source: SourceVitals, now_ns: int) -> list[Cell]:
    mark, colour = _MARKS.get(source.how, ("–", QUIET))
    last_s = None if source.last_event_ns is None else (now_ns - source.last_event_ns) / SECOND_NS
    return [
        Cell(f"{mark} {printable(source.name)}", TEXT),
        Cell(source.how, colour),
        Cell(per_second(source.events_per_s), f"bold {TEXT}" if source.events_per_s else QUIET),
        Cell(age(last_s)),
        Cell(f"{source.gaps:,}", WARNING if source.gaps else QUIET),
        Cell(f"{source.rejected:,}", WARNING if source.rejected else QUIET),
        Cell(f"{source.events:,}"),
    ]


def _minutes(snapshot: Snapshot, width: int) -> list[Text]:
    """Calls a minute over the last hour, and the most of one minute."""
    if not any(snapshot.minutes):
        return [Text("No calls in the last hour.", QUIET)] if snapshot.sums else []
    name, most = "Calls/min ", f" max {max(snapshot.minutes):,}"
    bars = sparkline(snapshot.minutes, width - len(name) - len(most))
    return [Text.assemble((name, QUIET), (bars, ACCENT), (most, QUIET))]
