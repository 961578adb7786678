"""`prices`, `explain` and `reprice` as a person and a script meet them."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import add_cco, ccostdb, objects, opened


def test_the_price_book_is_listed_and_searched(ledger: Path) -> None:
    rows = objects(ccostdb("prices", "list", "opus-4-5", "--json"))
    assert rows[0]["input_usd_per_million"] == 5.0
    assert all("opus-4-5" in row["model"] for row in rows)
    assert ccostdb("prices", "sync").stdout.startswith("The price book is up to date: ")


def test_a_models_rates_are_shown(ledger: Path) -> None:
    rows = objects(ccostdb("prices", "show", "claude-opus-4-5-20251101", "--json"))
    assert {row["kind"]: row["usd_per_million"] for row in rows if row["variant"] is None}["output"] == 25.0
    result = ccostdb("prices", "show", "no-such-model")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: No price is known for 'no-such-model'.")


def test_a_call_is_explained_to_the_nano_dollar(ledger: Path) -> None:
    result = ccostdb("explain", "msg_01CCCCCCCCCCCCCCCCCCCCCCCC", "--json")
    rows = objects(result)
    assert [(row["kind"], row["used"], row["usd_per_million"]) for row in rows] == [
        ("input", 3, 5.0),
        ("output", 300, 25.0),
    ]
    assert "Computed: $0.007515000" in result.stderr
    assert ccostdb("explain", "msg_nothing").exit_code == 1


def test_a_call_without_kinds_is_explained_too(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con)
    result = ccostdb("explain", "cco:1", "--json")
    assert objects(result) == []
    assert "1,000 tokens in all" in result.stderr
    assert "Reported: $2.500000000" in result.stderr


def test_the_rates_that_a_partly_priced_model_lacks_are_named(ledger: Path, home: Path) -> None:
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "my-model"\ninput = 3\noutput = 15')
    with opened(ledger) as con:
        con.execute("update model set name = 'my-model' where name like 'claude-opus%'")
        con.execute("update call set cache_write_5m_tokens = 7, cache_read_tokens = 9 where call_id like 'msg_01CC%'")
    assert ccostdb("prices", "sync").exit_code == 0
    result = ccostdb("explain", "msg_01CCCCCCCCCCCCCCCCCCCCCCCC", "--json")
    assert result.exit_code == 0
    assert "No rate is known for cache_write_5m, cache_read of my-model.\n" in result.stderr
    lacking = "No rate is known for cache_write_5m, cache_write_1h, cache_read of my-model.\n"
    assert lacking in ccostdb("prices", "show", "my-model").stderr


@pytest.mark.parametrize(
    ("restriction", "sentence"),
    [
        (
            'provider = "anthropic"',
            "my-model is known, but only where anthropic bills it, and its name does not say so.",
        ),
        ("valid_from = 2999-01-01", "my-model is known, but none of its rates holds today."),
        ("valid_until = 2001-01-01", "my-model is known, but none of its rates holds today."),
    ],
)
def test_rates_that_do_not_hold_here_and_now_are_shown_with_the_reason(
    ledger: Path, home: Path, restriction: str, sentence: str
) -> None:
    (home / "ccostdb.toml").write_text(f'[[price]]\nmodel = "my-model"\ninput = 3\n{restriction}')
    result = ccostdb("prices", "show", "my-model", "--json")
    assert [(row["kind"], row["usd_per_million"]) for row in objects(result)] == [("input", 3.0)]
    assert result.stderr == f"{sentence}\n"


def test_a_search_that_finds_no_model_says_so(ledger: Path) -> None:
    result = ccostdb("prices", "list", "nosuch", "--json")
    assert (objects(result), result.stderr) == ([], "There is no model whose name holds 'nosuch'.\n")


def test_web_searches_are_priced_by_the_thousand(ledger: Path, home: Path) -> None:
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "my-model"\ninput = 3\nweb_search_per_thousand = 10')
    row = objects(ccostdb("prices", "show", "my-model", "--json"))[1]
    assert (row["kind"], row["usd_per_million"], row["usd_per_thousand"]) == ("web_search", None, 10.0)


def test_a_rate_over_the_price_book_changes_the_row_of_its_model(ledger: Path, home: Path) -> None:
    before = objects(ccostdb("prices", "list", "claude-opus-4-5", "--json"))
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "claude-opus-4-5"\nprovider = "anthropic"\noutput = 17')
    after = objects(ccostdb("prices", "list", "claude-opus-4-5", "--json"))
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    (mine,) = [(old, new) for old, new in changed if new["provider"] == "anthropic"]
    assert mine[1] == {**mine[0], "output_usd_per_million": 17.0, "origin": "user"}


def test_a_model_of_ones_own_is_one_row_however_many_entries_it_has(ledger: Path, home: Path) -> None:
    entries = ("input = 3", "above_tokens = 200_000\ninput = 6", "output = 15")
    (home / "ccostdb.toml").write_text("\n".join(f'[[price]]\nmodel = "my-model"\n{each}' for each in entries))
    (row,) = objects(ccostdb("prices", "list", "my-model", "--json"))
    assert (row["input_usd_per_million"], row["output_usd_per_million"]) == (3.0, 15.0)


def test_a_rate_of_ones_own_prices_calls_after_reprice(ledger: Path, home: Path) -> None:
    with opened(ledger) as con:
        con.execute("update model set name = 'my-model' where name like 'claude-opus%'")
    assert ccostdb("reprice").stdout == "1 cost has changed.\n"
    assert ccostdb("reprice").stdout == "0 costs have changed.\n"
    assert objects(ccostdb("report", "models", "--json"))[1]["unpriced_calls"] == 1
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "my-model"\ninput = 0.5\noutput = 1.25')
    assert ccostdb("reprice").stdout == "1 cost has changed.\n"
    row = next(row for row in objects(ccostdb("report", "models", "--json")) if row["model"] == "my-model")
    assert row["cost_usd"] == (3 * 500 + 300 * 1250) / 1e9
    assert ccostdb("rollup", "--verify").exit_code == 0
