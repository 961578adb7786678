"""How a source does, in a word or two: the same on home, health, `top` and doctor. Pure."""

from __future__ import annotations

NOT_FOUND = "not found"  # perhaps it was only looked for at a wrong address
CUT_OFF = "cut off"  # its process went without a word
_ENDED = {"ok": "up to date", "no_data": "nothing to read", "stopped": "stopped"}
_RUNNING = {"connected": "following", "reading": "following", "error": "failed", None: "connecting"}


def source_word(state: str | None, outcome: str | None, frames: int, *, is_running: bool) -> str:
    """Of a source's last run, the word for it. `frames`: what it ever said; `is_running`: something records now."""
    if outcome == "failed":
        return "failed" if frames else NOT_FOUND
    if outcome is not None:
        return _ENDED.get(outcome, outcome)
    return _RUNNING.get(state) or str(state) if is_running else CUT_OFF
