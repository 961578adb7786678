"""Whole results as CSV or NDJSON, streamed in constant memory, each from a thread of its own.

They take the place of Datasette's own CSV, which ends at a number of rows and writes errors among them: a stream of
ours that fails breaks the connection, so that half a file never looks whole.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

from datasette.app import Datasette
from datasette.utils import InvalidSql, derive_named_parameters, tilde_decode, validate_sql_select
from datasette.utils.asgi import Request, Response
from datasette.views.table import TableView

from ccostdb.datasette_plugin.database import MOST_DOWNLOADS, NAME, LedgerDatabase
from ccostdb.datasette_plugin.guard import Receive, Send
from ccostdb.datasette_plugin.metadata import questions
from ccostdb.datasette_plugin.reading import ledger_of
from ccostdb.errors import BadArgument
from ccostdb.export import csv_chunks, ndjson_chunks, select
from ccostdb.export.text import Chunks, Row

log = logging.getLogger(__name__)

TAKEN_S = 30.0  # a reader that takes nothing for so long is left: it keeps the write-ahead log from shrinking
AGAIN_S = 5  # when to ask again, where there are too many downloads
KINDS = {"csv": ("text/csv; charset=utf-8", csv_chunks), "ndjson": ("application/x-ndjson", ndjson_chunks)}
_PAGED = re.compile(r" limit \d+( offset \d+)?$")  # as Datasette ends the SQL of a table's page

Source = Callable[[sqlite3.Connection], tuple[list[str], Iterable[Row]]]


async def named(datasette: Datasette, request: Request) -> Download:
    """A view or a question, of the days `since` to `until` in the zone `tz`, with a question's parameters."""
    name = tilde_decode(request.url_vars["name"])
    asked = {key: request.args[key] or None for key in request.args if not key.startswith("_")}
    days = {key: asked.pop(key, None) or None for key in ("since", "until", "tz")}
    return Download(datasette, request, name, lambda con: select(con, name, **days, parameters=asked))


async def shown(datasette: Datasette, request: Request) -> Download | Response:
    """All rows that a table's page begins to show, as it filters and sorts them; a question's page is `named`."""
    if tilde_decode(request.url_vars["name"]) in questions(datasette.metadata()):
        return await named(datasette, request)
    given = [(key, value) for key, value in parse_qsl(request.query_string, keep_blank_values=True) if key != "_next"]
    least = [(key, value) for key, value in given if key != "_size"] + [("_nocount", 1), ("_nofacet", 1), ("_size", 0)]
    named_so = {"database": NAME, "table": request.url_vars["name"]}
    scope = {**request.scope, "query_string": urlencode(least).encode(), "url_route": {"kwargs": named_so}}
    page = await TableView(datasette).data(Request(scope, request.receive))
    if isinstance(page, Response):
        return page
    query, table = page[0]["query"], page[0]["table"]
    source = partial(_ask, text=_PAGED.sub("", query["sql"]), values=query["params"])
    return Download(datasette, request, table, source, is_free=True)


async def own(datasette: Datasette, request: Request) -> Download:
    """One's own SQL, `sql`, with its parameters."""
    text = request.args.get("sql") or ""
    try:
        validate_sql_select(text)
    except InvalidSql as error:
        raise BadArgument(f"This cannot be exported: {error}.") from error
    empty = dict.fromkeys(await derive_named_parameters(ledger_of(datasette), text), "")  # as on the page
    values = {**empty, **{key: request.args[key] for key in request.args if key != "sql"}}
    return Download(datasette, request, NAME, partial(_ask, text=text, values=values), is_free=True)


ROUTES = [
    (r"^/-/ccostdb/export/(?P<name>[^/.]+)\.(?P<kind>csv|ndjson)$", named),
    (rf"^/{NAME}/(?P<name>[^/.]+)\.(?P<kind>csv|ndjson)$", shown),
    (rf"^/{NAME}\.(?P<kind>csv|ndjson)$", own),
]


def is_linked(sql: str | None, view_name: str) -> bool:
    """Whether a page says that it is there as NDJSON, too: one that shows rows."""
    return sql is not None and view_name != "row"


def _ask(con: sqlite3.Connection, text: str, values: Mapping[str, Any]) -> tuple[list[str], Iterable[Row]]:
    try:
        cursor = con.execute(text, values)
    except sqlite3.Error as error:
        if str(error) == "interrupted":
            raise
        raise BadArgument(f"SQLite cannot answer this: {error}.") from error
    return [column[0] for column in cursor.description], cursor


class Download:
    """An answer of Datasette's kind, which sends what `source` reads, as long as somebody listens and takes it.

    What is asked freely has as long as on a page until its first row.
    """

    def __init__(
        self, datasette: Datasette, request: Request, name: str, source: Source, *, is_free: bool = False
    ) -> None:
        self._ledger = ledger_of(datasette)
        self._first_row_s = datasette.setting("sql_time_limit_ms") / 1000 if is_free else None
        self._request = request
        self._name = name
        self._source = source

    async def asgi_send(self, send: Send) -> None:
        """Errors before the first chunk are raised, and so a page; later ones leave the answer without an end."""
        if not self._ledger.downloads.acquire(blocking=False):
            said = f"{MOST_DOWNLOADS} downloads are under way: wait until one of them has ended.\n"
            await Response.text(said, status=503, headers={"retry-after": str(AGAIN_S)}).asgi_send(send)
            return
        kind = self._request.url_vars["kind"]
        content_type, make = KINDS[kind]
        disposition = f'attachment; filename="{self._name}.{kind}"'
        headers = [(b"content-type", content_type), (b"content-disposition", disposition)]
        with _Reading(self._ledger, self._source, make, self._request.receive, self._first_row_s) as reading:
            chunk = await reading.following()
            listed = [(name, value.encode()) for name, value in headers]
            await send({"type": "http.response.start", "status": 200, "headers": listed})
            while chunk is not None and self._request.method == "GET":
                try:
                    async with asyncio.timeout(TAKEN_S):
                        await send({"type": "http.response.body", "body": chunk.encode(), "more_body": True})
                    chunk = await reading.following()
                except Exception as error:
                    why = f"nobody took it for {TAKEN_S:g} s" if isinstance(error, TimeoutError) else error
                    log.error("The export of %s broke off: %s", self._name, why)
                    return  # without an end: the server breaks the connection
            if not reading.is_left:
                await send({"type": "http.response.body", "body": b""})


class _Reading:
    """Chunks of an answer, read one at a time in a thread of its own, and no longer than somebody listens.

    It has one of the ledger's `downloads`, until its connection is closed.
    """

    def __init__(
        self, ledger: LedgerDatabase, source: Source, make: Chunks, receive: Receive, first_row_s: float | None
    ) -> None:
        self._is_over = False
        self._ledger = ledger
        self._first_row_s = first_row_s
        self._chunks = self._read(source, make)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="export")
        self._gone = asyncio.ensure_future(_gone(receive))
        self._coming: asyncio.Future[str | None] | None = None

    def _read(self, source: Source, make: Chunks) -> Generator[str, None, None]:
        until_s = math.inf if self._first_row_s is None else time.monotonic() + self._first_row_s
        with self._ledger.opened(lambda: self._is_over or time.monotonic() > until_s) as con:
            try:
                columns, rows = source(con)
            except sqlite3.OperationalError as error:
                if time.monotonic() > until_s:
                    raise BadArgument(f"There was no row within {self._first_row_s:g} s.") from error
                raise
            until_s = math.inf
            chunks = make(columns, rows)
            if first := next(chunks, "") + next(chunks, ""):  # an error of the first rows is to be a page, too
                yield first
            yield from chunks

    async def following(self) -> str | None:
        """The next chunk; None at the end, or where the listener is gone."""
        self._coming = asyncio.get_running_loop().run_in_executor(self._thread, next, self._chunks, None)
        await asyncio.wait((self._coming, self._gone), return_when=asyncio.FIRST_COMPLETED)
        return await self._coming if self._coming.done() and not self.is_left else None

    @property
    def is_left(self) -> bool:
        """Whether nobody listens any more."""
        return self._gone.done()

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._gone.cancel()
        if self._coming is not None and not self._coming.cancel():
            self._coming.exception()  # nobody else asks for it
        closing = self._thread.submit(self._chunks.close)  # the connection, in the thread that may still use it
        closing.add_done_callback(lambda _: self._ledger.downloads.release())
        self._thread.shutdown(wait=False)


async def _gone(receive: Receive) -> None:
    """Ends when the listener is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
