"""The files by which a service is told to a system: a systemd unit, a launchd agent, a Windows task. Pure.

Each names one command, which says with `--db` into which ledger it records; `ledger_in` reads that back.
"""

from __future__ import annotations

import plistlib
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

NAME = "ccostdb"
DESCRIPTION = "Records what AI agents spend"
STOP_S = 15
RESTART_S = 10
_TASK = "http://schemas.microsoft.com/windows/2004/02/mit/task"


def render_unit(command: Sequence[str]) -> str:
    """A systemd user unit (systemd.service(5), systemd.exec(5)); `:` keeps `$` from being read as a variable."""
    return f"""\
[Unit]
Description={DESCRIPTION}

[Service]
Type=exec
ExecStart=:{" ".join(map(_systemd_word, command))}
Restart=on-failure
RestartSec={RESTART_S}
KillSignal=SIGTERM
TimeoutStopSec={STOP_S}
UMask=0077

[Install]
WantedBy=default.target
"""


def _systemd_word(word: str) -> str:
    r"""One argument in quotes, in which \ escapes and % begins a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def render_plist(command: Sequence[str], printed: Path) -> bytes:
    """A launchd agent (launchd.plist(5)): runs from log-in on, and again where it ended with another status than 0."""
    agent = {
        "Label": NAME,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_S,
        "ExitTimeOut": STOP_S,
        "ProcessType": "Background",
        "Umask": 0o077,
        "StandardOutPath": str(printed),
        "StandardErrorPath": str(printed),
    }
    return plistlib.dumps(agent, sort_keys=False)


def render_task(command: Sequence[str]) -> bytes:
    """A task of Windows' scheduler, version 1.2 of its schema: from log-on on, without a limit of time."""
    task = ElementTree.Element("Task", version="1.2", xmlns=_TASK)
    _add(task, "RegistrationInfo/Description", DESCRIPTION)
    _add(task, "Triggers/LogonTrigger/Enabled", "true")
    principal = _add(task, "Principals/Principal/LogonType", "InteractiveToken")
    principal.set("id", "Author")
    _add(task, "Principals/Principal/RunLevel", "LeastPrivilege")
    for name, text in (
        ("MultipleInstancesPolicy", "IgnoreNew"),
        ("DisallowStartIfOnBatteries", "false"),
        ("StopIfGoingOnBatteries", "false"),
        ("RestartOnFailure/Interval", "PT1M"),
        ("RestartOnFailure/Count", "10"),
        ("ExecutionTimeLimit", "PT0S"),
    ):
        _add(task, f"Settings/{name}", text)
    _add(task, "Actions/Exec/Command", command[0])
    _add(task, "Actions/Exec/Arguments", subprocess.list2cmdline(command[1:]))
    document: bytes = ElementTree.tostring(task, encoding="utf-16", xml_declaration=True)
    return document


def _add(parent: ElementTree.Element, path: str, text: str) -> ElementTree.Element:
    """Puts a text at the end of a path whose missing elements it makes; returns the element around it."""
    *folders, name = path.split("/")
    for folder in folders:
        found = parent.find(folder)
        parent = ElementTree.SubElement(parent, folder) if found is None else found
    ElementTree.SubElement(parent, name).text = text
    return parent


def ledger_in(content: bytes) -> str | None:
    """The ledger that a file of these kinds names; None where it names none."""
    if found := re.search(rb'"--db" "((?:[^"\\]|\\.)*)"', content):
        return re.sub(r"\\(.)", r"\1", found[1].decode(errors="replace")).replace("%%", "%")
    with suppress(plistlib.InvalidFileException, ExpatError, ValueError, KeyError, TypeError, IndexError):
        words = plistlib.loads(content)["ProgramArguments"]
        return str(words[words.index("--db") + 1])
    with suppress(ElementTree.ParseError):
        arguments = ElementTree.fromstring(content).findtext(f".//{{{_TASK}}}Arguments") or ""
        if quoted := re.search(r'--db (?:"([^"]*)"|(\S+))', arguments):
            return quoted[1] or quoted[2]
    return None
