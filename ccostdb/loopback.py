"""HTTP on this machine: a port, uvicorn at it, and which requests mean it.

A page of the web can reach a loopback port, but cannot choose the Host.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any
from urllib.parse import urlsplit

from uvicorn import Config, Server

from ccostdb.errors import CcostError

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
STOP_S = 1  # for answers that are under way


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


def listen(host: str, port: int, hint: str) -> socket.socket:
    """The port, taken; 0: any that is free. Raises CcostError, with the hint, where it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        reason = {
            errno.EADDRINUSE: "is in use",
            errno.EACCES: "may not be taken by you",
            errno.EPERM: "may not be taken by you",
        }.get(number or 0, "cannot be had: this machine has no such address")
        raise CcostError(f"Port {port} of {host} {reason}.", hint) from error


class QuietServer(Server):
    """uvicorn, which says nothing but errors that nobody else knows of, and leaves signals to us."""

    def __init__(self, app: Any, **more: Any) -> None:
        logging.getLogger("uvicorn.error").addFilter(_is_news)
        config = Config(
            app,
            interface="asgi3",
            ws="none",
            loop="asyncio",
            log_config=None,
            log_level=logging.ERROR,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_S,
            **more,
        )
        super().__init__(config)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()  # uvicorn would raise them again as it ends


def _is_news(record: logging.LogRecord) -> bool:
    """Whether this is more than an answer that breaks off: its own code says why, or we are told to stop."""
    cause = record.exc_info[1] if record.exc_info else None
    known = ("without completing response", "graceful shutdown exceeded")
    return not isinstance(cause, asyncio.CancelledError) and not any(each in record.getMessage() for each in known)
