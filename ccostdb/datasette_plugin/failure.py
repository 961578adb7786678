"""What a page says when it fails. Datasette's own handler prints the locals of every frame, and so what is private."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from datasette.app import Datasette
from datasette.database import QueryInterrupted
from datasette.utils.asgi import Base400, Request, Response
from datasette.views.base import DatasetteError
from markupsafe import Markup

from ccostdb.datasette_plugin.reading import settings_of
from ccostdb.errors import BadArgument, CcostError

log = logging.getLogger(__name__)

# What Datasette raises for parameters of an address that it does not check.
_MISASKED = (
    *(ValueError, LookupError, TypeError, OverflowError, QueryInterrupted, sqlite3.Warning),
    *(sqlite3.ProgrammingError, sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.DataError),
)
_OF_THE_QUESTION = {1, 18, 20}  # SQLite's codes for bad SQL, for what is too big, and for a value of another type


async def failure(datasette: Datasette, request: Request, exception: Exception) -> Response:
    """The answer to a request that raised: a sentence for what people can mend; a bug goes to the log, too."""
    status, title, message = _understand(datasette, exception)
    if status == 500 and request.query_string and _is_misasked(exception):
        status, message = 400, f"What the address asks cannot be answered: {exception}."
    if title == "SQL Interrupted":
        title, message = "This takes too long", _too_long(datasette, request)
    if status == 500:
        log.error("%s cannot be shown", request.path, exc_info=exception)
    if request.path.endswith(".json"):
        return Response.json({"ok": False, "error": str(message), "status": status, "title": title}, status=status)
    said = {"ok": False, "error": message, "status": status, "title": title}
    return Response.html(await datasette.render_template("error.html", said, request=request), status=status)


def _understand(datasette: Datasette, exception: Exception) -> tuple[int, str | None, str]:
    """Status, title and message."""
    if isinstance(exception, DatasetteError):
        message = Markup(exception.message) if exception.message_is_html else exception.message
        return 400 if exception.status == 500 else exception.status, exception.title, message  # what was asked is wrong
    if isinstance(exception, Base400):
        return exception.status, None, str(exception)
    if isinstance(exception, CcostError):
        message = " ".join(filter(None, (exception.message, exception.hint)))
        return 400 if isinstance(exception, BadArgument) else 503, None, message
    if isinstance(exception, FileNotFoundError | sqlite3.OperationalError) and not settings_of(datasette).db.exists():
        return 503, None, "The ledger is not there any more."
    if isinstance(exception, sqlite3.OperationalError) and str(exception) == "interrupted":
        return 503, None, "The server is told to stop."
    return 500, None, f"This cannot be shown: {_name(exception)}. The terminal of ccostdb serve says more."


def _too_long(datasette: Datasette, request: Request) -> Markup:
    seconds = datasette.setting("sql_time_limit_ms") // 1000
    file = f"{request.path.removesuffix('.json')}.csv?{request.query_string}"
    return Markup('A page has {} seconds. <a href="{}">The CSV</a> has no limit.').format(seconds, file)


def _is_misasked(exception: Exception) -> bool:
    """Whether the question may be to blame, and not the ledger's file."""
    return isinstance(exception, _MISASKED) and getattr(exception, "sqlite_errorcode", 1) in _OF_THE_QUESTION


def _name(exception: Any) -> str:
    return type(exception).__name__
