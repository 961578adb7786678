"""Text from elsewhere that should be a JSON object."""

from __future__ import annotations

import json
from typing import Any


def object_of(raw: str | bytes) -> dict[str, Any] | None:
    """The object that a text is; None where it is other JSON, none at all, or nested too deeply."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
