"""Numbers and times as people read them, the same wherever they do. Pure. What is unknown is a dash, never 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from math import floor, log10
from typing import TYPE_CHECKING

from ccostdb.clock import SECOND_NS

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from ccostdb.kinds import Kind

UNKNOWN = "–"
_SIZES = ((10**9, "B"), (10**6, "M"), (10**3, "k"))
_AGES = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def usd(nusd: float | None, digits: int | None = None, sign: str = "$") -> str:
    """Dollars: $1,234.57, -$2.00, $0.0042. The amounts of a column share their `digits`, which `usd_digits` says."""
    if nusd is None:
        return UNKNOWN
    digits = usd_digits([nusd]) if digits is None else digits
    amount, least = abs(nusd) / 1e9, 10**-digits
    is_less = 0 < amount < least / 2
    return f"{'-' if nusd < 0 else ''}{'<' if is_less else ''}{sign}{least if is_less else amount:,.{digits}f}"


def usd_digits(nusd: Sequence[float | None]) -> int:
    """Cents, unless amounts that matter would be shown as 0."""
    sizes = [abs(each) / 1e9 for each in nusd if each]
    if not sizes or max(sizes) >= 100 or min(sizes) >= 0.1 or (max(sizes) >= 1 and min(sizes) >= 0.005):
        return 2
    return 4 if max(sizes) >= 0.01 or min(sizes) >= 0.001 else 6


def usd_text(nusd: int, decimals: int = 2) -> str:
    """Dollars to the last digit, without a sign of their own, with two decimals or more: 10.50, -0.000000005."""
    dollars, rest = divmod(abs(nusd), 1_000_000_000)
    return f"{'-' * (nusd < 0)}{dollars}.{f'{rest:09d}'.rstrip('0').ljust(decimals, '0')}"


def exact_usd(nusd: int | None) -> str:
    """Dollars to the last digit that is known: $143.740728954."""
    if nusd is None:
        return "unknown"
    return f"{'-' if nusd < 0 else ''}${usd_text(abs(nusd))}"


def usd_tick(amount: float) -> str:
    """Dollars (not nano-dollars) of an axis: $0, $0.05, $2.50, $80, $1.5k."""
    size, minus = abs(amount), "-" if amount < 0 else ""
    if size >= 1000:
        return f"{minus}${size / 1000:,.{0 if size >= 10_000 or size % 1000 == 0 else 1}f}k"
    return f"{minus}${size:,.{0 if size == int(size) else max(2, -floor(log10(size)))}f}"


def short(number: float | None) -> str:
    """A count in three digits or so: 950, 9,999, 12 k, 5.9 M, 1.2 B."""
    if number is None:
        return UNKNOWN
    for size, unit in _SIZES:
        if abs(number) >= max(10_000, size * 0.9995):
            value = number / size
            return f"{value:,.{1 if abs(value) < 9.95 else 0}f} {unit}"
    return f"{number:,}"


def percent(share: float | None, digits: int | None = None) -> str:
    """A share, of which 1 is the whole: 99.4 %, 100 %; what is nearly nothing, or all, is neither."""
    if share is None:
        return UNKNOWN
    value = share * 100
    if 0 < abs(value) < 0.1:
        return "<0.1 %"
    if 99.9 < value < 100:
        return ">99.9 %"
    return f"{value:,.{_percent_digits(share) if digits is None else digits}f} %"


def _percent_digits(share: float) -> int:
    return int(0 < abs(share) < 0.1 or 0.9 < share < 1)


def form_of(kind: Kind, known: Sequence[float], sign: str = "$") -> Callable[[float], str]:
    """How the numbers `known` of a column are written: dollars, rates and shares with the same digits.

    Money and rates are in US dollars, as views have them; `sign` is theirs.
    """
    if kind == "money":
        digits = usd_digits([each * 1e9 for each in known])
        return lambda amount: usd(amount * 1e9, digits, sign)
    if kind == "rate":
        digits = max([2, *(len(f"{each:.6f}".rstrip("0").partition(".")[2]) for each in known)])
        return lambda rate: f"{sign}{rate:,.{digits}f}"
    if kind == "share":
        digits = max(map(_percent_digits, known), default=0)
        return lambda share: percent(share, digits)
    if kind == "flag":
        return lambda flag: "yes" if flag else "no"
    return _number if kind in ("count", "number") else str


def _number(value: float) -> str:
    """With separators, and three digits that matter where it is no whole number."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def per_second(rate: float) -> str:
    """Events a second: 0, 0.25, 4.2, 118."""
    return f"{rate:.{0 if rate >= 9.95 or rate == 0 else 1 if rate >= 0.995 else 2}f}"


def age(seconds: float | None) -> str:
    """How long something is past, in one unit: 5 s, 12 min, 30 h, 4 d."""
    if seconds is None:
        return UNKNOWN
    size, unit = next((each for each in _AGES if seconds >= each[0] * (1 + (each[1] == "d"))), _AGES[-1])
    return f"{max(0, seconds) // size:,.0f} {unit}"


def ago(ns: int | None, now_ns: int) -> str:
    """When something was: 'just now', '3 min ago', 'in the future'; None: never."""
    if ns is None:
        return "never"
    seconds = (now_ns - ns) // SECOND_NS
    if seconds < -60:
        return "in the future"
    return "just now" if seconds < 10 else f"{age(seconds)} ago"


def clock(ns: int | None, zone: ZoneInfo) -> str:
    """A time of a zone: 21 Nov 2026, 14:37:05."""
    if ns is None:
        return UNKNOWN
    then = datetime.fromtimestamp(ns // SECOND_NS, zone)
    return f"{then.day} {then:%b %Y, %H:%M:%S}"


def day_text(day: date) -> str:
    """21 November."""
    return f"{day.day} {day:%B}"  # %-d is not everywhere


def change(now: float | None, then: float | None) -> tuple[str, str]:
    """An arrow and how much more or less: ('▲', '70 %'), ('▼', '<1 %'), ('▲', '5.0 ×'), ('', '0 %').

    A dash where there is nothing to compare with.
    """
    if now is None or then is None or then <= 0:
        return "", UNKNOWN
    ratio = now / then
    if ratio >= 3:
        return "▲", f"{ratio:,.{1 if ratio < 9.95 else 0}f} ×"
    size = f"{abs(ratio - 1) * 100:.0f} %" if abs(ratio - 1) >= 0.01 or ratio == 1 else "<1 %"
    return "▲" if ratio > 1 else "▼" if ratio < 1 else "", size


def compared(now_nusd: int | None, then_nusd: int | None, then: str) -> tuple[str, str]:
    """The same in words: ('▲', '70 % more than yesterday by 14:00'). No arrow: the same, or it cannot be said."""
    if now_nusd is None or then_nusd is None:
        return "", f"No comparison with {then}: a cost is unknown"
    if now_nusd == then_nusd:
        return "", f"As {then}"
    if then_nusd <= 0:
        return "▲", f"It was {usd(then_nusd)} {then}"
    arrow, size = change(now_nusd, then_nusd)
    return arrow, f"{size} {then}" if "×" in size else f"{size} {'more' if arrow == '▲' else 'less'} than {then}"
