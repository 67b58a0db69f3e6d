"""The JSON formats: what each message becomes, and what repeats of it become."""

import re

import pytest

from events.channels.people import MEDIA_TYPES, UNKNOWN_MEDIA_TYPE, known_media_type
from events.envelope import Fact
from events.wire.codec import load_codec
from tests.events.channels import messages as m
from tests.events.channels.counter import RECEIVED_AT, Counter, ids


@pytest.mark.parametrize(("channel", "message", "kind"), m.GOOD)
def test_a_good_message_is_a_fact_that_survives_the_log(channel: str, message: m.Message, kind: str) -> None:
    fact: Fact = Counter().take(channel, message)

    assert type(fact).__name__ == kind
    assert (fact.occurred_at, fact.occurred_offset_min, fact.received_at) == (m.AT_US, 180, RECEIVED_AT)
    assert fact.channel == channel
    assert load_codec().decode(load_codec().encode(fact, "test").value) == fact


@pytest.mark.parametrize(("channel", "message", "_"), m.GOOD)
def test_the_same_message_five_times_has_the_same_ids(channel: str, message: m.Message, _: str) -> None:
    turned = dict(reversed(message.items()))  # the order of fields says nothing

    found = {ids(Counter().take(channel, one)) for one in (message, message, turned, message, turned)}

    assert len(found) == 1


def test_all_messages_have_ids_of_their_own_and_share_their_contacts() -> None:
    facts = [Counter().take(channel, message) for channel, message, _ in m.GOOD]

    assert len({fact.event_id for fact in facts}) == len(m.GOOD)
    assert len({fact.contact_id for fact in facts}) == len(("call", "chat", "form", "complaint by form", "complaint on paper"))
    assert Counter().take("complaint", m.BY_PHONE).contact_id == Counter().take("phone", m.STARTED).contact_id


def test_the_live_event_and_the_call_record_of_one_step_agree() -> None:
    record = {**m.ENDED, "occurred_at": "2025-03-14T09:26:54+03:00", "connected_at": m.AT, "talk_s": 271}

    assert ids(Counter().take("phone", record)) == ids(Counter().take("phone", m.ENDED))
    assert Counter().take("phone", record).connected_at == m.AT_US


@pytest.mark.parametrize("change", [{"leg": 2}, {"sequence": 2}, {"call": "another"}])
def test_another_leg_sequence_or_call_is_another_step(change: m.Message) -> None:
    assert Counter().take("phone", {**m.ANSWERED, **change}).event_id != Counter().take("phone", m.ANSWERED).event_id


@pytest.mark.parametrize("change", [{"text": "Сәлам"}, {"id": "9"}, {"occurred_at": "2025-03-14T09:26:53.121+03:00"}])
def test_another_body_is_another_message_of_the_same_chat(change: m.Message) -> None:
    posted, other = Counter().take("chat", m.POSTED), Counter().take("chat", {**m.POSTED, **change})

    assert posted.event_id != other.event_id
    assert posted.contact_id == other.contact_id


def test_words_of_a_citizen_are_sealed_under_one_key_and_the_operators_name_under_another() -> None:
    counter = Counter()

    filed = counter.take("complaint", m.BY_PHONE)

    assert [counter.open(value) for value in (filed.name, filed.phone, filed.text)] == [m.BY_PHONE[f] for f in ("name", "phone", "text")]
    assert counter.open(filed.operator_name) == "Сергей Степанович"
    assert counter.key_of(filed.name) == counter.key_of(filed.phone) == counter.key_of(filed.text)
    assert counter.key_of(filed.operator_name) != counter.key_of(filed.name)
    assert (filed.has_name, filed.has_phone, filed.has_text, filed.has_operator) == (True, True, True, True)


def test_files_of_a_form_are_stored_sealed() -> None:
    counter = Counter()

    filed = counter.take("cabinet", m.FORM)

    assert [counter.open_file(one) for one in filed.attachments] == [("image/png", 14, "ошибка.png", b"\x89PNG not quite")]
    assert all(b"PNG" not in sealed for sealed in counter.files.kept.values())


def test_what_is_left_out_or_blank_is_told_as_not_given() -> None:
    noted = Counter().take("phone", {**m.NOTED, "name": "  ", "phone": "anonymous", "email": "", "text": ""})

    assert (noted.has_name, noted.has_phone, noted.has_text) == (False, False, False)
    assert (noted.name, noted.phone, noted.email, noted.text) == (None, None, None, None)


def test_a_form_without_words_is_taken_all_the_same() -> None:
    silent = {name: value for name, value in m.FORM.items() if name in ("id", "occurred_at", "cabinet_id", "category")}

    filed = Counter().take("cabinet", silent)

    assert (filed.has_name, filed.has_phone, filed.has_text) == (False, False, False)


@pytest.mark.parametrize("blank", ["", " ", "\n\t\u00a0"])
def test_blank_words_are_sealed_nowhere(blank: str) -> None:
    told = [
        Counter().take(channel, {**message, **dict.fromkeys(("name", "email", "text"), blank)})
        for channel, message in (("phone", m.NOTED), ("cabinet", m.FORM), ("complaint", m.BY_PHONE))
    ]

    assert [(one.has_text, one.text, one.name, one.email) for one in told] == [(False, None, None, None)] * 3


def test_actors_are_the_citizen_the_operator_by_id_or_a_process() -> None:
    actors = [Counter().take(channel, message).actor for channel, message, _ in m.GOOD]

    assert set(actors) == {"citizen", "operator:op-17", "operator:op-21", "operator:op-30", "process:exchange"}


def test_a_recording_stored_elsewhere_is_named_by_its_digest() -> None:
    counter = Counter()
    digest = counter.files.put(b"sealed by the recorder")
    by_digest = {**m.RECORDED, "digest": digest.hex(), "size_bytes": 90_000}
    del by_digest["content_base64"]

    stored = counter.take("phone", by_digest)

    assert (stored.digest, stored.size_bytes, stored.media_type) == (digest, 90_000, "audio/ogg")


def test_a_type_of_file_that_nobody_knows_says_nothing_in_clear() -> None:
    offered = Counter().take("chat", {**m.FILE, "media_type": "image/ivan-petrov"})

    assert offered.media_type == UNKNOWN_MEDIA_TYPE


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_each_known_type_of_file_is_a_whole_one_and_is_kept(media_type: str) -> None:
    assert re.fullmatch(r"(application|audio|image|message|text|video)/[a-z0-9][a-z0-9.+-]*[a-z0-9]", media_type)
    assert known_media_type(f"{media_type.upper()}; x=y") == media_type


def test_presentations_and_archives_are_known() -> None:
    assert known_media_type("application/vnd.openxmlformats-officedocument.presentationml.presentation") != UNKNOWN_MEDIA_TYPE
    assert known_media_type("application/x-rar-compressed") != UNKNOWN_MEDIA_TYPE
