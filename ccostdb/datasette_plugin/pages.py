"""Our own pages: `/-/ccostdb` and `/-/ccostdb/health`. They answer 200 however it goes, and say how."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from datasette import Request, Response
from datasette.app import Datasette

from ccostdb import written
from ccostdb.clock import iso
from ccostdb.datasette_plugin.home import asked_name, home, table_url
from ccostdb.datasette_plugin.reading import home_zone, read, settings_of
from ccostdb.errors import CcostError
from ccostdb.health.doctor import NOTE, OK, PROBLEM
from ccostdb.health.overview import look
from ccostdb.settings import Settings

T = TypeVar("T")
Reader = Callable[[sqlite3.Connection, Settings, int], T]

CLASSES = {OK: "well", NOTE: "look", PROBLEM: "trouble"}  # of the CSS, by state


async def show_home(datasette: Datasette, request: Request) -> Response:
    """The home page; `?period=today|week|month|last_month` says of what it shows models, projects and agents."""
    period = request.args.get("period")
    found, error = await _read(datasette, lambda con, settings, now_ns: home(con, settings, now_ns, period))
    return await _page(datasette, request, "home", found or {}, error)


async def show_health(datasette: Datasette, request: Request) -> Response:
    """How sources, jobs and prices do, and what to do about what does not do well."""
    found, error = await _read(datasette, look)
    return await _page(datasette, request, "health", {"health": found}, error)


async def tell_health(datasette: Datasette) -> Response:
    """The same for programs."""
    found, error = await _read(datasette, look)
    told = (
        found.told() if found else {"status": PROBLEM, "error": error and error.message, "hint": error and error.hint}
    )
    body = json.dumps(told, ensure_ascii=False) + "\n"
    return Response(body, headers={}, content_type="application/json; charset=utf-8")


ROUTES: list[tuple[str, Any]] = [
    (r"^/-/ccostdb/?$", show_home),
    (r"^/-/ccostdb/health$", show_health),
    (r"^/-/ccostdb/health\.json$", tell_health),
]


async def _read(datasette: Datasette, reader: Reader[T]) -> tuple[T | None, CcostError | None]:
    """What is read of now, or why the ledger cannot be read."""
    settings, now_ns = settings_of(datasette), time.time_ns()
    try:
        return await read(datasette, lambda con: reader(con, settings, now_ns)), None
    except CcostError as error:
        return None, error
    except (sqlite3.Error, OSError) as error:
        hint = "Look at it with: ccostdb doctor"
        return None, CcostError(f"The ledger {settings.db} cannot be read now: {error}.", hint)


async def _page(
    datasette: Datasette, request: Request, name: str, found: dict[str, Any], error: CcostError | None
) -> Response:
    context = {
        **found,
        "error": error,
        "db": settings_of(datasette).db,
        "zone": home_zone(datasette),
        "written": written,
        "table_url": table_url,
        "asked_name": asked_name,
        "iso": iso,
        "classes": CLASSES,
    }
    template = "ccostdb_error.html" if error else f"ccostdb_{name}.html"
    return Response.html(await datasette.render_template(template, context, request=request))
