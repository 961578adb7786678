"""One `[[budget]]` of the settings → a Budget. Pure.

[[budget]]
name = "work"
daily = 10                         # USD; at least one of daily, weekly and monthly
weekly = 40.50
monthly = 150
model = "claude-opus-*"            # only these calls; a text, or a list of which one must fit. One that ends
project = ["/home/me/a", "/srv/*"] # in * is the beginning of a name, any other the name itself
agent = "Explore"
source = "claude-code"             # by name or kind
alert_at = [0.5, 0.8, 1.0]         # shares of a limit
command = "notify-send ccostdb"    # words as a shell splits them, or a list of them; no shell runs them
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

from ccostdb.errors import BadSettings
from ccostdb.settings import Settings
from ccostdb.words import nearest, repeated

_LIMITS = {"daily": "day", "weekly": "week", "monthly": "month"}  # a key of an entry: its period's word in the ledger
PERIODS = tuple(_LIMITS.values())
FILTERS = ("model", "project", "agent", "source")
ALERT_AT = (0.5, 0.8, 1.0)
_KEYS = ("name", *_LIMITS, *FILTERS, "alert_at", "command")
_NUSD = 1_000_000_000
_MOST_USD = 1_000_000_000
_MOST_SHARE = 10  # above it, someone wrote per cent
_HINT = 'A budget is such as: name = "work", daily = 10, monthly = 150 (USD).'

Row = tuple[str, str, int, str | None, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits in nano-USD by period (day, week, month). A filter that is None lets all calls pass."""

    name: str
    limits: Mapping[str, int]
    filters: tuple[tuple[str, ...] | None, ...]  # in the order of FILTERS
    alert_at: tuple[float, ...] = ALERT_AT  # ascending, once each
    command: tuple[str, ...] | None = None

    def rows(self) -> list[Row]:
        """Its rows of table `budget`, but for their ids."""
        models, projects, agents, sources = (
            None if each is None else json.dumps(each, ensure_ascii=False) for each in self.filters
        )
        return [(self.name, period, nusd, models, projects, agents, sources) for period, nusd in self.limits.items()]


def threshold_nusd(limit_nusd: int, share: float) -> int:
    """The least spending at which a share of a limit is reached: exact, though 0.1 is no binary number."""
    return ceil(Fraction(repr(share)) * limit_nusd)


def read_budgets(settings: Settings) -> tuple[Budget, ...]:
    """The budgets of the settings. BadSettings, which names the entry, for the first that cannot be used."""
    budgets: dict[str, Budget] = {}
    for number, entry in enumerate(settings.user_budgets, start=1):
        place = f"[[budget]] {number} ({repeated(str(entry.get('name', 'no name')), 60)})"
        for key in entry:
            if key not in _KEYS:
                raise BadSettings(f"{place} has an unknown key {key}.", nearest(key, _KEYS))
        try:
            budget = _budget(entry)
            if budget.name in budgets:
                raise ValueError("another one has its name")
        except ValueError as error:
            raise BadSettings(f"{place}: {error}.", _HINT) from error
        budgets[budget.name] = budget
    return tuple(budgets.values())


def _budget(entry: Mapping[str, Any]) -> Budget:
    if "name" not in entry:
        raise ValueError("it should have a name")
    limits = {period: _nusd(key, entry[key]) for key, period in _LIMITS.items() if key in entry}
    if not limits:
        raise ValueError("it should have a limit: daily, weekly or monthly")
    return Budget(
        name=_text("name", entry["name"]),
        limits=limits,
        filters=tuple(_texts(key, entry[key]) if key in entry else None for key in FILTERS),
        alert_at=_shares(entry["alert_at"]) if "alert_at" in entry else ALERT_AT,
        command=_words(entry["command"]) if "command" in entry else None,
    )


def _text(key: str, value: object) -> str:
    """A text as it is; neither SQLite nor an environment variable can hold a NUL."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"{key} should be a text, not {value!r}")
    return value


def _texts(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return (_text(key, value),)
    if not value:
        raise ValueError(f"{key} should be a text, or a list of one or more")
    return tuple(_text(key, each) for each in value)


def _number(key: str, value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{key} should be a number, not {value!r}")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{key} should be a number, not {value!r}")
    return number


def _nusd(key: str, value: object) -> int:
    usd = _number(key, value)
    if not 0 < usd <= _MOST_USD:
        raise ValueError(f"{key} should be US dollars above 0, and at most {_MOST_USD:,}, not {value}")
    if usd * _NUSD != int(usd * _NUSD):
        raise ValueError(f"{key} has more decimals than can be kept: {value}")
    return int(usd * _NUSD)


def _shares(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise ValueError(f"alert_at should be a list of shares such as [0.5, 1.0], not {value!r}")
    for each in value:
        if not 0 < _number("each of alert_at", each) <= _MOST_SHARE:
            raise ValueError(f"each of alert_at should be a share above 0, and at most {_MOST_SHARE}, not {each}")
    return tuple(sorted({float(each) for each in value}))


def _words(value: object) -> tuple[str, ...]:
    expected = "command should be a text, or a list of words"
    try:
        words = shlex.split(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from None
    if not isinstance(words, list) or not all(isinstance(each, str) and "\0" not in each for each in words):
        raise ValueError(f"{expected}, not {value!r}")
    if not words or not words[0].strip():
        raise ValueError(f"{expected}, of which the first names a program")
    return tuple(words)
