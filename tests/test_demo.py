"""`ccostdb demo` in processes of its own: what it records is what was simulated, and what it says is so."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commands import environment, run, run_words

from ccostdb.cli.demo import program_words, sentences
from ccostdb.demo import Demo, Stream, Transcripts
from ccostdb.demo.server import MOST_A_FRAME, SHOWN, SimulatedCco
from ccostdb.demo.traffic import Event, cost_usd, make_traffic
from ccostdb.demo.transcripts import SampleCall, make_threads, write_transcripts

NOW_NS = 1_790_000_000_123_456_789
NUSD_PER_TOKEN = {  # input, output, cache write 5m, cache write 1h, cache read
    "claude-sonnet-4-5-20250929": (3000, 15000, 3750, 6000, 300),
    "claude-opus-4-5-20251101": (5000, 25000, 6250, 10000, 500),
    "claude-haiku-4-5-20251001": (1000, 5000, 1250, 2000, 100),
}


class Shown(NamedTuple):
    """One demo that was run to its end."""

    folder: Path
    db: Path
    text: str


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A demo as it is without arguments, in an empty home, with a ledger of the user's own named by the environment."""
    folder = tmp_path_factory.mktemp("demo")
    done = run("demo", environ=environ(folder, CCOSTDB_DB=str(folder / "own.db")))
    assert (done.returncode, done.stderr) == (0, "")
    (db,) = (folder / "tmp").glob("*/*.db")
    return Shown(folder, db, done.stdout)


def environ(folder: Path, **more: str) -> dict[str, str]:
    """An empty home and an empty folder for temporary files."""
    for name in ("home", "tmp"):
        (folder / name).mkdir()
    return {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "PATH": os.environ["PATH"], **more}


def rows(db: Path, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as con:
        con.row_factory = sqlite3.Row
        return [dict(row) for row in con.execute(query)]


def one(db: Path, query: str) -> Any:
    ((value,),) = [row.values() for row in rows(db, query)]
    return value


def sent_nusd(event: Event) -> int:
    """The exact decimal of the cost that was sent, half-even to a nano-dollar."""
    return round(Decimal(repr(event.activity["cost"])).scaleb(9))


def used_tokens(call: SampleCall) -> tuple[int, int, int, int, int]:
    used = call.usage
    writes = used.cache_write_5m_tokens, used.cache_write_1h_tokens
    return (used.input_tokens, used.output_tokens, *writes, used.cache_read_tokens)


def computed_nusd(call: SampleCall) -> int:
    return sum(tokens * rate for tokens, rate in zip(used_tokens(call), NUSD_PER_TOKEN[call.model], strict=True))


def sampled() -> list[SampleCall]:
    return [call for thread in make_threads(NOW_NS) for call in thread.calls]


def figures(db: Path) -> list[dict[str, Any]]:
    """All that is known of every call, but for its time."""
    calls = rows(db, "select * from calls order by call_id")
    return [{name: value for name, value in call.items() if not name.startswith("occurred")} for call in calls]


# --- what is recorded ---


def test_every_event_of_the_server_is_recorded_once_as_it_was_sent(shown: Shown) -> None:
    names = ("event_type", "agent_name", "model", "tokens", "latency_ms", "status")
    found = rows(shown.db, "select * from activity order by epoch, seq")
    traffic = make_traffic(NOW_NS)
    assert [[row[name] for name in names] for row in found] == [
        [each.activity[name] for name in names] for each in traffic
    ]
    assert [row["cost_text"] and float(row["cost_text"]) for row in found] == [
        each.activity["cost"] for each in traffic
    ]
    assert len({row["occurred_ns"] - each.at_ns for row, each in zip(found, traffic, strict=True)}) == 1


def test_the_money_of_the_stream_is_exact(shown: Shown) -> None:
    calls = [event for event in make_traffic(NOW_NS) if event.is_call]
    total = sum(sent_nusd(event) for event in calls)
    sums = "count(*) as calls, sum(total_tokens) as tokens, sum(reported_nusd) as nusd"
    (found,) = rows(shown.db, f"select {sums} from call where call_id like 'cco:%'")
    assert found == {"calls": len(calls), "tokens": sum(event.activity["tokens"] for event in calls), "nusd": total}
    assert one(shown.db, "select cost_nusd from snapshot order by snapshot_id desc limit 1") == total


def test_every_call_of_the_transcripts_is_recorded_once_with_its_tokens_and_exact_cost(shown: Shown) -> None:
    found = {row["call_id"]: row for row in rows(shown.db, "select * from calls where source = 'claude-code'")}
    exact = {row["call_id"]: row["computed_nusd"] for row in rows(shown.db, "select * from call")}
    truth = {call.message_id: call for call in sampled()}
    assert found.keys() == truth.keys()
    kinds = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    for message_id, call in truth.items():
        row = found[message_id]
        words = tuple(row[name] for name in ("model", "project", "session_id", "agent"))
        assert words == (call.model, call.project, call.session, call.agent)
        assert tuple(row[f"{kind}_tokens"] for kind in kinds) == used_tokens(call)
        assert exact[message_id] == computed_nusd(call)
    assert len({row["occurred_ns"] - truth[message_id].occurred_ns for message_id, row in found.items()}) == 1


def test_both_sources_are_counted_and_nothing_is_missing_or_refused(shown: Shown) -> None:
    total = sum(map(computed_nusd, sampled())) + sum(
        map(sent_nusd, filter(lambda event: event.is_call, make_traffic(0)))
    )
    assert one(shown.db, "select group_concat(counted) from (select counted from source_costs)") == "1,1"
    assert one(shown.db, "select sum(round(cost_usd * 1e9)) from model_costs") == total
    assert one(shown.db, "select count(*) from gaps") == 0
    assert one(shown.db, "select count(*) from rejects") == 0
    assert one(shown.db, "select count(*) from dirty_bucket") == 0


def test_something_was_spent_in_the_last_day_and_nothing_later_than_now(shown: Shown) -> None:
    now_ns = time.time_ns()
    last_ns = one(shown.db, "select max(occurred_ns) from call")
    assert now_ns - 86_400_000_000_000 < last_ns < now_ns


def test_a_second_demo_gives_the_same_figures(shown: Shown, tmp_path: Path) -> None:
    db = tmp_path / "new folder" / "second.db"
    done = run("demo", "--db", str(db), environ=environ(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  {shlex.quote(sys.executable)} -m ccostdb report models --db '{db}'\n" in done.stdout
    assert figures(db) == figures(shown.db)
    assert list((tmp_path / "tmp").iterdir()) == []


# --- what it says and leaves ---


def test_it_says_what_was_recorded_from_where_and_that_nothing_was_lost(shown: Shown) -> None:
    calls = sum(event.is_call for event in make_traffic(NOW_NS))
    assert f"  claude-code: {len(sampled())} calls in " in shown.text
    assert f" transcripts; {len(sampled())} recorded.\n" in shown.text
    assert f"  cco: {calls} calls; {calls} recorded, 0 missing.\n" in shown.text
    assert "Nothing was lost, and nothing recorded twice." in shown.text
    assert "A real one sends none." in shown.text


def test_it_says_what_it_did_not_see() -> None:
    files = Transcripts(calls=5, files=1, recorded_calls=5)
    missing = Stream(calls=7, recorded_calls=4, missing_calls=3)
    unread = missing._replace(missing_calls=0)
    said = [list(sentences(Demo(Path("demo.db"), files, stream)))[1:3] for stream in (missing, unread)]
    assert said[0][0] == "  cco: 7 calls; 4 recorded, 3 missing."
    assert said[0][1].startswith("What the stream never showed is known to be missing.")
    assert said[1][1] == "The stream was left before its end."


def test_it_draws_a_report_and_says_what_caching_saved(shown: Shown) -> None:
    total = one(shown.db, "select sum(cost_usd) from weekly_costs")
    (line,) = [line for line in shown.text.splitlines() if line.startswith("Total")]
    assert f" {total:.2f} " in line
    saved = one(shown.db, "select sum(prompt_cache_savings_usd) from cache_savings")
    guessed = one(shown.db, "select sum(response_cache_savings_usd_estimate) from cache_savings")
    assert min(saved, guessed) > 1
    assert f"Caching saved ${saved:.2f} in Claude Code's prompts, and an estimated ${guessed:.2f} at CCO." in shown.text


def test_the_commands_that_it_offers_work(shown: Shown) -> None:
    offered = [shlex.split(line) for line in shown.text.splitlines() if " --db " in line]
    assert [words[3:-2] for words in offered] == [["serve", "--open"], ["top"], ["report", "models"], ["savings"]]
    for words in offered:
        assert words[:3] == [sys.executable, "-m", "ccostdb"]
        is_lasting = words[3] in ("serve", "top")
        done = run_words(
            [*words, "--help" if is_lasting else "--json"], {"HOME": str(shown.folder), "PATH": os.environ["PATH"]}
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert is_lasting or len(json.loads(done.stdout)) > 3


def test_the_program_is_named_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ccostdb"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bin/ccostdb", "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program_words() == "bin/ccostdb"
    monkeypatch.setenv("PATH", str(program.parent))
    assert program_words() == "ccostdb"


def test_tokens_without_kinds_are_said_under_the_table(shown: Shown) -> None:
    tokens = one(shown.db, "select sum(total_tokens) from calls where source = 'cco'")
    calls = one(shown.db, "select count(*) from calls where source = 'cco'")
    assert f"\n{tokens:,} tokens of {calls} calls came without kinds.\n" in shown.text


def test_it_leaves_one_private_ledger_and_touches_nothing_of_the_users(shown: Shown) -> None:
    assert sorted(path.name for path in shown.folder.iterdir()) == ["home", "tmp"]
    assert list((shown.folder / "home").iterdir()) == []
    assert list((shown.folder / "tmp").iterdir()) == [shown.db.parent]
    assert f"The ledger stays at {shown.db}." in shown.text
    assert (shown.db.parent.stat().st_mode & 0o777, shown.db.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_ledger_in_use_is_refused_and_left_as_it_was(imported: Path, tmp_path: Path) -> None:
    db = tmp_path / "own.db"
    db.write_bytes(imported.read_bytes())
    done = run("demo", "--db", str(db), environ=environ(tmp_path))
    assert (done.returncode, db.read_bytes()) == (1, imported.read_bytes())
    assert f"Error: {db} has been recorded into before.\n" in done.stderr
    assert done.stdout == ""
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    done = run("demo", "--db", str(tmp_path), environ=environ(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {tmp_path} is a folder.\n")


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("not a database, and long enough to be looked at by SQLite" * 20)
    done = run("demo", "--db", str(text), environ=environ(tmp_path))
    assert done.returncode == 1
    assert "is no SQLite file" in done.stderr


def has_events(db: Path) -> bool:
    try:
        return bool(one(db, "select count(*) from activity"))
    except sqlite3.OperationalError:
        return False


@pytest.mark.parametrize(("number", "is_time"), [(signal.SIGINT, Path.exists), (signal.SIGTERM, has_events)])
def test_a_demo_that_is_told_to_end_leaves_nothing_behind(
    number: int, is_time: Callable[[Path], bool], tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "ccostdb", "demo", "--db", str(tmp_path / "demo.db")]
    env = environment(environ(tmp_path))
    with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not is_time(tmp_path / "demo.db"):
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "tmp"]
    assert list((tmp_path / "tmp").iterdir()) == []


# --- what is simulated ---


def test_the_samples_hold_everything_that_makes_counting_hard(tmp_path: Path) -> None:
    calls = write_transcripts(tmp_path, NOW_NS)
    lines = [json.loads(line) for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    ids = [line["message"]["id"] for line in lines if line["type"] == "assistant"]
    assert set(ids) == {call.message_id for call in calls}
    assert len(ids) > 2 * len(calls)
    assert len({call.project for call in calls}) == 3
    assert len({call.session for call in calls}) > 20
    assert {call.model for call in calls} == NUSD_PER_TOKEN.keys()
    assert len({call.agent for call in calls} - {None}) == 3
    assert all(any(used) for used in zip(*map(used_tokens, calls), strict=True))
    copied = {line["message"]["id"] for line in lines if "forkedFrom" in line and line["type"] == "assistant"}
    assert copied
    assert len({call.session for call in calls if call.message_id in copied}) == 1
    assert max(call.occurred_ns for call in calls) < NOW_NS


def test_the_traffic_has_calls_hits_and_overrides_of_several_models_and_agents() -> None:
    traffic = make_traffic(NOW_NS)
    kinds = {kind: [each.activity for each in traffic if each.activity["event_type"] == kind] for kind in
             ("api_call", "cache_hit", "model_override")}  # fmt: skip
    assert min(map(len, kinds.values())) > 3
    assert {event["cost"] for event in kinds["cache_hit"]} == {0.0}
    assert {(event["cost"], event["tokens"]) for event in kinds["model_override"]} == {(None, None)}
    assert len({event["model"] for event in kinds["api_call"]}) == 5
    assert len({event["agent_name"] for event in kinds["api_call"]}) == 6
    assert [each.at_ns for each in traffic] == sorted(each.at_ns for each in traffic)
    assert traffic[-1].at_ns <= NOW_NS


def test_a_cost_is_the_double_that_cco_computes() -> None:
    assert cost_usd("claude-sonnet-4", 100, 50) == 0.0010500000000000002  # seen on a real server
    assert cost_usd("claude-opus-4", 100, 50) == 0.00525


async def ask(url: str, target: str, size: int) -> bytes:
    """The first bytes of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rsplit(":", 1)[1]))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = await reader.readexactly(size)
    writer.close()
    await writer.wait_closed()
    return answer


def test_the_server_answers_with_a_frame_at_once_and_knows_no_other_address() -> None:
    async def talk() -> tuple[bytes, bytes]:
        async with SimulatedCco(make_traffic(NOW_NS)).serving() as url:
            return await ask(url, "/api/stream", 600), await ask(url, "/health", 22)

    stream, other = asyncio.run(talk())
    head, _, chunk = stream.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
    start = b'\r\nevent: analytics\ndata: {"project":{"name":"Claude Orchestra","cost":-0.0,"tokens":0,"calls":0,'
    assert chunk[chunk.index(b"\r\n") :].startswith(start)
    assert other == b"HTTP/1.1 404 Not Found"


def test_two_frames_that_nobody_read_are_no_loss() -> None:
    traffic = make_traffic(NOW_NS)
    server = SimulatedCco(traffic)
    seen: list[Any] = []
    for _ in range(len(traffic)):
        for _ in range(2):
            server.happen()
        shown = server.snapshot()["activity"]
        assert len(shown) <= SHOWN
        new = [event for event in shown if event not in seen]
        assert len(new) <= 2 * MOST_A_FRAME < SHOWN
        seen += new
    assert seen == [event.activity for event in traffic]
    assert server.snapshot()["project"]["calls"] == sum(event.is_call for event in traffic)
