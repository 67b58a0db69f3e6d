"""The letters of the day, as any mail program reads them."""

from collections import Counter
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from deploy.simulator.day import day
from deploy.simulator.script import LETTER, Message
from deploy.simulator.stories import letters, mime

BY_HAND = Path(letters.__file__).parent / "by_hand"


def read(raw: bytes) -> EmailMessage:
    found = message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.fixture(scope="module")
def sent() -> list[Message]:
    return [message for message in day(7, 2000).messages() if message.media_type == LETTER]


def test_every_letter_is_sound_and_says_who_when_and_what(sent: list[Message]) -> None:
    for message in sent:
        letter = read(message.body)

        assert [defect for part in letter.walk() for defect in part.defects] == []
        assert letter["message-id"]
        assert letter["date"].datetime.utcoffset() is not None
        assert letter["from"].addresses[0].addr_spec == message.clear["sender"]
        assert str(letter["subject"] or "") == message.clear.get("subject", "")


def test_letters_come_in_all_charsets_and_shapes(sent: list[Message]) -> None:
    parts = [part for message in sent for part in read(message.body).walk()]
    charsets, kinds = Counter(part.get_content_charset() for part in parts), Counter(part.get_content_type() for part in parts)

    assert {"utf-8", "windows-1251", "koi8-r", "us-ascii"} <= charsets.keys()
    assert {
        "text/html",
        "multipart/mixed",
        "multipart/alternative",
        "multipart/related",
        "multipart/report",
        "application/pdf",
    } <= kinds.keys()
    assert {"image/jpeg", "message/rfc822", "message/delivery-status"} <= kinds.keys()


def test_text_and_files_of_a_letter_are_what_the_script_says(sent: list[Message]) -> None:
    for message in sent:
        letter = read(message.body)
        bodies = [part.get_content() for part in letter.walk() if part.get_content_type() == "text/plain" and not part.is_attachment()]
        files = {part.get_filename(): part.get_content() for part in letter.walk() if part.get_filename()}

        if "text" in message.clear and bodies:
            assert bodies[0].replace("\r\n", "\n").strip() == str(message.clear["text"]).strip()
        for name in [name for field, name in message.clear.items() if field.startswith("file_name:")]:
            assert name in files


def test_some_letters_lack_name_phone_or_text_and_some_no_person_wrote(sent: list[Message]) -> None:
    friday = day(7, 2000)
    lacking = Counter(field for message in sent for field in ("name", "phone", "text") if field not in message.clear)

    assert min(lacking.values()) > 2
    assert len(lacking) == 3
    assert {friday.contacts[message.contact].tickets for message in sent} == {0, 1}


@pytest.mark.parametrize("name", sorted(letters.by_hand()))
def test_a_letter_written_by_hand_is_sound_and_says_what_is_known_of_it(name: str) -> None:
    letter = read((BY_HAND / name).read_bytes())
    known = letters.by_hand()[name]["clear"]

    assert [defect for part in letter.walk() for defect in part.defects] == []
    assert letter["from"].addresses[0].addr_spec == known["sender"]
    assert str(letter["subject"] or "") == known.get("subject", "")


def test_every_letter_written_by_hand_is_known() -> None:
    assert {path.name for path in BY_HAND.glob("*.eml")} == letters.by_hand().keys()


def test_a_letter_delivered_twice_differs_in_its_head_alone() -> None:
    raw = mime.letter(["From: a@example.com"], mime.text_part("слово", "koi8-r", "8bit"))

    assert letters.redelivered(raw, 5).endswith(raw)
    assert "Received" in read(letters.redelivered(raw, 5))
