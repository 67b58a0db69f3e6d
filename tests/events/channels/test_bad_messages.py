"""What the JSON formats refuse: the field and the rule are named, the value never."""

from typing import Any

import pytest

from events.channels.channel import Rejected
from events.channels.words import UNKNOWN_FIELD
from tests.events.channels import messages as m
from tests.events.channels.counter import Counter, limits

SECRET = "Иванов79161234567"

BAD: tuple[tuple[str, m.Message, m.Message, str, str], ...] = (
    ("phone", m.STARTED, {"event": None}, "event", "missing"),
    ("phone", m.STARTED, {"event": SECRET}, "event", "unknown_word"),
    ("phone", m.STARTED, {"event": ["started"]}, "event", "unknown_word"),
    ("phone", m.STARTED, {"call": ""}, "call", "empty"),
    ("phone", m.STARTED, {"call": " "}, "call", "blank"),
    ("phone", m.STARTED, {"call": 17}, "call", "text_expected"),
    ("phone", m.STARTED, {"call": "a\0b"}, "call", "nul_character"),
    ("phone", m.STARTED, {"leg": "1"}, "leg", "whole_number_expected"),
    ("phone", m.STARTED, {"leg": True}, "leg", "whole_number_expected"),
    ("phone", m.STARTED, {"leg": 1.0}, "leg", "whole_number_expected"),
    ("phone", m.STARTED, {"leg": 0}, "leg", "too_small"),
    ("phone", m.STARTED, {"sequence": 10**30}, "sequence", "too_great"),
    ("phone", m.STARTED, {"line": ""}, "line", "code_expected"),
    ("phone", m.STARTED, {"line": SECRET}, "line", "code_expected"),
    ("phone", m.STARTED, {"line": "79161234567"}, "line", "looks_like_a_phone"),
    ("phone", m.STARTED, {"line": "8.800.555.35.35"}, "line", "looks_like_a_phone"),
    ("phone", m.STARTED, {"line": "a" * 65}, "line", "code_expected"),
    ("phone", m.STARTED, {"line": "federal\n"}, "line", "code_expected"),
    ("phone", m.STARTED, {"country": "Russia"}, "country", "country_expected"),
    ("phone", m.STARTED, {"language": "Ivanov"}, "language", "language_expected"),
    ("phone", m.STARTED, {"phone": None}, "phone", "text_expected"),
    ("phone", m.STARTED, {"phone": "1" * 65}, "phone", "too_long"),
    ("phone", m.STARTED, {"phone": "\ud800"}, "phone", "not_text"),
    ("phone", m.STARTED, {SECRET: 1}, UNKNOWN_FIELD, "unknown_field"),
    ("phone", m.STARTED, {"occurred_at": None}, "occurred_at", "time_expected"),
    ("phone", m.STARTED, {"occurred_at": 1741933613}, "occurred_at", "time_expected"),
    ("phone", m.STARTED, {"occurred_at": "2025-03-14T09:26:53"}, "occurred_at", "time_expected"),
    ("phone", m.STARTED, {"occurred_at": "2025-02-30T09:26:53Z"}, "occurred_at", "time_expected"),
    ("phone", m.STARTED, {"occurred_at": "1025-03-14T09:26:53Z"}, "occurred_at", "time_expected"),
    ("phone", m.STARTED, {"occurred_at": "2025-03-14T09:26:53+24:00"}, "occurred_at", "time_expected"),
    ("phone", m.ANSWERED, {"operator": "Иван Петров"}, "operator", "operator_expected"),
    ("phone", m.ANSWERED, {"operator": "79161234567"}, "operator", "looks_like_a_phone"),
    ("phone", m.ANSWERED, {"operator": "op-1234567"}, "operator", "looks_like_a_phone"),
    ("phone", m.ANSWERED, {"operator": "8.916-123_45.67"}, "operator", "looks_like_a_phone"),
    ("phone", m.ANSWERED, {"operator": "x" * 41}, "operator", "operator_expected"),
    ("phone", m.TRANSFERRED, {"target_kind": "outside", "target": "8-800-5553535"}, "target", "looks_like_a_phone"),
    ("phone", m.TRANSFERRED, {"target_kind": "outside", "target": "Fond"}, "target", "code_expected"),
    ("phone", m.ENDED, {"ending": "hung up"}, "ending", "unknown_word"),
    ("phone", m.ENDED, {"talk_s": -1}, "talk_s", "too_small"),
    ("phone", m.RECORDED, {"content_base64": "&&&&"}, "content_base64", "base64_expected"),
    ("phone", m.RECORDED, {"content_base64": ""}, "content_base64", "base64_expected"),
    ("phone", m.RECORDED, {"content_base64": "Ж"}, "content_base64", "base64_expected"),
    ("phone", m.RECORDED, {"digest": "00" * 32}, "content_base64", "one_of_two"),
    ("phone", m.RECORDED, {"content_base64": None}, "content_base64", "one_of_two"),
    ("phone", m.NOTED, {"disposition": "belongs_to"}, "ticket", "missing"),
    ("phone", m.NOTED, {"ticket": "RU-2025-001234"}, "ticket", "not_here"),
    ("phone", m.NOTED, {"disposition": "belongs_to", "ticket": "RU-25-1"}, "ticket", "ticket_number_expected"),
    ("phone", m.NOTED, {"ordinal": 0}, "ordinal", "too_small"),
    ("phone", m.NOTED, {"text": "x\0y"}, "text", "nul_character"),
    ("phone", m.NOTED, {"text": "ж" * 101}, "text", "too_long"),
    ("phone", m.NOTED, {"name": "ж" * 301}, "name", "too_long"),
    ("chat", m.POSTED, {"from": SECRET}, "from", "author_expected"),
    ("chat", m.POSTED, {"from": "operator:79161234567"}, "from", "looks_like_a_phone"),
    ("chat", m.POSTED, {"author": "citizen"}, UNKNOWN_FIELD, "unknown_field"),
    ("chat", m.POSTED, {"from": "operator:"}, "from", "author_expected"),
    ("chat", m.POSTED, {"from": "citizen:"}, "from", "author_expected"),
    ("chat", m.POSTED, {"text": {"a": 1}}, "text", "text_expected"),
    ("chat", m.POSTED, {"text": ""}, "text", "blank"),
    ("chat", m.POSTED, {"text": " \n\u00a0"}, "text", "blank"),
    ("chat", m.FILE, {"link": "https://example.ru"}, "content_base64", "one_of_two"),
    ("cabinet", m.FORM, {"category": "review"}, "category", "unknown_word"),
    ("cabinet", m.FORM, {"files": {}}, "files", "list_expected"),
    ("cabinet", m.FORM, {"files": ["x"]}, "files.0", "object_expected"),
    ("cabinet", m.FORM, {"files": [{}]}, "files.0.content_base64", "missing"),
    ("cabinet", m.FORM, {"files": [{"content_base64": m.PNG, SECRET: 1}]}, f"files.0.{UNKNOWN_FIELD}", "unknown_field"),
    ("cabinet", m.FORM, {"files": [{"content_base64": m.PNG, "name": "\0"}]}, "files.0.name", "nul_character"),
    ("cabinet", m.FORM, {"files": [{"content_base64": m.PNG}] * 101}, "files", "too_many"),
    ("complaint", m.BY_FORM, {"call": m.CALL}, "call", "not_here"),
    ("complaint", m.BY_FORM, {"by": "phone"}, "call", "missing"),
    ("complaint", m.BY_FORM, {"by": "paper"}, "taken_by", "missing"),
    ("complaint", m.BY_FORM, {"signed_on": "2025-03-10"}, "signed_on", "not_here"),
    ("complaint", m.ON_PAPER, {"signed_on": "10.03.2025"}, "signed_on", "day_expected"),
    ("complaint", m.BY_FORM, {"about_ticket": "79161234567"}, "about_ticket", "ticket_number_expected"),
    ("email", {}, {}, "letter_base64", "missing"),
    ("email", {}, {"letter_base64": "IA=="}, "", "empty"),
)


@pytest.mark.parametrize(("channel", "good", "change", "field", "rule"), BAD)
def test_a_bad_message_is_refused_by_field_and_rule(channel: str, good: m.Message, change: m.Message, field: str, rule: str) -> None:
    counter = Counter(limits=limits(text_in_event_bytes=200))

    with pytest.raises(Rejected) as refused:
        counter.take(channel, {**good, **change})

    assert (refused.value.field, refused.value.rule) == (field, rule)


@pytest.mark.parametrize(("channel", "good", "change", "_field", "_rule"), BAD)
def test_a_refusal_never_repeats_what_was_sent(channel: str, good: m.Message, change: m.Message, _field: str, _rule: str) -> None:
    with pytest.raises(Rejected) as refused:
        Counter(limits=limits(text_in_event_bytes=200)).take(channel, {**good, **change})

    said = f"{refused.value} {refused.value!r} {refused.value.detail} {refused.value.__cause__}"
    assert not any(part in said for part in (SECRET, "79161234567", "Russia", "Ivanov", "Петров", "hung up"))
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("channel", ["phone", "chat", "email", "cabinet", "complaint"])
@pytest.mark.parametrize("document", [None, 1, "text", [], [m.STARTED], True, {}])
def test_what_is_no_message_is_refused(channel: str, document: Any) -> None:
    with pytest.raises(Rejected):
        Counter().take(channel, document)


@pytest.mark.parametrize(("channel", "message", "_"), m.GOOD)
def test_each_mandatory_field_is_missed_by_name(channel: str, message: m.Message, _: str) -> None:
    for name in ("event", "call", "chat", "id", "occurred_at", "line", "operator", "by", "violation", "category"):
        less = {field: value for field, value in message.items() if field != name}
        optional = (name, message.get("event")) == ("operator", "answered")
        if less == message or optional:
            continue
        with pytest.raises(Rejected) as refused:
            Counter().take(channel, less)
        assert (refused.value.field, refused.value.rule) == (name, "missing")


def test_nothing_is_stored_for_a_message_that_breaks_its_format() -> None:
    counter = Counter()

    with pytest.raises(Rejected):
        counter.take("cabinet", {**m.FORM, "reply_by": "pigeon"})

    assert (counter.files.kept, counter.keys.by_id) == ({}, {})
