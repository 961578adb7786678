"""What Datasette says beside the data: every table, view and column has its words, and what they name is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ledger_rows import make_ledger

from ccostdb.resources import datasette_metadata

METADATA: dict[str, Any] = yaml.safe_load(datasette_metadata().read_text())
TABLES: dict[str, Any] = METADATA["databases"]["ccostdb"]["tables"]
MIGRATIONS = "_sqlite_migrations"  # sqlite-utils makes it beside ours
# What the sentence on a column must say where its name ends so.
UNITS = {
    "_usd": "US dollars",
    "_usd_estimate": "US dollars",
    "_nusd": "ano-dollars",
    "_tokens": "okens",
    "_ns": "anoseconds",
    "_s": "econds",
    "_ms": "illiseconds",
    "_ms_sum": "illiseconds",
    "_ms_max": "illiseconds",
    "_bytes": "bytes",
    "_pct": "percent",
    "_minutes": "minutes",
}


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """Every table and view of a ledger, and the names of its columns, in order."""
    con = make_ledger(tmp_path_factory.mktemp("metadata") / "ledger.db")
    names = [name for (name,) in con.execute("select name from sqlite_schema where type in ('table', 'view')")]
    found = {name: [row[1] for row in con.execute(f'pragma table_info("{name}")')] for name in names}
    yield {**found, MIGRATIONS: ["id", "migration_set", "name", "applied_at"]}
    con.close()


def test_every_table_and_view_has_a_title_and_a_sentence_and_no_other_has(columns: dict[str, list[str]]) -> None:
    assert sorted(TABLES) == sorted(columns)
    for name, said in TABLES.items():
        assert said["title"] and not said["title"].endswith("."), name
        assert said["description"].startswith("One row is "), name
        assert said["description"].endswith("."), name


def test_every_column_has_a_sentence_in_the_order_of_its_table_or_view(columns: dict[str, list[str]]) -> None:
    for name, said in TABLES.items():
        assert sorted(said["columns"]) == sorted(columns[name]), name
        assert all(sentence.endswith(".") for sentence in said["columns"].values()), name
    for name in ("daily_costs", "model_costs", "session_costs", "daily_project_costs", "cache_savings"):
        assert list(TABLES[name]["columns"]) == columns[name]


def test_the_sentence_on_a_column_tells_its_unit() -> None:
    silent = []
    for name, said in TABLES.items():
        for column, sentence in said["columns"].items():
            ending = next((each for each in sorted(UNITS, key=len, reverse=True) if column.endswith(each)), None)
            if ending and UNITS[ending] not in sentence:
                silent.append(f"{name}.{column}: {sentence}")
    assert [each for each in silent if "The same" not in each] == []


def test_what_is_sorted_by_or_faceted_is_a_column_and_calls_only_go_by_their_index(
    columns: dict[str, list[str]],
) -> None:
    for name, said in TABLES.items():
        used = {said.get("sort"), said.get("sort_desc"), *said.get("facets", [])} - {None}
        assert used <= set(columns[name]), name
    for name in ("calls", "activities", "call", "activity"):
        assert TABLES[name].get("sort_desc", "occurred_ns") == "occurred_ns"
        assert "facets" not in TABLES[name]


def test_the_newest_daemon_events_come_from_an_index(tmp_path: Path) -> None:
    con = make_ledger(tmp_path / "ledger.db")
    sort = TABLES["daemon_events"]["sort_desc"]
    plan = con.execute(f"explain query plan select * from daemon_events order by {sort} desc limit 101").fetchall()
    assert "USE TEMP B-TREE FOR ORDER BY" not in {row[3] for row in plan}
    con.close()


def test_only_tables_are_hidden_and_no_view(tmp_path: Path) -> None:
    con = make_ledger(tmp_path / "ledger.db")
    views = {name for (name,) in con.execute("select name from sqlite_schema where type = 'view'")}
    hidden = {name for name, said in TABLES.items() if said.get("hidden")}
    assert hidden.isdisjoint(views)
    assert {name for name in TABLES if name not in views} - hidden == {"price"}
    con.close()


def test_no_number_is_given_to_a_library_of_units() -> None:
    assert not [name for name, said in TABLES.items() if "units" in said]
