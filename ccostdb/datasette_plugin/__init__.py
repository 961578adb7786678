"""What ccostdb adds to Datasette: pages, guard, cells, questions, downloads. Each is hooked in here."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import Request, Response
from datasette_dashboards import dashboard_chart
from jinja2 import Environment
from markupsafe import Markup

from ccostdb.datasette_plugin.cells import render
from ccostdb.datasette_plugin.database import NAME
from ccostdb.datasette_plugin.download import ROUTES as DOWNLOADS
from ccostdb.datasette_plugin.download import is_linked
from ccostdb.datasette_plugin.failure import failure
from ccostdb.datasette_plugin.frame import NAVIGATION, answer_first, cut, for_everyone, frame
from ccostdb.datasette_plugin.guard import guarded
from ccostdb.datasette_plugin.metadata import last_days, questions
from ccostdb.datasette_plugin.pages import ROUTES as PAGES
from ccostdb.datasette_plugin.reading import home_zone
from ccostdb.errors import BadArgument


async def start_page(datasette: Datasette) -> Response:
    """Our home page is where every visit begins."""
    return Response.redirect(datasette.urls.path(NAVIGATION["Home"]))


async def charts_page(datasette: Datasette) -> Response:
    """There is one page of charts, and so no list of them."""
    return Response.redirect(datasette.urls.path(NAVIGATION["Charts"]))


async def chart_page(datasette: Datasette, request: Request) -> Response:
    """One chart, which begins with the same days as all of them."""
    page = (datasette.plugin_config("datasette-dashboards") or {})["ccostdb"]
    if not request.args.keys() & page["filters"].keys():
        since = page["filters"]["since"]["default"]
        return Response.redirect(f"{request.path}?since={since}")
    answer: Response = await dashboard_chart(request, datasette)
    return answer


async def row_file() -> Response:
    """Datasette's own, which a spreadsheet would take for formulas."""
    raise BadArgument("A single row is not exported.", "Take its table's file, with a filter.")


@hookimpl(tryfirst=True)
def register_routes() -> list[tuple[str, Any]]:
    return [
        (r"^/$", start_page),
        (r"^/-/dashboards/?$", charts_page),
        (r"^/-/dashboards/(?P<slug>ccostdb)/(?!embed$)(?P<chart_slug>[^/]+)$", chart_page),
        *PAGES,
        *DOWNLOADS,
        (rf"^/{NAME}/[^/]+/[^/]+\.csv$", row_file),
    ]


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
    env.filters.update(for_everyone=for_everyone, answer_first=answer_first, cut=cut)


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
