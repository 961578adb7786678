"""sql/rollups and sql/views → statements ready to run, what many of them say put in where a text says so. Pure text.

`{{measures}}` stands for the names of the one list of measures, `{{measures from call}}` for what they are over rows of
`call`, `{{measures added}}` over rows that have them already, `{{measures shown}}` for the public ones of such rows,
money in USD, and `{{names shown}}` for the names of these.

`{{daily_usage by K}}` is that view (or hourly_usage) with its cells added up by the columns K before they leave it, and
with those measures that the text names. Where K is how an index begins, nothing needs to be sorted.

`{{utc X}}` is the time X, in nanoseconds, as text with milliseconds: 2026-08-12T15:27:45.558Z. `{{whole X F}}` is what
field F of the JSON X says where that is a whole number, else NULL; `{{number X F}}` where it is any number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from functools import cache
from typing import NamedTuple

from ccostdb.errors import BadArgument
from ccostdb.resources import sql, sql_names

COSTS = ("auto", "reported", "computed")

_MEASURE = re.compile(r"(?P<function>count|sum|min|max)\(.*\) as (?P<name>\w+)")
_MEASURES_HERE = re.compile(r"^( *)\{\{((?:measures|names)[a-z ]*)\}\}", re.MULTILINE)
_ADDED_UP = re.compile(r"\{\{(daily_usage|hourly_usage) by ([a-z_, ]+)\}\}")
_KEY = "day, source_id, model_id, project_id, agent_id, session_id"
_FORMS = {
    # cut to milliseconds: SQLite would round them up
    re.compile(r"\{\{utc ([^{}]+)\}\}"): r"strftime('%Y-%m-%dT%H:%M:%fZ', \1 / 1000000 / 1000.0, 'unixepoch')",
    re.compile(r"\{\{whole (\w+) ([\w.]+)\}\}"): r"iif(json_type(\1, '$.\2') = 'integer', \1 ->> '$.\2', null)",
    re.compile(r"\{\{number (\w+) ([\w.]+)\}\}"): (
        r"iif(json_type(\1, '$.\2') in ('integer', 'real'), \1 ->> '$.\2', null)"
    ),
}
_USAGE = re.compile(r"\bfrom (?:\{\{)?(daily_usage|hourly_usage)\b")
_INNER = ("source_counted", "daily_usage", "hourly_usage", "samples")  # what other views read
_NO_REPORTS = (*_INNER, "budgets")


class Measure(NamedTuple):
    """One line of measures.sql. `added` is how rows that have it add up; `is_shown`: cost views show it."""

    name: str
    from_call: str
    added: str
    is_shown: bool

    @property
    def shown_name(self) -> str:
        """Its name in cost views."""
        return re.sub("_nusd$", "_usd", self.name)

    @property
    def shown(self) -> str:
        """What cost views show of it: nano-USD become USD."""
        return self.added if self.shown_name == self.name else f"{self.added} / 1e9"


@cache
def measures() -> tuple[Measure, ...]:
    """The one list, in the order of measures.sql; those before its comment "kept beside them" are shown."""
    found = []
    shown, kept = sql("rollups/measures.sql").split("-- kept beside them\n")
    for text, is_shown in ((shown, True), (kept, False)):
        for line in _MEASURE.finditer(text):
            function, name = line["function"], line["name"]
            added = f"{'sum' if function == 'count' else function}({name})"
            found.append(Measure(name, line[0], added, is_shown))
    return tuple(found)


def _put_in(text: str, names: Container[str] | None = None) -> str:
    """`text` with what its placeholders stand for; measures are one a line and indented as the placeholder is.

    `names`: only these measures.
    """
    for form, meaning in _FORMS.items():
        text = form.sub(meaning, text)
    asked = [each for each in measures() if names is None or each.name in names]
    forms: dict[str, Callable[[], list[str]]] = {
        "measures": lambda: [each.name for each in asked],
        "measures from call": lambda: [each.from_call for each in asked],
        "measures added": lambda: [f"{each.added} as {each.name}" for each in asked],
        "measures shown": lambda: [f"{each.shown} as {each.shown_name}" for each in asked if each.is_shown],
        "names shown": lambda: [each.shown_name for each in asked if each.is_shown],
    }
    return _MEASURES_HERE.sub(lambda found: found[1] + f",\n{found[1]}".join(forms[found[2]]()), text)


def _added_up(usage: str, key: str, names: Container[str]) -> str:
    """A usage view as a subquery, each of whose parts is added up by `key`; of the measures, those in `names`."""
    _, text = sql(f"views/{usage}.sql").split("\nwith ")  # without its comment
    text = text.replace("{{measures}}", "{{measures added}}").replace("{{key}}", key)
    text = _put_in(text.replace("{{grouped}}", f"group by {key}"), names)
    return f"(\nwith {text}) as {usage}"


@cache
def statement(name: str, *, is_added_up: bool = True) -> str:
    """The text of one file of sql/, such as `rollups/rollup_day.sql`, ready to run.

    `is_added_up` False: `{{daily_usage by …}}` is read as daily_usage, whatever bears that name.
    """
    text = _put_in(sql(name).replace("    {{grouped}}\n", "").replace("{{key}}", _KEY))
    names = set(re.findall(r"\w+", text))
    return _ADDED_UP.sub(lambda found: _added_up(found[1], found[2], names) if is_added_up else found[1], text)


def view_names() -> list[str]:
    """Every view, those that others read first."""
    return sorted(sql_names("views"), key=lambda name: (name not in _INNER, name))


def view_statements(*, temporary: bool = False) -> list[tuple[str, str]]:
    """(name, `create view` statement) of every view, those that others read first.

    A view of the main schema only reads the main schema; temporary ones read temporary tables where there are such.
    """
    create = "create temp view" if temporary else "create view"
    return [(name, f"{create} {name} as\n{statement(f'views/{name}.sql')}") for name in view_names()]


def report_sql(
    view: str,
    *,
    since_day: str | None = None,
    until_day: str | None = None,
    cost: str = "auto",
    source: str | None = None,
    is_zoned: bool = False,
) -> tuple[str, dict[str, str]]:
    """The select of a cost view over some of the calls, and its parameters; the columns are the view's.

    `since_day` and `until_day` are local days, both included. `source` is a name or kind: only its calls, counted or
    not. `cost` says what `cost_usd` is, and so which calls are unpriced. `is_zoned`: after `rollups.use_zone`.
    """
    text = statement(f"views/{view}.sql", is_added_up=False) if view in view_names() else ""
    usage = _USAGE.search(text)
    if usage is None or view in _NO_REPORTS:
        raise BadArgument(f"{view!r} is no report of costs.", f"They are: {', '.join(report_names())}.")
    wanted = {
        "since": ("day >= :since", since_day),
        "until": ("day <= :until", until_day),
        "source": ("source_id in (select source_id from source where :source in (name, kind))", source),
    }
    asked = {name: value for name, (_, value) in wanted.items() if value is not None}
    # The view's own text reads a CTE that bears the name of the usage view, so that no column is written twice.
    columns = ", ".join(_usage_columns(usage[1], cost, is_counted=source is not None))
    schema = "temp" if is_zoned else "main"
    where = " and ".join(["true", *(wanted[name][0] for name in asked)])
    with_usage = f"with {usage[1]} as (select {columns} from {schema}.{usage[1]} where {where})"
    return f"{with_usage}\nselect * from (\n{text})", asked


def budgets_sql() -> str:
    """The select of the view `budgets` over the calls of the local days from :since_day on."""
    usage = "select * from main.daily_usage where day >= :since_day"
    return f"with daily_usage as ({usage})\nselect * from (\n{statement('views/budgets.sql')})"


def report_names() -> list[str]:
    """The views that `report_sql` knows."""
    return [name for name in view_names() if name not in _NO_REPORTS and _USAGE.search(sql(f"views/{name}.sql"))]


def _usage_columns(usage: str, cost: str, *, is_counted: bool) -> list[str]:
    """The select list of a usage view, with the cost that was asked for in place of `cost_nusd`."""
    if cost not in COSTS:
        raise BadArgument(f"{cost!r} is no kind of cost.", f"They are: {', '.join(COSTS)}.")
    replaced = {}
    if cost != "auto":
        missing = {"reported": "unreported_calls", "computed": "uncomputed_calls"}[cost]
        replaced = {"cost_nusd": f"{cost}_cost_nusd", "unpriced_calls": missing}
    hour = ["hour"] if usage == "hourly_usage" else []
    names = [*hour, *_KEY.split(", ")]
    names += [each.name for each in measures()]
    columns = [f"{replaced[name]} as {name}" if name in replaced else name for name in names]
    return [*columns, "true as counted" if is_counted else "counted"]
