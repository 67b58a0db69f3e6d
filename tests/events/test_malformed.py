"""What no writer of ours can have written is refused by name, whatever a lenient reader makes of it."""

import io
from dataclasses import replace
from typing import Any

import fastavro
import pytest

from events.wire.codec import Undecodable, load_codec
from events.wire.schemas import FIRST_ID, load
from tests.events.an_event import KINDS, example

CODEC = load_codec()


def _value(name: str, **said: Any) -> bytes:
    return CODEC.encode(replace(example(name), **said), "test").value


def _with(value: bytes, old: bytes, new: bytes) -> bytes:
    assert value.count(old) == 1, "the place to change must be one"
    return value.replace(old, new)


_ENDED = _value("CallEnded", event_id=b"e" * 16, occurred_at=1 << 48, leg=5, ending="failed", wait_s=0x7F, talk_s=3, connected_at=None)
_TAIL = b"\x0a\x08\xfe\x01\x06\x00"  # leg, ending, wait_s, talk_s, connected_at
_REST = _TAIL[1:]
_TIME = b"\x80" * 6 + b"\x80\x01"  # the shortest time of eight bytes
_WORD = b"\x0aphone"
_KEYS = b"\x02" + b"k" * 16 + b"\x00\x00"  # an array of one id, and an empty one behind it
_FLAGS = bytes(4) + b"\x01\x00\x04qq"  # the last two of six truth values, and a language
_FILE = b"d" * 32 + b"\x02\x06a/b\x00"  # digest, size, media type, no name
_FILES = b"\x00\x02" + _FILE + b"\x00"
_LETTER = _value("LetterReceived", thread_keys=(b"k" * 16,), attachments=())
_FLAGGED = _value(
    "LetterReceived", language="qq", has_text=True, text_cut=False, auto_submitted=False, has_sender=False, has_name=False, has_phone=False
)
_FILED = _value(
    "LetterReceived",
    thread_keys=(),
    attachments=(replace(example("LetterReceived").attachments[0], digest=b"d" * 32, size_bytes=1, media_type="a/b", name=None),),  # type: ignore[attr-defined]
)
_MOST, _LEAST = b"\xfe" + b"\xff" * 8 + b"\x01", b"\xff" * 9 + b"\x01"  # the greatest and the least number of 64 bits


def _tail(new: bytes) -> bytes:
    return _with(_ENDED, _TAIL, new)


def _word(new: bytes) -> bytes:
    return _with(_ENDED, _WORD, new)


def _moment(new: bytes) -> bytes:
    return _with(_ENDED, _TIME, new)


def _keys(new: bytes) -> bytes:
    return _with(_LETTER, _KEYS, new)


def _files(new: bytes) -> bytes:
    return _with(_FILED, _FILES, new)


#: Each would be taken by fastavro's plain reader, which knows nothing of the one encoding, of bounds of types and of what lies behind.
TAKEN_BY_FASTAVRO = {
    "something follows": _ENDED + b"\0",
    "another record follows": _ENDED + _ENDED[5:],
    "a number in one byte more than it needs": _tail(b"\x0a\x08\xfe\x81\x00\x06\x00"),
    "a small number in two bytes": _tail(b"\x8a\x00" + _REST),
    "a small number in three bytes": _tail(b"\x8a\x80\x00" + _REST),
    "a small number in ten bytes": _tail(b"\x8a" + b"\x80" * 8 + b"\x00" + _REST),
    "a small number in eleven bytes": _tail(b"\x8a" + b"\x80" * 9 + b"\x00" + _REST),
    "an int of 33 bits": _tail(b"\xff\xff\xff\xff\x1f" + _REST),
    "a number of 65 bits": _tail(b"\xff" * 9 + b"\x03" + _REST),
    "a number of thirteen bytes": _tail(b"\xff" * 12 + b"\x01" + _REST),
    "a small length in two bytes": _word(b"\x8a\x00phone"),
    "a small time in eight bytes": _moment(b"\x80" * 7 + b"\x00"),
    "a time before any clock": _moment(b"\x00"),
    "a time below zero": _moment(b"\x01"),
    "a time beyond any calendar": _moment(_MOST),
    "a negative symbol": _tail(b"\x0a\x01\xfe\x01\x06\x00"),
    "a symbol's number in two bytes": _tail(b"\x0a\x88\x00\xfe\x01\x06\x00"),
    "a negative branch": _tail(b"\x0a\x08\xfe\x01\x06\x01" + _TIME),
    "a negative branch that is null": _tail(b"\x0a\x08\xfe\x01\x06\x03"),
    "a branch's number in two bytes": _tail(b"\x0a\x08\xfe\x01\x06\x80\x00"),
    "a negative branch in a record of an array": _files(b"\x00\x02" + _FILE[:-1] + b"\x03\x00"),
    "a text with NUL": _word(b"\x0aph\x00ne"),
    "an array as a negative number of items and its size": _keys(b"\x01\x20" + b"k" * 16 + b"\x00\x00"),
    "an array with a wrong size": _keys(b"\x01\x7e" + b"k" * 16 + b"\x00\x00"),
    "an array in two blocks": _keys((b"\x02" + b"k" * 16) * 2 + b"\x00\x00"),
    "an array of records in two blocks": _files(b"\x00" + (b"\x02" + _FILE) * 2 + b"\x00"),
    "a number of items in two bytes": _keys(b"\x82\x00" + b"k" * 16 + b"\x00\x00"),
    "an array's end in two bytes": _keys(b"\x02" + b"k" * 16 + b"\x80\x00\x00"),
    "an empty array in two bytes": _keys(b"\x80\x00\x00"),
    "a truth value of 2": _with(_FLAGGED, _FLAGS, b"\x02" + _FLAGS[1:]),
    "a truth value of 255": _with(_FLAGGED, _FLAGS, b"\xff" + _FLAGS[1:]),
}
REFUSED_BY_FASTAVRO = {
    "no body": _ENDED[:5],
    "the last byte missing": _ENDED[:-1],
    "a number without end": _tail(b"\xff" * 5000),
    "no such symbol": _tail(b"\x0a\x0a\xfe\x01\x06\x00"),
    "a symbol far below zero": _tail(b"\x0a\x7f\xfe\x01\x06\x00"),
    "the least number as a symbol": _tail(b"\x0a" + _LEAST + b"\xfe\x01\x06\x00"),
    "no such branch": _tail(b"\x0a\x08\xfe\x01\x06\x04"),
    "a branch far below zero": _tail(b"\x0a\x08\xfe\x01\x06\x05"),
    "a negative length": _word(b"\x09phone"),
    "a negative length in two bytes": _word(b"\x89\x01phone"),
    "the least number as a length": _word(_LEAST + b"phone"),
    "a length of a gigabyte": _word(b"\x80\x80\x80\x80\x08phone"),
    "a length of exabytes": _word(_MOST + b"phone"),
    "a length beyond the end in a record of an array": _files(b"\x00\x02" + b"d" * 32 + b"\x02\x7ea/b\x00\x00"),
    "a text that is no UTF-8": _word(b"\x0aph\xffne"),
    "a text with a letter in more bytes than it needs": _word(b"\x0aph\xc0\x80e"),
    "a text with half a pair": _word(b"\x0aph\xed\xa0\x80"),
    "an array of one more than there is": _keys(b"\x04" + b"k" * 16 + b"\x00\x00"),
    "an array of two thousand million": _keys(b"\xfe\xff\xff\xff\x0f" + b"k" * 16 + b"\x00\x00"),
    "an array of as many as numbers go": _keys(_MOST + b"k" * 16 + b"\x00\x00"),
    "an array of records of two thousand million": _files(b"\x00\xfe\xff\xff\xff\x0f" + _FILE + b"\x00"),
    "an array of a negative number without a size": _keys(b"\x01" + b"k" * 16 + b"\x00\x00"),
    "an array of the least number": _keys(_LEAST + b"\x20" + b"k" * 16 + b"\x00\x00"),
    "an array without an end": _keys(b"\x02" + b"k" * 16),
}
NOT_FRAMED = {
    "no value": None,
    "empty": b"",
    "no room for an id": b"\0\x35\xa4\xe9",
    "another magic byte": b"\1" + _ENDED[1:],
    "JSON": b'{"event": "x"}',
    **{f"the id {one}": b"\0" + one.to_bytes(4, "big") + b"x" for one in (0, 1, FIRST_ID - 1, FIRST_ID + 2_000_000, 2**32 - 1)},
}


def _refused(value: bytes | None) -> Undecodable:
    with pytest.raises(Undecodable) as refused:
        CODEC.decode(value)
    return refused.value


@pytest.mark.parametrize("case", [*TAKEN_BY_FASTAVRO, *REFUSED_BY_FASTAVRO, *NOT_FRAMED])
def test_what_is_no_record_is_undecodable_and_none_of_its_bytes_are_told(case: str) -> None:
    value = {**TAKEN_BY_FASTAVRO, **REFUSED_BY_FASTAVRO, **NOT_FRAMED}[case]

    refused = _refused(value)

    assert refused.__context__ is None
    assert "phone" not in str(refused)


def _read_plainly(value: bytes) -> None:
    schema = load().by_id[int.from_bytes(value[1:5], "big")].schema
    fastavro.schemaless_reader(io.BytesIO(value[5:]), fastavro.parse_schema(schema), None)


@pytest.mark.parametrize("case", TAKEN_BY_FASTAVRO)
def test_a_plain_reader_takes_what_we_refuse(case: str) -> None:
    _read_plainly(TAKEN_BY_FASTAVRO[case])

    _refused(TAKEN_BY_FASTAVRO[case])


@pytest.mark.parametrize("case", REFUSED_BY_FASTAVRO)
def test_a_plain_reader_refuses_the_rest_as_we_do(case: str) -> None:
    with pytest.raises((EOFError, IndexError, UnicodeDecodeError)):
        _read_plainly(REFUSED_BY_FASTAVRO[case])


@pytest.mark.parametrize("name", KINDS)
def test_a_record_cut_anywhere_is_undecodable(name: str) -> None:
    value = _value(name)

    for size in range(len(value)):
        _refused(value[:size])
