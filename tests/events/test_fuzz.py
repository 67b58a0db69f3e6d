"""Two seconds of spoilt records; `python -m tests.events.fuzz` does it for longer."""

from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

from events.envelope import Event
from events.wire.codec import Undecodable, load_codec
from tests.events.an_event import example
from tests.events.fuzz import run, values

_VALUES = 25_000


def test_spoilt_records_are_refused_or_are_the_one_encoding_of_an_event() -> None:
    done = run(424242, lambda tried: tried < _VALUES)

    assert done.findings == []
    assert done.answers.keys() == {"refused", "unknown", "taken"}
    assert min(done.answers.values()) > _VALUES / 1000, str(done)


def test_the_same_seed_spoils_the_same_records() -> None:
    assert list(islice(values(7), 50)) == list(islice(values(7), 50)) != list(islice(values(8), 50))


def _fail(value: bytes) -> Event:
    raise ValueError("a number")


def _overlook_the_last_byte(value: bytes) -> Event:
    try:
        return load_codec().decode(value)
    except Undecodable:
        return load_codec().decode(value[:-1])


def _answer_anything(value: bytes) -> Event:
    return example("CallEnded")


def test_a_codec_that_keeps_what_it_saw_is_found_out() -> None:
    kept = []

    def keep(value: bytes) -> Event:
        kept.append(bytearray(b"x" * 16_384))
        return load_codec().decode(value)

    faulty: Any = SimpleNamespace(decode=keep, encode=load_codec().encode)

    done = run(424242, lambda tried: tried <= 20_000, faulty)

    assert any(finding.startswith("memory grew") for finding in done.findings), done.findings


@pytest.mark.parametrize(
    ("decode", "told"),
    [
        (_fail, "ValueError a number"),
        (_overlook_the_last_byte, "another encoding of an event"),
        (_answer_anything, "a stranger cannot read it"),
    ],
)
def test_a_codec_that_breaks_its_word_is_found_out(decode: Any, told: str) -> None:
    faulty: Any = SimpleNamespace(decode=decode, encode=load_codec().encode)

    done = run(424242, lambda tried: tried < 5_000, faulty)

    assert any(finding.startswith(told) for finding in done.findings), done.findings
