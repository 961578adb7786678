"""A CCA to test against: its own HTTP server on a free loopback port, which answers as the captures say.

Every answer may be replaced, delayed or broken; every request is remembered with its headers.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CAPTURES = Path(__file__).parent / "data" / "cca"
KEYLESS = ("/health", "/api/v1/health")
UNAUTHORIZED = b"Unauthorized: valid API key required"


@dataclass
class Reply:
    """One answer, and how it is given."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    is_silent: bool = False  # takes the request and says nothing
    is_endless: bool = False  # a body that goes on for as long as it is read
    is_cut: bool = False  # ends before its length


def reply(value: Any, status: int = 200, **headers: str) -> Reply:
    """An answer in JSON."""
    return Reply(json.dumps(value).encode(), status, headers)


def captured(name: str) -> dict[str, bytes]:
    """The bodies of one capture by path."""
    found = {}
    for path in (CAPTURES / name).glob("*.http"):
        head, _, body = path.read_bytes().partition(b"\n\n")
        found[head.split()[1].decode()] = body.strip()
    return found


class Emulator:
    """The server. Use as a context. `replies` are what each path answers; another path is a 404 with no body."""

    def __init__(self, capture: str = "auth-active", api_key: str | None = None, port: int = 0) -> None:
        self.replies = {path: Reply(body) for path, body in captured(capture).items()}
        self.api_key = api_key
        self.refusals: list[Reply] = []  # given first, whatever is asked
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.most_at_once = 0
        self.is_closing = threading.Event()
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.emulator = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Emulator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]

    def answer(self, path: str, headers: dict[str, str]) -> Reply:
        """What this request is told."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.requests.append((path, headers))
            if self.refusals:
                return self.refusals.pop(0)
        if self.api_key is not None and path not in KEYLESS and headers.get("x-api-key") != self.api_key:
            return Reply(UNAUTHORIZED, 401, {"content-type": "text/plain", "www-authenticate": "Bearer, ApiKey"})
        return self.replies.get(path, Reply(status=404))

    def answered(self) -> None:
        with self._lock:
            self._at_once -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    emulator: Emulator


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        emulator = self.server.emulator
        given = emulator.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
        try:
            with suppress(OSError):
                self._give(given, emulator)
        finally:
            emulator.answered()

    def _give(self, given: Reply, emulator: Emulator) -> None:
        if given.is_silent:
            emulator.is_closing.wait(20)
            self.close_connection = True
            return
        self.send_response(given.status)
        length = 2**40 if given.is_endless else len(given.body) + 100 * given.is_cut
        for name, value in {"content-type": "application/json", **given.headers, "content-length": length}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(given.body)
        while given.is_endless and not emulator.is_closing.is_set():
            self.wfile.write(b" " * 65536)
            time.sleep(0.001)
        self.close_connection = self.close_connection or given.is_cut

    def log_message(self, *_: object) -> None:
        pass
