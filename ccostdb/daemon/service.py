"""Lets the system keep `ccostdb ingest` running from log-in on: a systemd user unit, a launchd agent, a Windows task.

What is written is rendered purely; only `install`, `uninstall` and `is_active` touch the system, and say what they do.
"""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from ccostdb.daemon.record import log_file, print_file, read_record, write_whole
from ccostdb.errors import CcostError
from ccostdb.schema import make_folder, real_path
from ccostdb.settings import KEYS, Settings

NAME = "ccostdb"
DESCRIPTION = "Records what AI agents spend"
STOP_S = 15
RESTART_S = 10
COMMAND_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Service:
    """How a system's manager of services is told: the file that it reads, and the commands that make it do so.

    `after` is the command that follows the removal of the file, () where there is none. `active` asks how the service
    is; it runs where that succeeds and a line of the answer fits `running`.
    """

    manager: str
    path: Path
    content: bytes
    enable: tuple[tuple[str, ...], ...]
    disable: tuple[str, ...]
    after: tuple[str, ...]
    active: tuple[str, ...]
    running: str


def describe(settings: Settings, *, platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Service:
    """The service that records into the ledger of these settings, in the terms of this platform."""
    python = Path(sys.executable)
    if platform == "win32":
        python = next((each for each in [python.with_name("pythonw.exe")] if each.exists()), python)
    command = [str(python), "-P", "-m", "ccostdb", "ingest", "--db", str(real_path(settings.db))]
    if any(not word.isprintable() for word in command):
        raise CcostError(f"The path {settings.db} cannot be given to a service.", "Choose another ledger with --db.")
    if platform not in ("win32", "darwin"):
        return _systemd_unit(command, environ)  # whose journal keeps what it says
    command += ["--log-file", str(log_file(settings.db))]
    if platform == "win32":
        return _windows_task(command, log_file(settings.db))
    return _launchd_agent(command, print_file(settings.db))


def _systemd_unit(command: Sequence[str], environ: Mapping[str, str]) -> Service:
    if any(letter in command[0] for letter in "\"'\\"):
        message = f"systemd runs no program whose path has a quote or a backslash, as {command[0]} has."
        raise CcostError(message, "Install ccostdb in another folder.")
    unit = f"{NAME}.service"
    folder = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    systemctl = ("systemctl", "--user")
    return Service(
        "systemd",
        folder / unit,
        render_unit(command).encode(),
        enable=((*systemctl, "daemon-reload"), (*systemctl, "enable", unit), (*systemctl, "restart", unit)),
        disable=(*systemctl, "disable", "--now", unit),
        after=(*systemctl, "daemon-reload"),
        active=(*systemctl, "is-active", unit),
        running="",
    )


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


def _launchd_agent(command: Sequence[str], printed: Path) -> Service:
    domain = f"gui/{os.getuid()}" if hasattr(os, "getuid") else "gui"
    path = Path.home() / "Library" / "LaunchAgents" / f"{NAME}.plist"
    return Service(
        "launchd",
        path,
        render_plist(command, printed),
        enable=(("launchctl", "bootstrap", domain, str(path)),),
        disable=("launchctl", "bootout", f"{domain}/{NAME}"),
        after=(),
        active=("launchctl", "print", f"{domain}/{NAME}"),
        running=r"^\s*state = running$",
    )


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


def _windows_task(command: Sequence[str], log: Path) -> Service:
    path = log.with_name(f"{NAME}-task.xml")
    schtasks = ("schtasks",)
    state = f"(Get-ScheduledTask -TaskName {NAME} -ErrorAction Stop).State"  # schtasks says it in the user's language
    return Service(
        "the task scheduler",
        path,
        render_task(command),
        enable=((*schtasks, "/Create", "/F", "/TN", NAME, "/XML", str(path)), (*schtasks, "/Run", "/TN", NAME)),
        disable=(*schtasks, "/End", "/TN", NAME),
        after=(*schtasks, "/Delete", "/F", "/TN", NAME),
        active=("powershell", "-NoProfile", "-NonInteractive", "-Command", state),
        running=r"^Running\s*$",
    )


def render_task(command: Sequence[str]) -> bytes:
    """A task of Windows' scheduler, version 1.2 of its schema: from log-on on, without a limit of time."""
    task = ElementTree.Element("Task", version="1.2", xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task")
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


def install(service: Service, settings: Settings, say: Say) -> bool:
    """Writes the service's file and starts it; whether it runs. Where the manager is not there, says what to type."""
    running = read_record(settings.db)
    if running and (not service.path.exists() or is_active(service) is not None):
        message = f"Process {running.pid} records into {settings.db} already."
        raise CcostError(message, "Stop it first: ccostdb stop")
    make_folder(log_file(settings.db).parent, "Check who owns it.")
    make_folder(service.path.parent, "Check who owns it.")
    if service.manager == "launchd" and service.path.exists():
        _called(service.disable)  # it takes a changed file only when the old one has been taken back
    try:
        write_whole(service.path, service.content)
    except OSError as error:
        message = f"{service.path} cannot be written: {error.strerror}."
        raise CcostError(message, "Check who owns its folder.") from error
    say(f"Wrote {service.path}.")
    for note in left_behind(settings):
        say(note)
    return _all_called(service.enable, say)


def left_behind(settings: Settings) -> list[str]:
    """A sentence on each setting in force that a service does not see: it knows `config.toml` and its ledger alone."""
    places = {key.name: key.place for key in KEYS}
    return [
        f"The service does not see {origin}: put {places.get(name, name)} into config.toml."
        for name, origin in settings.origins.items()
        if name != "db" and (origin.endswith("(environment)") or origin.startswith("./"))
    ]


def _all_called(commands: Sequence[Sequence[str]], say: Say) -> bool:
    """Calls one after the other; the first that fails is said with its reason, and it and the rest are to be typed."""
    for number, command in enumerate(commands):
        if (problem := _called(command)) is not None:
            rest = " && ".join(subprocess.list2cmdline(each) for each in commands[number:])
            say(f"Not started: {problem}")
            say(f"Where it can be, type: {rest}")
            return False
        say(f"Called {subprocess.list2cmdline(command)}.")
    return True


def _called(command: Sequence[str]) -> str | None:
    """Why a command failed; None: it did not."""
    return _asked(command)[0]


def _asked(command: Sequence[str]) -> tuple[str | None, str]:
    """Why a command failed, None: it did not; and what it printed."""
    program = shutil.which(command[0])
    if program is None:
        return f"there is no {command[0]} here.", ""
    try:
        done = subprocess.run(
            [program, *command[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not answer within {COMMAND_S:.0f} s.", ""
    if done.returncode == 0:
        return None, done.stdout.decode(errors="replace")
    lines = (done.stderr or done.stdout).decode(errors="replace").split("\n")
    first = next((line for line in lines if line.strip()), f"status {done.returncode}").strip()
    return f"{command[0]} says: {first}", ""


def uninstall(service: Service, say: Say) -> bool:
    """Stops the service and removes its file; False where there was none. The ledger stays."""
    if not service.path.exists():
        return False
    _call(service.disable, say)
    service.path.unlink()
    say(f"Removed {service.path}.")
    if service.after:
        _call(service.after, say)
    return True


def _call(command: Sequence[str], say: Say) -> None:
    problem = _called(command)
    say(f"Called {subprocess.list2cmdline(command)}." if problem is None else f"Not stopped: {problem}")


def is_active(service: Service) -> str | None:
    """None where the manager says that the service runs, else why it says that it does not."""
    problem, said = _asked(service.active)
    if problem is None and not re.search(service.running, said, re.MULTILINE):
        return f"{service.manager} knows it, but it does not run."
    return problem
