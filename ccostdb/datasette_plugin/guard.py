"""Before and after everything that Datasette does: who may ask, for what, and what a browser may do with the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from ccostdb.loopback import is_loopback, target

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

STATIC = ("/-/static/", "/-/static-plugins/", "/favicon.ico")
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_NOWHERE_ELSE = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; img-src 'self' data:"
_STRICT = f"{_NOWHERE_ELSE}; script-src 'self'; style-src 'self'"
# Datasette's pages and the charts' have scripts and styles between their tags.
_INLINE = f"{_NOWHERE_ELSE}; connect-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'"


def guarded(app: App) -> App:
    """`app`, answering only what is asked of this machine, by GET or HEAD."""

    async def guard(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        host, path = target(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _headers(message.get("headers", []), path)
            await send(message)

        refusal = _refusal(scope, host)
        if refusal:
            await _refuse(send_guarded, *refusal)
        else:
            await app(scope, receive, send_guarded)

    return guard


def _refusal(scope: MutableMapping[str, Any], host: str) -> tuple[int, str] | None:
    """Status and sentence for a request that is not answered. What came by no port, but a Unix socket, has any Host."""
    _, port = scope.get("server") or (None, None)
    if port is not None and not is_loopback(host, port):
        return 421, "This host is not served here."
    if _is_elsewhere(scope) and not _is_followed(scope):
        return 403, "Another site may link to a page of this one, but not load it, run SQL or download."
    if scope["method"] not in ("GET", "HEAD"):
        return 405, "GET and HEAD are answered."
    return None


def _is_elsewhere(scope: MutableMapping[str, Any]) -> bool:
    """Whether a page of another site, or port of this machine, asks: it cannot read answers, but they cost."""
    return dict(scope["headers"]).get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin")


def _is_followed(scope: MutableMapping[str, Any]) -> bool:
    """Whether somebody follows a link to a page, neither loaded ahead nor into another, nor to SQL or a file."""
    sent = dict(scope["headers"])
    is_seen = (sent.get(b"sec-fetch-mode"), sent.get(b"sec-fetch-dest")) == (b"navigate", b"document")
    asked = {name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)}
    is_file = scope["path"].endswith((".csv", ".ndjson"))
    return is_seen and b"sec-purpose" not in sent and not is_file and asked.isdisjoint(("sql", "_where"))


async def _refuse(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")] + [(b"allow", b"GET, HEAD")] * (status == 405)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})


def _headers(given: list[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with ours in place of those of the same name. What may be data is never stored."""
    ours = {**_ALWAYS, "content-security-policy": _policy(path)}
    if not path.startswith(STATIC):
        ours["cache-control"] = "no-store"
    listed = [(name.encode(), value.encode()) for name, value in ours.items()]
    return [(name, value) for name, value in given if name.lower().decode("latin-1") not in ours] + listed


def _policy(path: str) -> str:
    return _STRICT if path.startswith("/-/ccostdb") else _INLINE
