"""Waiting that ends when the process is told to."""

from __future__ import annotations

import asyncio

import pytest

from ccostdb.stopping import stopped_within, unless


async def _value(value: int) -> int:
    return value


def test_what_comes_is_given_also_when_it_comes_as_we_are_told_to_stop() -> None:
    async def run() -> list[int | None]:
        stop = asyncio.Event()
        before = await unless(stop, _value(1))
        stop.set()
        return [before, await unless(stop, _value(2))]

    assert asyncio.run(run()) == [1, 2]


def test_what_does_not_come_before_the_stop_is_ended_and_gives_none() -> None:
    async def run() -> None:
        stop, coming = asyncio.Event(), asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(unless(stop, coming))
        await asyncio.sleep(0)
        stop.set()
        assert await waiting is None
        assert coming.cancelled()

    asyncio.run(run())


def test_an_error_that_comes_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async def run() -> None:
        await unless(asyncio.Event(), fail())

    with pytest.raises(ValueError, match="no"):
        asyncio.run(run())


def test_waiting_says_whether_it_was_stopped() -> None:
    async def run() -> list[bool]:
        stop = asyncio.Event()
        before = await stopped_within(stop, 0.0)
        stop.set()
        return [before, await stopped_within(stop, 3600.0)]

    assert asyncio.run(run()) == [False, True]
