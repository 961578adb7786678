"""What ccostdb adds to Datasette: pages, guard, cells, questions, downloads. Only hooks stand here, which delegate."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import Request, Response
from markupsafe import Markup

from ccostdb.datasette_plugin.cells import render
from ccostdb.datasette_plugin.database import NAME
from ccostdb.datasette_plugin.download import ROUTES as DOWNLOADS
from ccostdb.datasette_plugin.download import is_linked
from ccostdb.datasette_plugin.failure import failure
from ccostdb.datasette_plugin.guard import guarded
from ccostdb.datasette_plugin.metadata import questions
from ccostdb.datasette_plugin.pages import NAVIGATION
from ccostdb.datasette_plugin.pages import ROUTES as PAGES
from ccostdb.datasette_plugin.reading import home_zone


async def start_page(datasette: Datasette) -> Response:
    """Our home page is where every visit begins."""
    return Response.redirect(datasette.urls.path(NAVIGATION["Home"]))


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(r"^/$", start_page), *PAGES, *DOWNLOADS]


@hookimpl(tryfirst=True)
def menu_links(datasette: Datasette) -> list[dict[str, str]]:
    return [{"href": datasette.urls.path(path), "label": label} for label, path in NAVIGATION.items()]


@hookimpl
def canned_queries(datasette: Datasette, database: str) -> dict[str, Any]:
    return questions(datasette.metadata()) if database == NAME else {}


@hookimpl
def render_cell(value: object, column: str, datasette: Datasette) -> Markup | None:
    return render(column, value, home_zone(datasette), datasette.setting("truncate_cells_html"))


@hookimpl
def register_output_renderer() -> dict[str, Any]:
    return {"extension": "ndjson", "render": lambda: None, "can_render": is_linked}


@hookimpl
def extra_css_urls(datasette: Datasette) -> list[str]:
    return [datasette.urls.static_plugins(__name__, name) for name in ("ccostdb.css", "cells.css")]


@hookimpl(hookwrapper=True)
def extra_body_script(request: Request | None) -> Generator[None, Any, None]:
    outcome = yield
    if request is not None and request.path.startswith("/-/ccostdb"):
        outcome.force_result([])  # the policy of our pages allows no script between their tags, of any plugin


@hookimpl(hookwrapper=True)
def handle_exception(datasette: Datasette, request: Request, exception: Exception) -> Generator[None, Any, None]:
    outcome = yield  # Datasette calls every handler and heeds the first: ours is the only one
    outcome.force_result([failure(datasette, request, exception)])


@hookimpl(trylast=True)  # the outermost
def asgi_wrapper() -> Any:
    return guarded
