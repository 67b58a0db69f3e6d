"""What the script remembers in clear is what the intake's own translation seals, field by field."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import orjson
import pytest

from deploy.simulator.day import day
from deploy.simulator.script import LETTER, NUMBER_OF, Canaries, Message
from events.channels.registry import translate, translate_letter
from events.envelope import Fact
from events.vault.sealing import NotSealed, parse
from tests.events.channels.counter import Counter

CANARIES = Canaries("Эхидна Платипусова", "+7 900 000-99-99", "e.platypus@canary.example", "Мыс Канарейки, 77", "Зелёный снег идёт вверх")


def facts_of(message: Message, counter: Counter) -> tuple[Fact, ...]:
    if message.media_type == LETTER:
        return translate_letter(message.body, counter.intake())
    named = NUMBER_OF.format(message.number_of).encode()
    return translate(message.channel, orjson.loads(message.body.replace(named, b"RU-2025-000001")), counter.intake())


def opened(value: Any, counter: Counter) -> Iterator[tuple[str, bytes]]:
    """All sealed values in a fact, files too, by the field they were first written in."""
    if isinstance(value, bytes):
        try:
            sealed = counter.files.kept.get(value, value)
            yield parse(sealed).origin_field, counter.open_bytes(sealed)
        except NotSealed:
            pass
    elif isinstance(value, tuple):
        for one in value:
            yield from opened(one, counter)
    elif is_dataclass(value):
        for one in fields(value):
            yield from opened(getattr(value, one.name), counter)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_message_is_taken_and_seals_what_the_script_says(seed: int) -> None:
    counter = Counter()
    for message in day(seed, 400, CANARIES).messages():
        (fact,) = facts_of(message, counter)
        sealed = dict(opened(fact, counter))
        clear = {name: said.encode() if isinstance(said, str) else said for name, said in message.clear.items()}

        assert type(fact).__name__ == message.event
        assert {name: sealed.get(name) for name in clear} == _as_sent(message, clear)
        assert message.event == "LetterReceived" or sealed.keys() == clear.keys()


def _as_sent(message: Message, clear: dict[str, bytes]) -> dict[str, bytes]:
    """A repeated letter is stored with the trace of its own way; everything else as it was said."""
    return {**clear, "file:0": message.body} if message.media_type == LETTER else clear


def test_a_repeat_has_the_ids_of_the_first() -> None:
    counter = Counter()
    ids: dict[tuple[str, str], set[bytes]] = {}
    repeated = day(3, 600)
    for message in repeated.messages():
        if message.media_type == LETTER or message.event == "CallEnded":
            ids.setdefault((message.contact, message.event), set()).add(facts_of(message, counter)[0].event_id)

    assert len(ids) > 300
    assert all(len(found) == 1 for found in ids.values())
