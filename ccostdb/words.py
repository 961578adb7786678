"""What sentences for people are made of: numbers with their nouns, the nearest of known names, text from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# Control characters could move the cursor or rewrite what was printed; bidirectional ones reorder it; halves of a pair
# cannot be encoded.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def count_of(number: Any, noun: str) -> str:
    """`1 call`, `1,234 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """A text from elsewhere in one line, with nothing that a terminal would obey or that turns its direction."""
    return _UNSEEN.sub(lambda found: " " if found[0] in "\t\n" else "�", text)


def repeated(text: str, characters: int = 200) -> str:
    """What a reason may repeat of a text from elsewhere: its beginning."""
    return printable(text[:characters])


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a name that does not exist: the nearest that does, else all of them."""
    from difflib import get_close_matches

    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.5)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}."
