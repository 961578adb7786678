"""GET /health and /metrics: one ASGI function in a thread of its own, which answers at once from the last snapshot.

A page in a browser can learn nothing here: the Host must be ours, and no other origin may read an answer.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from uvicorn.protocols.http.h11_impl import H11Protocol

from ccostdb.health.metrics import CONTENT_TYPE, metrics_text
from ccostdb.health.vitals import Vitals, health_json, highest_run_id, watching
from ccostdb.logs import hidden, secrets_of
from ccostdb.loopback import STOP_S, QuietServer, is_loopback, listen, target
from ccostdb.settings import Settings

LOOK_S = 1.0  # between two looks at the ledger
PATIENCE_S = 5.0  # the longest life of a connection: it is asked one thing, and the answer is there
MOST_CONNECTIONS = 64
MOST_HEAD_BYTES = 16 * 1024
PATHS = ("/health", "/metrics")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::[0-9]{1,5})?")

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]


class Endpoint:
    """Answers at `url` from `start()` to `stop()`. Start it before the sources: runs that are there are not ours.

    `trouble`, set from any thread: what keeps the process from recording, such as a full disk; None: nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self.trouble: str | None = None
        self._settings = settings
        self._secrets = secrets_of(settings)
        self._host = settings.health_host
        self._port = settings.health_port
        self._began_s = time.monotonic()
        self._vitals = Vitals()
        self._after_run_id = 0
        self._named = {f"[{name}]" if ":" in name else name for name in settings.health_hosts}  # at any port

    @property
    def url(self) -> str:
        """Where this machine reaches it, without a path."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    def start(self) -> None:
        """Takes the port and answers. Raises CcostError where it cannot be had."""
        hint = "Choose others with --health-host HOST and --health-port PORT; port 0: none."
        listener = listen(self._host, self._port, hint)
        self._port = listener.getsockname()[1]
        self._after_run_id = highest_run_id(self._settings.db)
        bounds: dict[str, Any] = {"http": _Connection, "h11_max_incomplete_event_size": MOST_HEAD_BYTES}
        self._server = QuietServer(self._answer, lifespan="off", **bounds)
        self._thread = Thread(target=lambda: asyncio.run(self._serve(listener)), name="endpoint", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it, and whoever still waits for an answer."""
        self._server.should_exit = True
        self._thread.join(STOP_S)

    async def _serve(self, listener: socket.socket) -> None:
        looking = asyncio.create_task(self._keep_looking())
        try:
            await self._server.serve(sockets=[listener])
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    # --- the snapshot ---

    async def _keep_looking(self) -> None:
        """Keeps the snapshot fresh. A ledger that cannot be read is tried again; one that is not there yet will be."""
        while True:
            try:
                async with watching(self._settings, self._after_run_id) as watch:
                    while True:
                        self._vitals = await watch.look(self._uptime_s())
                        await asyncio.sleep(LOOK_S)
            except sqlite3.Error as error:
                if self._vitals.is_read:  # else it is being made
                    self._fail(f"the ledger cannot be read: {error}")
            except Exception as error:  # a bug; what was seen last must not be shown for ever
                self._fail(f"the ledger cannot be understood: {error!r}", is_bug=True)
            await asyncio.sleep(LOOK_S)

    def _fail(self, trouble: str, *, is_bug: bool = False) -> None:
        """Turns red until a look succeeds; said once in the log."""
        if trouble != self._vitals.trouble:
            log.error("%s", trouble, exc_info=is_bug)
        self._vitals = replace(self._vitals, trouble=trouble)

    def _uptime_s(self) -> float:
        return time.monotonic() - self._began_s

    def _now(self) -> Vitals:
        """The last snapshot, with what can be said without the ledger as it is now."""
        last, trouble = self._vitals, self.trouble
        sources = [
            replace(each, state="paused" if trouble and each.state != "ended" else each.state) for each in last.sources
        ]
        trouble = hidden(trouble, self._secrets) if trouble else last.trouble
        return replace(last, uptime_s=self._uptime_s(), trouble=trouble, sources=sources)

    # --- the answer ---

    async def _answer(
        self, scope: MutableMapping[str, Any], _: Any, send: Callable[[Message], Awaitable[None]]
    ) -> None:
        status, kind, body = self._reply(scope)
        headers = {
            "content-type": kind,
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "connection": "close",
        } | ({"allow": "GET, HEAD"} if status == 405 else {})
        listed = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": listed})
        await send({"type": "http.response.body", "body": body})

    def _reply(self, scope: MutableMapping[str, Any]) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        host, path = target(scope)
        plain = "text/plain; charset=utf-8"
        if not self._is_ours(host):
            return 421, plain, b"This host is not served here. Names that are: health_hosts in the settings.\n"
        if path not in PATHS:
            return 404, plain, b"There are /health and /metrics.\n"
        if scope["method"] not in ("GET", "HEAD"):
            return 405, plain, b"GET and HEAD are answered.\n"
        vitals = self._now()
        if path == "/metrics":
            return 200, CONTENT_TYPE, metrics_text(vitals)
        return 200 if vitals.is_healthy else 503, "application/json", health_json(vitals)

    def _is_ours(self, host: str) -> bool:
        if is_loopback(host, self._port) or host == urlsplit(self.url).netloc.lower():
            return True
        found = _HOST.fullmatch(host)
        return found is not None and found[1] in self._named


class _Connection(H11Protocol):
    """One that is not done in time is dropped, whatever it waits for: uvicorn itself waits for ever for a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(PATIENCE_S, transport.abort)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)
