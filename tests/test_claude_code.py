"""What one line of a transcript means."""

import json

import pytest
from transcripts import line

from ccostdb.errors import Rejected
from ccostdb.ledger import usage_of
from ccostdb.model import Sighting, Usage
from ccostdb.sources.claude_code import RANK_NESTED, RANK_OWN, RANK_SIDECHAIN, parse, sightings
from ccostdb.sources.transcript_lines import excerpt


def read(text: bytes, file_agent: str | None = None) -> Sighting | None:
    return parse(text, 1, 0, file_agent, 77)


def sighting(found: object) -> Sighting:
    seen = read(json.dumps(found).encode())
    assert seen is not None
    return seen


def test_an_assistant_line_is_a_sighting_with_everything_that_it_says():
    usage = {
        "cache_creation_input_tokens": 300,
        "cache_read_input_tokens": 7000,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
        "service_tier": "standard",
        "inference_geo": "us",
        "speed": "fast",
    }
    seen = sighting(line(output=42, usage=usage, entrypoint="cli"))
    assert usage_of(seen) == Usage(3, 42, 100, 200, 7000, 2, "fast", "standard", "us", None)
    assert seen.call_id == "msg_01AAAAAAAAAAAAAAAAAAAAAAAA"
    assert seen.occurred_ns == 1_786_536_000_000_000_000
    assert (seen.record_rank, seen.claim.is_sidechain, seen.is_copied, seen.claim.status) == (RANK_OWN, 0, False, None)
    assert (seen.claim.model, seen.session, seen.project) == (
        "claude-sonnet-4-5-20250929",
        "session-1",
        "/home/dev/src/web",
    )
    assert (seen.claim.agent, seen.claim.agent_instance, seen.claim.request_id) == (None, None, "req_1")
    assert (seen.claim.entrypoint, seen.claim.version, seen.claim.git_branch) == ("cli", "2.1.40", "main")


@pytest.mark.parametrize(
    "other",
    [
        {
            "type": "user",
            "message": {"role": "user", "content": "usage"},
            "toolUseResult": {"usage": {"input_tokens": 9}},
        },
        {"type": "summary", "usage": 1},
        {"type": "system", "message": "usage"},
        {"type": "progress", "data": {"type": "hook_progress", "usage": "x"}},
        {"type": "progress", "data": {"type": "agent_progress", "message": {"type": "user", "message": {"usage": {}}}}},
        {"type": "progress", "data": "usage"},
        {"type": "assistant", "message": {"id": "msg_1", "model": "m"}},
        {"usage": {}},
        line(model="<synthetic>"),
    ],
)
def test_other_lines_are_no_sighting(other):
    assert read(json.dumps(other).encode()) is None


def test_cache_writes_without_a_split_are_five_minute_writes():
    assert usage_of(sighting(line(usage={"cache_creation_input_tokens": 50})))[2:4] == (50, 0)


def test_what_exceeds_the_split_is_a_five_minute_write():
    split = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    seen = sighting(line(usage={"cache_creation_input_tokens": 50, "cache_creation": split}))
    assert usage_of(seen)[2:4] == (30, 20)


def test_a_split_counts_where_the_total_is_smaller():
    split = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    assert usage_of(sighting(line(usage={"cache_creation_input_tokens": 0, "cache_creation": split})))[2:4] == (10, 20)


def test_a_sidechain_line_ranks_below_a_line_of_its_own_and_is_an_agents():
    seen = sighting(line(isSidechain=True, agentId="a1b2c3"))
    assert (seen.record_rank, seen.claim.is_sidechain, seen.claim.agent, seen.claim.agent_instance) == (
        RANK_SIDECHAIN,
        True,
        "subagent",
        "a1b2c3",
    )


def test_the_agent_is_the_type_that_the_line_names_or_else_its_side_car():
    named = json.dumps(line(isSidechain=True, agentId="a1", attributionAgent="Explore")).encode()
    plain = json.dumps(line(isSidechain=True, agentId="a1")).encode()
    main = json.dumps(line()).encode()
    assert [found and found.claim.agent for found in (read(each, "Plan") for each in (named, plain, main))] == [
        "Explore",
        "Plan",
        None,
    ]


def test_an_agent_progress_line_holds_a_nested_sighting_of_the_lowest_rank():
    nested = {"type": "assistant", "timestamp": "2026-08-12T12:00:01.000Z", "requestId": "req_9",
              "message": line(output=5)["message"]}  # fmt: skip
    outer = {"type": "progress", "sessionId": "session-1", "cwd": "/w", "timestamp": "2026-08-12T12:00:02.000Z",
             "data": {"type": "agent_progress", "agentId": "a7", "message": nested}}  # fmt: skip
    seen = sighting(outer)
    assert (seen.record_rank, usage_of(seen).output_tokens, seen.claim.agent, seen.claim.agent_instance) == (
        RANK_NESTED,
        5,
        "subagent",
        "a7",
    )
    assert (seen.session, seen.project, seen.claim.request_id) == ("session-1", "/w", "req_9")
    assert seen.occurred_ns == 1_786_536_001_000_000_000


def test_a_fork_is_marked_as_a_copy():
    assert sighting(line(forkedFrom={"sessionId": "other", "messageUuid": "u"})).is_copied
    assert not sighting(line(forkedFrom=None)).is_copied


def test_an_error_of_the_api_is_an_error():
    assert sighting(line(isApiErrorMessage=True)).claim.status == "error"


def test_an_old_cost_is_kept_as_text_and_in_nano_usd():
    seen = sighting(line(costUSD=0.0010500000000000002))
    assert (seen.claim.reported_text, seen.claim.reported_nusd) == ("0.0010500000000000002", 1_050_000)


@pytest.mark.parametrize("cost", [None, -1, "0.5", [1], "é", "secret " * 99, 10**30, float("nan")])
def test_an_old_cost_that_is_no_amount_is_not_kept(cost):
    seen = sighting(line(costUSD=cost))
    assert (seen.claim.reported_text, seen.claim.reported_nusd) == (None, None)


def test_an_old_cost_in_bytes_that_are_no_utf8_costs_only_itself():
    seen = read(json.dumps(line(costUSD="@")).encode().replace(b"@", b"\xff"))
    assert seen is not None
    assert (seen.claim.reported_text, usage_of(seen).output_tokens) == (None, 10)


def test_an_old_cost_written_at_great_length_is_not_kept():
    seen = read(json.dumps(line(costUSD=0.5)).encode().replace(b"0.5", b"0.5" + b"0" * 62))
    assert seen is not None
    assert (seen.claim.reported_text, seen.claim.reported_nusd) == (None, None)


def test_advisor_iterations_are_kept_and_others_are_part_of_the_call():
    own = {"type": "message", "input_tokens": 3, "output_tokens": 10}
    advisor = {"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 100, "output_tokens": 20,
               "cache_creation_input_tokens": 7, "cache_read_input_tokens": 8}  # fmt: skip
    seen = sighting(line(usage={"iterations": [own, advisor]}))
    assert json.loads(usage_of(seen).advisor or "") == [
        {"model": "claude-opus-4-6", "input_tokens": 100, "output_tokens": 20, "cache_write_5m_tokens": 7,
         "cache_write_1h_tokens": 0, "cache_read_tokens": 8}
    ]  # fmt: skip
    assert usage_of(sighting(line(usage={"iterations": [own]}))).advisor is None


# --- identity ---


def key(**changes: object) -> str:
    return sighting(line(**changes)).call_id  # type: ignore[arg-type]


def test_a_full_message_id_is_the_key_over_all_requests_and_sessions():
    assert key(request_id="req_1", session="a") == key(request_id="req_2", session="b") == key(request_id=None)


def test_another_id_is_unique_with_its_request():
    assert key(message_id="gen-1", session="a") == key(message_id="gen-1", session="b")
    assert key(message_id="gen-1", request_id="req_1") != key(message_id="gen-1", request_id="req_2")
    assert key(message_id="msg_short") != key(message_id="msg_short", request_id="req_2")


def test_a_short_id_without_request_is_unique_in_its_session():
    calls = [key(message_id="msg_1", request_id=None, session=session, at=at)
             for session in "ab" for at in ("2026-08-12T12:00:00.000Z", "2026-08-12T12:00:01.000Z")]  # fmt: skip
    assert calls[0] == calls[1] != calls[2] == calls[3]


def test_any_other_id_without_request_is_unique_at_its_time():
    assert key(message_id="ocgo", request_id=None) != key(
        message_id="ocgo", request_id=None, at="2026-08-12T12:00:01.000Z"
    )
    assert key(message_id=None, request_id=None, session="a") != key(message_id=None, request_id=None, session="b")


def test_ids_cannot_be_made_to_collide_by_their_separator():
    assert key(message_id="a|b", request_id="c") != key(message_id="a", request_id="b|c")
    assert key(message_id="a%7C", request_id="c") != key(message_id="a|", request_id="c")


# --- what the strict decoder refuses ---


def test_null_named_keys_in_tool_input_change_nothing():
    tool = {"type": "tool_use", "input": {"id": None, "model": None, "usage": None, "type": "user", "timestamp": 3}}
    assert sighting(line(content=[tool])) == sighting(line())


def test_whole_numbers_may_be_written_as_floats():
    assert usage_of(sighting(line(usage={"input_tokens": 3.0, "cache_read_input_tokens": 1e3})))[0] == 3


def test_a_lone_surrogate_costs_neither_the_line_nor_its_place_in_the_ledger():
    seen = read(json.dumps(line(content=["\ud800"], cwd="/w/\ud83d")).encode())
    assert seen is not None
    assert seen.project == "/w/\ufffd"


def test_bytes_that_are_no_utf8_cost_only_themselves():
    seen = read(json.dumps(line(cwd="/w/@")).encode().replace(b"@", b"\xff"))
    assert seen is not None
    assert seen.project == "/w/\ufffd"


def test_the_torn_half_before_a_whole_record_is_told_and_the_record_counts():
    whole = json.dumps(line(output=77), separators=(",", ":")).encode()
    told: list[tuple[int, str]] = []
    found = sightings([(5, whole[:300] + whole)], 1, None, 0, lambda offset, why: told.append((offset, why.reason)))
    assert [usage_of(seen).output_tokens for seen in found] == [77]
    assert told == [(5, "the line is no JSON object")]


def test_the_torn_half_is_told_also_where_the_record_glued_to_it_is_no_call():
    torn = json.dumps(line(), separators=(",", ":")).encode()[:-2]
    told: list[int] = []
    lines = [(5, torn + b'{"type":"user","message":{"content":"hello"}}')]
    assert list(sightings(lines, 1, None, 0, lambda offset, why: told.append(offset))) == []
    assert told == [5]


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        ({"input_tokens": True}, "int"),
        ({"input_tokens": -1}, ">= 0"),
        ({"output_tokens": 2**63}, "<="),
        ({"output_tokens": 10**30}, "int"),
        ({"output_tokens": "12"}, "str"),
        ({"input_tokens": 1.5}, "float"),
        ({"input_tokens": None, "output_tokens": None}, "neither"),
        ({"cache_creation": [1]}, "array"),
    ],
)
def test_impossible_usage_is_refused_and_says_why(usage, reason):
    with pytest.raises(Rejected, match=reason):
        sighting(line(usage=usage))


@pytest.mark.parametrize(
    "text", [b"no json", b'{"usage":', b"[1]", b"null", b"\0\0\0", b'{"a":' * 100_000, b"\xff\xfe"]
)
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(Rejected, match="no JSON object"):
        read(text)


def test_nan_costs_the_line_and_nothing_else():
    with pytest.raises(Rejected):
        read(json.dumps(line(usage={"input_tokens": float("nan")})).encode())


def test_an_overlong_name_is_refused():
    with pytest.raises(Rejected, match="length"):
        sighting(line(message_id="msg_" + "x" * 1000))


def test_an_excerpt_ends_before_the_message_or_is_a_length_and_a_hash():
    assert excerpt(b'{"cwd":"/w","message":{"content":"secret"}}') == '{"cwd":"/w",'
    assert excerpt(b"x" * 300 + b'"message"') == "309 bytes, sha256 " + excerpt(b"x" * 300 + b'"message"')[-16:]
    assert "secret" not in excerpt(b"secret words")


@pytest.mark.parametrize(
    "text",
    [
        b'a secret "message"',
        b'{"secret":1,"message":{}}',
        b'{"type":"user","content":"a secret","message":{}}',
        b'{"type":"user","content":"a secret "message"',
        b'{"type":"user","toolUseResult":{"text":"a secret"},"message":{}}',
        b'{"type":"summary","summary":"a secret","message":{}}',
        b'{"type":"user","uuid":"u a secret "message"',
        b'{"uuid":"u","prompt":"a secret","message":{}}',
    ],
)
def test_an_excerpt_never_holds_what_a_user_wrote(text):
    assert excerpt(text).startswith(f"{len(text)} bytes, sha256 ")


def test_an_excerpt_keeps_what_tells_the_line_apart():
    text = json.dumps(line(), separators=(",", ":")).encode()
    assert excerpt(text) == text[: text.index(b'"message"')].decode()


# --- many lines ---


def seen_in(*lines: object) -> list[Sighting]:
    encoded = [(number, json.dumps(each).encode()) for number, each in enumerate(lines)]
    return list(sightings(encoded, 1, None, 0, lambda offset, why: pytest.fail(f"{offset}: {why.reason}")))


def test_a_line_that_is_only_repeated_by_the_next_is_one_sighting_with_its_time():
    (seen,) = seen_in(line(output=1), line(output=1), line(output=9, at="2026-08-12T12:00:05.000Z"))
    assert (usage_of(seen).output_tokens, seen.occurred_ns, seen.position_offset) == (9, 1_786_536_000_000_000_000, 2)


@pytest.mark.parametrize(
    "other",
    [
        {"output": 3},
        {"request_id": "req_2"},
        {"session": "session-2"},
        {"cwd": "/elsewhere"},
        {"isSidechain": True},
        {"forkedFrom": "x"},
        {"at": "2026-08-12T11:59:59.000Z"},
        {"message_id": "msg_01BBBBBBBBBBBBBBBBBBBBBBBB"},
    ],
)
def test_lines_that_differ_in_more_than_their_progress_are_sightings_of_their_own(other):
    assert len(seen_in(line(output=5), line(**{"output": 7, **other}))) == 2


def test_lines_with_ids_that_are_not_unique_are_never_taken_together():
    assert len(seen_in(line("msg_1", 1), line("msg_1", 2))) == 2
    other = "gen-" + "1" * 40
    assert len(seen_in(line(other, 1, request_id=None), line(other, 2, request_id=None))) == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "2026-08-12T12:00:05.000Z"),
        ("never", "2026-08-12T12:00:05.000Z"),
        ("", ""),
        ("2026-08-12T13:00:00.000+02:00", "2026-08-12T13:00:00.000Z"),
        ("2026-08-12T12:00:00.000Z", "2026-08-12T14:00:00+04:00"),
        ("2026-08-12T12:00:00Z", "2026-08-12T12:00:00.500Z"),
    ],
)
def test_lines_whose_times_cannot_be_compared_as_text_are_sightings_of_their_own(before, after):
    assert len(seen_in(line(output=1, at=before), line(output=2, at=after))) == 2  # type: ignore[arg-type]


def test_bad_lines_between_good_ones_are_told_with_their_offset():
    told = []
    good = json.dumps(line()).encode()
    lines = [(0, good), (7, b"junk"), (9, None), (11, b"  "), (13, json.dumps(line(output=20)).encode())]
    found = list(sightings(lines, 1, None, 0, lambda offset, why: told.append((offset, why.reason))))
    assert [usage_of(record).output_tokens for record in found] == [20]
    assert told == [(7, "the line is no JSON object"), (9, "the line is longer than any call")]


def told_and_seen(text: bytes) -> tuple[list[int], list[tuple[int, str]]]:
    told: list[tuple[int, str]] = []
    found = sightings([(100, text)], 1, None, 0, lambda offset, why: told.append((offset, why.reason)))
    return [usage_of(seen).output_tokens for seen in found], told


A_LINE = json.dumps(line(output=7), separators=(",", ":")).encode()
B_LINE = json.dumps(line("msg_01BBBBBBBBBBBBBBBBBBBBBBBB", 8), separators=(",", ":")).encode()


def test_two_whole_records_on_one_line_are_two_sightings():
    assert told_and_seen(A_LINE + B_LINE) == ([7, 8], [])
    assert told_and_seen(A_LINE + b" " + B_LINE + A_LINE[:200]) == (
        [7, 8],
        [(100 + len(A_LINE) + 1 + len(B_LINE), "the line is no JSON object")],
    )


@pytest.mark.parametrize("before", [b"\0" * 40, b"\xef\xbb\xbf", b"junk"])
def test_what_stands_before_a_whole_record_costs_only_itself(before):
    assert told_and_seen(before + A_LINE) == ([7], [(100, "the line is no JSON object")])


def nested(**usage: object) -> dict[str, object]:
    message = line(output=5, usage=usage)["message"]
    return {
        "type": "progress",
        "data": {"type": "agent_progress", "message": {"type": "assistant", "message": message}},
    }


def test_a_nested_sighting_is_read_as_carefully_as_any_other():
    assert usage_of(sighting(nested(input_tokens=3.0))).input_tokens == 3
    with pytest.raises(Rejected, match="agent_progress"):
        sighting(nested(input_tokens=-3))


@pytest.mark.parametrize("word", ["gitBranch", "version", "entrypoint", "cwd", "agentId", "isSidechain", "costUSD"])
def test_a_word_of_another_type_costs_only_itself(word):
    seen = sighting(line(**{word: ["?"]}))
    assert usage_of(seen) == usage_of(sighting(line()))
    assert usage_of(sighting(line(usage={"service_tier": 3, "speed": ["fast"]}))).speed is None
    assert sighting(line(cwd="/" + "x" * 5000)).project is None


def test_keys_of_different_forms_never_meet():
    forms = [
        key(message_id="a", request_id="b"),
        key(message_id="msg_a", request_id=None, session="b"),
        key(message_id="a", request_id=None, session="b", at="c"),
        key(message_id="a", request_id="b@c"),
        key(message_id="a@b", request_id=None, session="c", at=""),
    ]
    assert len(set(forms)) == len(forms)
    assert forms[0] == "a:b"


@pytest.mark.parametrize(
    "usage",
    [
        {"output_tokens": 100_000_001},
        {"server_tool_use": {"web_search_requests": 10_001}},
        {"iterations": [{"type": "advisor_message", "model": "m", "output_tokens": 1}] * 101},
    ],
)
def test_what_no_request_can_have_used_is_refused(usage):
    with pytest.raises(Rejected, match="<="):
        sighting(line(usage=usage))
