"""Fills table `price`: genai-prices as the base, `prices.toml` over it, the user's `[[price]]` over both.

Every start asks for the digest, so this module is light; what makes the rows is imported by a sync, which runs in a
child process, because genai-prices is slow to import.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3

    from ccostdb.prices.plan import Rate

_OVERLAY_PATH = Path(__file__).parent.with_name("prices.toml")
_FORM = 1  # of the rows: raised when the same data would make other rows


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync did. `unpriced` names the prices that could not be kept, and why."""

    is_changed: bool
    version: str  # of genai-prices
    rows: int = 0
    unpriced: tuple[str, ...] = ()


def book_digest(user_prices: Sequence[Mapping[str, Any]]) -> str:
    """The digest of what the price table should hold now."""
    return digest(_version(), _OVERLAY_PATH.read_bytes(), user_prices)


def digest(version: str, overlay: bytes, user_prices: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of everything that price rows are made from."""
    users = json.dumps(list(user_prices), sort_keys=True, default=str)
    return hashlib.sha256(b"\0".join((b"%d" % _FORM, version.encode(), overlay, users.encode()))).hexdigest()


def _version() -> str:
    """The version of genai-prices that is installed, read from the name of its folder of metadata."""
    spec = find_spec("genai_prices")
    if spec is not None and spec.origin is not None:
        folders = list(Path(spec.origin).parent.parent.glob("genai_prices-*.dist-info"))
        if len(folders) == 1:
            return folders[0].name.removesuffix(".dist-info").partition("-")[2]
    from importlib import metadata  # right in any case, but it takes longer than all else that a start needs

    return metadata.version("genai-prices")


def sync(con: sqlite3.Connection, user_prices: Sequence[Mapping[str, Any]]) -> SyncReport:
    """Replaces all rows of `price` unless `ledger.prices_digest` says they are right. The caller commits.

    Raises BadSettings for an entry of `user_prices` that cannot be used.
    """
    wanted = book_digest(user_prices)
    (held,) = con.execute("select prices_digest from ledger").fetchone()
    if held == wanted:
        return SyncReport(False, _version())
    rates = list(all_rates(user_prices))
    columns = rates[0]._fields
    con.execute("delete from price")
    places = ", ".join("?" * len(columns))
    con.executemany(f"insert into price ({', '.join(columns)}) values ({places})", rates)
    con.execute("update ledger set prices_digest = ?", (wanted,))
    unknown = (rate for rate in rates if rate.nusd_per_million is None)
    unpriced = dict.fromkeys(f"{rate.provider}/{rate.model}: {rate.note}" for rate in unknown)
    return SyncReport(True, _version(), len(rates), tuple(unpriced))


def all_rates(user_prices: Sequence[Mapping[str, Any]]) -> Iterator[Rate]:
    """Every row, weakest origin first; within the base, in the order in which matches are tried."""
    import tomllib
    from decimal import Decimal

    from ccostdb.prices.entries import entry_rates
    from ccostdb.prices.genai import base_rates
    from ccostdb.prices.plan import OVERLAY, USER

    ordinal = 0
    for rate in base_rates():
        ordinal = rate.ordinal
        yield rate
    overlay = tomllib.loads(_OVERLAY_PATH.read_text(encoding="utf-8"), parse_float=Decimal)["price"]
    for origin, entries in ((OVERLAY, overlay), (USER, user_prices)):
        for number, entry in enumerate(entries, 1):
            ordinal += 1
            yield from entry_rates(entry, origin, number, ordinal)
