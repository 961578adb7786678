"""Which requests mean this machine: a page of the web can reach a loopback port, but cannot choose the Host."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str, port: int | None) -> bool:
    """Whether a Host, in lower case, names this machine: with the port, or with none."""
    return host in LOOPBACK or host in {f"{name}:{port}" for name in LOOPBACK}


def target(scope: MutableMapping[str, Any]) -> tuple[str, str]:
    """Host and path of a request, in lower case and as it is; '' where no Host was sent.

    A target in absolute form overrules the header (RFC 9112, 3.2.2).
    """
    path = str(scope["path"])
    if "://" in path and not path.startswith("/"):
        with suppress(ValueError):
            parts = urlsplit(path)
            return parts.netloc.lower(), parts.path
        return "", path
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return (hosts[0].decode("latin-1").strip().lower() if hosts else ""), path
