"""One `[[price]]` of a TOML file, ours or the user's → rows of table `price`. Pure.

    [[price]]
    model = "my-model"                 # or match = { starts_with = "my-" }: a clause, see model_names.matches
    provider = "anthropic"             # only where this provider bills; default: whoever does
    input = 3.00                       # USD per million tokens; also output, cache_read,
    output = 15.00                     # cache_write_5m, cache_write_1h
    web_search_per_thousand = 10.00    # USD
    above_tokens = 200_000             # holds for requests with more input than this, cached input counted
    speed = "fast"                     # holds only at this speed
    valid_from = 2026-03-13            # a date or time, UTC; the first moment at which it holds
    valid_until = 2026-10-07           # the first at which it holds no more
    source = "https://…"
    checked = 2026-11-21

`times = 1.1` instead of rates multiplies every token rate; with `geo = "us"`, only of inference bound to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from ccostdb.errors import BadSettings
from ccostdb.prices.names import CLAUSES
from ccostdb.prices.plan import FACTOR, OVERLAY, USER, Rate
from ccostdb.words import nearest

_MILLION = 1_000_000
_NUSD = 1_000_000_000
_AMOUNTS = {  # key: kind, and how many of the row's unit one of the key's is
    "input": ("input", _NUSD),
    "output": ("output", _NUSD),
    "cache_read": ("cache_read", _NUSD),
    "cache_write_5m": ("cache_write_5m", _NUSD),
    "cache_write_1h": ("cache_write_1h", _NUSD),
    "web_search_per_thousand": ("web_search", 1000 * _NUSD),
    "times": (FACTOR, _MILLION),
}
_WORDS = ("model", "provider", "speed", "geo", "source")
_KEYS = (*_WORDS, "match", *_AMOUNTS, "above_tokens", "valid_from", "valid_until", "checked")
_MOST = 1_000_000
_HINT = (
    'An entry is such as: model = "my-model", input = 3.00, output = 15.00, cache_read = 0.30 (USD per million tokens).'
)


def entry_rates(entry: Mapping[str, Any], origin: str, number: int, ordinal: int) -> list[Rate]:
    """The rows of the `number`-th entry. BadSettings, which names it, for one that cannot be used."""
    shown = entry.get("model") or entry.get("match") or "neither model nor match"
    place = f"{'prices.toml' if origin == OVERLAY else '[[price]]'} {number} ({shown})"
    for key in entry:
        if key not in _KEYS:
            raise BadSettings(f"{place} has an unknown key {key}.", nearest(key, _KEYS))
    try:
        return _rates(entry, origin, ordinal)
    except ValueError as error:
        raise BadSettings(f"{place}: {error}.", _HINT) from error


def check_entries(user_prices: Sequence[Mapping[str, Any]]) -> None:
    """Raises BadSettings, which names the entry, for the first of `[[price]]` that cannot be used."""
    for number, entry in enumerate(user_prices, 1):
        entry_rates(entry, USER, number, 0)


def _rates(entry: Mapping[str, Any], origin: str, ordinal: int) -> list[Rate]:
    words = {key: _word(entry, key) for key in _WORDS}
    clause = _clause(entry["match"]) if "match" in entry else {"equals": words["model"]}
    if ("match" in entry) == ("model" in entry):
        raise ValueError("it should have either model or match")
    amounts = [key for key in _AMOUNTS if key in entry]
    if not amounts or ("times" in amounts and len(amounts) > 1):
        raise ValueError("it should have rates, or times alone")
    if words["geo"] and "times" not in entry:
        raise ValueError("geo goes with times")
    valid_from_s, valid_to_s = _epoch_s(entry, "valid_from"), _epoch_s(entry, "valid_until")
    if valid_from_s is not None and valid_to_s is not None and valid_from_s >= valid_to_s:
        raise ValueError("valid_from should be before valid_until")
    match = json.dumps(clause)
    return [
        Rate(
            origin=origin,
            provider=words["provider"],
            model=words["model"] or match,
            match=match,
            kind=_AMOUNTS[key][0],
            variant=_variant(words["speed"], words["geo"]),
            above_tokens=_above(entry),
            valid_from_s=valid_from_s,
            valid_to_s=valid_to_s,
            nusd_per_million=_whole(entry, key),
            ordinal=ordinal,
            source_url=words["source"],
            checked_on=str(entry["checked"]) if "checked" in entry else None,
            note=None,
        )
        for key in amounts
    ]


def _word(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    if key in entry and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{key} should be a text, not {value!r}")
    return value


def _variant(speed: str | None, geo: str | None) -> str | None:
    if speed and geo:
        raise ValueError("speed and geo exclude each other")
    if speed == "standard":
        return None
    return f"speed={speed}" if speed else f"geo={geo}" if geo else None


def _above(entry: Mapping[str, Any]) -> int:
    value = entry.get("above_tokens", 0)
    if type(value) is not int or not 0 <= value < 1 << 32:
        raise ValueError(f"above_tokens should be a number of tokens, not {value!r}")
    if value and "times" in entry:
        raise ValueError("times holds for all tiers: leave above_tokens out")
    return value


def _whole(entry: Mapping[str, Any], key: str) -> int:
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{key} should be a number, not {value!r}")
    amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not amount.is_finite() or not 0 <= amount <= _MOST:
        raise ValueError(f"{key} should be between 0 and {_MOST:,}, not {value}")
    scaled = amount * _AMOUNTS[key][1]
    if scaled != int(scaled):
        raise ValueError(f"{key} has more decimals than can be kept: {value}")
    return int(scaled)


def _epoch_s(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{key} should be a date such as 2026-03-13, not {value!r}") from None
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    if value is not None:
        raise ValueError(f"{key} should be a date such as 2026-03-13, not {value!r}")
    return None


def _clause(clause: Any) -> dict[str, Any]:
    """The same clause, checked to its leaves."""
    if not isinstance(clause, dict) or len(clause) != 1:
        raise ValueError(f'match should be one clause such as {{ starts_with = "my-" }}, not {clause!r}')
    ((verb, operand),) = clause.items()
    if verb in ("or", "and"):
        if not isinstance(operand, list) or not operand:
            raise ValueError(f"{verb} should be a list of clauses, not {operand!r}")
        return {verb: [_clause(each) for each in operand]}
    if verb not in CLAUSES:
        raise ValueError(f"match knows no {verb!r}")
    if not isinstance(operand, str) or not operand:
        raise ValueError(f"{verb} should be a text, not {operand!r}")
    if verb == "regex":
        try:
            re.compile(operand)
        except re.error as error:
            raise ValueError(f"regex {operand!r} is none: {error}") from None
    return clause
