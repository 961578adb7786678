"""Tables for people: numbers to the right, units said once, a total, and only as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ccostdb.cli.printable import printable

if TYPE_CHECKING:
    from ccostdb.reports import Table

UNKNOWN = "–"
GAP = 2  # cells between two columns: one of padding, one of the box
PADDING = (0, GAP - 1, 0, 0)
LEAST_TEXT = 18  # a text may be cut to this
UNITS = {
    "_tokens": "tokens", "_usd": "USD", "_usd_estimate": "USD, estimate", "_ms": "ms",
    "usd_per_million": "USD per M",
}  # fmt: skip
HEADINGS = {"cache_write_5m": "Write 5m", "cache_write_1h": "Write 1h", "cache_write": "Cache write", "": "Rate"}
SUMMED = ("_tokens", "_usd", "_usd_estimate", "calls", "errors", "_hits")
# When a terminal is too narrow, what is not named here is given up first, then the last one named.
RANKS = {name: rank for rank, name in enumerate((
    "cost_usd", "calls", "started_at", "savings_usd", "share", "total_tokens", "output_tokens",
    "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "unpriced_calls",
    "errors", "sessions", "last_at", "models", "uncached_cost_usd", "response_cache_hits", "latency_ms",
    "unsplit_calls", "first_at", "ended_at",
), start=1)}  # fmt: skip


class Column(NamedTuple):
    """One drawn column: heading, unit under it, cells, total; `rank` 0 is never left out."""

    heading: str
    unit: str
    cells: list[str]
    total: str
    is_number: bool
    rank: int

    @property
    def width(self) -> int:
        return max(cell_len(text) for text in (self.heading, self.unit, self.total, *self.cells))

    @property
    def least_width(self) -> int:
        return self.width if self.is_number else min(self.width, LEAST_TEXT)


def draw(table: Table, console: Console | None = None) -> None:
    """Prints a table on the terminal, with a row of totals where there are two rows or more."""
    console = console or Console(highlight=False, markup=False, emoji=False)
    all_columns = _columns(table)
    columns = _fitting(all_columns, console.width)
    has_units = any(column.unit for column in columns)
    has_totals = any(column.total for column in columns)
    drawn = RichTable(box=box.SIMPLE, show_footer=has_totals, show_edge=False, pad_edge=False, padding=PADDING)
    for index, column in enumerate(columns):
        heading = Text(column.heading, "bold")
        if has_units:
            heading.append(f"\n{column.unit}", "not bold dim")
        total = "Total" if index == 0 and has_totals else column.total
        drawn.add_column(heading, Text(total, "bold"), justify="right" if column.is_number else "left", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        drawn.add_row(*(Text(cell, "dim" if cell == UNKNOWN else "") for cell in cells))
    console.print(drawn)
    if len(columns) < len(all_columns):
        kept = {column.heading for column in columns}
        left_out = ", ".join(each.heading.lower() for each in all_columns if each.heading not in kept)
        console.print(Text(f"No room for: {left_out}.", "dim"))


def _columns(table: Table) -> list[Column]:
    """The columns that say something: the keys, the cost, and those with a value that is known and not 0."""
    is_summed = [table.is_summed and len(table.rows) > 1] * len(table.rows)
    if "counted" in table.columns:  # what is not counted is shown, and in no total
        index = table.columns.index("counted")
        is_summed = [each and bool(row[index]) for each, row in zip(is_summed, table.rows, strict=True)]
    columns = []
    for index, name in enumerate(table.columns):
        values = [row[index] for row in table.rows]
        if index < table.keys:
            columns.append(_text_column(name, values, 0))
        elif name == "cost_usd" or any(values):
            rank = RANKS.get(name, len(RANKS) + 1)
            is_number = all(value is None or isinstance(value, int | float) for value in values)
            made = _number_column(name, values, is_summed, rank) if is_number else _text_column(name, values, rank)
            columns.append(made)
    return columns


def _text_column(name: str, values: Sequence[object], rank: int) -> Column:
    shown = _flag if name == "counted" else _text
    return Column(_heading(name), "", [UNKNOWN if value is None else shown(value) for value in values], "", False, rank)


def _number_column(name: str, values: Sequence[float | None], is_summed: Sequence[bool], rank: int) -> Column:
    shown = _number_format(name, [value for value in values if value is not None])
    summed = [value for value in compress(values, is_summed) if value is not None]
    total = shown(sum(summed)) if summed and name.endswith(SUMMED) else ""
    unit = next((UNITS[each] for each in UNITS if name.endswith(each)), "")
    return Column(
        _heading(name), unit, [UNKNOWN if value is None else shown(value) for value in values], total, True, rank
    )


def _heading(name: str) -> str:
    for ending in (*UNITS, "_at"):
        name = name.removesuffix(ending)
    name = name.rstrip("_")
    return HEADINGS.get(name, name.replace("_", " ").capitalize())


def _flag(value: object) -> str:
    return "yes" if value else "no"


def _text(value: object) -> str:
    text = printable(str(value))
    is_time = len(text) == 24 and text[10] == "T" and text.endswith("Z")
    return f"{text[:10]} {text[11:16]}Z" if is_time else text


def _number_format(name: str, known: Sequence[float]) -> Callable[[float], str]:
    """How the numbers of one column are written: all dollars and all rates of a column with the same digits."""
    if name.endswith(("_usd", "_usd_estimate")):
        digits = _dollar_digits([abs(value) for value in known if value])
        least = 10**-digits
        return lambda value: f"<{least:.{digits}f}" if 0 < value < least / 2 else f"{value:,.{digits}f}"
    if name.endswith("usd_per_million"):
        digits = max(2, *(len(f"{value:.6f}".rstrip("0").partition(".")[2]) for value in known), 2)
        return lambda value: f"{value:,.{digits}f}"
    if name == "share":
        return lambda value: f"{value:.1%}"
    return lambda value: f"{value:,}" if isinstance(value, int) else f"{value:,g}"


def _dollar_digits(amounts: Sequence[float]) -> int:
    """Cents, unless amounts that matter would be shown as 0."""
    if not amounts or max(amounts) >= 100 or (max(amounts) >= 1 and min(amounts) >= 0.005):
        return 2
    return 4 if max(amounts) >= 0.01 else 6


def _fitting(columns: list[Column], width: int) -> list[Column]:
    """The columns that fit, the least important left out; what room is left goes to the texts."""

    def room(kept: list[Column]) -> int:
        return width + GAP - sum(column.least_width + GAP for column in kept)

    kept = list(columns)
    while room(kept) < 0 and any(column.rank for column in kept):
        kept.remove(max(reversed(kept), key=lambda column: column.rank))
    spare = max(room(kept), 0)
    cut = sum(column.least_width < column.width for column in kept)
    fitted = []
    for column in kept:
        more = 0
        if column.least_width < column.width:
            more = min(column.width - column.least_width, spare // cut)
            spare, cut = spare - more, cut - 1
        fitted.append(column._replace(cells=[_cut(cell, column.least_width + more) for cell in column.cells]))
    return fitted


def _cut(cell: str, width: int) -> str:
    """A text of at most `width` cells; of a path the end is kept, of anything else the start."""
    if cell_len(cell) <= width:
        return cell
    if "/" in cell:
        return "…" + set_cell_size(cell[::-1], width - 1)[::-1]
    return set_cell_size(cell, width - 1) + "…"
