"""CCO's analytics stream: what one of its frames means, and all that is known about the format; pure.

A frame is one SSE event `analytics` with one JSON document, of which two shapes exist: flat statistics, and
project, machine and activity (whose elements have six fields or eight). A field that is not what it should be
costs that field, never the frame; the element then keeps its own JSON. `cco_stream.py` reads the frames.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import partial
from typing import Any

from ccostdb.clock import parse_ns
from ccostdb.errors import Rejected
from ccostdb.frames import EXCERPT_BYTES
from ccostdb.model import Activity, Reject, Snapshot, SseEvent
from ccostdb.words import repeated

# Bounds of what is believed. SQLite refuses a sum beyond 2^63 - 1, so that a few absurd values would stop every report.
MAX_TOKENS = 10**9  # of one call: a thousand times the largest context
MAX_LATENCY_MS = 10**10  # of one call: four months
MAX_CALLS = 10**12  # of a counter: a thousand a second for thirty years
MAX_COST_USD = 10**4  # of one call, far beyond the dearest; nearly a million of these still add up
MAX_TOTAL_USD = 10**7  # of a counter; nine hundred gaps of this still add up
MAX_UPTIME_S = 10**10  # three centuries
MAX_ACTIVITIES = 1000  # CCO shows 20 of a ring of 100
MAX_NUMBER_CHARACTERS = 64  # a double is written with 25 at most
MAX_TEXT_CHARACTERS = 512
MAX_TYPE_CHARACTERS = 40
MAX_JSON_BYTES = 64 * 1024  # of one element, or of the models
_NANO = Decimal("1e-9")
_MONEY = Context(prec=28, rounding=ROUND_HALF_EVEN)


class _Number(str):
    """The text of a number as sent, NaN and Infinity too: money stays exact, and no value stops the frame."""

    __slots__ = ()


def parse(event: SseEvent, received_ns: int) -> Snapshot:
    """What one event says.

    Raises Rejected where no document of a known shape can be read, and for every event but `analytics`, of which
    nothing is read: CCO's `error` events need not even be JSON. A reason has no numbers that change: what comes
    again and again is one row.
    """
    if event.type != "analytics":
        raise Rejected(f'event "{repeated(event.type, MAX_TYPE_CHARACTERS)}"', _excerpt(event.data))
    try:
        body = json.loads(event.data, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        return _snapshot(body, received_ns)
    except RecursionError as error:
        raise Rejected("JSON that is nested too deeply", _excerpt(event.data)) from error
    except ValueError as error:
        raise Rejected("no readable JSON", _excerpt(event.data)) from error
    except Rejected as rejected:
        rejected.excerpt = _excerpt(event.data)
        raise


def _snapshot(body: object, received_ns: int) -> Snapshot:
    if not isinstance(body, dict):
        raise Rejected("the document is no object")
    if "activity" not in body and "project" not in body:
        return _flat_snapshot(body, received_ns)
    project, machine = _object(body.get("project")), _object(body.get("machine"))
    activity, rejects = _activities(body.get("activity"), received_ns)
    cost_text, cost_nusd = _money(project.get("cost"), MAX_TOTAL_USD) or (None, None)
    return Snapshot(
        received_ns=received_ns,
        last_updated_ns=_time_ns(project.get("last_updated")),
        uptime_s=_seconds(machine.get("uptime")),
        calls=_whole(project.get("calls"), MAX_CALLS),
        cost_text=cost_text,
        cost_nusd=cost_nusd,
        activity=activity,
        rejects=rejects,
    )


def _flat_snapshot(body: dict[str, Any], received_ns: int) -> Snapshot:
    """The oldest servers' statistics by model."""
    totals = body.get("totals")
    if not isinstance(totals, dict):
        raise Rejected("the document has neither activity nor totals")
    cost_text, cost_nusd = _money(totals.get("actual_cost"), MAX_TOTAL_USD) or (None, None)
    return Snapshot(
        received_ns=received_ns,
        last_updated_ns=None,
        uptime_s=None,
        calls=_whole(totals.get("requests"), MAX_CALLS),
        cost_text=cost_text,
        cost_nusd=cost_nusd,
        activity=None,
        models=_bounded(_json(body.get("models"))),
    )


def _activities(elements: object, received_ns: int) -> tuple[tuple[Activity, ...] | None, tuple[Reject, ...]]:
    """The activity list, and what in it is no activity. A missing list is unknown (None), not empty."""
    if elements is None:
        return None, ()
    if not isinstance(elements, list):
        return None, (Reject(received_ns, "activity is no list", _excerpt(_json(elements))),)
    if len(elements) > MAX_ACTIVITIES:
        raise Rejected(f"more than {MAX_ACTIVITIES} activities")
    rejects = tuple(
        Reject(received_ns, "an activity is no object", _excerpt(_json(element)))
        for element in elements
        if not isinstance(element, dict)
    )
    return tuple(_activity(element) for element in elements if isinstance(element, dict)), rejects


def _activity(element: dict[str, Any]) -> Activity:
    sent = {name: element.get(name) for name in _FIELDS}
    read = {name: read(sent[name]) for name, read in _FIELDS.items()}
    is_lost = any(read[name] is None for name, value in sent.items() if value is not None)
    is_more = not element.keys() <= _FIELDS.keys()
    cost_text, cost_nusd = read.pop("cost") or (None, None)
    return Activity(
        identity=_json(list(sent.values())),
        occurred_ns=_time_ns(element.get("timestamp")),
        cost_text=cost_text,
        cost_nusd=cost_nusd,
        raw=_bounded(_json(element)) if is_lost or is_more else None,
        **read,
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    if type(value) is not str or len(value) > MAX_TEXT_CHARACTERS:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no text that SQLite could keep
        return None
    return value


def _time_ns(value: object) -> int | None:
    """A time since 1970; an offset may lead before it, where quarter hours end."""
    text = _text(value)
    ns = None if text is None else parse_ns(text)
    return ns if ns is not None and ns >= 0 else None


def _decimal(value: object) -> Decimal | None:
    """A finite number of sane size, exactly."""
    if not isinstance(value, _Number) or len(value) > MAX_NUMBER_CHARACTERS:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < 19 else None


def _whole(value: object, most: int) -> int | None:
    """A count; `3.0` is 3, a negative one is impossible."""
    number = _decimal(value)
    if number is None or not 0 <= number <= most or number != number.to_integral_value():
        return None
    return int(number)


def _seconds(value: object) -> float | None:
    """Whole seconds, as CCO counts them."""
    number = _decimal(value)
    return float(int(number)) if number is not None and 0 <= number < MAX_UPTIME_S else None


def _money(value: object, most_usd: int) -> tuple[str, int] | None:
    """An amount in USD as sent, and in nano-USD, rounded half-even once; `-0.0` is 0, less is impossible."""
    number = _decimal(value)
    if number is None:
        return None
    nusd = int(number.quantize(_NANO, context=_MONEY).scaleb(9, context=_MONEY))
    return (str(value), nusd) if 0 <= nusd <= most_usd * 10**9 else None


_FIELDS: dict[str, Callable[[object], Any]] = {
    "timestamp": _text,
    "event_type": _text,
    "agent_name": _text,
    "model": _text,
    "tokens": partial(_whole, most=MAX_TOKENS),
    "latency_ms": partial(_whole, most=MAX_LATENCY_MS),
    "status": _text,
    "cost": partial(_money, most_usd=MAX_COST_USD),
}


def _json(value: object) -> str:
    """JSON with every number as it was sent, in ASCII, so that half a surrogate pair stays writable."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{json.dumps(key)}:{_json(one)}" for key, one in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_json(one) for one in value]) + "]"
    return json.dumps(value)


def _bounded(text: str) -> str:
    """JSON as it is, or its size and hash where nobody should keep it."""
    if len(text) <= MAX_JSON_BYTES:
        return text
    return json.dumps({"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()})


def _excerpt(text: str) -> str:
    """The first bytes, for `rejected`."""
    return text[:EXCERPT_BYTES].encode("utf-8", "replace")[:EXCERPT_BYTES].decode("utf-8", "ignore")
