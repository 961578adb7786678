"""Rows of cells → lines that fit a panel: numbers to the right, texts stretched, what has no room left out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ccostdb.written import UNKNOWN

GAP = 2  # cells between two columns
SILENT = 100  # a column that says nothing gives way before all others


class Column(NamedTuple):
    """`rank` 0 is always shown; of the others, the highest is the first to give way.

    A stretched one may be cut to `least` cells; the first of these takes the room that is left.
    """

    heading: str
    is_number: bool = True
    rank: int = 0
    least: int = 0
    is_stretched: bool = False


class Cell(NamedTuple):
    """A text in a style of rich."""

    text: str
    style: str = ""


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> tuple[str, list[Text]]:
    """The line of headings, and a line for each row, all `width` cells wide or less."""
    said = [[row[index].text for row in rows] for index in range(len(columns))]
    natural = [max(map(cell_len, (each.heading, *texts))) for each, texts in zip(columns, said, strict=True)]
    columns = [
        each._replace(rank=each.rank + SILENT) if each.rank and not set(texts) - {UNKNOWN, ""} else each
        for each, texts in zip(columns, said, strict=True)
    ]
    widths = _fitted(columns, natural, width)
    gap = " " * GAP
    heading = gap.join(_filled(columns[index], columns[index].heading, size) for index, size in widths)
    lines = []
    for row in rows:
        line = Text(no_wrap=True, end="")
        for number, (index, size) in enumerate(widths):
            line.append(gap if number else "")
            line.append(_filled(columns[index], row[index].text, size), row[index].style)
        lines.append(line)
    return heading, lines


def _fitted(columns: Sequence[Column], natural: Sequence[int], width: int) -> list[tuple[int, int]]:
    """(index, cells) of the columns that are shown."""
    narrow = [min(each.least, size) if each.is_stretched else size for each, size in zip(columns, natural, strict=True)]
    kept = list(range(len(columns)))
    while sum(narrow[index] + GAP for index in kept) - GAP > width and any(columns[index].rank for index in kept):
        kept.remove(max(kept, key=lambda index: columns[index].rank))
    sizes = {index: narrow[index] for index in kept}
    spare = max(0, width + GAP - sum(size + GAP for size in sizes.values()))
    stretched = [index for index in kept if columns[index].is_stretched]
    for number, index in enumerate(sorted(stretched, key=lambda index: natural[index] - narrow[index])):
        more = min(spare // (len(stretched) - number), natural[index] - narrow[index])
        sizes[index] += more
        spare -= more
    if stretched:
        sizes[stretched[0]] += spare
    return list(sizes.items())


def _filled(column: Column, text: str, size: int) -> str:
    """The text in exactly `size` cells; of a path that is too long the end is kept, of anything else the start."""
    missing = size - cell_len(text)
    if missing >= 0:
        return " " * missing + text if column.is_number else text + " " * missing
    if text.startswith("/"):
        return "…" + set_cell_size(text[::-1], size - 1)[::-1]
    return set_cell_size(text, size - 1) + "…"
