"""`prices`, `explain` and `reprice` as a person and a script meet them."""

from __future__ import annotations

from pathlib import Path

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


def test_a_rate_of_ones_own_prices_calls_after_reprice(ledger: Path, home: Path) -> None:
    with opened(ledger) as con:
        con.execute("update model set name = 'my-model' where name like 'claude-opus%'")
    assert ccostdb("reprice").stdout == "1 costs have changed.\n"
    assert objects(ccostdb("report", "models", "--json"))[1]["unpriced_calls"] == 1
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "my-model"\ninput = 0.5\noutput = 1.25')
    assert ccostdb("reprice").stdout == "1 costs have changed.\n"
    row = next(row for row in objects(ccostdb("report", "models", "--json")) if row["model"] == "my-model")
    assert row["cost_usd"] == (3 * 500 + 300 * 1250) / 1e9
    assert ccostdb("rollup", "--verify").exit_code == 0
