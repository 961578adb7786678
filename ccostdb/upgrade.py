"""Makes a ledger, or brings it up to date: migrations, views and prices in one transaction. Run as a child process.

Reads its order as JSON from stdin: {db, home_tz, user_prices}. On an error for people it prints {message, hint} and
exits 1. The parent holds the ledger's lock.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from typing import Any

from sqlite_utils import Database, Migrations

from ccostdb import __version__
from ccostdb.errors import CcostError
from ccostdb.prices import sync as price_book
from ccostdb.resources import sql, sql_names
from ccostdb.schema import APPLICATION_ID, WRITER_PRAGMAS, schema_version, views_sha256
from ccostdb.views import view_statements

migrations = Migrations("ccostdb")


def _register(name: str) -> None:
    def apply(db: Database) -> None:
        db.executescript(sql(f"migrations/{name}.sql"))

    migrations(name=name)(apply)


for _name in sql_names("migrations"):
    _register(_name)


def upgrade(path: str, home_tz: str | None, user_prices: list[dict[str, Any]]) -> None:
    """Applies what is pending, replaces the views, syncs the prices: all of it, or nothing."""
    con = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        con.execute("pragma page_size = 8192")  # of a new file: an import takes a twentieth less than with 4096
        for pragma in WRITER_PRAGMAS:
            con.execute(pragma)
        con.execute("begin immediate")
        migrations.apply(Database(con))
        con.execute(f"pragma application_id = {APPLICATION_ID}")
        con.execute(f"pragma user_version = {schema_version()}")
        con.execute(
            "insert or ignore into ledger (ledger_id, made_at_s, made_by, home_tz) values (1, ?, ?, ?)",
            (int(time.time()), __version__, home_tz or system_zone()),
        )
        replace_views(con)
        price_book.sync(con, user_prices)
        con.execute("commit")
    finally:
        con.close()


def replace_views(con: sqlite3.Connection) -> None:
    """Replaces the views of our names by those of this version. A person's own views stay."""
    for name, statement in view_statements():
        con.execute(f"drop view if exists {name}")
        con.execute(statement)
    con.execute("update ledger set views_sha256 = ?", (views_sha256(),))


def system_zone() -> str:
    """The IANA name of this machine's zone; UTC where it has none."""
    import tzlocal

    return tzlocal.get_localzone_name() or "UTC"


def main() -> None:
    """One order from stdin, carried out."""
    order = json.load(sys.stdin)
    try:
        upgrade(order["db"], order["home_tz"], order["user_prices"])
    except CcostError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))  # noqa: T201 - the parent reads it
        sys.exit(1)
    except sqlite3.OperationalError as error:  # a full disk, a lock: the parent knows the sentences
        print(json.dumps({"sqlite": str(error), "code": error.sqlite_errorcode}))  # noqa: T201
        sys.exit(1)
