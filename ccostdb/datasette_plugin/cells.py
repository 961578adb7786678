"""One cell of a table as people read it, by the name of its column: money, tokens, shares, times. All text is text."""

from __future__ import annotations

import math
import re
from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from ccostdb.clock import SECOND_NS, iso, parse_ns
from ccostdb.datasette_plugin.figures import UNKNOWN, exact_usd, percent, usd

_MONEY = re.compile(r"_usd(_estimate)?$")
_SHARE = re.compile(r"(^|_)share$")
_COUNT = re.compile(
    r"(^|_)(tokens|calls|errors|hits|sessions|messages|events|frames|connections|rows|rejected|gaps|requests|tasks"
    r"|heartbeats|seconds|minutes|characters|bytes|count|nusd|ms)(_|$)"
)
_TIME = re.compile(r"(^|_)at$")
_NONE = Markup(f'<span class="ccostdb-number" title="unknown">{UNKNOWN}</span>')
_NUMBER = Markup('<span class="ccostdb-number">{}</span>')
_ROUNDED = Markup('<span class="ccostdb-number" title="{}">{}</span>')
_WHEN = Markup('<time datetime="{0}" title="{0}, {1}">{2}</time>')


def render(column: str, value: object, zone: ZoneInfo, longest: int) -> Markup | None:
    """The cell as HTML; None where Datasette's own form will do. Times are in `zone`, a text is cut at `longest`."""
    if value is None:
        return _NONE if any(form.search(column) for form in (_MONEY, _SHARE, _COUNT)) else None
    if isinstance(value, int | float):
        return _number(column, value)
    if isinstance(value, str) and value:
        ns = parse_ns(value) if _TIME.search(column) else None
        if ns is not None:
            return _WHEN.format(iso(ns), zone.key, local(ns, zone))
        # Datasette would make a link of an address; what a source wrote may lead anywhere.
        return escape(value if len(value) <= longest else f"{value[:longest]}…")
    return None


def local(ns: int, zone: ZoneInfo) -> str:
    """A time in a zone, and which that is: 2026-08-12 17:27:45 CEST."""
    return f"{datetime.fromtimestamp(ns // SECOND_NS, zone):%Y-%m-%d %H:%M:%S %Z}"


def _number(column: str, value: float) -> Markup:
    """A number as its column's name says: dollars, percent, or with separators; else as it is."""
    if _MONEY.search(column) and math.isfinite(value * 1e9):
        nusd = round(value * 1e9)
        return _ROUNDED.format(exact_usd(nusd), usd(nusd))
    if _SHARE.search(column):
        return _ROUNDED.format(value, percent(value))
    if _COUNT.search(column):
        return _NUMBER.format(f"{value:,}" if isinstance(value, int) else f"{value:,g}")
    return _NUMBER.format(value)
