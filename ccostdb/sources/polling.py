"""A server that is asked now and then: one request at a time, bounded in time and size. What it says is not here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx

from ccostdb.sources.http_client import body_of, client
from ccostdb.words import repeated

ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `raw` None: more than may be read. `retry_after` is the header as sent."""

    status: int
    raw: bytes | None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing came back. `is_there`: something took the connection. `reason` is fit for a terminal."""

    reason: str
    is_there: bool


class Server:
    """A server and what it is sent with each request. Use as a context."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, answer_s: float = ANSWER_S) -> None:
        self._url = url
        self._secrets = tuple((headers or {}).values())
        self._answer_s = answer_s
        self._client = client(url, answer_s, {"Accept": "application/json"}, headers or {})

    async def __aenter__(self) -> Server:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, most_bytes: int) -> Answer | NoAnswer:
        """The answer to one GET, whatever its status."""
        try:
            async with asyncio.timeout(self._answer_s):  # httpx bounds each read, not all of them
                return await self._get(path, most_bytes)
        except (TimeoutError, httpx.ReadTimeout):
            return NoAnswer(f"no answer within {self._answer_s:g} s", is_there=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            is_there = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            said = str(error)
            is_telling = any(secret in said for secret in self._secrets)
            return NoAnswer(type(error).__name__ if is_telling or not said else repeated(said), is_there)

    async def _get(self, path: str, most_bytes: int) -> Answer:
        async with self._client.stream("GET", self._url + path) as response:
            retry_after = response.headers.get("retry-after")
            raw = bytearray()
            async for chunk in body_of(response):
                raw += chunk
                if len(raw) > most_bytes:
                    return Answer(response.status_code, None, retry_after)
            return Answer(response.status_code, bytes(raw), retry_after)
