"""The README's session is what a person sees who types it: run in a real terminal, on the sample transcripts."""

import re
import shutil
from pathlib import Path

import pytest
from commands import on_terminal

ROOT = Path(__file__).parent.parent
COLUMNS = 104


def session() -> list[tuple[str, str]]:
    """(command, output) of each command in the section "A session"."""
    section = re.search(r"^## A session\n(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert section
    text = "\n".join(line[4:] for line in section[1].splitlines() if line.startswith("    ") or not line)
    found = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(each.split("\n", 1)[0], each.split("\n", 1)[1].strip("\n")) for each in found]


def plain(text: str) -> str:
    """Without colours, and what differs from run to run."""
    unstyled = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    lines = [re.sub(r"\d+\.\d s$", "0.0 s", line.rstrip()) for line in unstyled.splitlines()]
    return "\n".join(lines).strip("\n")


def test_the_session_shows_what_a_terminal_shows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    shutil.copytree(ROOT / "tests" / "data" / "claude-code", home / ".claude")
    commands = [command for command, _ in session()]
    assert commands == ["ccostdb ingest --once", "ccostdb report"]
    for command, output in session():
        assert plain(on_terminal(*command.split()[1:], columns=COLUMNS)) == plain(output)
