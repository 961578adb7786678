"""Numbers and times → what a page writes for people. Pure. What is unknown is a dash, never 0."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from ccostdb.budgets.standing import usd_text
from ccostdb.clock import SECOND_NS

UNKNOWN = "–"
LEAST_SHOWN = Decimal("0.0001")  # dollars
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def usd(nusd: float | None) -> str:
    """Dollars: $1,234.57, $0.42, below ten cents $0.0042, -$2.00."""
    if nusd is None:
        return UNKNOWN
    amount = Decimal(nusd).scaleb(-9)
    sign, size = "-" if amount < 0 else "", abs(amount)
    if 0 < size < LEAST_SHOWN:
        return f"{sign}<${LEAST_SHOWN}"
    return f"{sign}${size:,.{2 if size >= Decimal('0.1') or not size else 4}f}"


def exact_usd(nusd: int | None) -> str:
    """Dollars to the last digit that is known: $143.740728954."""
    if nusd is None:
        return "unknown"
    return f"{'-' if nusd < 0 else ''}${usd_text(abs(nusd))}"


def short(number: int | None) -> str:
    """A count in three digits or so: 950, 12 k, 590 M, 1.2 B."""
    if number is None:
        return UNKNOWN
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size * 10 or (number >= size > 10**3):
            value = number / size
            return f"{value:.{max(0, 2 - len(str(int(value))))}f} {unit}" if value < 100 else f"{value:,.0f} {unit}"
    return f"{number:,}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 in percent: 99.4 %, 100 %; small ones are not 0."""
    if share is None:
        return UNKNOWN
    value = share * 100
    if 0 < abs(value) < 0.1:
        return "<0.1 %"
    if 99.9 < value < 100:
        return ">99.9 %"
    return f"{value:.1f} %" if 0 < abs(value) < 10 or 90 < value < 100 else f"{value:.0f} %"


def ago(ns: int | None, now_ns: int) -> str:
    """How long something is past: 'just now', '3 min ago', 'in the future'; None: never."""
    if ns is None:
        return "never"
    seconds = (now_ns - ns) // SECOND_NS
    if seconds < -60:
        return "in the future"
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return "just now" if seconds < 10 else f"{seconds // size:,} {unit} ago"


def clock(ns: int | None, zone: ZoneInfo) -> str:
    """A time of a zone: 21 Nov 2026, 14:37:05."""
    if ns is None:
        return UNKNOWN
    then = datetime.fromtimestamp(ns // SECOND_NS, zone)
    return f"{then.day} {then:%b %Y, %H:%M:%S}"


def day_text(day: date) -> str:
    """21 November."""
    return f"{day.day} {day:%B}"  # %-d is not everywhere


def change(now_nusd: int | None, then_nusd: int | None, then: str) -> tuple[str, str]:
    """An arrow and a sentence: ('▲', '70 % more than yesterday by 14:00'). No arrow: the same, or it cannot be said."""
    if now_nusd is None or then_nusd is None:
        return "", f"No comparison with {then}: a cost is unknown"
    if now_nusd == then_nusd:
        return "", f"As {then}" if now_nusd else f"Nothing, as {then}"
    if then_nusd <= 0:
        return "▲", f"Nothing {then}"
    ratio = now_nusd / then_nusd
    if ratio >= 3:
        return "▲", f"{ratio:,.{1 if ratio < 10 else 0}f} × {then}"
    size = f"{abs(ratio - 1) * 100:.0f} %" if abs(ratio - 1) >= 0.01 else "<1 %"
    return ("▲", f"{size} more than {then}") if ratio > 1 else ("▼", f"{size} less than {then}")


def table_url(name: str, **filters: object) -> str:
    """The address of a table, view or question of the ledger. Filters that are None are left out."""
    asked = urlencode({key: value for key, value in filters.items() if value is not None})
    return f"/ccostdb/{name}{'?' if asked else ''}{asked}"
