"""The home page and the health view in a real Chromium: at every size of ledger, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import httpx
import pytest
from browser import DARK, DESKTOP, PHONE, SCRIPTLESS, Look, Looking, axe_violations, overflow
from commands import run
from playwright.sync_api import FloatRect, Page
from sized_ledgers import HOSTILE, SCRIPT

from ccostdb.datasette_plugin.pages import ROUTES

PAGES = [route.strip("^$").removesuffix("/?") for route, _ in ROUTES if "json" not in route and "(" not in route]
PICTURE = Path(__file__).parent / "data" / "home.png"
SHOWN: FloatRect = {"x": 0, "y": 0, "width": 1000, "height": 1160}  # of the home page in the README
SIZES = ("nothing", "week", "two_years")
FOCUSABLE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
VISIBLE = f"""
[...document.querySelectorAll("{FOCUSABLE}")]
    .filter(each => each.checkVisibility())
    .map((each, number) => (each.dataset.n = number))
"""
FOCUSED = """
() => {
    const at = document.activeElement, style = getComputedStyle(at)
    return [at.dataset.n ?? null, style.outlineStyle != 'none' || style.boxShadow != 'none']
}
"""
LINKS = "els => [...new Set(els.map(each => each.href))]"
MARKS = "svg[role=img] :is(rect, path, line, circle, polyline, polygon)"


def sized(request: pytest.FixtureRequest, size: str) -> Path:
    path: Path = request.getfixturevalue(size)
    return path


@pytest.mark.parametrize(
    ("size", "look"),
    [*product(SIZES[:2], (DESKTOP, PHONE, DARK)), ("two_years", PHONE)],
    ids=lambda value: value if isinstance(value, str) else f"{value.width}{' dark' * value.is_dark}",
)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_for_everyone(
    looking: Looking, request: pytest.FixtureRequest, path: str, size: str, look: Look
) -> None:
    def check(page: Page) -> None:
        assert axe_violations(page) == []
        assert overflow(page) <= 0
        assert is_dark(page) == look.is_dark

    looking.visit(sized(request, size), path, check, look)


def is_dark(page: Page) -> bool:
    """Whether what is behind the page is nearer to black than to white."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (float(each) for each in colour.strip("rgba()").split(",")[:3])
    return red + green + blue < 3 * 128


@pytest.mark.parametrize("size", SIZES[:2])
@pytest.mark.parametrize("path", PAGES)
def test_a_page_says_the_same_without_scripts(
    looking: Looking, request: pytest.FixtureRequest, path: str, size: str
) -> None:
    def outline(page: Page) -> list[str]:
        assert page.locator("h1").count() == 1
        return page.locator("h1, h2, h3, th[scope=row], summary").all_inner_texts()

    db = sized(request, size)
    assert looking.visit(db, path, outline, SCRIPTLESS) == looking.visit(db, path, outline)


@pytest.mark.parametrize("size", SIZES[1:])
def test_charts_have_marks_words_and_a_table_behind_them(
    looking: Looking, request: pytest.FixtureRequest, size: str
) -> None:
    def check(page: Page) -> None:
        charts = page.locator("svg[role=img]").all()
        assert len(charts) > 0
        assert all(chart.locator(MARKS.split(" ", 1)[1]).count() > 0 for chart in charts)
        named = "each => each.getAttribute('aria-label') || each.querySelector('title')?.textContent"
        assert all(chart.evaluate(named) for chart in charts)
        assert page.locator("details table tbody tr, details table tr td").count() > 0

    looking.visit(sized(request, size), PAGES[0], check)


@pytest.mark.parametrize("path", PAGES)
def test_the_keyboard_reaches_every_link_and_shows_where_it_is(looking: Looking, week: Path, path: str) -> None:
    def tab(page: Page) -> None:
        wanted = {str(number) for number in page.evaluate(VISIBLE)}
        found = set()
        for _ in range(len(wanted) + 5):
            page.keyboard.press("Tab")
            number, is_shown = page.evaluate(FOCUSED)
            if number is not None:
                assert is_shown, page.evaluate("document.activeElement.outerHTML")
                found.add(number)
        assert wanted - found == set()

    looking.visit(week, path, tab)


@pytest.mark.parametrize("size", ["nothing", "week"])
@pytest.mark.parametrize("path", [*PAGES, "/-/dashboards/ccostdb", "/ccostdb"])
def test_every_link_of_a_page_leads_somewhere(
    looking: Looking, serve: Callable[[Path], str], request: pytest.FixtureRequest, path: str, size: str
) -> None:
    db = sized(request, size)
    found = looking.visit(db, path, lambda page: page.locator("a[href]").evaluate_all(LINKS))
    ours = sorted({link.split("#")[0] for link in found if link.startswith(serve(db))})
    assert len(ours) > 3
    with httpx.Client(follow_redirects=True, timeout=60) as client:
        for link in ours:
            with client.stream("GET", link) as got:
                assert got.status_code == 200, link
    assert all(link.startswith(("http://127.0.0.1:", "https://")) for link in found)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("value", [SCRIPT + HOSTILE[3], "\0", "2026-99-99", "9" * 400])
def test_no_parameter_of_a_page_does_harm(looking: Looking, week: Path, path: str, value: str) -> None:
    names = ("period", "since", "until", "tz", "day", "month", "model", "project", "by", "_json")
    query = str(httpx.QueryParams(dict.fromkeys(names, value)))
    looking.visit(week, f"{path}?{query}")


def test_hostile_names_are_shown_as_they_are_written(looking: Looking, week: Path) -> None:
    def check(page: Page) -> None:
        assert page.locator("main :is(script, img, iframe)").count() == 0
        assert page.locator("a[href^='javascript:' i], [onmouseover], [onload]").count() == 0
        assert str(1234 * 4321) not in page.content()
        text = " ".join(page.locator("main").inner_text().split())
        assert any(" ".join(name.split())[:20] in text for name in HOSTILE)

    for path in PAGES:
        looking.visit(week, path, check)


def test_health_for_programs_is_the_same_health(serve: Callable[[Path], str], nothing: Path, week: Path) -> None:
    for db in (nothing, week):
        got = httpx.get(f"{serve(db)}/-/ccostdb/health.json", timeout=60)
        assert got.status_code == 200
        assert got.headers["content-type"].startswith("application/json")
        assert isinstance(got.json()["status"], str)


def test_the_readmes_picture_is_the_home_page_of_the_demo(
    looking: Looking, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    db = tmp_path / "demo.db"
    assert run("demo", "--db", str(db)).returncode == 0
    taken = looking.visit(db, PAGES[0], lambda page: page.screenshot(full_page=True, clip=SHOWN), Look(width=1000))
    if pytestconfig.getoption("update_screenshot"):
        PICTURE.write_bytes(taken)
    kept = PICTURE.read_bytes()
    assert len(kept) < 150_000
    assert width_of(kept) == width_of(taken)


def width_of(png: bytes) -> int:
    """The pixels of a PNG from left to right."""
    assert png.startswith(b"\x89PNG")
    return int.from_bytes(png[16:20], "big")
