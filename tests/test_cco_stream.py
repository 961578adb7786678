"""Where CCO's stream is found, and how long one waits for it."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from ccd_emulator import Ccd, emulated, event, frame
from cco_emulator import Emulator, Manner

from ccostdb.settings import Settings
from ccostdb.sources.cco_stream import find_url
from ccostdb.sources.http_client import server_address
from ccostdb.sources.sse import Backoff, Disconnected, Pace, is_event_stream, read_stream


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://localhost:3000"),
        ("http://LOCALHOST", "http://localhost"),
        ("https://cco.example/team", "https://cco.example/team"),
        ("http://127.0.0.10:3000", "http://127.0.0.10:3000"),
        ("http://[fe80::1]:3000", "http://[fe80::1]:3000"),
    ],
)
def test_a_server_has_one_name(url: str, address: str) -> None:
    assert server_address(url) == address


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that point to nobody, in a home of its own, with proxies that must not be asked."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr("ccostdb.sources.cco_stream.USUAL_URL", "http://127.0.0.1:9")  # one may run here
    return Settings(db=tmp_path / "ledger.db", cco_url="http://127.0.0.1:9")


def test_a_server_is_found_at_the_address_that_is_set(nobody: Settings) -> None:
    with Emulator() as emulator:
        assert asyncio.run(find_url(Settings(db=nobody.db, cco_url=emulator.url))) == emulator.url
        assert asyncio.run(find_url(nobody)) is None


@pytest.mark.parametrize("name", [".cco/daemon.pid", "data/cco/pids/cco-1.pid"])
def test_a_server_is_found_through_its_pid_file(name: str, nobody: Settings, tmp_path: Path) -> None:
    with Emulator() as emulator:
        pid_file = tmp_path / name
        pid_file.parent.mkdir(parents=True)
        pid_file.write_text(
            json.dumps({"pid": 7, "port": int(emulator.url.rpartition(":")[2]), "version": "2025.11.4"})
        )
        assert asyncio.run(find_url(nobody)) == emulator.url


@pytest.mark.parametrize(
    "content", [b"", b"7", b"{}", b'{"port": "80"}', b'{"port": true}', b'{"port": 70000}', b"\xff"]
)
def test_a_pid_file_that_says_nothing_is_passed_over(content: bytes, nobody: Settings, tmp_path: Path) -> None:
    (tmp_path / ".cco").mkdir()
    (tmp_path / ".cco" / "daemon.pid").write_bytes(content)
    assert asyncio.run(find_url(nobody)) is None


@pytest.mark.parametrize("manner", [Manner(status=404), Manner(content_type="text/html")], ids=["404", "a web page"])
def test_what_answers_otherwise_is_no_cco(manner: Manner, nobody: Settings) -> None:
    with Emulator() as emulator:
        emulator.manner = lambda _: manner
        assert asyncio.run(find_url(Settings(db=nobody.db, cco_url=emulator.url))) is None


@pytest.mark.parametrize("url", ["http://ä..b", "http://1.2.3.999"])
def test_an_address_that_nobody_can_have_is_a_connection_that_fails(url: str, nobody: Settings) -> None:
    async def first() -> object:
        async with aclosing(read_stream(url, nobody, Pace(30.0))) as items:
            return await anext(items)

    assert not asyncio.run(is_event_stream(url))
    assert isinstance(asyncio.run(first()), Disconnected)


# --- how long one waits


def test_the_wait_grows_with_full_jitter_up_to_its_limit() -> None:
    backoff = Backoff(0.25, 30.0)
    limits = [min(0.25 * 2.0**failures, 30.0) for failures in range(1000)]
    waits = [backoff.next_s() for _ in limits]
    assert all(0 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert min(waits[7:]) < 3 < 27 < max(waits)
    backoff.reset()
    assert backoff.next_s() <= 0.25


def test_the_smaller_bound_holds() -> None:
    backoff = Backoff(9.0, 0.5)
    assert max(backoff.next_s() for _ in range(100)) <= 0.5


def test_a_servers_retry_is_the_floor_but_not_above_the_limit() -> None:
    backoff = Backoff(0.25, 30.0)
    backoff.floor_s = 2.0
    assert min(backoff.next_s() for _ in range(100)) == 2.0
    backoff.floor_s = 1e9
    assert backoff.next_s() == 30.0


@pytest.mark.parametrize(
    ("sent", "life_s", "limits"),
    [
        (b":\n\n", 0.0, [0.01, 0.02, 0.04, 0.08]),
        (b":\n\n", 0.1, [0.01] * 4),
        (frame(event(1)).encode(), 0.0, [0.01] * 4),
    ],
    ids=["a comment", "a comment after a while", "an event"],
)
def test_the_wait_grows_while_connections_end_early_and_bring_no_event(
    sent: bytes, life_s: float, limits: list[float], nobody: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda _, limit: asked.append(limit) or 0.0)
    settings = replace(nobody, reconnect_initial_s=0.01, reconnect_max_s=0.05 if life_s else 60.0)

    def end_each(ccd: Ccd) -> None:
        for _ in range(5):
            while not ccd.listeners:
                threading.Event().wait(0.002)
            threading.Event().wait(life_s)
            ccd.send(sent)
            ccd.hang_up()

    async def follow() -> None:
        with emulated() as ccd:
            ending = asyncio.create_task(asyncio.to_thread(end_each, ccd))
            async with aclosing(read_stream(ccd.url, settings, None)) as items:
                async for item in items:
                    if isinstance(item, Disconnected) and len(asked) == 4:
                        break
            await ending

    asyncio.run(follow())
    assert asked == limits
