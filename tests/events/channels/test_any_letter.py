"""No bytes make a letter fail, and none keep a core busy for long."""

from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.channels.channel import Rejected
from events.channels.mail_text import html_to_text
from events.channels.registry import translate_letter
from events.wire.codec import load_codec
from tests.events.channels.counter import Counter, ids

ALL = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "letters").glob("*.eml"))]
PIECES = [
    *(
        b"From: ",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
        b"\n\n",
        b"=?utf-8?B?0J",
        b"?=",
        b"\0",
    ),
    *(
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Type: message/rfc822\n",
        b"Date: ",
        b"Fri, 32 Mar 2025 25:61:61 +9999\n",
        b"====",
        b"\xff\xfe",
    ),
    *(
        b"Content-Type: text/html; charset=utf-16\n",
        b"filename*0*=x'y'%",
        b'="',
        b"<!--",
        b"&#xD800;",
        b"Message-ID: <",
        b"References: ",
        b"\xd0",
    ),
]
ANY_LETTER = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)), max_size=40).map(b"".join),
    st.tuples(st.sampled_from(ALL), st.integers(0, 900), st.integers(0, 40), st.binary(max_size=8)).map(
        lambda t: t[0][: t[1]] + t[3] + t[0][t[1] + t[2] :]
    ),
)
SECONDS_FOR_A_HOSTILE_LETTER = 10  # the standard parser needs minutes for some of these
MB = 1_000_000


@given(ANY_LETTER)
def test_any_bytes_with_something_in_them_are_a_letter(raw: bytes) -> None:
    if not raw.strip():
        with pytest.raises(Rejected, match="empty"):
            translate_letter(raw, Counter().intake())
        return

    first, again = (translate_letter(raw, Counter().intake())[0] for _ in range(2))

    assert ids(first) == ids(again)
    assert load_codec().decode(load_codec().encode(first, "test").value) == first


@given(st.text())
def test_any_text_is_html_of_a_kind(text: str) -> None:
    html_to_text(text)


def nested(depth: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(depth))


HOSTILE = {
    "nested multiparts": nested(600) + b"a\n" * 5 * MB,
    "letters in letters": b"Content-Type: message/rfc822\n\n" * 300_000,
    "a million parts": b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n" * 2 * MB,
    "false boundaries": b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--ab\n" * 2 * MB,
    "a million fields": b"A: b\n" * 2 * MB,
    "one endless field": b"From: a\n" + b" ((((\n" * MB,
    "open comments": b"Content-Type: text/html\n\n" + b"<!--" * 2 * MB,
    "open styles": b"Content-Type: text/html\n\n" + b"<style>" * MB,
    "open tags": b"Content-Type: text/html\n\n" + b"<" * 8 * MB,
    "digits": b"\n" + b"1 " * 4 * MB,
    "quotes": b"\n" + b">From " + b">" * 8 * MB,
    "open parameters": b"Content-Type: a/b" + b';"' * 8_000 + b"\n\n",
    "open words": b"Subject: " + b"=?a?q?" * 2_500 + b"\n\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_letter_is_read_in_bounded_time(name: str) -> None:
    counter, began = Counter(), process_time()

    (fact,) = translate_letter(HOSTILE[name], counter.intake())

    assert process_time() - began < SECONDS_FOR_A_HOSTILE_LETTER
    assert len(load_codec().encode(fact, "test").value) < MB
