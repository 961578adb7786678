"""What the process says: one line each, to a terminal, a service's log or a file of its own. Secrets never reach it.

A stream gets `2026-07-01T12:00:00.000Z warning ccostdb.ingest.cco: message`, a file a JSON object a line.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, TextIO
from urllib.parse import quote, unquote_plus, urlsplit

from ccostdb.clock import iso
from ccostdb.errors import CcostError
from ccostdb.lock import make_folder
from ccostdb.settings import KEYS, Settings

MOST_BYTES = 5_000_000
KEPT_FILES = 3  # beside the one that is written
MOST_CHARACTERS = 10_000
LEAST_SECRET = 4  # characters; a shorter text is no key, and would be found in every word
NO_SECRETS = ("profile", "family")  # in the query of CCD's address: they say what is sent
HIDDEN = "[hidden]"


def log_to(target: TextIO | Path, level: str, secrets: Iterable[str] = ()) -> logging.Handler:
    """Sends all that ccostdb says from `level` on, and what libraries say from warning on, to a stream or a file.

    A file is made for this user only, and rotated. Raises CcostError where it cannot be written; later a line that
    cannot be written is dropped, for recording matters more.
    """
    handler: logging.Handler
    if isinstance(target, Path):
        handler = _file(target)
        handler.setFormatter(JsonLine(secrets))
    else:
        handler = logging.StreamHandler(target)
        handler.setFormatter(Line(secrets))
    logging.raiseExceptions = False
    root, ours = logging.getLogger(), logging.getLogger("ccostdb")
    for old in (*root.handlers, *ours.handlers):
        if isinstance(old.formatter, Line):
            old.close()
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    ours.handlers, ours.propagate = [], True
    ours.setLevel(level.upper())
    return handler


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """What of these settings nobody may see: keys, values of headers and what stands in a URL's query."""
    found: set[str] = set()
    for key in KEYS:
        value = getattr(settings, key.name)
        if key.is_secret and isinstance(value, str):
            found.add(value)
        elif key.is_secret and value:
            found |= {part for _, text in value for part in (text, text.split()[-1] if text else "")}
    for part in urlsplit(settings.ccd_url).query.split("&"):
        name, _, value = part.partition("=")
        if name not in NO_SECRETS:
            found |= {value or name, unquote_plus(value or name)}
    return tuple(sorted(each for each in found if len(each) >= LEAST_SECRET))


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text without any secret, also as a URL or a Python literal would write it."""
    forms = {form for each in secrets for form in (each, quote(each), quote(each, safe=""), repr(each)[1:-1])}
    for form in sorted(forms, key=len, reverse=True):  # one may be part of another
        text = text.replace(form, HIDDEN)
    return text


def without_secrets(row: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """A row about a source, whose name and error may come from an address, with no secret in them."""
    told = {name: hidden(row[name], secrets) for name in ("source", "error") if isinstance(row.get(name), str)}
    return {**row, **told}


def _escaped(text: str, kept: str = "") -> str:
    """The text with all that a terminal might obey, or that would break the line, as `\\x1b`."""
    return "".join(each if each.isprintable() or each in kept else ascii(each)[1:-1] for each in text)


class Line(logging.Formatter):
    """A record as one readable line; a traceback's line breaks become `\\n`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        traceback = self._traceback(record)
        said = f"{self._message(record)}\n{traceback}" if traceback else self._message(record)
        return f"{_time(record)} {record.levelname.lower()} {record.name}: {_escaped(said)}"

    def _message(self, record: logging.LogRecord) -> str:
        return self._clean(record.getMessage())

    def _traceback(self, record: logging.LogRecord) -> str | None:
        return self._clean(self.formatException(record.exc_info)) if record.exc_info else None

    def _clean(self, text: str) -> str:
        text = hidden(text, self._secrets)
        return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


class JsonLine(Line):
    """A record as a JSON object: time, level, logger, message, and a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _escaped(self._message(record)),
        }
        if traceback := self._traceback(record):
            said["traceback"] = _escaped(traceback, kept="\n")
        return json.dumps(said, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return iso(int(record.created * 1e9))


def _file(path: Path) -> logging.Handler:
    hint = "Check who owns its folder."
    make_folder(path.parent, hint)
    try:
        return _Private(path, maxBytes=MOST_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    except OSError as error:
        message = f"The log {path} cannot be written: {error.strerror}."
        raise CcostError(message, hint) from error


class _Private(RotatingFileHandler):
    """Its files are this user's alone, and it follows no link."""

    def _open(self) -> IO[str]:  # type: ignore[override]
        def opener(name: str, flags: int) -> int:
            return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)

        return open(self.baseFilename, self.mode, encoding=self.encoding, opener=opener)
