"""`ccostdb` and `python -m ccostdb`."""

import sys


def main() -> None:
    """Runs the command that was typed."""
    if sys.argv[1:2] == ["statusline"] and not {"-h", "--help"} & set(sys.argv):
        _print_statusline(sys.argv[2:])
    from ccostdb.cli import main as commands

    commands(prog_name="ccostdb")


def _print_statusline(arguments: list[str]) -> None:
    """Without click, and without an orderly end, each of which costs more than the answer: it is asked all the time."""
    import gc
    import os

    gc.disable()
    from ccostdb.statusline import main as statusline

    os._exit(statusline(arguments))  # the line is flushed, the ledger closed


if __name__ == "__main__":
    main()
