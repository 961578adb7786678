"""datasette-metadata.yml as Datasette takes it, and the canned questions: their words are there, their SQL a query."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from datasette.utils import parse_metadata

from ccostdb.resources import datasette_metadata, sql

CHART_DAYS = 30  # where no filter is given; an empty `since` is all time


def load_metadata() -> dict[str, Any]:
    """The metadata, a new dict each time: Datasette writes into it."""
    metadata: dict[str, Any] = parse_metadata(datasette_metadata().read_text(encoding="utf-8"))
    return metadata


def questions(metadata: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Canned queries as Datasette takes them, by name, from `plugins: ccostdb: questions` of the metadata."""
    named = metadata.get("plugins", {}).get("ccostdb", {}).get("questions", {})
    return {name: {**words, "sql": sql(f"questions/{name}.sql"), "hide_sql": True} for name, words in named.items()}


def last_days(zone: ZoneInfo) -> dict[str, Any]:
    """The metadata that change with time: charts begin with the last days of a zone."""
    first_day = datetime.now(zone).date() - timedelta(days=CHART_DAYS - 1)
    return {"plugins": {"datasette-dashboards": {"ccostdb": {"filters": {"since": {"default": str(first_day)}}}}}}
