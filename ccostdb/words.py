"""What sentences for people are made of: numbers with their nouns, the nearest of known names, text from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def count_of(number: Any, noun: str) -> str:
    """`1 call`, `1,234 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def repeated(text: str, characters: int = 200) -> str:
    """What a reason may repeat of a text from elsewhere: its beginning, and nothing that a terminal would obey."""
    return "".join(each if each.isprintable() else "�" for each in text[:characters])


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a name that does not exist: the nearest that does, else all of them."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."
