"""Tables for people: numbers to the right, units said once, a total, and only as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from ccostdb.kinds import adds_up, kind_of
from ccostdb.words import count_of, printable
from ccostdb.written import UNKNOWN, form_of

if TYPE_CHECKING:
    from ccostdb.reports import Table

GAP = 2  # cells between two columns: one of padding, one of the box
PADDING = (0, GAP - 1, 0, 0)
WIDE_HEADING = 13  # a longer one takes two lines
TEXT, LEAST_TEXT = 18, 12  # a text is cut to the first to keep any column, to the second to keep one that matters
UNITS = {
    "_tokens": "tokens", "_usd": "USD", "_usd_estimate": "USD, estimate", "_ms": "ms",
    "usd_per_million": "USD/M", "usd_per_thousand": "USD/1,000",
}  # fmt: skip
HEADINGS = {"cache_write_5m": "Write 5m", "cache_write_1h": "Write 1h", "cache_write": "Cache write", "": "Rate"}
HEADINGS |= {"used_share": "Used", "period_label": "Which"}
KINDS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
ALWAYS = ("cost_usd", "spent_usd", "used_share")  # shown though all of it is 0
# When a terminal is too narrow, what is not named here is given up first, then the last one named.
RANKS = {name: rank for rank, name in enumerate((
    "period_label", "spent_usd", "used_share", "left_usd", "limit_usd", "pace", "projected_usd", "used_up_at",
    "prompt_cache_savings_usd", "cost_usd", "calls", "model", "project", "agent", "kind",
    "input_usd_per_million", "output_usd_per_million", "cache_read_usd_per_million",
    "cache_write_5m_usd_per_million", "cache_write_1h_usd_per_million", "usd_per_million", "used",
    "response_cache_savings_usd_estimate", "started_at", "savings_usd", "share", "total_tokens", "output_tokens",
    "input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "unpriced_calls", "errors", "sessions", "last_at", "models", "uncached_cost_usd", "response_cache_hits",
    "latency_ms", "provider", "source", "counted", "unsplit_calls", "first_at", "ended_at",
), start=1)}  # fmt: skip
WRAPPED = "Detail"  # the heading of sentences: they take more lines where others are cut
MATTERS = RANKS["used"]  # up to this rank, a column is worth a shorter text
MARKS = ("source", "counted")  # where rows are in no total, these say which: measures give way to them


class Column(NamedTuple):
    """One drawn column: heading, unit under it, cells, total; `rank` 0 is never left out."""

    heading: str
    unit: str
    cells: list[str]
    total: str
    is_number: bool
    rank: int
    can_be_cut: bool = False

    @property
    def width(self) -> int:
        return max(map(cell_len, (*self.heading.split("\n"), self.unit, self.total, *self.cells)))

    def narrowed(self, text: int) -> int:
        """Its width where a text is cut to `text` cells."""
        return min(self.width, text) if self.can_be_cut else self.width


def draw(table: Table, console: Console | None = None) -> None:
    """Prints a table on the terminal, with a row of totals where there are two rows or more; nothing without rows."""
    if not table.rows:
        return
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
        left_out = ", ".join(
            each.heading.replace("\n", " ").lower() for each in all_columns if each.heading not in kept
        )
        console.print(Text(f"No room for: {left_out}.", "dim"))
    if has_totals and all(column.heading != "Counted" for column in columns) and (note := _uncounted(table)):
        console.print(Text(note))
    unsplit = _unsplit(table)
    if unsplit:
        console.print(Text(unsplit))


def _columns(table: Table) -> list[Column]:
    """The columns that say something: the keys, the cost, and those with a value that is known and not 0."""
    is_counted = _counted(table)
    is_summed = [table.is_summed and len(table.rows) > 1 and each for each in is_counted]
    columns = []
    for index, name in enumerate(table.columns):
        values = [row[index] for row in table.rows]
        is_key = index < table.keys
        if is_key or name in ALWAYS or any(values):
            rank = 0 if index == 0 else RANKS.get(name, len(RANKS) + 1)
            if is_key and name in MARKS and not all(is_counted):
                rank = min(rank, MATTERS)
            is_number = not is_key and all(value is None or isinstance(value, int | float) for value in values)
            made = _number_column(name, values, is_summed, rank) if is_number else _text_column(name, values, rank)
            columns.append(made)
    return columns


def _counted(table: Table) -> list[bool]:
    """Which rows totals hold: what is not counted is shown, and in no total."""
    if "counted" not in table.columns:
        return [True] * len(table.rows)
    index = table.columns.index("counted")
    return [bool(row[index]) for row in table.rows]


def _uncounted(table: Table) -> str | None:
    """How many rows the total leaves out, and of which sources, where it does."""
    left_out = [row for row, is_counted in zip(table.rows, _counted(table), strict=True) if not is_counted]
    if not left_out:
        return None
    sources = {str(row[table.columns.index("source")]) for row in left_out if "source" in table.columns}
    named = f" of {' and '.join(sorted(sources))}" if sources else ""
    return f"The total leaves out {count_of(len(left_out), 'row')}{named}, not counted."


def _unsplit(table: Table) -> str | None:
    """Why the kinds of tokens do not add up to all tokens, where they do not."""
    names = [f"{kind}_tokens" for kind in KINDS]
    if not {"unsplit_calls", "total_tokens", *names} <= set(table.columns):
        return None
    rows = [dict(zip(table.columns, row, strict=True)) for row in compress(table.rows, _counted(table))]
    calls = sum(row["unsplit_calls"] or 0 for row in rows)
    tokens = sum((row["total_tokens"] or 0) - sum(row[name] or 0 for name in names) for row in rows)
    return f"{tokens:,} tokens of {count_of(calls, 'call')} came without kinds." if calls and tokens > 0 else None


def _text_column(name: str, values: Sequence[object], rank: int) -> Column:
    shown: Callable[[Any], str] = form_of("flag", ()) if kind_of(name) == "flag" else _text
    cells = [UNKNOWN if value is None else shown(value) for value in values]
    if kind_of(name) == "hour":
        cells = _hours(cells)
    can_be_cut = kind_of(name) not in ("hour", "moment")
    return Column(_heading(name), "", cells, "", False, rank, can_be_cut)


def _hours(cells: list[str]) -> list[str]:
    """Local hours, without their offset from UTC where all have the same."""
    return [cell[:16].replace("T", " ") for cell in cells] if len({cell[16:] for cell in cells}) == 1 else cells


def _number_column(name: str, values: Sequence[float | None], is_summed: Sequence[bool], rank: int) -> Column:
    shown = form_of(kind_of(name), [value for value in values if value is not None], sign="")
    summed = [value for value in compress(values, is_summed) if value is not None]
    total = shown(sum(summed)) if summed and adds_up(name) else ""
    unit = next((UNITS[each] for each in UNITS if name.endswith(each)), "")
    return Column(
        _heading(name), unit, [UNKNOWN if value is None else shown(value) for value in values], total, True, rank
    )


def _heading(name: str) -> str:
    for ending in (*UNITS, "_at"):
        name = name.removesuffix(ending)
    name = name.rstrip("_")
    heading = HEADINGS.get(name, name.replace("_", " ").capitalize())
    spaces = [index for index, letter in enumerate(heading) if letter == " "]
    if len(heading) <= WIDE_HEADING or not spaces:
        return heading
    middle = min(spaces, key=lambda index: abs(2 * index + 1 - len(heading)))
    return f"{heading[:middle]}\n{heading[middle + 1 :]}"


def _text(value: object) -> str:
    text = printable(str(value))
    is_time = len(text) == 24 and text[10] == "T" and text.endswith("Z")
    return f"{text[:10]} {text[11:16]}Z" if is_time else text


def _fitting(columns: list[Column], width: int) -> list[Column]:
    """The columns that fit, the least important left out; what room is left goes to the texts."""

    def room(kept: list[Column], text: int) -> int:
        return width + GAP - sum(column.narrowed(text) + GAP for column in kept)

    kept = list(columns)
    for text, keep_to_rank in ((TEXT, MATTERS), (LEAST_TEXT, 0)):
        while room(kept, text) < 0 and any(column.rank > keep_to_rank for column in kept):
            kept.remove(max(reversed(kept), key=lambda column: column.rank))
        if room(kept, text) >= 0:
            break
    spare = max(room(kept, text), 0)
    cut = sum(column.narrowed(text) < column.width for column in kept)
    fitted = []
    for column in kept:
        least = column.narrowed(text)
        if least < column.width:
            more = min(column.width - least, spare // cut)
            spare, cut = spare - more, cut - 1
            shown = _folded if column.heading == WRAPPED else _cut
            column = column._replace(cells=[shown(cell, least + more) for cell in column.cells])  # noqa: PLW2901
        fitted.append(column)
    return fitted


def _folded(cell: str, width: int) -> str:
    """A text in lines of at most `width` cells, broken at words where there are any."""
    return "\n".join(line.plain.rstrip() for line in Text(cell).wrap(Console(), width))


def _cut(cell: str, width: int) -> str:
    """A text of at most `width` cells; of a path the end is kept, of anything else the start."""
    if cell_len(cell) <= width:
        return cell
    if "/" in cell:
        return "…" + set_cell_size(cell[::-1], width - 1)[::-1]
    return set_cell_size(cell, width - 1) + "…"
