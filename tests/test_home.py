"""The home page: every number is the ledger's, everything leads to the rows behind it, names are text."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ledger_rows import add_calls, add_name, add_source
from sized_ledgers import empty_ledger, week_ledger

from ccostdb.clock import SECOND_NS, parse_ns, span_at
from ccostdb.datasette_plugin.home import home, hour_ticks, running_total
from ccostdb.reports.spending import PERIODS, spending
from ccostdb.serve import make_datasette
from ccostdb.settings import Settings
from ccostdb.written import exact_usd, usd

NOW = parse_ns("2026-11-18T12:00:00Z") or 0  # a Wednesday
DAY = 86_400 * SECOND_NS
USD = 10**9
VOID = {"meta", "link", "br", "input", "hr", "img"}


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def get(path: Path, *addresses: str, budgets: tuple[dict[str, Any], ...] = ()) -> list[Any]:
    """The answers of a Datasette of ours, as its own client gets them."""

    async def ask() -> list[Any]:
        datasette = make_datasette(Settings(path, home_tz="Europe/Berlin", user_budgets=budgets))
        await datasette.invoke_startup()
        return [await datasette.client.get(address) for address in addresses]

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return week_ledger(tmp_path_factory.mktemp("week") / "ledger.db")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return empty_ledger(tmp_path / "ledger.db", "UTC")


@pytest.fixture
def con(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        yield made


def shown(path: Path, now_ns: int = NOW, period: str | None = None, *budgets: dict[str, Any]) -> dict[str, Any]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as con:
        con.execute("begin")
        return home(con, Settings(path, home_tz="UTC", user_budgets=budgets), now_ns, period)


def spend(con: sqlite3.Connection, usd: float | None, at_ns: int, **names: str) -> None:
    if not con.execute("select 1 from source").fetchone():
        add_source(con, "claude-code")
    ids = {f"{table}_id": add_name(con, table, name) for table, name in names.items()}
    cost = None if usd is None else round(usd * USD)
    call = {"call_id": f"{at_ns} {usd} {names}", "source_id": 1, "occurred_ns": at_ns, "computed_nusd": cost}
    add_calls(con, [{**call, **ids}])


def test_an_empty_ledger_says_what_to_type(path: Path) -> None:
    (answer,) = get(path, "/-/ccostdb")
    page = Page(answer.text)
    assert answer.status_code == 200
    assert "ccostdb start" in page.text
    assert str(path) in page.text
    assert "$" not in page.text


def test_the_figures_are_those_of_the_ledger_with_all_digits_in_their_titles(week: Path) -> None:
    (answer,) = get(week, "/-/ccostdb?period=week")
    monday = "date((select max(day) from calendar), '-6 days', 'weekday 1')"
    statement = f"select sum(cost_nusd), sum(cost_nusd) filter (where day >= {monday}) from daily_usage where counted"
    with closing(sqlite3.connect(week)) as con:
        week_cost = con.execute(statement).fetchone()[1]
        (day,) = con.execute(f"{statement} and day = (select max(day) from calendar)").fetchone()[:1]
    titles = [each.get("title") for each in Page(answer.text).all("span")]
    assert exact_usd(day) in titles
    assert exact_usd(week_cost) in titles
    assert usd(week_cost) in answer.text


def test_what_was_spent_stands_against_the_same_part_of_the_last(path: Path, con: sqlite3.Connection) -> None:
    spend(con, 3, NOW - 3600 * SECOND_NS)
    spend(con, 2, NOW - DAY - 3600 * SECOND_NS)
    spend(con, 50, NOW - DAY + 3600 * SECOND_NS)  # later in the day than now
    cards = shown(path)["cards"]
    assert (cards[0].spent.cost_nusd, cards[0].arrow, cards[0].said) == (
        3 * USD,
        "▲",
        "50 % more than yesterday by 12:00",
    )
    assert cards[1].spent.cost_nusd == 55 * USD
    assert cards[1].said == "Nothing was recorded last week by then"


def test_nothing_recorded_is_not_nothing_spent(path: Path, con: sqlite3.Connection) -> None:
    spend(con, 3, NOW - 3600 * SECOND_NS)
    spend(con, 0, NOW - 7 * DAY - 3600 * SECOND_NS)
    assert shown(path)["cards"][0].said == "Nothing was recorded yesterday by 12:00"
    assert shown(path)["cards"][1].said == "It was $0.00 last week by then"
    assert "nothing was recorded yesterday" in str(shown(path)["hour_chart"])


def test_a_cost_that_no_call_tells_is_never_shown_as_nothing(path: Path, con: sqlite3.Connection) -> None:
    spend(con, None, NOW, model="mystery")
    found = shown(path)
    assert found["cards"][0].spent.cost_nusd is None
    assert found["names"]["model"][0].share.cost_nusd is None
    spend(con, None, parse_ns("2026-11-18T11:00:00Z") or 0)
    assert found["cards"][0].said.startswith("No comparison")


def test_every_name_leads_to_its_calls_and_the_rest_is_one_line(path: Path, con: sqlite3.Connection) -> None:
    for number in range(12):
        spend(con, 1 + number, NOW, model=f"model {number} & co", agent="Explore")
    spend(con, 100, NOW)
    found = shown(path, NOW, "today")["names"]
    assert [each.name for each in found["model"]][:2] == ["not named", "model 11 & co"]
    assert found["model"][0].href == "/ccostdb/calls_of?since=2026-11-18&until=2026-11-18&model=-"
    assert found["model"][1].href == "/ccostdb/calls_of?since=2026-11-18&until=2026-11-18&model=model+11+%26+co"
    rest = found["model"][-1]
    assert (rest.name, rest.href, rest.share.calls, rest.share.cost_nusd) == ("5 others", None, 5, 15 * USD)
    assert sum(each.share.share for each in found["model"]) == pytest.approx(1)
    assert [each.name for each in found["agent"]] == ["not named", "Explore"]


def test_every_link_of_the_page_leads_to_a_page(week: Path) -> None:
    (answer,) = get(week, "/-/ccostdb")
    links = sorted({str(each["href"]) for each in Page(answer.text).all("a")} - {"#main"})
    assert len(links) > 30
    answers = get(week, *(f"/-/ccostdb{each}" if each.startswith("?") else each for each in links))
    assert {link: each.status_code for link, each in zip(links, answers, strict=True) if each.status_code != 200} == {
        "/-/dashboards/ccostdb": 302  # to the last days
    }


@pytest.mark.parametrize("period", [*PERIODS, "", "nonsense", "<script>"])
def test_any_period_is_answered_and_an_unknown_one_is_this_month(week: Path, period: str) -> None:
    (answer,) = get(week, f"/-/ccostdb?period={period}")
    chosen = re.findall(r'<a href="\?period=(\w+)#where" aria-current="true"', answer.text)
    assert (answer.status_code, chosen) == (200, [period if period in PERIODS else "month"])


def test_hostile_names_are_text(week: Path) -> None:
    hostile = {"name": "</title><script>window.hacked = 1</script>", "daily": 1}
    for answer in get(week, "/-/ccostdb", "/-/ccostdb?period=today", "/-/ccostdb/health", budgets=(hostile,)):
        page = Page(answer.text)
        assert page.all("script") == []
        names = {name for _, attributes in page.tags for name in attributes}
        assert "style" not in names
        assert not [each for each in names if each.startswith("on")]
        assert "<script>window.hacked" in page.text


def test_headings_go_down_by_one_and_every_table_and_chart_has_a_name(week: Path) -> None:
    for answer in get(week, "/-/ccostdb", "/-/ccostdb/health"):
        page = Page(answer.text)
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        ids = [str(attributes["id"]) for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        named = [str(each) for _, attributes in page.tags if (each := attributes.get("aria-labelledby"))]
        assert {each for names in named for each in names.split()} <= set(ids)
        assert page.all("html") == [{"lang": "en"}]


def test_a_budget_over_its_limit_says_so_and_one_that_cannot_be_read_leads_to_why(
    path: Path, con: sqlite3.Connection
) -> None:
    spend(con, 3, NOW)
    entry = {"name": "work", "daily": 2, "monthly": 100}
    over, month = shown(path, NOW, None, entry)["limits"]
    assert (over.said, over.used) == ("Over by $1.00.", 1.5)
    assert month.said.startswith("$97.00 left. At this pace $")
    (answer,) = get(path, "/-/ccostdb", budgets=({"name": "work", "dayly": 2},))
    assert "cannot be read" in answer.text


def test_the_lines_of_a_day_end_where_its_money_ends(path: Path, con: sqlite3.Connection) -> None:
    spend(con, 2, NOW - 2 * 3600 * SECOND_NS)
    spend(con, 1, NOW)
    found = spending(con, NOW)
    today = span_at("day", NOW, ZoneInfo("UTC"))
    until = NOW + 900 * SECOND_NS
    points = running_total(found.hours, today, until)
    assert points == [(0, 0), (10 / 24, 0), (11 / 24, 2), (12 / 24, 2), (12.25 / 24, 3), (12.25 / 24, 3)]
    whole = running_total(found.hours, today, today.to_ns)
    assert whole[-2:] == [(13 / 24, 3), (1, 3)]


def test_the_hours_of_a_chart_stand_where_they_are_on_a_day_with_a_clock_change() -> None:
    autumn = span_at("day", parse_ns("2026-10-25T12:00:00Z") or 0, ZoneInfo("Europe/Berlin"))
    ticks = [(0, "00:00"), (7 / 25, "06:00"), (13 / 25, "12:00"), (19 / 25, "18:00"), (1, "24:00")]
    assert hour_ticks(autumn, ZoneInfo("Europe/Berlin")) == ticks


def test_what_a_response_cache_saved_has_all_its_digits_and_leads_to_the_same_number(
    path: Path, con: sqlite3.Connection
) -> None:
    call = {"source_id": add_source(con, "cco", counted=True), "occurred_ns": NOW, "total_tokens": 100}
    hit = {**call, "call_id": "hit", "reported_nusd": 0, "is_response_cache_hit": 1}
    add_calls(con, [{**call, "call_id": "paid", "reported_nusd": 1_234_567_891}, hit])
    (answer,) = get(path, "/-/ccostdb?period=month")
    assert f"cache_savings?counted=1&amp;month={datetime.now(UTC):%Y-%m}" in answer.text
    assert shown(path)["breakdown"].response_cache_savings_nusd == 1_234_567_891


def test_what_the_figures_leave_out_is_said(week: Path) -> None:
    (answer,) = get(week, "/-/ccostdb")
    assert "Not counted: cco with" in answer.text
    assert "Without a price, so in no cost:" in answer.text


def test_the_hour_that_comes_twice_in_autumn_is_one_line_of_the_table_and_both_are_in_it(tmp_path: Path) -> None:
    path, twice = empty_ledger(tmp_path / "berlin.db"), parse_ns("2026-10-25T01:30:00Z") or 0
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        for hours_ago in (0, 1):
            spend(con, 2, twice - hours_ago * 3600 * SECOND_NS)
    ((hour, today, yesterday, has_begun),) = shown(path, twice + SECOND_NS)["hour_rows"]
    assert (hour, today.cost_nusd, yesterday.cost_nusd, has_begun) == ("02:00", 4 * USD, 0, True)


def test_a_ledger_of_older_calls_only_says_when_the_last_were_and_leads_to_them(
    path: Path, con: sqlite3.Connection
) -> None:
    for days, usd_spent in ((400, 0.09), (46, 2)):
        spend(con, usd_spent, NOW - days * DAY)
    found = shown(path)["spending"].in_all
    assert (found.first_day, found.last_day) == (date(2025, 10, 14), date(2026, 10, 3))
    assert found.cost_nusd == 2_090_000_000
    spend(con, 1, NOW)
    assert shown(path)["spending"].in_all is None
    con.execute("delete from call")
    spend(con, 2, time.time_ns() - 100 * DAY)
    (answer,) = get(path, "/-/ccostdb")
    assert re.search(r'Last spent on <a href="/ccostdb/calls_of\?since=.*\$2\.00.* in all\.', answer.text)


def test_budgets_that_only_the_ledger_holds_are_shown(path: Path, con: sqlite3.Connection) -> None:
    spend(con, 3, NOW, model="opus-5")
    columns = "name, period, limit_nusd, models"
    con.execute(f"insert into budget ({columns}) values ('kept', 'day', ?, '[\"opus*\"]')", (4 * USD,))
    con.execute(f"insert into budget ({columns}) values ('kept', 'week', ?, '[\"opus*\"]')", (4 * USD,))
    assert [(each.standing.budget, each.used) for each in shown(path)["limits"]] == [("kept", 0.75)] * 2
    mine = shown(path, NOW, None, {"name": "mine", "daily": 6})["limits"]
    assert [(each.standing.budget, each.used) for each in mine] == [("mine", 0.5)]
    (answer,) = get(path, "/-/ccostdb")
    assert "<bdi>kept</bdi>" in answer.text


def test_home_and_health_say_the_same_of_how_it_goes(week: Path) -> None:
    home_page, health_page = get(week, "/-/ccostdb", "/-/ccostdb/health")
    (there,) = re.findall(r'<span class="pill \w+">([^<]+)</span>', health_page.text)
    assert f"Not recording · {there}</a>" in home_page.text
    assert re.fullmatch(r"\d+ to look at", there)


def test_a_name_of_dashes_or_of_nothing_leads_to_its_own_calls(path: Path, con: sqlite3.Connection) -> None:
    names = [None, "", "-", "--", "-a", "a"]
    for number, name in enumerate(names):
        spend(con, 1 + number, NOW, **({} if name is None else {"model": name, "project": name, "agent": name}))
    found = shown(path, NOW, "today")["names"]
    hrefs = {each.share.name: each.href for each in found["model"]}
    for dimension in ("model", "project", "agent"):
        for number, name in enumerate(names):
            href = next(each.href for each in found[dimension] if each.share.name == name)
            (answer,) = get(path, href.replace("calls_of?", "calls_of.json?_shape=objects&"))
            assert [row["cost_usd"] for row in answer.json()["rows"]] == [1 + number], (dimension, name)
    assert hrefs["a"].endswith("model=a")


def test_one_of_a_thing_is_no_plural(path: Path, con: sqlite3.Connection) -> None:
    con.execute("insert into budget (name, period, limit_nusd) values ('b', 'month', 1)")
    spend(con, None, time.time_ns(), model="mystery")
    (answer,) = get(path, "/-/ccostdb")
    assert "1 call without a price." in answer.text
    assert "1 calls" not in answer.text
