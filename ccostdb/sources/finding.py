"""Which servers are there: each gives the settings with which it can be read, None where it does not answer."""

from __future__ import annotations

from dataclasses import replace

from ccostdb.settings import Settings
from ccostdb.sources import cca, cco_stream
from ccostdb.sources.polling import Answer, Server
from ccostdb.sources.samples import MAX_ANSWER_BYTES
from ccostdb.sources.sse import PROBE_S, is_event_stream


async def find_cco(settings: Settings) -> Settings | None:
    """At the address set, at CCO's usual one, or where its pid files say."""
    url = await cco_stream.find_url(settings)
    return replace(settings, cco_url=url) if url else None


async def find_ccd(settings: Settings) -> Settings | None:
    """At the address set."""
    return settings if await is_event_stream(settings.ccd_url, settings.ccd_headers) else None


async def find_cca(settings: Settings) -> Settings | None:
    """At the address set, or if none is at the usual ones. Its /health needs no key, and gets none."""
    urls = (settings.cca_url,) if "cca_url" in settings.origins else (settings.cca_url, *cca.USUAL_URLS)
    for url in dict.fromkeys(urls):
        async with Server(url, answer_s=PROBE_S) as server:
            answer = await server.get(cca.HEALTH, min(settings.frame_max_bytes, MAX_ANSWER_BYTES))
        if isinstance(answer, Answer) and cca.is_health(answer):
            return replace(settings, cca_url=url)
    return None
