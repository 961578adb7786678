"""What all pages share: which of them is shown, and Datasette's HTML made fit for keyboards and screen readers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from datasette.app import Datasette
from datasette.utils.asgi import Request
from markupsafe import Markup

from ccostdb.kinds import kind_of

NAVIGATION = {
    "Home": "/-/ccostdb",
    "Health": "/-/ccostdb/health",
    "Charts": "/-/dashboards/ccostdb",
    "Tables": "/ccostdb",
}
_SECTIONS = {"/-/dashboards": NAVIGATION["Charts"], **{path: path for path in NAVIGATION.values()}}
_REWRITTEN = {
    '<div class="table-wrapper">': '<div class="table-wrapper" tabindex="0" role="region" aria-label="Rows">',
    '<select name="_filter_column': '<select aria-label="Column" name="_filter_column',
    '<select name="_filter_op': '<select aria-label="Condition" name="_filter_op',
    '<input type="text" name="_filter_value': '<input aria-label="Value" type="text" name="_filter_value',
    '<select name="_sort" ': '<select aria-label="Sort by" name="_sort" ',
    '<textarea id="sql-editor"': '<textarea aria-label="SQL" id="sql-editor"',
    '<option value="" selected></option>': '<option value="" selected>all</option>',
    '<option value="" ></option>': '<option value="">all</option>',
    # What the columns mean is longer than the table.
    '<dl class="column-descriptions">': "<details><summary>What the columns mean</summary>\n"
    '<dl class="column-descriptions">',
    "</dl>": "</dl></details>",
    " (view)</h1>": "</h1>",
}
INNER_VIEWS = ("daily_usage", "hourly_usage", "source_counted", "samples")  # what others are made of
_ANSWERS = ("cost_usd", "savings_usd")
_LONGEST = 200  # characters of a name beside the table
_STYLE = re.compile(r'(<(?:h1|h2|div class="page-header")) style="[^"]*"')  # a border in a colour of the name's
_LEGEND = re.compile(r'<legend>([^<]*)</legend>\s*<(input|select) id="([^"]*)"')  # names a group, not the field in it
_ROWS = re.compile(r"<h3>Custom SQL query(?: returning ([^<]*rows?))?")
_SHOWN = re.compile(r'(class="show-hide-sql">\(<a [^>]*>\w+)')
_CHART = re.compile(r'<h1>[^<]*</h1>(\s*</div>\s*<p>)\s*([^<]*?)\s*(<span id="chart-tooltip)')  # a single one's title
_NUMBER = re.compile(r'<td class="(col-[^" ]+)[^"]*">\s*<span class="ccostdb-number')
_HEADING = re.compile(r'<th (?=[^>]*\bclass="(col-[^"]+)")')


def frame(datasette: Datasette, request: Request | None) -> dict[str, Any]:
    """What the template `base.html` is given beside what Datasette gives."""
    path = request.path.rstrip("/") if request else ""
    section = max((each for each in _SECTIONS if f"{path}/".startswith(f"{each}/")), key=len, default=None)
    here = section and _SECTIONS[section]
    css = datasette.urls.static_plugins("ccostdb.datasette_plugin", "ccostdb.css")
    return {
        "navigation": NAVIGATION,
        "here": here,
        "is_here": here == path,
        "css": f"{css}?{_css_mark()}",
        "inner_views": INNER_VIEWS,
    }


def for_everyone(html: str, question: object = None) -> Markup:
    """HTML of Datasette's templates with names for its fields, rows that a keyboard can scroll, and numbers' headings.

    A `question` is asked, SQL is run. Whatever a source wrote is escaped in it, and so no tag.
    """
    html = str(html)  # Markup would escape what takes a place
    for theirs, ours in _REWRITTEN.items():
        html = html.replace(theirs, ours)
    html = _LEGEND.sub(r'<label for="\3">\1</label>\n<\2 id="\3"', _STYLE.sub(r"\1", html))
    html = _CHART.sub(
        r"<h1>\2</h1>\1\3", _SHOWN.sub(r"\1 SQL", _ROWS.sub(lambda of: f"<h3>{of[1] or 'No rows'}", html))
    )
    if question:
        html = html.replace('value="Run SQL"', 'value="Ask"').replace(
            "<h3>Query parameters</h3>", "<h3>What to ask for</h3>"
        )
    numbers = set(_NUMBER.findall(html))
    return Markup(_HEADING.sub(lambda found: found[0] + "data-number " * (found[1] in numbers), html))


def answer_first(cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Columns of a table, or the cells of a row: what names the row, then money, then the rest."""
    listed = list(cells)
    names = [each.get("name") or each["column"] for each in listed]
    keys = list(takewhile(lambda name: kind_of(name) not in ("count", "money", "share", "number"), names))[:3]
    ranks = [0 if name in keys else 1 if name in _ANSWERS else 2 for name in names]
    return [listed[at] for at in sorted(range(len(listed)), key=ranks.__getitem__)]


def cut(facet: dict[str, Any]) -> dict[str, Any]:
    """A facet with the beginnings of its names; one that is too long for an address leads to the whole table."""
    return {**facet, "results": [_cut(each) for each in facet["results"]]}


def _cut(value: dict[str, Any]) -> dict[str, Any]:
    label = str(value["label"] or "")
    if len(label) <= _LONGEST:
        return value
    is_linked = len(value["toggle_url"]) < _LONGEST * 50
    return {**value, "label": f"{label[:_LONGEST]}…", "toggle_url": value["toggle_url"] if is_linked else "?"}


@cache
def _css_mark() -> str:
    """Names the CSS, so that a browser never keeps an old one."""
    return hashlib.sha256((Path(__file__).parent / "static" / "ccostdb.css").read_bytes()).hexdigest()[:8]
