"""Answers of servers: what is packed is unpacked once, and never further than somebody reads."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
import zlib

import pytest
from cca_emulator import Emulator, Reply

from ccostdb.sources.polling import Answer, NoAnswer, Server

MEBIBYTE = 1024 * 1024


def packed(data: bytes, times: int = 1) -> bytes:
    """With gzip, as often as said."""
    packer = zlib.compressobj(9, wbits=31)
    once = packer.compress(data) + packer.flush()
    return once if times == 1 else packed(once, times - 1)


def asked(body: bytes, coding: str, most_bytes: int) -> Answer | NoAnswer:
    async def ask() -> Answer | NoAnswer:
        with Emulator() as emulator:
            emulator.replies["/one"] = Reply(body, headers={"content-encoding": coding})
            async with Server(emulator.url) as server:
                return await server.get("/one", most_bytes)

    return asyncio.run(ask())


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip"])
def test_an_answer_that_is_packed_once_is_unpacked(coding: str) -> None:
    data = b"a" * 1000 + random.Random(1).randbytes(300_000) + b"b" * 3 * 64 * 1024
    assert asked(packed(data), coding, MEBIBYTE) == Answer(200, data)


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,identity", "deflate", "br", "zstd"])
def test_an_answer_that_is_packed_otherwise_is_refused(coding: str) -> None:
    given = asked(packed(b"a" * 1000, 2), coding, MEBIBYTE)
    assert given == NoAnswer("the answer is packed in another way than gzip", is_there=True)


def test_what_is_no_gzip_is_said_to_be_none() -> None:
    assert asked(b"{}", "gzip", MEBIBYTE) == NoAnswer("the answer is no readable gzip", is_there=True)


def test_a_small_answer_that_unpacks_to_much_takes_little_memory() -> None:
    body = packed(b"\0" * 64 * MEBIBYTE)
    tracemalloc.start()
    try:
        assert asked(body, "gzip", MEBIBYTE) == Answer(200, None)
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()


def test_what_follows_the_end_of_what_is_packed_is_not_read() -> None:
    assert asked(packed(b"{}") + b"\0" * 8 * MEBIBYTE, "gzip", MEBIBYTE) == Answer(200, b"{}")
