"""How servers are asked, and what they are called: the same for streams and polls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx


def client(url: str, timeout_s: float, *headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Asks nobody else: no proxies, no redirects (a key must not travel), no .netrc. Later headers replace earlier.

    `timeout_s` bounds each read, not all of them. Certificates cost memory: only for https.
    """
    sent = httpx.Headers({"Accept-Encoding": "identity"})
    for each in headers:
        sent.update(each)
    return httpx.AsyncClient(headers=sent, timeout=timeout_s, trust_env=False, verify=url.startswith("https:"))


def server_address(url: str) -> str:
    """The server as the ledger knows it: one name for all of loopback's, or calls could be there twice."""
    parts = urlsplit(url)
    host = re.sub(r"^(127\.0\.0\.1|\[::1\])(?=:|$)", "localhost", parts.netloc.lower())
    return f"{parts.scheme}://{host}{parts.path}"
