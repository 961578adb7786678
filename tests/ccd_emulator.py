"""A CCD to test against: its own HTTP server, whose `/events` sends what is told to whoever listens, once."""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

HEAD = "HTTP/1.1 {status} OK\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n"


class Ccd:
    """The server. `tell` sends to whoever is connected; `hang_up` ends their connections."""

    def __init__(self) -> None:
        self.status = 200
        self.content_type = "text/event-stream"
        self.requests: list[dict[str, str]] = []  # their headers in lower case, and the path under ""
        self.told: list[Mapping[str, Any]] = []
        self._listeners: list[queue.Queue[bytes | None]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.ccd = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.hang_up()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def tell(self, *events: Mapping[str, Any]) -> None:
        """Events as CCD sends them: id, family as the event's name, one line of data."""
        self.told += events
        self.send("".join(frame(event) for event in events).encode())

    def send(self, data: bytes) -> None:
        with self._lock:
            for each in self._listeners:
                each.put(data)

    def hang_up(self) -> None:
        with self._lock:
            for each in self._listeners:
                each.put(None)
            self._listeners.clear()

    def listen(self) -> queue.Queue[bytes | None]:
        with self._lock:
            self._listeners.append(queue.Queue())
            return self._listeners[-1]


class _Server(socketserver.ThreadingTCPServer):
    ccd: Ccd
    daemon_threads = True
    allow_reuse_address = True


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        ccd = self.server.ccd
        lines = list(iter(lambda: self.rfile.readline().decode().strip(), ""))
        if not lines:
            return
        headers = {name.lower(): text for name, text in (line.split(": ", 1) for line in lines[1:])}
        ccd.requests.append({**headers, "": lines[0].split()[1]})
        listening = ccd.listen() if ccd.status == 200 else None
        with suppress(OSError):
            self.wfile.write(HEAD.format(status=ccd.status, content_type=ccd.content_type).encode())
            while listening and (data := listening.get()) is not None:
                self.wfile.write(data)


def frame(event: Mapping[str, Any]) -> str:
    """One event on the wire."""
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return f"id: {event['event_id']}\nevent: {event.get('family')}\ndata: {data}\n\n"


@contextmanager
def emulated() -> Iterator[Ccd]:
    ccd = Ccd()
    try:
        yield ccd
    finally:
        ccd.close()


def event(number: int, **fields: Any) -> dict[str, Any]:
    """A heartbeat, as the real daemon sends it."""
    return {
        "event_id": f"01M7Y7J43PY0CY5G908G{number:06d}",
        "family": "runtime.status",
        "kind": "heartbeat_session",
        "profile": "main",
        "timestamp": f"2026-11-21T04:{number // 60 % 60:02d}:{number % 60:02d}.934390288Z",
        "runtime": {"operation": "heartbeat_session", "request_id": f"evt_{number}"},
        "payload": {"session_id": "ses_1", "actor_id": "worker-1", "current_activity": f"step {number}"},
        **fields,
    }
