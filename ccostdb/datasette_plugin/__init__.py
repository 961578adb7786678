"""What ccostdb adds to Datasette: pages, guard, cells, questions, downloads. Each is hooked in here."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import Request, Response
from jinja2 import Environment
from markupsafe import Markup

from ccostdb.datasette_plugin.cells import render
from ccostdb.datasette_plugin.database import NAME
from ccostdb.datasette_plugin.download import ROUTES as DOWNLOADS
from ccostdb.datasette_plugin.download import is_linked
from ccostdb.datasette_plugin.failure import failure
from ccostdb.datasette_plugin.frame import NAVIGATION, for_everyone, frame
from ccostdb.datasette_plugin.guard import guarded
from ccostdb.datasette_plugin.metadata import last_days, questions
from ccostdb.datasette_plugin.pages import ROUTES as PAGES
from ccostdb.datasette_plugin.reading import home_zone


async def start_page(datasette: Datasette) -> Response:
    """Our home page is where every visit begins."""
    return Response.redirect(datasette.urls.path(NAVIGATION["Home"]))


async def charts_page(datasette: Datasette) -> Response:
    """There is one page of charts, and so no list of them."""
    return Response.redirect(datasette.urls.path(NAVIGATION["Charts"]))


@hookimpl(tryfirst=True)
def register_routes() -> list[tuple[str, Any]]:
    return [(r"^/$", start_page), (r"^/-/dashboards/?$", charts_page), *PAGES, *DOWNLOADS]


@hookimpl
def canned_queries(datasette: Datasette, database: str) -> dict[str, Any]:
    return questions(datasette.metadata()) if database == NAME else {}


@hookimpl
def render_cell(value: object, column: str, datasette: Datasette) -> Markup | None:
    return render(column, value, home_zone(datasette), datasette.setting("truncate_cells_html"))


@hookimpl
def register_output_renderer() -> dict[str, Any]:
    """Only the link on pages: `render` is never called, since the routes of downloads come first."""
    return {"extension": "ndjson", "render": lambda: None, "can_render": is_linked}


@hookimpl
def extra_template_vars(datasette: Datasette, request: Request | None) -> dict[str, Any]:
    return frame(datasette, request)


@hookimpl
def prepare_jinja2_environment(env: Environment) -> None:
    env.filters["for_everyone"] = for_everyone


@hookimpl
def get_metadata(datasette: Datasette, key: str | None) -> dict[str, Any]:
    return last_days(home_zone(datasette)) if key == "plugins" else {}


@hookimpl(hookwrapper=True)
def handle_exception(datasette: Datasette, request: Request, exception: Exception) -> Generator[None, Any, None]:
    outcome = yield  # Datasette calls every handler and heeds the first: ours is the only one
    outcome.force_result([failure(datasette, request, exception)])


@hookimpl(trylast=True)  # the outermost
def asgi_wrapper() -> Any:
    return guarded
