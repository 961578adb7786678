"""CCA's HTTP API: which endpoints are asked, what their answers mean, and all that is known about them; pure.

CCA pushes nothing and tells no cost: its answers are states, which are samples. Many of its failures are a 200 whose
body says `error` or `success: false`. What differs between two answers without anything having happened:
- Lists come from hash maps, in any order.
- `current_task` of /activity is another random id in each answer of a CCA with Redis; only that there is one is a fact.
- `uptime_secs` of /status counts for itself.
All else is compared as it is: `last_activity` moves only when an agent did something, and the counters of /rl/stats,
/tokens/metrics, /redis/status and /postgres/status only when something was counted. `/metrics` is not asked: its
numbers are never set.
"""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime

from ccostdb.json_object import object_of
from ccostdb.model import Sample
from ccostdb.sources import samples
from ccostdb.sources.polling import Answer
from ccostdb.sources.samples import Manner

HEALTH = "/health"  # the only one that needs no key
USUAL_URLS = ("http://127.0.0.1:8580", "http://127.0.0.1:9200")  # of the code, and of the documents and older versions
KEY_HEADER = "X-API-Key"
UNAUTHORIZED = (401, 403)
NOT_FOUND = 404
TOO_MANY = 429
MAX_RETRY_S = 3600.0

_UPTIMES = ("uptime", "uptime_secs", "uptime_seconds")
# A task's output is what a model wrote, and its description what a person did, whatever a version calls them.
_CONTENT = ("output", "result", "description", "prompt", "input", "content")
_PLAIN = Manner(_CONTENT, _UPTIMES)
_ACTIVITY = Manner(_CONTENT, _UPTIMES, presence=("current_task",))
_STATE = Manner(_CONTENT, _UPTIMES, is_state=True)
_PATHS = {
    HEALTH: _PLAIN,
    "/api/v1/status": _PLAIN,
    "/api/v1/agents": _PLAIN,
    "/api/v1/activity": _ACTIVITY,
    "/api/v1/acp/status": _PLAIN,
    "/api/v1/tasks": _PLAIN,
    "/api/v1/workloads": _PLAIN,
    "/api/v1/tokens/metrics": _PLAIN,
    "/api/v1/tokens/recommendations": _PLAIN,
    "/api/v1/rl/stats": _PLAIN,
    "/api/v1/redis/status": _STATE,
    "/api/v1/postgres/status": _STATE,
}
ENDPOINTS = tuple(_PATHS)


def parse(
    endpoint: str, status: int, raw: bytes | None, polled_ns: int, max_bytes: int, *, api_key: str | None = None
) -> Sample:
    """The sample of one answer. Raises Rejected for a 200 that brings no JSON object, or too much."""
    manner = _PATHS[endpoint]
    return samples.parse(endpoint, status, raw, polled_ns, manner=manner, max_bytes=max_bytes, secret=api_key)


def meaning(endpoint: str, body: str | None, error: str | None) -> bytes:
    """A hash that two answers of an endpoint share when nothing happened between them."""
    return samples.meaning(body, error, _PATHS.get(endpoint, _PLAIN))


def is_health(answer: Answer) -> bool:
    """Whether this is how CCA answers /health; other servers have one, too."""
    body = object_of(answer.raw or b"") or {}
    services = body.get("services")
    has_services = isinstance(services, dict) and all(type(services.get(name)) is bool for name in _SERVICES)
    return answer.status == samples.OK and has_services and body.get("status") in ("healthy", "degraded")


_SERVICES = ("redis", "postgres", "acp")


def retry_after_s(answer: Answer, now_s: float | None = None) -> float | None:
    """How long a 429 asks to wait, of its header (seconds, or a date) or else of its body; None for other answers."""
    if answer.status != TOO_MANY:
        return None
    seconds = _seconds(answer.retry_after)
    if seconds is None and answer.retry_after:
        try:
            seconds = parsedate_to_datetime(answer.retry_after).timestamp() - (now_s or time.time())
        except (ValueError, OverflowError):
            seconds = None
    if seconds is None:
        seconds = _seconds((object_of(answer.raw or b"") or {}).get("retry_after_seconds"))
    return min(max(1.0 if seconds is None else seconds, 0.1), MAX_RETRY_S)


def _seconds(value: object) -> float | None:
    try:
        seconds = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
