"""datasette-metadata.yml as Datasette takes it, and the canned questions: their words are there, their SQL a query."""

from __future__ import annotations

from typing import Any

from datasette.utils import parse_metadata

from ccostdb.resources import datasette_metadata, sql


def load_metadata() -> dict[str, Any]:
    """The metadata, a new dict each time: Datasette writes into it."""
    metadata: dict[str, Any] = parse_metadata(datasette_metadata().read_text(encoding="utf-8"))
    return metadata


def questions(metadata: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Canned queries as Datasette takes them, by name, from `plugins: ccostdb: questions` of the metadata."""
    named = metadata.get("plugins", {}).get("ccostdb", {}).get("questions", {})
    return {name: {**words, "sql": sql(f"queries/{name}.sql"), "hide_sql": True} for name, words in named.items()}
