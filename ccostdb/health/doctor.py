"""What `ccostdb doctor` looks at: settings, file and ledger → findings. A problem is what only a person can mend.

A little long, because each check stands here in a function of its own, also those that the health page shares.
"""

from __future__ import annotations

import importlib.util
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from ccostdb.budgets.entries import read_budgets
from ccostdb.budgets.standing import Standing
from ccostdb.clock import DAY_NS, SECOND_NS, iso
from ccostdb.errors import BadSettings, CcostError
from ccostdb.health.source_words import CUT_OFF, NOT_FOUND, source_word
from ccostdb.jobs.backup import backup_folder, copied_ns, copies
from ccostdb.lock import SQLITE_FLOOR, is_written
from ccostdb.logs import hidden, secrets_of
from ccostdb.prices.entries import check_entries
from ccostdb.reports.budgets import limits_now
from ccostdb.resources import sql
from ccostdb.schema import Condition, inspect, open_reader, schema_version
from ccostdb.settings import KEYS, LISTS, Key, Settings
from ccostdb.words import count_of, repeated
from ccostdb.written import usd

OK, NOTE, PROBLEM = "ok", "note", "problem"
CLOCK_SLACK_NS = 300 * SECOND_NS  # machines differ by seconds
# A job that runs each minute leaves no row when it has nothing to do: what failed long ago may be well since.
FAILED_LATELY_NS = 2 * DAY_NS
BACKUP_LATE_NS = 2 * DAY_NS
OVERLAP_HOURS, OVERLAP_SHARE = 3, 0.8  # fewer hours in common, or fewer alike, may be chance
MODELS_NAMED = 3  # of those without a price; there may be many
_WELL = ("following", "up to date", "nothing to read")  # of a source
DAMAGED = "Keep a copy of the file, then restore a backup."


class Finding(NamedTuple):
    """One line: about what, and whether it is `ok`, a `note` or a `problem`.

    `detail` says what to do; of a setting where it came from; of a source its error. None: nothing more to say.
    """

    topic: str
    name: str
    state: str
    value: str
    detail: str | None = None


def examine(settings: Settings, now_ns: int) -> Iterator[Finding]:
    """Every finding about the settings and the ledger they name. A ledger that is behind is brought up to date."""
    yield from _without_secrets(_findings(settings, now_ns), settings)


def ledger_findings(con: sqlite3.Connection, settings: Settings, now_ns: int) -> Iterator[Finding]:
    """What the ledger tells of clock, sources and jobs: the part that is quick however large it is."""
    parts = (_clock(con, now_ns), _sources(con, settings.db), _daemon_events(con), _jobs(con, settings, now_ns))
    yield from _without_secrets(chain(*parts), settings)


def _without_secrets(findings: Iterable[Finding], settings: Settings) -> Iterator[Finding]:
    secrets = secrets_of(settings)
    for found in findings:
        detail = found.detail and hidden(found.detail, secrets)
        yield found._replace(name=hidden(found.name, secrets), value=hidden(found.value, secrets), detail=detail)


def _findings(settings: Settings, now_ns: int) -> Iterator[Finding]:
    yield from _settings(settings)
    yield from _sqlite()
    if not settings.db.exists():
        yield Finding("ledger", "file", NOTE, "there is none yet", "Make one: ccostdb ingest")
        return
    try:
        with closing(open_reader(settings)) as con:
            yield from _file(settings.db.resolve())
            yield from _ledger(con, settings)
            yield from _clock(con, now_ns)
            condition = inspect(settings)
            yield from _counted(condition)
            yield from _sources(con, settings.db)
            yield from reject_findings(_rows(con, sql("queries/reject_reasons.sql")))
            yield from _daemon_events(con)
            yield from _overlap(con)
            yield from _prices(con, condition)
            yield from _jobs(con, settings, now_ns)
            yield from reached_limits(limits_now(con, settings, now_ns)[0])  # a typo is told among the settings
    except CcostError as error:
        yield Finding("ledger", "file", PROBLEM, error.message, error.hint)
    except sqlite3.OperationalError as error:
        yield Finding(
            "ledger", "file", PROBLEM, f"{settings.db} cannot be read: {error}", "Check the path and its disk."
        )
    except sqlite3.DatabaseError as error:
        yield Finding("ledger", "integrity", PROBLEM, f"SQLite says: {error}", DAMAGED)


def _settings(settings: Settings) -> Iterator[Finding]:
    for key in KEYS:
        shown = _shown(key, getattr(settings, key.name))
        yield Finding("settings", key.name, OK, shown, settings.origins.get(key.name, "default"))
    for name, field in LISTS.items():
        if entries := getattr(settings, field):
            try:
                read_budgets(settings) if name == "budget" else check_entries(entries)
            except BadSettings as error:
                yield Finding("settings", name, PROBLEM, error.message, error.hint)
            else:
                yield Finding("settings", name, OK, f"entries: {len(entries)}", settings.origins[field])


def _shown(key: Key, value: Any) -> str:
    """A setting's value. A query may hold a key."""
    if key.is_secret:
        return "set, not shown" if value else "not set"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "not set"
    if value is None:
        return "never" if key.name.startswith("keep_") else "auto"
    return str(value).partition("?")[0] if key.name == "ccd_url" else str(value)


def _sqlite() -> Iterator[Finding]:
    is_old = sqlite3.sqlite_version_info < SQLITE_FLOOR
    hint = f"ccostdb needs {'.'.join(map(str, SQLITE_FLOOR[:2]))}: use a newer build of Python." if is_old else None
    yield Finding("ledger", "sqlite", PROBLEM if is_old else OK, sqlite3.sqlite_version, hint)
    if importlib.util.find_spec("pysqlite3"):
        value = "pysqlite3 is installed too: two SQLite libraries in one process break file locks"
        yield Finding("ledger", "pysqlite3", PROBLEM, value, "Remove it: pip uninstall pysqlite3 pysqlite3-binary")


def _file(path: Path) -> Iterator[Finding]:
    files = [each for each in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm", ".lock"))) if each.exists()]
    size = sum(each.stat().st_size for each in files)
    yield Finding("ledger", "file", OK, f"{path}, {size / 1e6:,.1f} MB")
    is_open = [each for each in files if each.stat().st_mode & 0o077]
    if is_open:
        hint = f"Close it: chmod 600 {' '.join(str(each) for each in is_open)}"
        yield Finding("ledger", "mode", PROBLEM, "others on this machine may read the ledger", hint)


def _ledger(con: sqlite3.Connection, settings: Settings) -> Iterator[Finding]:
    version = con.execute("pragma user_version").fetchone()[0]
    yield Finding("ledger", "schema", OK, f"{version} of {schema_version()}")
    broken = [row[0] for row in con.execute("pragma quick_check(3)") if row[0] != "ok"]
    if broken:
        yield Finding("ledger", "integrity", PROBLEM, "; ".join(broken), DAMAGED)
    else:
        yield Finding("ledger", "integrity", OK, "quick_check says ok")
    (home_tz,) = con.execute("select home_tz from ledger").fetchone()
    if settings.home_tz in (None, home_tz):
        yield Finding("ledger", "home zone", OK, home_tz)
    else:
        hint = f"The next ingest makes it {settings.home_tz}, as set."
        yield Finding("ledger", "home zone", NOTE, home_tz, hint)
    (dirty,) = con.execute("select count(*) from dirty_bucket").fetchone()
    if dirty:
        hint = "Reports are right all the same. To bring them up to date: ccostdb rollup"
        yield Finding("ledger", "rollups", NOTE, f"quarter hours behind: {dirty:,}", hint)
    else:
        yield Finding("ledger", "rollups", OK, "up to date")


def _counted(condition: Condition) -> Iterator[Finding]:
    if not condition.is_counted:
        hint = "Another ccostdb process writes. It holds once that has ended."
        yield Finding("sources", "cco", NOTE, "whether it counts is not yet as the settings say", hint)


def _sources(con: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    is_running = is_written(path)
    for row in _rows(con, "select * from source_health order by source"):
        counted = "" if row["counted"] else ", not counted in totals"
        last = f", last event {row['last_event_at']}" if row["last_event_at"] else ""
        how, state = how_it_does(row, is_running=is_running)
        detail = "The next ingest goes on where it stopped." if how == CUT_OFF else row["error"]
        where = f" at {row['address']}" if how == NOT_FOUND else ""
        yield Finding(
            "sources", row["source"], state, f"{how}{where}, rows written: {row['rows']:,}{last}{counted}", detail
        )
        if row["gaps"] and row["kind"] != "ccd":  # of whose gaps another line tells: no calls are missing there
            calls = "unknown" if row["missing_calls"] is None else f"{row['missing_calls']:,}"
            money = "" if row["missing_cost_usd"] is None else f", {usd(row['missing_cost_usd'] * 1e9)}"
            value = f"gaps: {row['gaps']:,}, missing calls: {calls}{money}"
            yield Finding("sources", row["source"], NOTE, value, "See them: ccostdb export gaps")


def how_it_does(row: Mapping[str, Any], *, is_running: bool) -> tuple[str, str]:
    """How a source of source_health does, in a word or two, and whether that is well."""
    if row["last_run_at"] is None:
        return "never read", NOTE
    word = source_word(row["state"], row["outcome"], row["frames"], is_running=is_running)
    return word, {**dict.fromkeys(_WELL, OK), "failed": PROBLEM}.get(word, NOTE)


def is_absent(row: Mapping[str, Any]) -> bool:
    """Whether a source of source_health never said a word: perhaps it was only looked for at a wrong address."""
    return row["outcome"] == "failed" and not row["frames"]


def reject_findings(rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """One of each source, with the most frequent of its reasons; `rows` are those of reject_reasons."""
    for source in dict.fromkeys(row["source"] for row in rows):
        reasons = [row for row in rows if row["source"] == source]
        more = f", and {count_of(len(reasons) - 1, 'other reason')}" if len(reasons) > 1 else ""
        value = f"rejected {sum(row['times'] for row in reasons):,} ×: {reasons[0]['reason']}{more}"
        yield Finding("sources", source, NOTE, value, "See them: ccostdb export rejects")


def _daemon_events(con: sqlite3.Connection) -> Iterator[Finding]:
    for row in _rows(con, sql("queries/daemon_event_losses.sql")):
        if row["away_s"]:
            hint = "Nothing can be replayed: what the daemon told meanwhile is lost."
            yield Finding("sources", row["source"], NOTE, f"disconnected for {_duration(row['away_s'])}", hint)
        if row["dropped"]:
            hint = "They came faster than they could be stored. See when: ccostdb export gaps"
            yield Finding("sources", row["source"], NOTE, f"events dropped: {row['dropped']:,}", hint)
        if row["conflicts"]:
            hint = "The first stays. See them: ccostdb export daemon_events"
            value = f"events with another content under a known id: {row['conflicts']:,}"
            yield Finding("sources", row["source"], NOTE, value, hint)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _overlap(con: sqlite3.Connection) -> Iterator[Finding]:
    for row in _rows(con, sql("queries/source_overlap.sql")):
        if row["hours"] >= OVERLAP_HOURS and row["alike_hours"] >= OVERLAP_SHARE * row["hours"]:
            value = f"as many calls as {row['source']} in {row['alike_hours']:,} of {row['hours']:,} hours"
            hint = "This may be the same spend, counted twice: record only one of them."
            if "cco" in (row["kind"], row["other_kind"]) and row["kind"] != row["other_kind"]:
                hint = "This may be the same spend, counted twice: set counted = false under [sources.cco]."
            yield Finding("sources", row["other"], PROBLEM, value, hint)


def _prices(con: sqlite3.Connection, condition: Condition) -> Iterator[Finding]:
    if not condition.is_priced:
        hint = "Compute the costs with them: ccostdb reprice"
        yield Finding("prices", "price book", NOTE, "prices have changed since", hint)
    yield from price_findings(_rows(con, sql("questions/models_without_price.sql")))


def price_findings(rows: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """One of the calls that a rate would price, one of those that none can; `rows`: those of models_without_price."""
    priceable: Counter[str] = Counter()
    unsplit: Counter[str] = Counter()
    for row in rows:
        model = repeated(row["model"] or "not named", 60)
        priceable[model] += row["unpriced_calls"] - row["unsplit_calls"]
        unsplit[model] += row["unsplit_calls"]
    hint = "Give a rate for each kind of their tokens under [[price]] in the settings, then: ccostdb reprice"
    yield from _lacking("a price", +priceable, PROBLEM, hint)
    hint = "No rate can price these: the source sends neither cost nor kinds of tokens."
    yield from _lacking("a cost", +unsplit, NOTE, hint)


def _lacking(what: str, calls: Counter[str], state: str, hint: str) -> Iterator[Finding]:
    if calls:
        named = ", ".join(model for model, _ in calls.most_common(MODELS_NAMED))
        more = f" and {len(calls) - MODELS_NAMED:,} more" if len(calls) > MODELS_NAMED else ""
        value = f"{count_of(calls.total(), 'call')} of {count_of(len(calls), 'model')} without {what}: {named}{more}"
        yield Finding("prices", "price book", state, value, hint)


def _clock(con: sqlite3.Connection, now_ns: int) -> Iterator[Finding]:
    """Our own times show whether the clock was set back; those of events may be another machine's."""
    latest_ns = now_ns + CLOCK_SLACK_NS
    (run_ns,) = con.execute("select max(updated_ns) from run").fetchone()
    (event_ns,) = con.execute("select max(occurred_ns) from call").fetchone()
    if run_ns is not None and run_ns > latest_ns:
        value = f"it says {iso(now_ns)}, and something was recorded at {iso(run_ns)}"
        yield Finding("ledger", "clock", PROBLEM, value, "Set the clock of this machine: budgets and days follow it.")
    elif event_ns is not None and event_ns > latest_ns:
        hint = "The clock of this machine, or that of a source, is wrong."
        yield Finding("ledger", "clock", NOTE, f"it says {iso(now_ns)}, and a call is of {iso(event_ns)}", hint)
    else:
        yield Finding("ledger", "clock", OK, iso(now_ns))


def _jobs(con: sqlite3.Connection, settings: Settings, now_ns: int) -> Iterator[Finding]:
    jobs = {row["job"]: row for row in _rows(con, sql("queries/last_job_runs.sql"))}
    for name, row in jobs.items():
        if row["outcome"] == "failed" and now_ns - row["started_ns"] < FAILED_LATELY_NS:
            state, how = (PROBLEM, "failed") if row["ended_ns"] is not None else (NOTE, "was cut off")
            yield Finding("jobs", name, state, f"{how} at {iso(row['started_ns'])}", row["detail"])
    if settings.backup_at == "never" or not jobs:  # without a process that keeps running none is due
        return
    made_ns = _newest_backup_ns(con, settings)
    if made_ns is None:
        yield Finding("jobs", "backup", NOTE, "there is none yet", "Make one: ccostdb backup")
    elif now_ns - made_ns > BACKUP_LATE_NS:
        days = (now_ns - made_ns) // DAY_NS
        yield Finding("jobs", "backup", NOTE, f"the last is {days} days old", "Make one: ccostdb backup")
    else:
        yield Finding("jobs", "backup", OK, f"made at {iso(made_ns)}")


def _newest_backup_ns(con: sqlite3.Connection, settings: Settings) -> int | None:
    """When the newest copy in the folder of backups was made, by the schedule or by hand; None: there is none."""
    (made_at_s,) = con.execute("select made_at_s from ledger").fetchone()
    with suppress(OSError, ValueError):  # no folder, or a name that is no time
        found = copies(backup_folder(settings), settings.db.stem, made_at_s)
        return copied_ns(found[-1]) if found else None
    return None


def reached_limits(standings: Iterable[Standing]) -> Iterator[Finding]:
    """The budgets of which all is spent."""
    for each in standings:
        if each.is_reached(1.0):
            value = f"{usd(each.spent_nusd)} spent in {each.span.label}, of {usd(each.limit_nusd)}"
            yield Finding("budgets", each.budget, NOTE, value, "See all: ccostdb budget")


def _rows(con: sqlite3.Connection, query: str) -> list[dict[str, Any]]:
    cursor = con.execute(query)
    names: Sequence[str] = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
