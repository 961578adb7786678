"""An event stream that is followed for ever: connections, silence, backoff. What its events mean is not here.

A connection is closed and opened again when it has lived as long as its `Pace` says, which the reader of the
events may change at any time. Without a pace it is kept: then whatever is sent, comments too, shows that it lives.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

import httpx

from ccostdb.errors import Rejected
from ccostdb.frames import SseFramer
from ccostdb.model import SseEvent
from ccostdb.settings import Settings
from ccostdb.sources.http_client import body_of, client
from ccostdb.words import repeated

CONTENT_TYPE = "text/event-stream"
HEADERS = {"Accept": CONTENT_TYPE, "Cache-Control": "no-store"}
PROBE_S = 2.0
MAX_ID_CHARACTERS = 1000  # of a last event id that is sent back
WAITING_S = 0.01  # a frame that comes sooner had come already: a backlog is read before its connection is closed


@dataclass(slots=True)
class Pace:
    """How long a connection may live: seconds from one opening to the next."""

    reopen_s: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The server answers with an event stream."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection has ended or was never made. `is_error`: what answered was no event stream.

    `reason` is fit for a terminal, also where it repeats what a server said.
    """

    reason: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Received:
    """One event, or what was too big to be one, and when it came."""

    at_ns: int
    frame: SseEvent | Rejected


@dataclass(frozen=True, slots=True)
class Alive:
    """A kept connection brought something that completes no event, such as a comment."""


Item = Connected | Disconnected | Received | Alive
Headers = Iterable[tuple[str, str]]


class Backoff:
    """Waits with full jitter: 0 to a limit that doubles with each failure, at least a server's `retry`."""

    def __init__(self, initial_s: float, max_s: float) -> None:
        self.floor_s = 0.0
        self._max_s = max_s
        self._initial_s = min(initial_s, max_s)
        self._limit_s = self._initial_s

    def next_s(self) -> float:
        """How long to wait now."""
        wait_s = max(random.uniform(0, self._limit_s), self.floor_s)
        self._limit_s = min(self._limit_s * 2, self._max_s)
        return min(wait_s, self._max_s)

    def reset(self) -> None:
        """After a success."""
        self._limit_s = self._initial_s


async def is_event_stream(url: str, headers: Headers = ()) -> bool:
    """Whether an event stream answers there, and soon."""
    try:
        async with (
            asyncio.timeout(PROBE_S),
            client(url, PROBE_S, HEADERS, dict(headers)) as asking,
            asking.stream("GET", url) as response,
        ):
            return _complaint(response) is None
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
        return False


async def read_stream(
    url: str, settings: Settings, pace: Pace | None, headers: Headers = ()
) -> AsyncGenerator[Item, None]:
    """The events of `url` and the fate of its connections, for ever. `headers` are sent along with every request.

    What is short-lived and brings no event is a failure, whatever else it says: the next attempt waits longer.
    """
    now_s = asyncio.get_running_loop().time
    backoff = Backoff(settings.reconnect_initial_s, settings.reconnect_max_s)
    async with client(url, settings.stream_dead_after_s, HEADERS, dict(headers)) as asking:
        while True:
            framer = SseFramer(settings.frame_max_bytes)
            is_lost, proven_s = False, now_s() + settings.reconnect_max_s
            async with aclosing(_read_connection(asking, url, framer, settings, pace)) as items:
                async for item in items:
                    is_event = isinstance(item, Received) and isinstance(item.frame, SseEvent)
                    if is_event or (isinstance(item, Alive) and now_s() >= proven_s):
                        backoff.reset()
                    is_lost = isinstance(item, Disconnected)
                    yield item
            if framer.retry_ms is not None:
                backoff.floor_s = framer.retry_ms / 1000
            if _is_sendable(framer.last_event_id):
                asking.headers["Last-Event-ID"] = framer.last_event_id
            if is_lost:
                await asyncio.sleep(backoff.next_s())


class _Life:
    """How long one connection may go on, by the clock of the running loop."""

    def __init__(self, settings: Settings, pace: Pace | None) -> None:
        self._now_s = asyncio.get_running_loop().time
        self._settings, self._pace = settings, pace
        self._opened_s = self._heard_s = self._now_s()
        self._is_heard = False  # a server that takes longer than the pace to say a first thing is left the time

    def hear(self, *, is_frame: bool = False) -> None:
        """Something came now."""
        self._is_heard |= is_frame
        self._heard_s = self._now_s()

    def due_s(self) -> float:
        """When what comes next is waited for no longer."""
        dead_s = self._heard_s + self._settings.stream_dead_after_s
        if self._pace is None or not self._is_heard:
            return dead_s
        last_s = self._opened_s + self._settings.stream_reopen_s
        return min(dead_s, last_s, max(self._opened_s + self._pace.reopen_s, self._now_s() + WAITING_S))

    def is_full(self) -> bool:
        """Whether a connection that is due has lived as long as it may; else it is silent."""
        return self._is_heard and self._now_s() < self._heard_s + self._settings.stream_dead_after_s


async def _read_connection(
    asking: httpx.AsyncClient, url: str, framer: SseFramer, settings: Settings, pace: Pace | None
) -> AsyncGenerator[Item, None]:
    """One connection. Its last item is Disconnected, unless it has lived as long as it may.

    A backlog is read before it is closed, but no longer than the longest life: it may be one that never ends.
    """
    life = _Life(settings, pace)
    lost = Disconnected("the server ended the stream")
    try:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(settings.stream_dead_after_s):  # httpx bounds each read, not all of the head
                response = await stack.enter_async_context(asking.stream("GET", url))
            if (complaint := _complaint(response)) is not None:
                yield Disconnected(complaint, is_error=True)
                return
            yield Connected()
            chunks = body_of(response)
            while True:
                async with asyncio.timeout_at(life.due_s()):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                found = framer.feed(chunk)
                if pace is None and not found:
                    yield Alive()
                    life.hear()
                for frame in found:
                    yield Received(time.time_ns(), frame)
                    life.hear(is_frame=True)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        pass  # how most servers end a stream
    except (TimeoutError, httpx.ReadTimeout):
        if life.is_full():
            return
        lost = Disconnected(f"silent for {settings.stream_dead_after_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        lost = Disconnected(repeated(str(error)) or type(error).__name__)
    yield lost


def _is_sendable(event_id: str) -> bool:
    """Whether a header can carry it. There is none where the stream sends no ids."""
    is_text = event_id.isascii() and event_id.isprintable() and event_id == event_id.strip()
    return is_text and 0 < len(event_id) <= MAX_ID_CHARACTERS


def _complaint(response: httpx.Response) -> str | None:
    """Why an answer is no event stream; None if it is one."""
    content_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code != httpx.codes.OK:
        return f"the answer is HTTP {response.status_code}"
    if content_type != CONTENT_TYPE:
        return f"the answer is {repeated(content_type, 80) or 'of no type'}, not {CONTENT_TYPE}"
    return None
