"""How one value of a setting is read, from TOML or from the text of a variable or flag. Pure.

Each takes the value and the folder where relative paths start, and raises ValueError saying what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ccostdb.errors import BadArgument
from ccostdb.words import nearest

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MAX_URL_CHARACTERS = 2000
MAX_DIGITS = 20


def read_text(value: object, _: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return value.strip()


def read_path(value: object, folder: Path) -> Path:
    text = read_text(str(value) if isinstance(value, Path) else value, folder)
    if "\0" in text:
        raise ValueError("a path")
    return folder / Path(text).expanduser()


def read_paths(value: object, folder: Path) -> tuple[Path, ...]:
    """A list, or texts with commas between them, as in CLAUDE_CONFIG_DIR."""
    parts = value if isinstance(value, list | tuple) else read_text(value, folder).split(",")
    paths = tuple(read_path(part, folder) for part in parts if str(part).strip())
    if not paths:
        raise ValueError("one path or more")
    return paths


def read_bool(value: object, _: Path) -> bool | None:
    """None is 'auto': decided by rule."""
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "auto": None}
    text = str(value).strip().lower()
    if text not in known:
        raise ValueError("true, false or auto")
    return known[text]


def read_seconds(value: object, _: Path) -> float:
    expected = "a number of seconds above 0"
    if isinstance(value, bool):
        raise ValueError(expected)
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(expected) from None
    if not 0 < seconds < 1e6:
        raise ValueError(expected)
    return seconds


def read_bytes(value: object, _: Path) -> int:
    return _whole(str(value).replace("_", ""), 1024, 2**31 - 1, "a whole number of bytes from 1024 to 2147483647")


def one_of(*known: str) -> Callable[[object, Path], str]:
    def read(value: object, _: Path) -> str:
        text = str(value).strip().lower()
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return text

    return read


def read_zone(name: str) -> ZoneInfo:
    """The zone of that name; raises BadArgument with the nearest name that exists."""
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of zones
        known = zoneinfo.available_timezones()
        hint = nearest(name, known) if known else "Install the package tzdata."
        message = f"There is no time zone {name[:80]!r}."
        raise BadArgument(message, hint if len(hint) < 100 else "Europe/Berlin is one.") from error


def read_zone_name(value: object, folder: Path) -> str:
    """The name of a time zone that exists."""
    name = read_text(value, folder)
    try:
        read_zone(name)
    except BadArgument as error:
        hint = (error.hint or "").rstrip(".")
        raise ValueError(f"a time zone ({hint})") from error
    return name


def read_url(value: object, folder: Path) -> str:
    """The address of a server, without a path's end that we add ourselves. Nobody checks it again."""
    text = read_full_url(value, folder)
    if "?" in text:
        raise ValueError("an address without user, password, ? and #")
    return text.rstrip("/").removesuffix("/api/stream").rstrip("/")


def read_full_url(value: object, folder: Path) -> str:
    """The address of a resource, with its path and query."""
    from urllib.parse import urlsplit

    text = read_text(value, folder)
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and parts.port != 0 and len(text) <= MAX_URL_CHARACTERS
    except ValueError:
        is_good = False
    if not is_good or any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("an address such as http://localhost:8080")
    if "@" in parts.netloc or "#" in text:
        raise ValueError("an address without user, password, ? and #")
    if not _is_host(parts.hostname or ""):
        raise ValueError("an address whose host is a name in ASCII (xn--… if need be) or an IP address")
    return parts.scheme + text[len(parts.scheme) :]  # in lower case


def _is_host(host: str) -> bool:
    """Whether it is an IP address, or a name that can be asked for: RFC 1123, and the _ that some networks use.

    Names beyond ASCII are left to the person: the two standards for them disagree on which host some of them are.
    """
    from ipaddress import ip_address

    if ":" in host or re.search(r"(^|\.)[0-9]+\.?$", host):  # a name's last part is no number
        try:
            ip_address(host)
        except ValueError:
            return False
        return "%" not in host
    return len(host) <= 253 and re.fullmatch(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", host) is not None


def read_days(value: object, _: Path) -> int | None:
    """None is 'never': it is kept for ever."""
    if str(value).strip().lower() == "never":
        return None
    return _whole(value, 1, 36500, "a whole number of days from 1 to 36500, or never")


def read_count(value: object, _: Path) -> int:
    """A whole number above 0."""
    return _whole(value, 1, 10_000, "a whole number from 1 to 10000")


def read_port(value: object, _: Path) -> int:
    """A port; 0 is off."""
    return _whole(value, 0, 65535, "a port from 1 to 65535, or 0 for none")


def _whole(value: object, least: int, most: int, expected: str) -> int:
    text = str(value).strip()
    is_short = len(text) <= MAX_DIGITS  # Python reads no number of over 4,300
    if not (is_short and text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise ValueError(expected)
    return int(text)


def read_time(value: object, _: Path) -> str:
    """A time of day, as 03:00; 'never' stays that word."""
    text = str(value).strip().lower()
    if text != "never" and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("a time of day such as 03:00, or never")
    return text


def read_host(value: object, folder: Path) -> str:
    """A name or an address of a host, without a port."""
    text = read_text(value, folder).lower().strip("[]")
    if not _is_host(text):
        raise ValueError("a name of a host, or an IP address")
    return text


def read_hosts(value: object, folder: Path) -> tuple[str, ...]:
    """A list of hosts, or texts with commas between them."""
    parts = value if isinstance(value, list | tuple) else read_text(value, folder).split(",")
    return tuple(read_host(part, folder) for part in parts if str(part).strip())


def read_headers(value: object, folder: Path) -> tuple[tuple[str, str], ...]:
    """Headers of a request: a table, or `Name: value` lines with semicolons between them."""
    expected = 'headers such as { Authorization = "Bearer KEY" }'
    if isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = [line.partition(":")[::2] for line in read_text(value, folder).split(";") if line.strip()]
    headers = tuple((str(name).strip(), str(text).strip()) for name, text in pairs)
    if not all(re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) and _is_header_text(text) for name, text in headers):
        raise ValueError(expected)
    return headers


def read_secret(value: object, folder: Path) -> str:
    """A key that is sent and never shown."""
    text = read_text(value, folder)
    if not _is_header_text(text):
        raise ValueError("a key of printable ASCII characters")
    return text


def _is_header_text(text: str) -> bool:
    return text.isascii() and text.isprintable()
