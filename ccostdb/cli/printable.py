"""What a terminal may see of a text that came from elsewhere."""

# Control characters could move the cursor or rewrite what was printed; bidirectional ones reorder it.
_UNSEEN = dict.fromkeys([*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�")
_UNSEEN[ord("\t")] = _UNSEEN[ord("\n")] = " "


def printable(text: str) -> str:
    """The text with every control character replaced."""
    return text.translate(_UNSEEN)
