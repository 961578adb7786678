"""A simulated CCO: a small HTTP server on loopback whose `/api/stream` speaks as the real one's does.

Its time goes on only while somebody looks, some events a frame, so that no machine is too slow to see them all.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from ccostdb.demo.traffic import SECOND_NS, Event, rfc3339

RING, SHOWN = 100, 20
TICK_S = 0.025  # a real CCO's is 5 s
MOST_A_FRAME = 8  # two frames that nobody read are no loss: the third shows the last 20 events
PROJECT = "Claude Orchestra"
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"access-control-allow-origin: *\r\ntransfer-encoding: chunked\r\n\r\n"
)
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class SimulatedCco:
    """The server, with all that will happen at it."""

    def __init__(self, traffic: Sequence[Event]) -> None:
        self.calls = 0
        self._traffic = traffic
        self._pace = random.Random(len(traffic))
        self._happened = 0
        self._booted_ns = self._now_ns = traffic[0].at_ns - SECOND_NS
        self._ring: deque[dict[str, Any]] = deque(maxlen=RING)
        self._cost_usd = -0.0  # the server's own idle money
        self._model_costs: Counter[str] = Counter()
        self._overrides = 0
        self._subscribers: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Answers on a free port as long as the context is open; gives the server's URL."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for subscriber in self._subscribers:
                subscriber.cancel()
            await asyncio.gather(*self._subscribers, return_exceptions=True)

    def happen(self) -> None:
        """The next few events, if there are more."""
        until = self._happened + self._pace.randint(1, MOST_A_FRAME)
        for event in self._traffic[self._happened : until]:
            self._happened += 1
            self._now_ns = event.at_ns
            self._ring.append(event.activity)
            if event.is_call:
                self.calls += 1
                self._cost_usd += event.activity["cost"]
                self._model_costs[event.activity["model"]] += event.activity["cost"]
            else:
                self._overrides += 1

    def snapshot(self) -> dict[str, Any]:
        """What one frame says."""
        return {
            "project": {
                "name": PROJECT,
                "cost": self._cost_usd,
                "tokens": int(self._cost_usd),  # dollars: so does CCO
                "calls": self.calls,
                "last_updated": rfc3339(self._now_ns),
            },
            "machine": {
                "cpu": "N/A",
                "memory": "N/A",
                "uptime": (self._now_ns - self._booted_ns) // SECOND_NS,
                "process_count": max(1, self._overrides // 10),
            },
            "activity": list(self._ring)[-SHOWN:],
            "chart_data": self._chart_data(),
        }

    def _chart_data(self) -> dict[str, Any]:
        """CCO's own invention: the same cost on each of thirty days."""
        today = datetime.fromtimestamp(self._now_ns // SECOND_NS, UTC).date()
        days = [str(today - timedelta(days=ago)) for ago in reversed(range(30))]
        total = self._cost_usd or 1.0
        return {
            "cost_over_time": [{"date": day, "cost": self._cost_usd / 30} for day in days],
            "cost_by_project": [{"project": PROJECT, "cost": self._cost_usd}],
            "model_distribution": [
                {"model": model, "percentage": cost / total * 100} for model, cost in self._model_costs.items()
            ],
        }

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._subscribers.add(task)
        unusual = asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError
        with suppress(*unusual, asyncio.CancelledError):  # cancelled only by `serving`
            request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"GET /api/stream HTTP/"):
                await self._stream(writer)
            else:
                writer.write(_NOT_FOUND)
                await writer.drain()
        writer.close()
        self._subscribers.discard(task)

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        """A frame at once, then one each tick, until the subscriber leaves."""
        writer.write(_HEAD)
        while True:
            frame = b"event: analytics\ndata: %b\n\n" % json.dumps(self.snapshot(), separators=(",", ":")).encode()
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            await writer.drain()
            await asyncio.sleep(TICK_S)
            self.happen()
