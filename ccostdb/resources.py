"""Finds what travels beside the code: beside the package in a checkout and an editable install, in it in a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def sql_dir() -> Path:
    """The folder with migrations, rollups, views, questions and queries."""
    package = Path(__file__).parent
    packed = package / "_sql"
    return packed if packed.is_dir() else package.parent / "sql"


@cache
def sql(name: str) -> str:
    """The text of one file of `sql/`, such as `views/calls.sql`."""
    return (sql_dir() / name).read_text(encoding="utf-8")


def sql_names(folder: str) -> list[str]:
    """The files of a folder of `sql/`, in order, without their ending."""
    return sorted(path.stem for path in (sql_dir() / folder).glob("*.sql"))


def datasette_metadata() -> Path:
    """The file `datasette-metadata.yml`."""
    packed = sql_dir() / "datasette-metadata.yml"
    return packed if packed.is_file() else sql_dir().parent / "datasette-metadata.yml"


def notebooks_dir() -> Path:
    """The folder with our notebooks."""
    package = Path(__file__).parent
    packed = package / "_notebooks"
    return packed if packed.is_dir() else package.parent / "notebooks"
