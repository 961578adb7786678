"""`ccostdb` and `python -m ccostdb`."""

import atexit
import gc
import os
import sys

GARBAGE_AT = 10_000  # objects; at each 700 of them, imports alone would be looked through 80 times, and they all stay


def main() -> None:
    """Runs the command that was typed."""
    gc.set_threshold(GARBAGE_AT)
    words = _statusline_words(sys.argv[1:])
    if words is not None and not {"-h", "--help"} & set(words):
        _print_statusline(words)
    status = 1  # of an exception that nobody catches
    atexit.register(lambda: _end(status))  # before others are: the last is called first
    from ccostdb.cli import main as commands

    try:
        commands(prog_name="ccostdb")
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise


def _end(status: int) -> None:
    """Leaves without taking the interpreter apart object by object, which costs an import 30 ms.

    What was to be called at the end before we came (by a sitecustomize) is not.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # there is none, or it cannot be written: Python says so
        return
    os._exit(status)


def _statusline_words(words: list[str]) -> list[str] | None:
    """What the status line is told; None: another command is asked for. `--db` may stand before it."""
    at = 0
    while words[at : at + 1] and words[at].partition("=")[0] == "--db":
        at += 1 if "=" in words[at] else 2
    return [*words[:at], *words[at + 1 :]] if words[at : at + 1] == ["statusline"] else None


def _print_statusline(arguments: list[str]) -> None:
    """Without click, and without an orderly end, each of which costs more than the answer: it is asked all the time."""
    from ccostdb.statusline import main as statusline

    os._exit(statusline(arguments))  # the line is flushed, the ledger closed


if __name__ == "__main__":
    main()
