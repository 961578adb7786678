"""How servers are asked, how their answers are read, and what they are called: the same for streams and polls."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, Mapping
from urllib.parse import urlsplit

import httpx

PIECE_BYTES = 64 * 1024
_GZIP_BITS = 31  # zlib's number for gzip with its head


def client(url: str, timeout_s: float, *headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Asks nobody else: no proxies, no redirects (a key must not travel), no .netrc. Later headers replace earlier.

    `timeout_s` bounds each read, not all of them. Certificates cost memory: only for https.
    """
    sent = httpx.Headers({"Accept-Encoding": "identity"})
    for each in headers:
        sent.update(each)
    return httpx.AsyncClient(headers=sent, timeout=timeout_s, trust_env=False, verify=url.startswith("https:"))


async def body_of(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """What an answer holds, in pieces of bounded size, so that whoever counts them can stop: a kilobyte that is packed
    twice can hold a gigabyte. Raises httpx.DecodingError for what is packed otherwise than once with gzip.
    """
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip"):
        raise httpx.DecodingError("the answer is packed in another way than gzip")
    unpacking = zlib.decompressobj(_GZIP_BITS) if packing.endswith("gzip") else None
    async for packed in response.aiter_raw():
        if unpacking is None:
            yield packed
            continue
        rest, is_more = packed, True
        while is_more:
            try:
                piece = unpacking.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise httpx.DecodingError("the answer is no readable gzip") from error
            rest = unpacking.unconsumed_tail
            is_more = bool(rest) or len(piece) == PIECE_BYTES
            if piece:
                yield piece
            await asyncio.sleep(0)  # other sources have their turn
        if unpacking.eof:  # what follows would only be gathered
            return


def server_address(url: str) -> str:
    """The server as the ledger knows it: one name for all of loopback's, or calls could be there twice."""
    parts = urlsplit(url)
    host = re.sub(r"^(127\.0\.0\.1|\[::1\])(?=:|$)", "localhost", parts.netloc.lower())
    return f"{parts.scheme}://{host}{parts.path}"
