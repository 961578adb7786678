"""The price table: made from genai-prices, our overlay and the user's rates, and only when one of them changed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from pricing import NOW

from ccostdb.errors import BadSettings
from ccostdb.model import NO_COST, Usage
from ccostdb.prices import sync as price_book
from ccostdb.prices.book import PriceBook
from ccostdb.prices.plan import BOOK, OVERLAY, Rate
from ccostdb.prices.sync import SyncReport, all_rates, book_digest, digest, sync
from ccostdb.resources import sql

COLUMNS = ", ".join(Rate._fields)


@pytest.fixture
def con() -> Iterator[sqlite3.Connection]:
    """An empty ledger, its row made, no prices yet."""
    con = sqlite3.connect(":memory:", isolation_level=None)
    con.executescript(sql("migrations/0001_ledger.sql"))
    con.execute("insert into ledger (ledger_id, made_at_s, made_by, home_tz) values (1, 0, 'test', 'UTC')")
    yield con
    con.close()


def held(con: sqlite3.Connection) -> list[tuple[Any, ...]]:
    return con.execute(f"select {COLUMNS} from price order by price_id").fetchall()


# --- the sync ----------------------------------------------------------------------------------------------


def test_a_sync_fills_the_table_and_keeps_the_digest(con: sqlite3.Connection) -> None:
    report = sync(con, ())
    assert report.is_changed
    assert report.rows == len(held(con)) > 2_000
    assert con.execute("select prices_digest from ledger").fetchone() == (book_digest(()),)
    assert {origin for origin, *_ in held(con)} == {BOOK, OVERLAY}


def test_a_sync_of_the_same_digest_does_nothing(con: sqlite3.Connection) -> None:
    first = sync(con, ())
    con.execute("delete from price where kind <> 'input'")
    changes = con.total_changes
    assert sync(con, ()) == SyncReport(False, first.version)
    assert con.total_changes == changes


def test_a_changed_rate_of_the_user_replaces_every_row(con: sqlite3.Connection) -> None:
    sync(con, ({"model": "mine", "input": 1},))
    before = len(held(con))
    assert sync(con, ({"model": "mine", "input": 2},)).is_changed
    assert len(held(con)) == before
    assert con.execute("select nusd_per_million from price where origin = 'user'").fetchall() == [(2 * 10**9,)]
    sync(con, ())
    assert len(held(con)) == before - 1


def test_a_sync_is_part_of_the_callers_transaction(con: sqlite3.Connection) -> None:
    con.execute("begin immediate")
    sync(con, ())
    assert con.in_transaction
    con.execute("rollback")
    assert held(con) == []
    assert con.execute("select prices_digest from ledger").fetchone() == (None,)


def test_a_bad_entry_leaves_the_table_as_it_was(con: sqlite3.Connection) -> None:
    sync(con, ())
    before = held(con)
    with pytest.raises(BadSettings):
        sync(con, ({"model": "mine"},))
    assert held(con) == before


def test_the_same_data_make_the_same_rows() -> None:
    assert list(all_rates(())) == list(all_rates(()))


def test_rows_read_back_price_as_the_rates_did(con: sqlite3.Connection) -> None:
    sync(con, ())
    assert sorted(map(Rate._make, held(con)), key=repr) == sorted(all_rates(()), key=repr)
    con.row_factory = sqlite3.Row
    assert PriceBook(con.execute(f"select {COLUMNS} from price")).is_priced("claude-opus-4-6")


def test_the_digest_changes_with_each_of_its_parts() -> None:
    digests = {
        digest("0.2.3", b"x", ()),
        digest("0.2.4", b"x", ()),
        digest("0.2.3", b"y", ()),
        digest("0.2.3", b"x", ({"model": "m", "input": 1},)),
        digest("0.2.3", b"x", ({"model": "m", "input": 1, "valid_from": date(2026, 1, 1)},)),
    }
    assert len(digests) == 5
    assert digest("0.2.3", b"x", ({"b": 1, "a": 2},)) == digest("0.2.3", b"x", ({"a": 2, "b": 1},))


def test_rates_that_travelled_as_json_are_the_same() -> None:
    here = {"model": "m", "input": 0.1, "valid_from": date(2026, 1, 1), "checked": date(2026, 1, 2)}
    there = json.loads(json.dumps(here, default=str))
    assert book_digest((here,)) == book_digest((there,))
    assert list(all_rates((here,))) == list(all_rates((there,)))


def test_the_version_is_that_of_the_package() -> None:
    assert price_book._version() == metadata.version("genai-prices")


def test_neither_the_digest_nor_pricing_imports_genai_prices() -> None:
    code = (
        "import sys, ccostdb.prices.book, ccostdb.prices.sync as book; book.book_digest(()); "
        "sys.exit(str([name for name in ('genai_prices', 'pydantic', 'importlib.metadata') if name in sys.modules]"
        " or ''))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.stderr.strip() == ""


def test_models_with_a_price_by_the_hour_are_reported(con: sqlite3.Connection) -> None:
    report = sync(con, ())
    assert "deepseek/deepseek-chat: its price depends on the time of day" in report.unpriced
    assert not any(name.startswith("anthropic/") for name in report.unpriced)


# --- the overlay -------------------------------------------------------------------------------------------


def test_each_entry_of_the_overlay_names_its_source_and_the_day_it_was_checked() -> None:
    path = Path(price_book.__file__).parent.with_name("prices.toml")
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["price"]:
        assert entry["source"].startswith("https://")
        assert isinstance(entry["checked"], date)
    for rate in all_rates(()):
        assert rate.origin != OVERLAY or (rate.provider == "anthropic" and rate.source_url and rate.checked_on)


def test_every_model_of_the_overlay_is_one_that_the_base_knows() -> None:
    rates = list(all_rates(()))
    book = PriceBook(rate for rate in rates if rate.origin == BOOK)
    for rate in rates:
        if rate.origin == OVERLAY and rate.kind != "factor":
            assert book.is_priced(rate.model)


def test_a_book_whose_base_is_read_when_it_is_needed_prices_every_model_as_a_whole_one() -> None:
    users = (
        {"model": "gpt-4o", "input": 2},
        {"model": "my-model", "input": 1, "output": 2},
        {"model": "glm-4.6", "times": 2},
    )
    rates = list(all_rates(users))
    over, base = [rate for rate in rates if rate.origin != BOOK], [rate for rate in rates if rate.origin == BOOK]
    asked: list[str] = []

    def base_of(provider: str) -> list[Rate]:
        asked.append(provider)
        return [rate for rate in base if rate.provider == provider]

    whole, usage = PriceBook(rates), Usage(1000, 100, 0, 0, 0)
    PriceBook(over, base_of).cost("claude-sonnet-4-5", NOW, usage)
    assert "openrouter" not in asked
    assert len(asked) == len(set(asked))
    lazy = PriceBook(over, base_of)
    names = {
        f"{before}{rate.model}" for rate in rates for before in ("", f"{rate.provider}/", "openrouter/", "bedrock/us.")
    }
    priced = [name for name in sorted(names) if whole.cost(name, NOW, usage) != NO_COST]
    assert len(priced) > 1000
    assert [name for name in names if lazy.cost(name, NOW, usage) != whole.cost(name, NOW, usage)] == []


def test_a_model_of_an_unlisted_provider_may_be_priced_while_the_rates_are_gone_through() -> None:
    book = PriceBook(all_rates(()))
    for _ in book.standard_rates(NOW):
        assert book.cost("lm_studio/some-model", NOW, Usage(1, 0, 0, 0, 0)) == NO_COST
