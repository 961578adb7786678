"""What a terminal is given of a text that is long, or that it cannot encode."""

from __future__ import annotations

import atexit
import codecs
import os
import sys
from contextlib import suppress
from typing import TextIO

_PLAIN = {"–": "-", "…": "~", "•": "*", "✓": "+", "✗": "x"}


def wrapped(text: str, out: TextIO | None = None) -> str:
    """The text with its lines broken at words where `out` (stdout) is a terminal; unchanged where it is not."""
    if not (out or sys.stdout).isatty():
        return text
    from shutil import get_terminal_size
    from textwrap import wrap

    indent = " " * (len(text) - len(text.lstrip()) + 2) if text.startswith(" ") else ""
    width = get_terminal_size().columns
    return "\n".join(
        wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) or [""]
    )


def ready_streams() -> None:
    """Makes stdout and stderr take any text: a closed one drops it, what one cannot encode is written plainly.

    A pipe that its maker does not wait for is waited for by us, while we live: what it has no room for would be lost.
    """
    codecs.register_error("ccostdb.plain", _plainly)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as we live
            continue
        with suppress(OSError, ValueError):  # it is no file; or Windows
            if not os.get_blocking(stream.fileno()):
                os.set_blocking(stream.fileno(), True)
                atexit.register(_give_back, stream)
        if stream.errors in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="ccostdb.plain")


def _give_back(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        stream.flush()
        os.set_blocking(stream.fileno(), False)


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
