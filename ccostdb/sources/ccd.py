"""CCD's daemon events: what one of them means, and all that is known about the format; pure.

An event is one JSON object `{event_id, family, kind, profile, timestamp, runtime, payload}`, the data of an SSE event
of any name or a line of NDJSON. Four families and nine kinds are known; others are kept alike. Its `event_id` alone
says which event it is. `runtime` and `payload` may be any JSON; a payload can grow to megabytes, so they are bounded.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from ccostdb.clock import parse_ns
from ccostdb.errors import Rejected
from ccostdb.model import DaemonEvent, Reject
from ccostdb.settings import Settings
from ccostdb.sources.http_client import server_address
from ccostdb.sources.json_bounds import MAX_TEXT_CHARACTERS, kept_json, kept_text, read_json, sha256_of
from ccostdb.words import repeated

MAX_EVENT_BYTES = 4 * 1024 * 1024  # many small members of one take thirty times that, and seconds to understand
CHOOSING = ("family", "profile")  # of an address's query: which events the stream sends; another choice, another source
CONFLICT = "other content under a known event_id: the first stays"


def parse(text: str, received_ns: int, settings: Settings) -> DaemonEvent:
    """What one text says. Raises Rejected, whose excerpt holds nothing of `runtime` or `payload`."""
    event = read_json(text)
    if not isinstance(event, dict):
        raise Rejected("JSON that is no object")
    event_id, family, kind = (_name(event, field) for field in ("event_id", "family", "kind"))
    timestamp = event.get("timestamp")
    try:
        runtime, is_runtime_cut = _kept(event, "runtime", settings)
        payload, is_payload_cut = _kept(event, "payload", settings)
        content_sha256 = sha256_of(event)
    except RecursionError as error:
        raise Rejected("JSON that is nested too deeply", _excerpt(event)) from error
    return DaemonEvent(
        event_id=event_id,
        family=family,
        kind=kind,
        profile=_text(event.get("profile")),
        timestamp=_text(timestamp),
        occurred_ns=parse_ns(timestamp) if isinstance(timestamp, str) else None,
        received_ns=received_ns,
        runtime=runtime,
        payload=payload,
        is_shortened=is_runtime_cut or is_payload_cut,
        content_sha256=content_sha256,
    )


def conflict(event: DaemonEvent) -> Reject:
    """Says of an event that its id is another's. The same content again is the same row."""
    what = f"{event.event_id}: {event.family} {event.kind}, SHA-256 {event.content_sha256.hex()[:16]}"
    return Reject(event.received_ns, CONFLICT, repeated(what, 3 * MAX_TEXT_CHARACTERS))


def _kept(event: dict[str, Any], field: str, settings: Settings) -> tuple[str | None, bool]:
    if field not in event:
        return None, False
    return kept_json(event[field], settings.payload_max_bytes, is_always_short=settings.payload_texts == "always")


def _name(event: dict[str, Any], field: str) -> str:
    """A text that an event must have."""
    value = event.get(field)
    if value is None or value == "":
        raise Rejected(f"an event without {field}", _excerpt(event))
    if not isinstance(value, str):
        raise Rejected(f"an event whose {field} is no text", _excerpt(event))
    if len(value) > MAX_TEXT_CHARACTERS:
        raise Rejected(f"an event whose {field} is over {MAX_TEXT_CHARACTERS} characters", _excerpt(event))
    return kept_text(value)


def _text(value: object) -> str | None:
    """A text as sent; other JSON, where it should be one, as its own text. None: not sent."""
    if value is None:
        return None
    return kept_text(value if isinstance(value, str) else json.dumps(value))


def _excerpt(event: dict[str, Any]) -> str | None:
    """What sort of event it is: what comes again and again is one row. None: it does not say."""
    said = [event[field] for field in ("family", "kind") if isinstance(event.get(field), str)]
    return " ".join(repeated(each, 40) for each in said) or None


def address_of(url: str) -> str:
    """The server, its path, and what of the query chooses events. Whatever else stands in a query may be a key."""
    chosen = sorted((name, value) for name, value in parse_qsl(urlsplit(url).query) if name in CHOOSING)
    return server_address(url) + (f"?{urlencode(chosen)}" if chosen else "")
