"""Real `ccostdb serve` processes and a real Chromium for tests of pages: a page with any error in it fails its test.

Playwright runs in a thread of its own, because its loop would be in the way of the `asyncio.run` of other tests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from served import ended, process

T = TypeVar("T")
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Nothing but this machine can be found, whatever a page asks for.
ARGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
)
AXE_OPTIONS = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
SERIOUS = ("serious", "critical")


class Look(NamedTuple):
    """How a page is looked at."""

    width: int = 1280
    is_dark: bool = False
    has_scripts: bool = True


DESKTOP = Look()
PHONE = Look(width=360)
DARK = Look(is_dark=True)
SCRIPTLESS = Look(has_scripts=False)


class Chromium:
    """One browser of a process. Its methods run in the browser's thread."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: dict[Look, BrowserContext] = {}

    def visit(self, url: str, then: Callable[[Page], T], look: Look, status: int) -> T:
        """What `then` returns of the loaded page; fails for what was wrong with it, then too."""
        page = self._context(look).new_page()
        wrong = watch(page, url)
        try:
            response = page.goto(url, wait_until="load")
            assert response is not None
            assert response.status == status, f"{url}: {response.status}"
            found = then(page)
            assert [each for each in wrong if status == 200 or not each.endswith(f": {response.url}")] == []
            if look.has_scripts:
                assert page.evaluate("window.hacked") is None, f"{url} ran a name"
            return found
        finally:
            page.close()

    def _context(self, look: Look) -> BrowserContext:
        if look not in self._contexts:
            self._contexts[look] = self._browser.new_context(
                viewport={"width": look.width, "height": 800},
                color_scheme="dark" if look.is_dark else "light",
                java_script_enabled=look.has_scripts,
                reduced_motion="reduce",
            )
        return self._contexts[look]


def watch(page: Page, url: str) -> list[str]:
    """What goes wrong on the page from now on: errors, failed requests, and whatever leaves the machine."""
    origin = "/".join(url.split("/")[:3]) + "/"
    wrong: list[str] = []
    page.on(
        "console", lambda said: wrong.append(f"{said.text}: {said.location['url']}") if said.type == "error" else None
    )
    page.on("requestfailed", lambda asked: wrong.append(f"{asked.failure}: {asked.url}"))
    page.on("response", lambda got: wrong.append(f"{got.status}: {got.url}") if got.status >= 400 else None)
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    is_ours = (origin, "data:", "blob:", "about:")
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(is_ours) else wrong.append(f"left this machine: {asked.url}"),
    )
    return wrong


def axe_violations(page: Page, *but: str) -> list[str]:
    """What axe-core finds serious: the rule and the elements; `but` are rules that are not asked."""
    options = {**AXE_OPTIONS, "rules": {rule: {"enabled": False} for rule in but}}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{each['id']}: {targets(each['nodes'])}" for each in found if each["impact"] in SERIOUS]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than what is seen of it."""
    root = "document.documentElement"
    return int(page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))


def targets(nodes: list[dict[str, Any]]) -> list[Any]:
    return [node["target"] for node in nodes[:5]]


class Looking:
    """What tests are given: `visit` a path of the server of a ledger in Chromium."""

    def __init__(self, thread: ThreadPoolExecutor, chromium: Chromium, serve: Callable[[Path], str]) -> None:
        self._thread, self._chromium, self._serve = thread, chromium, serve

    def visit(
        self,
        db: Path,
        path: str,
        then: Callable[[Page], T] = lambda _: None,  # type: ignore[assignment,return-value]
        look: Look = DESKTOP,
        status: int = 200,
    ) -> T:
        """What `then` returns of the page at `path`, in the browser's thread. Fails for any error in the page."""
        url = self._serve(db) + path
        return self._thread.submit(self._chromium.visit, url, then, look, status).result(120)


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def servers() -> Iterator[Callable[[Path], str]]:
    """The address of a server of a ledger, without a slash at its end; one process for each ledger."""
    urls: dict[Path, str] = {}
    with ExitStack() as stack:

        def url_of(db: Path) -> str:
            if db not in urls:
                child, urls[db] = stack.enter_context(process(db, stderr=None))
                stack.callback(ended, child)
            return urls[db]

        yield url_of


@contextmanager
def chromium(serve: Callable[[Path], str]) -> Iterator[Looking]:
    """A browser; without one, tests are skipped, or fail where REQUIRE_CHROMIUM is set."""
    found = find_chromium()
    if found is None:
        reason = f"no Chromium: none of {', '.join(NAMES)} is installed"
        pytest.fail(reason) if os.environ.get("REQUIRE_CHROMIUM") else pytest.skip(reason)
    with ThreadPoolExecutor(1) as thread:
        playwright = thread.submit(sync_playwright().start).result()
        try:
            browser = thread.submit(playwright.chromium.launch, executable_path=found, args=ARGS).result()
            yield Looking(thread, Chromium(browser), serve)
            thread.submit(browser.close).result()
        finally:
            thread.submit(playwright.stop).result()
