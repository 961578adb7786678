"""Numbers → the few characters that a panel has for them. Pure. What is unknown is –, never 0."""

from __future__ import annotations

from collections.abc import Sequence

UNKNOWN = "–"
_BARS = "▁▂▃▄▅▆▇█"


def money(nusd: float | None, least: float = 0.01) -> str:
    """Dollars, in cents, or with four decimals where `least` is below a cent; from 100,000 on in thousands."""
    if nusd is None:
        return UNKNOWN
    usd = abs(nusd) / 1e9
    sign = "-" if nusd < 0 else ""
    if usd >= 100_000:
        return f"{sign}${_short(usd)}"
    decimals = 2 if least >= 0.01 else 4
    if not usd:
        return "$0"
    if 0 < usd < 10**-decimals / 2:
        return f"{sign}<${10**-decimals:.{decimals}f}"
    return f"{sign}${usd:,.{decimals}f}"


def tokens(count: int | None) -> str:
    """1,234, 12.3k, 4.57M."""
    if count is None:
        return UNKNOWN
    return f"{count:,}" if abs(count) < 10_000 else _short(count)


def _short(number: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size * 0.9995:
            scaled = number / size
            return f"{scaled:.{2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0}f}{letter}"
    return f"{number:.0f}"


def share(part: float | None) -> str:
    """Percent: 87 %, <1 %."""
    if part is None:
        return UNKNOWN
    return "<1 %" if 0 < part < 0.005 else f"{part:.0%}".replace("%", " %")


def change(new: int | None, old: int | None) -> str:
    """How much more or less than before: +12 %, -3 %, ×14; – where there is nothing to compare with."""
    if new is None or not old or old < 0:
        return UNKNOWN
    ratio = new / old
    if ratio >= 10:
        return f"×{ratio:,.0f}"
    return f"{ratio - 1:+.0%}".replace("%", " %")


def rate(per_s: float) -> str:
    """Events a second: 0, 0.25, 4.2, 118."""
    return f"{per_s:.{0 if per_s >= 9.95 or per_s == 0 else 1 if per_s >= 0.995 else 2}f}"


def age(seconds: float | None) -> str:
    """How long ago, in one unit: 5 s, 12 min, 3 h, 4 d."""
    if seconds is None:
        return UNKNOWN
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size * (2 if unit == "d" else 1):
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


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
