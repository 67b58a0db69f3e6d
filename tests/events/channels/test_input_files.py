"""Inputs as they lie in files."""

import io
import mailbox
from pathlib import Path

from events.channels.input_files import read_letters, read_letters_of, read_lines
from events.channels.registry import translate_letter
from tests.events.channels.counter import Counter, ids
from tests.events.channels.test_letters import EXPECTED, letter

LIMIT = 30_000_000


def test_lines_are_counted_blank_ones_too() -> None:
    stream = io.BytesIO(b'{"a":1}\n\n  \r\n{"b":2}')

    assert [(one.source, one.raw) for one in read_lines(stream, "f", 100)] == [("f:1", b'{"a":1}\n'), ("f:4", b'{"b":2}')]


def test_a_line_that_is_too_long_is_cut_past_the_limit_and_the_next_one_is_whole() -> None:
    stream = io.BytesIO(b"x" * 1000 + b"\n" + b"short\n")

    assert [one.raw for one in read_lines(stream, "f", 10)] == [b"x" * 11, b"short\n"]


def test_an_mbox_of_the_standard_library_gives_the_letters_that_went_in(tmp_path: Path) -> None:
    box = mailbox.mbox(tmp_path / "box")
    for name in EXPECTED:
        box.add(letter(name) + b"\r\nFrom here on.\r\n")
    box.close()

    found = list(read_letters(tmp_path / "box", "box", LIMIT))

    assert [one.source for one in found] == [f"box#{number}" for number in range(1, len(EXPECTED) + 1)]
    for one, name in zip(found, EXPECTED, strict=True):
        (expected,) = translate_letter(letter(name) + b"\r\nFrom here on.\r\n", Counter().intake())
        (fact,) = translate_letter(one.raw, Counter().intake())
        assert ids(fact) == ids(expected)


def test_a_maildir_gives_new_letters_and_those_seen(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "dir")
    for name in ("tatar", "english"):
        box.add(letter(name))

    found = list(read_letters(tmp_path / "dir", "dir", LIMIT))

    assert {bytes(one.raw).replace(b"\r\n", b"\n") for one in found} == {
        letter(name).replace(b"\r\n", b"\n") for name in ("tatar", "english")
    }


def test_one_letter_is_one_input_and_is_cut_past_the_limit() -> None:
    assert [one.raw for one in read_letters_of(io.BytesIO(b"A: b\n" * 100), "f", 20)] == [(b"A: b\n" * 100)[:21]]
