"""Numbers → bars of letters. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The values as bars of at most `width` cells, neighbours added up; the lowest bar is the least that is not 0."""
    size = max(1, -(-len(values) // max(1, width)))  # rounded up
    first = -(-len(values) % size)  # the oldest bar may be of fewer values
    sums = [sum(values[max(0, start) : start + size]) for start in range(first, len(values), size)]
    most = max(sums, default=0) or 1
    return "".join("·" if not each else _BARS[min(7, int(each / most * 7.999))] for each in sums)


def bar(part: float | None, width: int) -> str:
    """A share as a line of at most `width` cells, in halves of a cell; what is more than nothing is seen."""
    halves = round(min(1.0, max(0.0, part or 0.0)) * width * 2) or int(bool(part))
    return "━" * (halves // 2) + "╸" * (halves % 2)
