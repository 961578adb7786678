"""`ccostdb` and `python -m ccostdb`."""

import sys


def main() -> None:
    """Runs the command that was typed."""
    words = _statusline_words(sys.argv[1:])
    if words is not None and not {"-h", "--help"} & set(words):
        _print_statusline(words)
    from ccostdb.cli import main as commands

    commands(prog_name="ccostdb")


def _statusline_words(words: list[str]) -> list[str] | None:
    """What the status line is told; None: another command is asked for. `--db` may stand before it."""
    at = 0
    while words[at : at + 1] and words[at].partition("=")[0] == "--db":
        at += 1 if "=" in words[at] else 2
    return [*words[:at], *words[at + 1 :]] if words[at : at + 1] == ["statusline"] else None


def _print_statusline(arguments: list[str]) -> None:
    """Without click, and without an orderly end, each of which costs more than the answer: it is asked all the time."""
    import gc
    import os

    gc.disable()
    from ccostdb.statusline import main as statusline

    os._exit(statusline(arguments))  # the line is flushed, the ledger closed


if __name__ == "__main__":
    main()
