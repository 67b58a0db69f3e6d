"""Facts at the door: taken whole or not at all, the same input the same ids, and never a word of it in an error."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path

import httpx
import orjson
import pytest

from events.calls import CallStarted
from events.wire.publisher import NotTaken, OutcomeUnknown, TooLarge
from projectors.tokens import Token
from tests.api.intake.a_door import CANARY, NOW_US, Door, problem
from tests.api.tokens import bearer

CALL = {
    "event": "started",
    "call": "20250314-092653-0017",
    "occurred_at": "2025-03-14T09:26:53.120+03:00",
    "line": "federal",
    "phone": "+7 916 123-45-67",
}
NOTE = {
    "event": "noted",
    "call": CALL["call"],
    "id": "n-1",
    "operator": "op-17",
    "occurred_at": CALL["occurred_at"],
    "disposition": "registered",
    "name": CANARY,
}


def _body(document: object) -> bytes:
    return orjson.dumps(document)


def test_a_fact_is_taken_with_its_ids_and_its_position(door: Door) -> None:
    answer = door.contacts("phone", _body(CALL))

    assert answer.status_code == 202
    (accepted,) = answer.json()["accepted"]
    (event,) = door.log.events
    assert isinstance(event, CallStarted)
    assert accepted == {"event_id": event.event_id.hex(), "type": "hotline.calls.CallStarted", "contact_id": event.contact_id.hex()}
    assert event.received_at == NOW_US
    assert dict(Token.parse(answer.json()["position"])) == {("hotline.contacts", 0): 0}
    assert answer.headers["position"] == answer.json()["position"]


def test_the_same_contact_five_times_gets_the_same_ids_each_time(door: Door) -> None:
    answers = [door.contacts("phone", _body([CALL, NOTE])).json()["accepted"] for _ in range(5)]

    assert all(answer == answers[0] for answer in answers)
    assert len(door.log.events) == 10


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", _body([CALL, NOTE])),
        ("application/x-ndjson", _body(CALL) + b"\n\n" + _body(NOTE) + b"\n"),
        ("application/json", _body(CALL) + b"\r\n" + _body(NOTE)),
        ("application/json; charset=UTF-8", json.dumps([CALL, NOTE], indent=2).encode()),
    ],
)
def test_several_facts_come_as_an_array_or_line_by_line(door: Door, kind: str, body: bytes) -> None:
    answer = door.contacts("phone", body, kind)

    assert answer.status_code == 202, answer.text
    assert [taken["type"].rpartition(".")[2] for taken in answer.json()["accepted"]] == ["CallStarted", "ContactNoted"]


MEGABYTE = {"limit": "json_bytes", "limit_bytes": 1_000_000}
BAD: dict[str, tuple[str, bytes, int, str, dict[str, object]]] = {
    "not JSON": ("phone", CANARY.encode(), 400, "unreadable", {"line": 1}),
    "cut JSON": ("phone", _body(NOTE)[:-5], 400, "unreadable", {}),
    "not UTF-8": ("phone", _body(NOTE).decode().encode("cp1251"), 400, "unreadable", {}),
    "a bad line": ("phone", _body(CALL) + b"\n{oops\n", 400, "unreadable", {"line": 2}),
    "half a surrogate": ("phone", _body(CALL)[:-1] + b',"language":"\\ud800"}', 400, "unreadable", {}),
    "very deep": ("phone", b"[" * 100_000 + b"]" * 100_000, 400, "unreadable", {}),
    "quite deep": ("phone", b'{"event":' + b"[" * 900 + b"]" * 900 + b"}", 422, "broken-rule", {"field": "event"}),
    "nothing": ("phone", b"", 400, "unreadable", {}),
    "no message": ("phone", b"[]", 422, "broken-rule", {"rule": "empty"}),
    "a number": ("phone", b"7", 422, "broken-rule", {"rule": "object_expected"}),
    "an unknown channel": ("fax", _body(CALL), 404, "unknown-channel", {}),
    "an unknown step": ("phone", _body(CALL | {"event": CANARY}), 422, "broken-rule", {"field": "event", "rule": "unknown_word"}),
    "a missing field": ("phone", _body({"event": "started", "call": "1", "line": "x"}), 422, "broken-rule", {"field": "occurred_at"}),
    "an unknown field": ("phone", _body(CALL | {CANARY: 1}), 422, "broken-rule", {"rule": "unknown_field"}),
    "NUL in a text": ("phone", _body(NOTE | {"text": f"{CANARY}\0"}), 422, "broken-rule", {"field": "text", "rule": "nul_character"}),
    "NUL in an id": ("phone", _body(CALL | {"call": "1\0"}), 422, "broken-rule", {"field": "call"}),
    "a name for a code": ("phone", _body(CALL | {"line": CANARY}), 422, "broken-rule", {"field": "line"}),
    "a phone for a code": ("phone", _body(CALL | {"line": "79161234567"}), 422, "broken-rule", {"field": "line"}),
    "another kind": ("phone", _body(CALL | {"phone": 79161234567}), 422, "broken-rule", {"field": "phone", "rule": "text_expected"}),
    "no time zone": ("phone", _body(CALL | {"occurred_at": "2025-03-14T09:26:53"}), 422, "broken-rule", {"field": "occurred_at"}),
    "bad among good": ("phone", _body([CALL, NOTE, CALL | {"line": CANARY}]), 422, "broken-rule", {"message": 3}),
    "2 MB of JSON": (
        "phone",
        _body(CALL | {"phone": "1" * 2_000_000}),
        413,
        "too-large",
        {"limit": "json_bytes", "limit_bytes": 1_000_000},
    ),
    "too many facts": ("phone", _body([{}] * 1_001), 413, "too-large", {"limit": "facts_per_request"}),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_by_name_and_nothing_of_it_is_taken(door: Door, what: str) -> None:
    channel, body, status, type_, members = BAD[what]

    answer = door.contacts(channel, body)

    found = problem(answer)
    assert (answer.status_code, found["type"]) == (status, type_)
    assert found.items() >= members.items()
    assert door.log.events == []


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("", {}),
        ("text/plain", {}),
        ("application/xml", {}),
        ("message/rfc822", {}),
        ("application/json; charset=windows-1251", {}),
        ("application/json", {"Content-Encoding": "gzip"}),
    ],
)
def test_another_type_of_content_is_not_taken(door: Door, kind: str, more: dict[str, str]) -> None:
    answer = door.contacts("phone", _body(CALL), kind, **more)

    assert (answer.status_code, problem(answer)["type"]) == (415, "wrong-type")


def test_the_limit_holds_for_a_body_that_does_not_say_its_size(door: Door) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    answer = door.contacts("phone", body())

    assert (answer.status_code, problem(answer)["limit"]) == (413, "json_bytes")


def test_a_large_body_within_the_limit_is_taken(door: Door) -> None:
    notes = [NOTE | {"id": f"n-{number}", "text": "слово " * 60} for number in range(900)]

    answer = door.contacts("phone", _body(notes))

    assert answer.status_code == 202, answer.text
    assert len(door.log.events) == 900


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}])
def test_nobody_gets_in_without_a_token(door: Door, headers: dict[str, str]) -> None:
    answer = door.send("/v1/contacts/phone", _body(CALL), headers | {"Content-Type": "application/json"})

    assert (answer.status_code, problem(answer)["type"]) == (401, "unauthorised")


def test_an_auditor_publishes_nothing(door: Door) -> None:
    answer = door.contacts("phone", _body(CALL), role="auditor")

    assert (answer.status_code, problem(answer)["type"]) == (403, "forbidden")


FILE = {
    "event": "file",
    "chat": "c-1",
    "id": "f-1",
    "occurred_at": CALL["occurred_at"],
    "from": "operator:op-17",
    "content_base64": "T2dnUw==",
}
FORM = {"id": "f-2", "occurred_at": CALL["occurred_at"], "cabinet_id": "1", "category": "technical", "files": [{"content_base64": "AAAA"}]}
WITH_FILES: dict[str, tuple[str, bytes, str]] = {
    "a letter": ("email", b"From: a@example.ru\n\nhello", "message/rfc822"),
    "a letter in JSON": ("email", _body({"letter_base64": "RnJvbTogYUBleGFtcGxlLnJ1CgpoaQ=="}), "application/json"),
    "a file of a chat": ("chat", _body(FILE), "application/json"),
    "a form": ("cabinet", _body(FORM), "application/json"),
}


def _stored(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("what", WITH_FILES)
def test_files_are_written_on_a_thread_and_never_while_others_wait(door: Door, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    channel, body, kind = WITH_FILES[what]
    writers: list[str] = []
    put = door.files.put

    def watched(sealed: bytes) -> bytes:
        writers.append(threading.current_thread().name)
        return put(sealed)

    monkeypatch.setattr(door.files, "put", watched)

    answer = door.contacts(channel, body, kind)

    assert answer.status_code == 202, answer.text
    assert writers
    assert all(writer.startswith("translate") for writer in writers)


def test_a_forbidden_or_broken_request_leaves_no_file_behind(door: Door, tmp_path: Path) -> None:
    foreign, bad = FILE | {"from": "citizen"}, FILE | {"id": "f-3", "from": CANARY}

    assert door.contacts("chat", _body([FILE, foreign]), role="operator").status_code == 403
    assert door.contacts("chat", _body([FILE, bad])).status_code == 422

    assert _stored(tmp_path) == []
    assert door.contacts("chat", _body(FILE), role="operator").status_code == 202
    assert len(_stored(tmp_path)) == 1


def test_an_operator_notes_in_his_own_name_only(door: Door) -> None:
    assert door.contacts("phone", _body(NOTE), role="operator").status_code == 202

    assert door.contacts("phone", _body(NOTE | {"operator": "op-18"}), role="operator").status_code == 403
    assert door.contacts("phone", _body([NOTE, CALL]), role="operator").status_code == 403
    assert len(door.log.events) == 1


@pytest.mark.parametrize(
    ("reports", "status", "type_"),
    [
        ([NotTaken("x"), NotTaken("x")], 503, "part-down"),
        ([OutcomeUnknown("x"), OutcomeUnknown("x")], 504, "outcome-unknown"),
        ([None, NotTaken("x")], 504, "outcome-unknown"),
        ([NotTaken("x"), OutcomeUnknown("x")], 504, "outcome-unknown"),
        ([TooLarge("x"), None], 504, "outcome-unknown"),
        ([TooLarge("x"), OutcomeUnknown("x")], 504, "outcome-unknown"),
        ([TooLarge("x"), TooLarge("x")], 413, "too-large"),
        ([TooLarge("x"), NotTaken("x")], 413, "too-large"),
    ],
)
def test_without_every_acknowledgement_there_is_no_yes(door: Door, reports: list[Exception | None], status: int, type_: str) -> None:
    door.log.answers_with = reports

    answer = door.contacts("phone", _body([CALL, NOTE]))

    assert (answer.status_code, problem(answer)["type"]) == (status, type_)


def test_an_acknowledgement_that_does_not_come_leaves_the_outcome_unknown(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr("api.intake.publishing.REPORT_TIMEOUT_S", 0.05)
    silent: Future[object] = Future()
    monkeypatch.setattr(door.log, "submit", lambda *_: silent)

    answer = door.contacts("phone", _body(CALL))

    assert (answer.status_code, problem(answer)["type"]) == (504, "outcome-unknown")
    assert not silent.cancelled()


def test_one_too_large_among_late_ones_leaves_the_outcome_unknown(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.intake.publishing.REPORT_TIMEOUT_S", 0.05)
    large: Future[object] = Future()
    large.set_exception(TooLarge("x"))
    reports = [large, Future()]
    monkeypatch.setattr(door.log, "submit", lambda *_: reports.pop(0))

    answer = door.contacts("phone", _body([CALL, NOTE]))

    assert (answer.status_code, problem(answer)["type"]) == (504, "outcome-unknown")


def test_before_the_vault_has_answered_nothing_is_taken(door: Door) -> None:
    door.ring.opened = False

    answer = door.contacts("phone", _body(CALL))

    assert (answer.status_code, problem(answer)["part"]) == (503, "vault")
    assert answer.headers["retry-after"] == "1"


def test_with_an_empty_pool_nothing_that_must_be_sealed_is_taken(door: Door) -> None:
    door.ring.keys = 0

    answer = door.contacts("phone", _body([CALL, NOTE]))

    assert (answer.status_code, problem(answer)["type"]) == (503, "out-of-keys")
    assert door.log.events == []


def test_a_store_that_cannot_take_a_file_takes_nothing(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("no folder")
    recording = CALL | {"event": "recording_stored", "duration_s": 1, "media_type": "audio/ogg", "content_base64": "T2dnUw=="}
    del recording["line"], recording["phone"]

    with Door(tmp_path / "files") as door:
        answer = door.contacts("phone", _body(recording))

    assert (answer.status_code, problem(answer)["part"]) == (503, "files")


def test_more_requests_than_the_room_holds_are_asked_to_come_again(tmp_path: Path) -> None:
    async def crowd(door: Door) -> list[httpx.Response]:
        go = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            await go.wait()
            yield _body(CALL)

        async def send(content: bytes | AsyncIterator[bytes]) -> httpx.Response:
            return await door.client.post("/v1/contacts/phone", content=content, headers=bearer() | {"Content-Type": "application/json"})

        inside = [asyncio.create_task(send(body())) for _ in range(2)]
        async with asyncio.timeout(10):
            while door.parts.facts_room._inside < 2:
                await asyncio.sleep(0)
        third = await send(_body(CALL))
        go.set()
        return [third, *await asyncio.gather(*inside)]

    with Door(tmp_path, most_fact_requests=2) as door:
        third, *others = door.run(crowd(door))

        assert (third.status_code, problem(third)["type"], third.headers["retry-after"]) == (429, "too-many-requests", "1")
        assert [answer.status_code for answer in others] == [202, 202]
        assert door.contacts("phone", _body(CALL)).status_code == 202


def test_the_trace_of_a_caller_goes_on_and_a_broken_one_is_replaced(door: Door) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    door.contacts("phone", _body(CALL), traceparent=trace)
    door.contacts("phone", _body(CALL), traceparent=f"00-{'0' * 32}-{'1' * 16}-01")
    door.contacts("phone", _body(CALL))

    first, second, third = door.log.traces
    assert first == trace
    assert second is not None
    assert third is not None
    assert len({first, second[3:35], third[3:35], "0" * 32}) == 4
