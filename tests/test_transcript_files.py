"""Transcript files as they really behave: they grow, tear, shrink, move, are replaced, deleted, copied and misnamed."""

import asyncio
import json
import os
import shutil
from copy import copy
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from transcripts import import_once, line, rows, settings_for, text_of, write

from ccostdb.ingest.claude_code import ingest_claude_code
from ccostdb.sources import transcript_files, transcript_reader
from ccostdb.sources.transcript_files import find_files
from ccostdb.sources.transcript_reader import LineReader
from ccostdb.store import open_store

A, B, C = (f"msg_01{letter * 24}" for letter in "ABC")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "projects"


def outputs(settings) -> dict[str, int]:
    return {row["call_id"]: row["output_tokens"] for row in rows(settings)}


def test_main_sessions_and_sub_agents_in_all_three_layouts_are_found(tmp_path, home):
    write(home / "-w" / "s1.jsonl", line(A), line(B, isSidechain=True))
    write(home / "-w" / "agent-a1.jsonl", line(C, isSidechain=True, agentId="a1"))
    deep = home / "-w" / "s1" / "subagents" / "workflows" / "wf" / "agent-a2.jsonl"
    write(deep, line("msg_01" + "D" * 24, isSidechain=True, agentId="a2"))
    deep.with_suffix(".meta.json").write_text('{"agentType": "Explore"}')
    settings = settings_for(tmp_path)
    assert import_once(settings).rows == 4
    assert [row["agent"] for row in rows(settings)] == [None, "subagent", "subagent", "Explore"]


def test_a_second_import_reads_nothing_and_changes_nothing(tmp_path, home):
    write(home / "a.jsonl", line(A), "broken")
    settings = settings_for(tmp_path)
    import_once(settings)
    before = rows(settings), rows(settings, "select * from rejects")
    again = import_once(settings)
    assert (again.frames, again.rows, again.rejected) == (0, 0, 0)
    assert (rows(settings), rows(settings, "select * from rejects")) == before


def test_a_growing_file_is_read_from_where_it_was(tmp_path, home):
    path = write(home / "a.jsonl", line(A, 1))
    settings = settings_for(tmp_path)
    import_once(settings)
    with path.open("a") as file:
        file.write(text_of(line(A, 50), line(B)))
    assert import_once(settings).frames == 2
    assert outputs(settings) == {A: 50, B: 10}


def test_the_disk_is_not_waited_for_only_where_much_is_new(tmp_path, home, monkeypatch):
    path = write(home / "a.jsonl", *(line(f"msg_01{number:024d}") for number in range(30)))
    settings = settings_for(tmp_path)
    monkeypatch.setattr("ccostdb.ingest.claude_code.BYTES_A_PART", path.stat().st_size // 2)

    async def normal_pragmas() -> int:
        said: list[str] = []
        async with open_store(settings) as store:
            await store.db.set_trace_callback(said.append)
            await ingest_claude_code(store, settings, once=True, stop=asyncio.Event())
        return said.count("pragma synchronous = normal")

    assert asyncio.run(normal_pragmas()) == 1
    with path.open("a") as file:
        file.write(text_of(line(A)))
    assert asyncio.run(normal_pragmas()) == 0
    assert len(outputs(settings)) == 31


def test_a_half_written_last_line_waits_for_its_other_half(tmp_path, home):
    whole = text_of(line(B))
    path = write(home / "a.jsonl", line(A))
    with path.open("a") as file:
        file.write(whole[:200])
    settings = settings_for(tmp_path)
    assert import_once(settings).rejected == 0
    assert outputs(settings) == {A: 10}
    with path.open("a") as file:
        file.write(whole[200:])
    import_once(settings)
    assert outputs(settings) == {A: 10, B: 10}


def test_a_whole_last_line_without_its_newline_counts_once(tmp_path, home):
    path = write(home / "a.jsonl", line(A))
    path.write_text(path.read_text().rstrip("\n"))
    settings = settings_for(tmp_path)
    import_once(settings)
    assert outputs(settings) == {A: 10}
    with path.open("a") as file:
        file.write("\n" + text_of(line(B)))
    import_once(settings)
    assert outputs(settings) == {A: 10, B: 10}


def test_a_truncated_file_is_read_again_and_forgets_nothing(tmp_path, home):
    path = write(home / "a.jsonl", line(A), line(B))
    settings = settings_for(tmp_path)
    import_once(settings)
    path.write_text(text_of(line(A), line(C)))
    os.truncate(path, len(text_of(line(A))) + 3)
    import_once(settings)
    path.write_text(text_of(line(A), line(C)))
    import_once(settings)
    assert set(outputs(settings)) == {A, B, C}


def test_a_replaced_file_is_read_from_its_start(tmp_path, home):
    path = write(home / "a.jsonl", line(A), line(B))
    settings = settings_for(tmp_path)
    import_once(settings)
    other = write(home / "new", line(C, session="another"), line(C, 30, session="another"), "{}" * 1000)
    other.replace(path)
    import_once(settings)
    assert outputs(settings) == {A: 10, B: 10, C: 30}


def test_a_file_rewritten_with_the_same_start_is_the_same_file(tmp_path, home):
    path = write(home / "a.jsonl", line(A, usage={"input_tokens": 9}))
    settings = settings_for(tmp_path)
    import_once(settings)
    later = line(A, usage={"input_tokens": 2})  # a tie: the later line of one file wins
    write(home / "new", line(A, usage={"input_tokens": 9}), later).replace(path)
    import_once(settings)
    assert [row["input_tokens"] for row in rows(settings)] == [2]


def test_a_deleted_file_deletes_nothing(tmp_path, home):
    path = write(home / "a.jsonl", line(A))
    settings = settings_for(tmp_path)
    import_once(settings)
    path.unlink()
    write(home / "b.jsonl", line(B))
    import_once(settings)
    assert set(outputs(settings)) == {A, B}


def test_a_renamed_file_is_not_read_again(tmp_path, home):
    path = write(home / "a.jsonl", line(A))
    settings = settings_for(tmp_path)
    import_once(settings)
    path.rename(home / "b.jsonl")
    assert import_once(settings).frames == 0


def test_a_copied_history_changes_nothing_but_is_nobody_elses_session(tmp_path, home):
    old = write(home / "old.jsonl", line(A, session="old"), line(B, session="old"))
    new = write(home / "new.jsonl", line(A, session="new"), line(B, session="new"), line(C, session="new"))
    os.utime(old, ns=(1, 1_000_000_000))
    os.utime(new, ns=(1, 2_000_000_000))
    settings = settings_for(tmp_path)
    import_once(settings)
    assert {row["call_id"]: row["session_id"] for row in rows(settings)} == {A: "old", B: "old", C: "new"}


def test_links_pipes_and_folders_named_like_transcripts_are_passed_over(tmp_path, home):
    write(home / "a.jsonl", line(A))
    secret = write(tmp_path / "elsewhere" / "b.jsonl", line(B))
    (home / "link.jsonl").symlink_to(secret)
    (home / "folder.jsonl").mkdir()
    (home / "loop").symlink_to(home)
    os.mkfifo(home / "pipe.jsonl")
    settings = settings_for(tmp_path)
    import_once(settings)
    assert set(outputs(settings)) == {A}


def test_a_link_that_takes_a_files_place_after_it_was_listed_is_not_followed(tmp_path, home):
    path = write(home / "a.jsonl", line(A))
    (listed,) = find_files([home])
    path.unlink()
    path.symlink_to(write(tmp_path / "secret.jsonl", line(B)))
    shelf = transcript_files.Shelf([], count(1).__next__)
    assert list(shelf.read_new([listed], 0)) == []


def test_a_pipe_in_the_place_of_a_side_car_is_not_waited_for(tmp_path, home):
    path = write(home / "agent-a1.jsonl", line(A, isSidechain=True, agentId="a1"))
    os.mkfifo(path.with_suffix(".meta.json"))
    settings = settings_for(tmp_path)
    import_once(settings)
    assert [row["agent"] for row in rows(settings)] == ["subagent"]


def test_a_link_in_the_place_of_a_side_car_is_not_followed(tmp_path, home):
    path = write(home / "agent-a1.jsonl", line(A, isSidechain=True, agentId="a1"))
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text('{"agentType": "Explore"}')
    path.with_suffix(".meta.json").symlink_to(elsewhere)
    assert transcript_reader.side_car_agent(str(path)) is None


# --- what cannot be read ---

UNREADABLE = Path("/proc/self/mem")  # opens like a file, and its first byte cannot be read: EIO
with_unreadable = pytest.mark.skipif(not UNREADABLE.exists(), reason="needs Linux")


def forbid(path: Path, mode: int = 0) -> None:
    path.chmod(mode)
    if os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK):
        pytest.skip("this user may read everything")


def test_a_file_that_may_not_be_read_is_a_reject_once_and_is_read_when_it_may(tmp_path, home):
    secret = write(home / "a.jsonl", line(A))
    write(home / "b.jsonl", line(B))
    forbid(secret)
    settings = settings_for(tmp_path)
    for _ in range(2):
        assert import_once(settings).rejected == 1
    told = rows(settings, "select place, reason from rejected")
    assert told == [{"place": str(secret), "reason": "the file cannot be read: Permission denied"}]
    assert set(outputs(settings)) == {B}
    secret.chmod(0o600)
    assert import_once(settings).rejected == 0
    assert set(outputs(settings)) == {A, B}


def test_a_file_that_may_not_be_read_is_told_once_while_following(home):
    path = write(home / "a.jsonl", line(A))
    forbid(path)
    shelf = transcript_files.Shelf([], count(1).__next__)
    (part,) = shelf.read_new(shelf.changed(find_files([home])), 0)
    assert [reject.place for reject in part.rejects] == [str(path)]
    assert shelf.changed(find_files([home])) == []
    path.chmod(0o600)
    (part,) = shelf.read_new(shelf.changed(find_files([home])), 0)
    assert ([seen.call_id for seen in part.sightings], part.rejects) == ([A], [])
    assert shelf.changed(find_files([home])) == []


@pytest.mark.parametrize("mode", [0, 0o400])
def test_a_folder_that_may_not_be_listed_is_a_reject_once(tmp_path, home, mode):
    write(home / "b" / "b.jsonl", line(B))
    write(home / "a" / "a.jsonl", line(A))
    forbid(home / "a", mode)
    settings = settings_for(tmp_path)
    try:
        assert import_once(settings).rejected == 1
        roots = [home / "a", home / "a" / "a.jsonl"]
        assert len(find_files(roots)) == 2
    finally:
        (home / "a").chmod(0o700)
    (told,) = rows(settings, "select place, reason from rejected")
    assert told["place"].startswith(str(home / "a"))
    assert "Permission denied" in told["reason"]
    assert set(outputs(settings)) == {B}


@with_unreadable
def test_a_file_whose_bytes_cannot_be_read_is_a_reject_once_and_stops_nothing(home):
    write(home / "a.jsonl", line(A))
    bad = transcript_files.FoundFile(str(UNREADABLE), 1, 2, 1000, 0)
    shelf = transcript_files.Shelf([], count(1).__next__)
    (part,) = shelf.read_new([bad, *find_files([home])], 0)
    assert [seen.call_id for seen in part.sightings] == [A]
    assert [(each.place, each.reason) for each in part.rejects] == [
        (str(UNREADABLE), "the file cannot be read: Input/output error")
    ]
    assert shelf.changed([bad]) == []


@with_unreadable
def test_reading_that_fails_ends_the_lines_and_says_why():
    descriptor = os.open(UNREADABLE, os.O_RDONLY)
    try:
        reader = LineReader(descriptor, 0)
        assert list(reader.lines()) == []
    finally:
        os.close(descriptor)
    assert (reader.offset, str(reader.failure)) == (0, "[Errno 5] Input/output error")


def test_a_name_that_is_no_utf8_is_a_reject_with_the_name_escaped(tmp_path, home):
    write(home / "a.jsonl", line(A))
    write(home / "b\x07\udcff.jsonl", line(B))
    settings = settings_for(tmp_path)
    for _ in range(2):
        assert import_once(settings).rejected == 1
    (told,) = rows(settings, "select place, reason from rejected")
    assert told == {"place": f"{home}/b\\x07\\udcff.jsonl", "reason": "the file's name is no UTF-8"}
    assert set(outputs(settings)) == {A}


def test_a_file_of_bad_lines_has_as_many_rejects_as_are_of_use_and_one_that_counts_the_rest(home, monkeypatch):
    monkeypatch.setattr(transcript_files, "REJECTS_A_FILE", 3)
    path = write(home / "a.jsonl", *["junk"] * 10, line(A), *["junk"] * 10)
    shelf = transcript_files.Shelf([], count(1).__next__)
    (part,) = shelf.read_new(find_files([home]), 0)
    assert [(each.place, each.times) for each in part.rejects] == [
        *((f"{path}:{offset}", 1) for offset in (0, 5, 10)),
        (f"{path}:more", 17),
    ]
    assert ([seen.call_id for seen in part.sightings], part.lines) == ([A], 21)


def test_a_part_ends_where_there_are_many_rejects(home, monkeypatch):
    monkeypatch.setattr(transcript_files, "SIGHTINGS_A_PART", 5)
    for name in "abc":
        write(home / f"{name}.jsonl", *["junk"] * 5)
    shelf = transcript_files.Shelf([], count(1).__next__)
    assert [len(part.rejects) for part in shelf.read_new(find_files([home]), 0)] == [5, 5, 5]


def test_progress_moves_within_a_file_and_between_files_and_ends_at_the_whole(home, monkeypatch):
    monkeypatch.setattr(transcript_files, "BYTES_A_PART", 2_000)
    many = [line(f"msg_01{number:024d}") for number in range(50)]
    write(home / "a.jsonl", *many)
    write(home / "b.jsonl", line(A), "{}" * 1_000)
    shelf = transcript_files.Shelf([], count(1).__next__)
    files = find_files([home])
    missing = files[0]._replace(path=str(home / "gone.jsonl"), size_bytes=77)
    parts = list(shelf.read_new([missing, *files], 0))
    assert len(parts) > 5
    assert all(0 < part.bytes_done < 6_000 for part in parts)
    assert sum(part.bytes_done for part in parts) == 77 + sum(file.size_bytes for file in files)
    assert [seen.call_id for part in parts for seen in part.sightings] == [each["message"]["id"] for each in many] + [A]


def test_a_large_file_that_grew_a_little_is_one_part(home, monkeypatch):
    path = write(home / "a.jsonl", *(line(f"msg_01{number:024d}") for number in range(50)))
    shelf = transcript_files.Shelf([], count(1).__next__)
    list(shelf.read_new(find_files([home]), 0))
    monkeypatch.setattr(transcript_files, "BYTES_A_PART", 2_000)
    with path.open("a") as file:
        file.write(text_of(line(A), line(B)))
    (part,) = shelf.read_new(find_files([home]), 0)
    assert len(part.sightings) == 2
    assert part.bytes_done == path.stat().st_size


def test_a_root_may_be_a_config_folder_a_projects_folder_a_project_or_a_file(tmp_path, home):
    path = write(home / "-w" / "a.jsonl", line(A))
    for root in (tmp_path, home, home / "-w", path):
        assert [file.path for file in find_files([root])] == [str(path.resolve())]
    assert find_files([tmp_path / "nowhere", path / "below", Path("a\0b")]) == []
    assert len(find_files([tmp_path, home, path])) == 1


def test_a_line_of_16_mib_is_read(tmp_path, home):
    write(home / "a.jsonl", line(A), line(B, content=["x" * (16 << 20)]), line(C))
    settings = settings_for(tmp_path)
    import_once(settings)
    assert set(outputs(settings)) == {A, B, C}


def test_a_line_longer_than_any_call_is_refused_and_the_next_one_read(tmp_path, home, monkeypatch):
    monkeypatch.setattr(transcript_reader, "MAX_LINE_BYTES", 1 << 20)
    write(home / "a.jsonl", line(A), line(B, content=["x" * (3 << 20)]), line(C))
    settings = settings_for(tmp_path)
    assert import_once(settings).rejected == 1
    assert set(outputs(settings)) == {A, C}
    assert "longer than" in rows(settings, "select * from rejects")[0]["reason"]


def test_bad_lines_are_counted_where_they_lie_and_stop_nothing(tmp_path, home):
    bad = [
        "no json",
        '{"usage":',
        '"usage"',
        "\0" * 50,
        '{"type":"assistant","message":{"usage":{"output_tokens":-5}}}',
    ]
    path = write(home / "a.jsonl", line(A), *bad, "", "  ", "[]", line(B))
    settings = settings_for(tmp_path)
    assert import_once(settings).rejected == 6
    assert set(outputs(settings)) == {A, B}
    places = [row["place"] for row in rows(settings, "select place from rejected")]
    assert places[0] == f"{path}:{len(text_of(line(A)))}"


def test_windows_line_ends_and_spaces_around_a_line_change_nothing(tmp_path, home):
    (home / "-w").mkdir(parents=True)
    (home / "-w" / "a.jsonl").write_bytes(
        b"  " + json.dumps(line(A)).encode() + b" \r\n" + json.dumps(line(B)).encode() + b"\r\n"
    )
    settings = settings_for(tmp_path)
    assert import_once(settings).rejected == 0
    assert set(outputs(settings)) == {A, B}


@pytest.mark.parametrize("block", [1, 2, 7, 64, 1000])
def test_lines_are_the_same_however_the_file_is_cut_into_blocks(tmp_path, monkeypatch, block):
    path = write(tmp_path / "a.jsonl", line(A), "junk", "", '{"x":1}', line(B, content=["é" * 50]), "tail")
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.setattr(transcript_reader, "BLOCK_BYTES", block)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        reader = LineReader(descriptor, 0)
        found = list(reader.lines())
    finally:
        os.close(descriptor)
    content = path.read_bytes()
    assert [text for _, text in found] == [content.split(b"\n")[number] for number in (0, 1, 4)]
    assert all(content[offset:].startswith(text or b"") for offset, text in found)
    assert (reader.offset, reader.line_count, reader.tail) == (content.rindex(b"\n") + 1, 5, b"tail")


def test_a_stop_in_the_middle_of_a_file_loses_nothing(tmp_path, home, monkeypatch):
    many = [line(f"msg_01{number:024d}") for number in range(50)]
    write(home / "a.jsonl", *many)
    monkeypatch.setattr(transcript_files, "SIGHTINGS_A_PART", 5)
    shelf = transcript_files.Shelf([], count(1).__next__)
    parts = shelf.read_new(find_files([home]), 0)
    first = next(parts)
    second = transcript_files.Shelf([copy(each) for each in first.positions], count(2).__next__)
    files = second.changed(find_files([home]))
    rest = [seen.call_id for part in second.read_new(files, 0) for seen in part.sightings]
    read = [seen.call_id for seen in first.sightings] + rest
    assert list(dict.fromkeys(read)) == [each["message"]["id"] for each in many]
    assert len(read) == len(many) + 1  # where it stopped, it begins again


def test_content_is_the_same_in_any_pieces_and_any_order_of_files(tmp_path):
    tree = Path(__file__).parent / "data" / "claude-code" / "projects"
    files = sorted(tree.rglob("*.jsonl"))
    whole = settings_for(tmp_path / "whole", tree)
    import_once(whole)
    pieces = settings_for(tmp_path / "pieces")
    for share in (0.3, 0.31, 0.8, 1.0):
        for path in reversed(files):
            target = tmp_path / "pieces" / "projects" / path.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            with target.open("ab") as out:
                out.write(content[target.stat().st_size : int(len(content) * share)])
            import_once(replace(pieces, claude_paths=(target,)))
    assert rows(pieces) == rows(whole)
    shutil.rmtree(tmp_path / "pieces" / "projects")
    assert rows(pieces, "select * from daily_costs") == rows(whole, "select * from daily_costs")


def test_any_name_that_is_text_is_read(tmp_path, home):
    write(home / "no\u00a0break\u3000\u202e\n" / "a.jsonl", line(A))
    settings = settings_for(tmp_path)
    assert (import_once(settings).rejected, set(outputs(settings))) == (0, {A})


def test_a_file_rewritten_in_place_behind_its_start_is_read_again(tmp_path, home):
    padding = {"type": "summary", "summary": "x" * 2000}
    path = write(home / "a.jsonl", padding, line(A), line(A, 20))
    settings = settings_for(tmp_path)
    import_once(settings)
    with path.open("r+") as file:  # the same inode, the same size
        file.write(text_of(padding, line(B), line(B, 30)))
    import_once(settings)
    assert outputs(settings) == {A: 20, B: 30}


def test_numbers_of_files_up_to_64_bits_fit_into_the_ledger():
    assert [transcript_files._signed(number) for number in (0, 2**63 - 1, 2**63, 2**64 - 1)] == [
        0,
        2**63 - 1,
        -(2**63),
        -1,
    ]
