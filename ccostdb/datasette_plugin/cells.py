"""One cell of a table as people read it, by the name of its column: money, tokens, shares, times. All text is text."""

from __future__ import annotations

import math
from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from ccostdb.clock import SECOND_NS, iso, parse_ns
from ccostdb.kinds import Kind, kind_of
from ccostdb.written import UNKNOWN, exact_usd, form_of

_UNKNOWN = Markup(f'<span class="ccostdb-number" title="unknown">{UNKNOWN}</span>')
_NONE = Markup(UNKNOWN)
_NUMBER = Markup('<span class="ccostdb-number">{}</span>')
_ROUNDED = Markup('<span class="ccostdb-number" title="{}">{}</span>')
_WHEN = Markup('<time datetime="{0}" title="{0}, {1}">{2}</time>')
_AMOUNTS: tuple[Kind, ...] = ("money", "rate", "share", "number", "count")


def render(column: str, value: object, zone: ZoneInfo, longest: int) -> Markup | None:
    """The cell as HTML; None where Datasette's own form will do. Times are in `zone`, a text is cut at `longest`."""
    kind = kind_of(column)
    if value is None:
        return _UNKNOWN if kind in _AMOUNTS else _NONE
    if isinstance(value, int | float):
        return _number(kind, value)
    if isinstance(value, str) and value:
        ns = parse_ns(value) if kind == "moment" else None
        if ns is not None:
            return _WHEN.format(iso(ns), zone.key, local(ns, zone))
        # Datasette would make a link of an address; what a source wrote may lead anywhere.
        return escape(value if len(value) <= longest else f"{value[:longest]}…")
    return None


def local(ns: int, zone: ZoneInfo) -> str:
    """A time in a zone, and which that is: 2026-08-12 17:27:45 CEST."""
    return f"{datetime.fromtimestamp(ns // SECOND_NS, zone):%Y-%m-%d %H:%M:%S %Z}"


def _number(kind: Kind, value: float) -> Markup:
    """A number as its column's name says; all its digits are in its title where they are not seen."""
    text = form_of(kind, [value])(value)
    if kind == "money" and math.isfinite(value * 1e9):
        return _ROUNDED.format(exact_usd(round(value * 1e9)), text)
    return _NUMBER.format(text) if isinstance(value, int) else _ROUNDED.format(value, text)
