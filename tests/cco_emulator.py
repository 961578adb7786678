"""A CCO to test against: its own HTTP server on a free loopback port, speaking `/api/stream` as the real one does.

A ring of 100 events of which 20 are shown, a clock for each subscriber whose first frame comes at once, totals that
are sums of doubles, and every fault that was seen or is feared. It keeps the truth: all that ever happened.
Its clock is a day behind ours and runs faster, so that its boots lie apart as real ones do.
"""

from __future__ import annotations

import json
import random
import socket
import socketserver
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

RING, SHOWN = 100, 20
CLOCK_SPEED = 100
COUNTED = ("api_call", "cache_hit")

Body = dict[str, Any]


@dataclass
class Manner:
    """How one connection behaves."""

    status: int = 200
    content_type: str = "text/event-stream"
    line_end: bytes = b"\n"
    chance: random.Random | None = None  # cuts what is sent anywhere
    is_gzip: bool = False
    is_silent: bool = False
    frames: int | None = None  # how many, then it ends
    end: str = "abort"  # without the last chunk, as CCO does; or "clean", "reset", "cut" (in the middle of a frame)
    before: bytes = b""  # sent ahead of the first frame


@dataclass
class Boot:
    """One process of the server."""

    booted_ns: int
    records: list[float] = field(default_factory=list)
    ring: deque[Body] = field(default_factory=lambda: deque(maxlen=RING))
    in_flight: list[Body] = field(default_factory=list)
    cost: float = 0.0
    is_ghost: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


class Emulator:
    """The server. Use as a context; `events` is the truth."""

    def __init__(self, tick_s: float = 0.05) -> None:
        self.tick_s = tick_s
        self.events: list[Body] = []
        self.manner: Callable[[int], Manner] = lambda _: Manner()
        self.mangle: Callable[[Body, int], Body | bytes] = lambda body, _: body
        self.pages: dict[bytes, Callable[[], bytes]] = {}  # other answers by path
        self.asked: list[bytes] = []  # paths other than the stream's
        self.connections = 0
        self.frames = 0
        self.is_closing = threading.Event()
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._zero_ns = time.time_ns() - 86_400_000_000_000
        self.boot = Boot(self.now_ns())
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.emulator = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Emulator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closing.set()
        self.boot.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def now_ns(self) -> int:
        return self._zero_ns + int((time.monotonic() - self._began_s) * CLOCK_SPEED * 1e9)

    # --- what happens at the server

    def call(
        self,
        event_type: str = "api_call",
        *,
        cost: float | None = 0.00525,
        is_in_flight: bool = False,
        **fields: Any,
    ) -> Body:
        """One event, and the record behind it. In flight, the record is there before its event."""
        event: Body = {
            "timestamp": rfc3339(self.now_ns()),
            "event_type": event_type,
            "agent_name": None,
            "model": "claude-opus-4",
            "tokens": 150,
            "latency_ms": 3,
            "status": "success",
            "cost": cost,
            **fields,
        }
        with self._lock:
            if not is_in_flight:
                self._land()
            if event_type in COUNTED:
                self.boot.records.append(cost or 0.0)
                self.boot.cost += cost or 0.0
            (self.boot.in_flight if is_in_flight else self.boot.ring).append(event)
            self.events.append(event)
        return event

    def hit(self, **fields: Any) -> Body:
        return self.call("cache_hit", cost=0.0, **fields)

    def override(self, **fields: Any) -> Body:
        return self.call("model_override", cost=None, tokens=None, latency_ms=None, **fields)

    def some(self, count: int, chance: random.Random, **fields: Any) -> None:
        """Events as they come: mostly calls of several models, some hits, some overrides."""
        for _ in range(count):
            kind = chance.random()
            if kind < 0.6:
                cost, model = chance.choice([(0.00525, "claude-opus-4"), (0.0010500000000000002, "claude-sonnet-4")])
                self.call(cost=cost, model=model, latency_ms=chance.randrange(3), **fields)
            elif kind < 0.85:
                self.hit(**fields)
            else:
                self.override(**fields)

    def land(self) -> None:
        """What was in flight has arrived."""
        with self._lock:
            self._land()

    def _land(self) -> None:
        self.boot.ring.extend(self.boot.in_flight)
        self.boot.in_flight.clear()

    def restart(self, *, restored: int | None = 0, is_ghost: bool = False) -> None:
        """A new process with an empty ring. `restored`: how many records it finds on disk; None: all.

        Subscribers of the old process are let go, or as its ghost are told its last totals for as long as they stay.
        """
        with self._lock:
            old = self.boot
            self.boot = Boot(self.now_ns(), records=old.records[:restored])
            for cost in self.boot.records:
                self.boot.cost += cost
            old.is_ghost = is_ghost
            old.ended.set()

    # --- what it sends

    def body(self, boot: Boot | None = None) -> Body:
        """The snapshot of this moment."""
        with self._lock:
            boot = boot or self.boot
            now_ns = self.now_ns()
            return {
                "project": {
                    "name": "Claude Orchestra",
                    "cost": boot.cost or -0.0,
                    "tokens": int(boot.cost),
                    "calls": len(boot.records),
                    "last_updated": rfc3339(now_ns),
                },
                "machine": {
                    "cpu": "N/A",
                    "memory": "N/A",
                    "uptime": max(0, now_ns - boot.booted_ns) // 1_000_000_000,
                    "process_count": 1,
                },
                "activity": list(boot.ring)[-SHOWN:],
                "chart_data": {"cost_over_time": [], "model_distribution": []},
            }

    def frame(self, boot: Boot, manner: Manner) -> bytes:
        """One frame as bytes, whole or mangled."""
        body = self.mangle(self.body(boot), self.frames)
        self.frames += 1
        raw = body if isinstance(body, bytes) else b"event: analytics\ndata: " + json.dumps(body).encode() + b"\n\n"
        return raw.replace(b"\n", manner.line_end)

    # --- the truth

    @property
    def calls(self) -> int:
        return sum(event["event_type"] in COUNTED for event in self.events)


def rfc3339(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 1_000_000_000:09d}+00:00"


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    emulator: Emulator


class _Handler(socketserver.StreamRequestHandler):
    """One connection."""

    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with suppress(OSError, IndexError):
            target = self.rfile.readline().split(b" ")[1]
            while self.rfile.readline().strip():
                pass
            if target == b"/api/stream":
                emulator = self.server.emulator
                number, emulator.connections = emulator.connections, emulator.connections + 1
                self._stream(emulator, emulator.manner(number))
            elif target in self.server.emulator.pages:
                self.server.emulator.asked.append(target)
                self._head("200 OK", "application/json", "connection: close")
                self.wfile.write(self.server.emulator.pages[target]())
            else:
                self.server.emulator.asked.append(target)
                self._head("404 Not Found", "text/plain")

    def _head(self, status: str, content_type: str, *more: str) -> None:
        lines = (f"HTTP/1.1 {status}", f"content-type: {content_type}", *more, "", "")
        self.wfile.write("\r\n".join(lines).encode())

    def _stream(self, emulator: Emulator, manner: Manner) -> None:
        if manner.status != 200:
            location = f"location: {emulator.url}/elsewhere"
            self._head(f"{manner.status} No", manner.content_type, "content-length: 0", location)
            return
        coding = ("content-encoding: gzip",) if manner.is_gzip else ()
        self._head("200 OK", manner.content_type, "transfer-encoding: chunked", *coding)
        packer = zlib.compressobj(wbits=31) if manner.is_gzip else None
        boot, sent = emulator.boot, 0
        pending = manner.before
        while not manner.is_silent and sent != manner.frames:
            raw = pending + emulator.frame(boot, manner)
            pending = b""
            sent += 1
            if manner.end == "cut" and sent == manner.frames:
                raw = raw[: len(raw) // 2]
            if packer:
                raw = packer.compress(raw) + packer.flush(zlib.Z_SYNC_FLUSH)
            for piece in _pieces(raw, manner.chance):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if (boot.ended.wait(emulator.tick_s) and not boot.is_ghost) or emulator.is_closing.is_set():
                break
            if boot.is_ghost:  # for as long as the subscriber stays
                emulator.is_closing.wait(emulator.tick_s)
        if manner.is_silent:
            boot.ended.wait()
        if manner.end == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif manner.end == "clean":
            self.wfile.write(b"0\r\n\r\n")


def _pieces(raw: bytes, chance: random.Random | None) -> Iterator[bytes]:
    if chance is None:
        yield raw
        return
    while raw:
        size = chance.choice((1, 2, 7, 100, 5000))
        yield raw[:size]
        raw = raw[size:]
