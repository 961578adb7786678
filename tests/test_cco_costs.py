"""CCO's own columns: what each kind of token cost, and that the parts are the whole, to the nano-dollar."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_rows import add_calls, add_name, add_source, make_ledger
from pricing import LARGE, MIXED, at, product, whole_book

from ccostdb.export import select
from ccostdb.export.cco_costs import _shared
from ccostdb.model import Usage
from ccostdb.prices.plan import Rate
from ccostdb.prices.sync import all_rates

SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
SONNET_NUSD, SONNET_LARGE_NUSD = (3000, 15000, 3750, 6000, 300), (6000, 22500, 7500, 12000, 600)
KINDS = ("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """An empty ledger with the whole price book, to copy."""
    names = ", ".join(Rate._fields)
    with closing(make_ledger(tmp_path_factory.mktemp("priced") / "ledger.db")) as con:
        con.executemany(f"insert into price ({names}) values ({', '.join('?' * len(Rate._fields))})", all_rates(()))
        add_source(con, "claude-code")
        yield con


@contextmanager
def copy_of(priced: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as con:
        priced.backup(con)
        yield con


@pytest.fixture
def ledger(priced: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    with copy_of(priced) as con:
        yield con


def add(
    con: sqlite3.Connection, usage: Usage | None, model: str = SONNET, when: str = "2026-07-01", **more: Any
) -> None:
    """A call as the ledger prices it; without a usage only its total is known."""
    number = con.execute("select count(*) from call").fetchone()[0]
    call = {"call_id": f"c{number}", "source_id": 1, "occurred_ns": at(when), "model_id": add_name(con, "model", model)}
    if usage is not None:
        call |= dict(zip(KINDS, usage[:5], strict=True))
        call |= {"web_searches": usage.web_searches, "advisor": usage.advisor}
        call["computed_nusd"] = whole_book().cost(model, at(when), usage).computed_nusd
        if usage.speed:
            con.execute("insert or ignore into context (context_id, speed) values (1, ?)", (usage.speed,))
            call["context_id"] = 1
    add_calls(con, [call | more])


def costs(con: sqlite3.Connection, **asked: Any) -> list[dict[str, Any]]:
    """The rows; money is nano-USD."""
    columns, rows = select(con, "cco_costs", **asked)
    assert ",".join(columns) == "date,project,model,input_cost,output_cost,cache_write_cost,cache_read_cost,total_cost"
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    return [
        {name: round(cell * 1e9) if isinstance(cell, float) else cell for name, cell in row.items()} for row in found
    ]


def parts(row: dict[str, Any]) -> list[Any]:
    return [row[f"{kind}_cost"] for kind in ("input", "output", "cache_write", "cache_read")]


def expected(usage: Usage, rates: tuple[int, ...]) -> list[int]:
    each = [used * rate for used, rate in zip(usage[:5], rates, strict=True)]
    return [each[0], each[1], each[2] + each[3], each[4]]


def test_each_kind_is_charged_at_its_own_rate(ledger: sqlite3.Connection) -> None:
    add(ledger, MIXED)
    (row,) = costs(ledger)
    assert (row["date"], row["project"], row["model"]) == ("2026-07-01", None, SONNET)
    assert parts(row) == expected(MIXED, SONNET_NUSD)
    assert row["total_cost"] == sum(parts(row)) == product(MIXED, SONNET_NUSD)


def test_small_and_large_requests_of_a_day_keep_their_tiers(ledger: sqlite3.Connection) -> None:
    for usage in (MIXED, LARGE, MIXED):
        add(ledger, usage)
    (row,) = costs(ledger)
    each = (expected(MIXED, SONNET_NUSD), expected(LARGE, SONNET_LARGE_NUSD), expected(MIXED, SONNET_NUSD))
    assert parts(row) == [sum(column) for column in zip(*each, strict=True)]


def test_a_price_that_changes_at_noon_holds_from_noon(ledger: sqlite3.Connection) -> None:
    noon_s = at("2026-07-01T12:00") // 10**9
    ordinal = ledger.execute("select max(ordinal) from price").fetchone()[0] + 1
    match = json.dumps({"equals": HAIKU})
    for number, kind in enumerate(("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")):
        ledger.execute(
            "insert into price (origin, provider, model, match, kind, above_tokens, valid_from_s, nusd_per_million,"
            " ordinal) values ('user', null, ?, ?, ?, 0, ?, ?, ?)",
            (HAIKU, match, kind, noon_s, (number + 1) * 10**10, ordinal),
        )
    add(ledger, MIXED, HAIKU, "2026-07-01T11:59")
    add(ledger, MIXED, HAIKU, "2026-07-01T12:00", computed_nusd=product(MIXED, (10000, 20000, 30000, 40000, 50000)))
    (row,) = costs(ledger)
    each = (expected(MIXED, (1000, 5000, 1250, 2000, 100)), expected(MIXED, (10000, 20000, 30000, 40000, 50000)))
    assert parts(row) == [sum(column) for column in zip(*each, strict=True)]


def test_web_searches_are_in_the_output(ledger: sqlite3.Connection) -> None:
    add(ledger, MIXED._replace(web_searches=2))
    (row,) = costs(ledger)
    searched = expected(MIXED, SONNET_NUSD)
    assert parts(row) == [searched[0], searched[1] + 2 * 10_000_000, *searched[2:]]


def test_an_advisor_is_charged_by_its_own_model_and_kinds(ledger: sqlite3.Connection) -> None:
    told = json.dumps([{"model": HAIKU, "input_tokens": 10, "output_tokens": 20, "cache_read_tokens": 30}])
    add(ledger, MIXED._replace(advisor=told))
    add(ledger, MIXED)
    (row,) = costs(ledger)
    plain = expected(MIXED, SONNET_NUSD)
    advised = [plain[0] + 10 * 1000, plain[1] + 20 * 5000, plain[2], plain[3] + 30 * 100]
    assert parts(row) == [one + other for one, other in zip(plain, advised, strict=True)]


def test_a_reported_cost_is_shared_out_as_the_rates_would_have_it(ledger: sqlite3.Connection) -> None:
    usage = Usage(3, 1, 0, 0, 0)  # 9,000 and 15,000 nano-USD
    add(ledger, usage, reported_nusd=1001)
    (row,) = costs(ledger)
    assert parts(row) == [375, 626, 0, 0]
    assert row["total_cost"] == 1001


def test_a_cost_without_kinds_has_a_row_of_its_own(ledger: sqlite3.Connection) -> None:
    add(ledger, MIXED)
    add(ledger, None, total_tokens=9, reported_nusd=5)
    known, unknown = costs(ledger)
    assert parts(known) == expected(MIXED, SONNET_NUSD)
    assert (parts(unknown), unknown["total_cost"], unknown["model"]) == ([None] * 4, 5, SONNET)


def test_a_call_without_a_price_is_there_and_unknown(ledger: sqlite3.Connection) -> None:
    add(ledger, MIXED, "mystery-1")
    (row,) = costs(ledger)
    assert (row["model"], row["total_cost"], parts(row)) == ("mystery-1", None, [None] * 4)


def test_days_are_narrowed_and_zoned_and_sources_that_do_not_count_are_left_out(ledger: sqlite3.Connection) -> None:
    other = add_source(ledger, "cco", counted=False)
    add(ledger, MIXED, when="2026-07-01T20:00")
    add(ledger, MIXED, when="2026-07-03T20:00")
    add(ledger, MIXED, when="2026-07-02T20:00", source_id=other)
    assert [row["date"] for row in costs(ledger)] == ["2026-07-01", "2026-07-03"]
    assert [row["date"] for row in costs(ledger, tz="Asia/Kolkata")] == ["2026-07-02", "2026-07-04"]
    assert [row["date"] for row in costs(ledger, since="2026-07-02")] == ["2026-07-03"]
    assert [row["date"] for row in costs(ledger, until="2026-07-02", tz="Asia/Kolkata")] == ["2026-07-02"]
    ledger.execute("delete from call")
    assert costs(ledger) == []


usages = st.builds(
    Usage,
    *[st.integers(0, 300_000)] * 5,
    web_searches=st.sampled_from([None, 0, 3]),
    speed=st.sampled_from([None, "fast"]),
    service_tier=st.none(),
    inference_geo=st.none(),
    advisor=st.none(),
)


@settings(deadline=None, max_examples=40)  # each compiles the plans of its models anew
@given(st.lists(st.tuples(usages, st.sampled_from([SONNET, HAIKU, "claude-opus-4-6"]), st.booleans()), max_size=6))
def test_the_parts_of_all_rows_are_what_was_spent(
    priced: sqlite3.Connection, calls: list[tuple[Usage, str, bool]]
) -> None:
    with copy_of(priced) as con:
        for usage, model, is_reported in calls:
            add(con, usage, model, **({"reported_nusd": 123_457} if is_reported else {}))
        rows = costs(con)
        spent = con.execute("select sum(ifnull(reported_nusd, computed_nusd)) from call").fetchone()[0]
        assert sum(row["total_cost"] or 0 for row in rows) == (spent or 0)
        for row in rows:
            assert None in parts(row) or sum(parts(row)) == row["total_cost"]


@given(st.integers(-(10**15), 10**15), st.lists(st.fractions(0, 10**9), min_size=4, max_size=4))
def test_shares_add_up_and_are_within_one_of_what_is_due(total: int, weights: list[Fraction]) -> None:
    shares = _shared(total, weights)
    if not sum(weights):
        assert shares == (None if total else [0] * 4)
        return
    assert shares is not None
    assert sum(shares) == total
    assert all(abs(share - total * weight / sum(weights)) < 1 for share, weight in zip(shares, weights, strict=True))
