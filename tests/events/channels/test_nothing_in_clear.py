"""No word of a citizen stands in clear in a record, nor in the name or the content of a stored file."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from events.channels.registry import translate_letter
from events.envelope import Fact
from events.wire.codec import load_codec
from tests.events.channels import messages as m
from tests.events.channels.counter import Counter

CLEAR_FIELDS = frozenset(("event", "line", "country", "language", "queue", "operator", "target_kind", "target", "ending", "from", "by")) | {
    *("occurred_at", "disposition", "kind", "topic", "ticket", "category", "service", "reply_by", "taken_by", "violation", "wanted"),
    *("signature_kind", "signed_on", "call_at", "about_ticket", "media_type", "content_base64"),
}


def words_of(message: object, name: str = "") -> set[str]:
    if isinstance(message, dict):
        return {word for field, value in message.items() if field not in CLEAR_FIELDS for word in words_of(value, field)}
    if isinstance(message, list):
        return {word for value in message for word in words_of(value, name)}
    return {message} if isinstance(message, str) and len(message) > 1 else set()


def shown(fact: Fact, counter: Counter) -> bytes:
    record = load_codec().encode(fact, "test", traceparent=None)
    return b"\n".join(
        (record.key, record.value, *(value for _, value in record.headers), *counter.files.kept, *counter.files.kept.values())
    )


@pytest.mark.parametrize(("channel", "message", "_"), m.GOOD)
def test_a_record_shows_no_word_of_a_message(channel: str, message: m.Message, _: str) -> None:
    counter = Counter()

    everything = shown(counter.take(channel, message), counter)

    assert not [word for word in words_of(message) if word.encode() in everything]


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "letters").glob("*.eml")), ids=lambda path: path.stem)
def test_a_record_shows_no_line_of_a_letter(path: Path) -> None:
    counter = Counter()

    (fact,) = translate_letter(path.read_bytes(), counter.intake())

    everything = shown(fact, counter)
    lines = [line.strip() for line in path.read_bytes().splitlines()]
    assert not [line for line in lines if len(line) > 5 and line in everything]
    assert not [name for name in (b"example.", b"@", b"Message-ID") if name in _clear_values(fact)]


def test_a_planted_word_is_found_by_the_same_search() -> None:
    counter = Counter()
    fact: Any = counter.take("phone", {**m.STARTED, "line": "canary"})

    assert b"canary" in shown(fact, counter)


def _clear_values(fact: Fact) -> bytes:
    return "\n".join(str(value) for value in asdict(fact).values() if isinstance(value, str)).encode()


def test_every_text_of_a_fact_is_a_code_or_sealed() -> None:
    for channel, message, _ in m.GOOD:
        fact = Counter().take(channel, message)
        for field in fields(fact):
            value = getattr(fact, field.name)
            assert not isinstance(value, str) or value.isascii()
