"""A search for canaries: values that nobody has, and that must stand in clear nowhere once they have gone through the hotline.

It looks at what a stranger could see (records as consumed, every column of every table, logs, metrics, stored files) for the value and for
its longer words, in the charsets and disguises in which software writes text. It shares no code with the product.
"""

import base64
import http.client
import quopri
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote_from_bytes

import psycopg
from psycopg import sql

from tests.consumed import messages

ANSWER_S = 10.0
_SHORTEST_WORD = 7
_CHARSETS = ("utf-8", "windows-1251", "koi8-r", "utf-16-le", "utf-16-be")
_HTTP_OK = 200


class Place(NamedTuple):
    """One thing that was looked at: where it is, and its bytes as they came."""

    where: str
    content: bytes


def search(places: Iterable[Place], values: Iterable[str]) -> list[str]:
    """Return a line for each place and form in which one of `values`, or a longer word of one, stands in clear; never the value itself."""
    wanted = {form: f"value {number}, {disguise}" for number, value in enumerate(values, 1) for form, disguise in forms(value).items()}
    return [f"{place.where}: {what}" for place in places if place.content for form, what in wanted.items() if form in place.content]


@cache
def forms(value: str) -> Mapping[bytes, str]:
    """Return how `value`, its words and, of a phone, its digits may be written: the bytes, and the name of the disguise."""
    words = {word.strip(".,;:!?«»\"'()") for word in value.split()}
    digits = "".join(letter for letter in value if letter.isdigit())
    texts = {value, *(word for word in words if len(word) >= _SHORTEST_WORD)}
    texts |= {digits, digits[-10:]} if len(digits) >= _SHORTEST_WORD and not any(letter.isalpha() for letter in value) else set()
    return {form: name for text in texts for form, name in _forms_of(text)}


def _forms_of(text: str) -> Iterator[tuple[bytes, str]]:
    for cased in {text, text.lower(), text.upper()}:
        yield cased.encode(), "as it is"
    for charset in _CHARSETS:
        try:
            plain = text.encode(charset)
        except UnicodeEncodeError:
            continue
        yield plain, charset
        yield plain.hex().encode(), f"hex of {charset}"
        for cut in range(3):
            yield _in_base64(plain, cut), f"base64 of {charset}"
        if not text.isascii():
            yield quopri.encodestring(plain).replace(b"=\n", b""), f"quoted-printable of {charset}"
            yield quote_from_bytes(plain).encode(), f"percent signs of {charset}"
    if not text.isascii():
        yield text.encode("ascii", "backslashreplace"), "escaped as in JSON"
        yield repr(text.encode())[2:-1].encode(), "escaped as Python shows bytes"


def _in_base64(plain: bytes, before: int) -> bytes:
    """What is sure to stand in the base64 of something that holds `plain` after `before` bytes more than a multiple of three."""
    shown = base64.b64encode(b"\0" * before + plain)
    sure_to = (before + len(plain)) // 3 * 4
    return shown[4 if before else 0 : sure_to]


def records(kafka: str) -> Iterator[Place]:
    """Every record of every topic as a consumer gets it: key, headers, value."""
    for message in messages(kafka):
        where = f"{message.topic()}/{message.partition()}/{message.offset()}"
        yield Place(f"key of {where}", message.key() or b"")
        yield Place(f"value of {where}", message.value() or b"")
        for header in message.headers() or ():
            yield Place(f"header of {where}", b"\n".join(part if isinstance(part, bytes) else str(part).encode() for part in header))


_COLUMNS = """
SELECT n.nspname, c.relname, a.attname
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'm', 't') AND a.attnum > 0 AND NOT a.attisdropped
    AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY 1, 2, 3
"""


def columns(dsn: str) -> Iterator[Place]:
    """Every column of every table of a database, by COPY: bytes come as hex, long values whole."""
    with psycopg.connect(dsn) as db:
        for schema, table, column in db.execute(_COLUMNS).fetchall():
            query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(sql.Identifier(column), sql.Identifier(schema, table))
            with db.cursor().copy(query) as copy:
                yield Place(f"{db.info.dbname}: {schema}.{table}.{column}", b"".join(bytes(row) for row in copy))


def files(folder: Path) -> Iterator[Place]:
    """Every file under a folder: logs, or the store of sealed files; its name too."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield Place(str(path.relative_to(folder.parent)), path.name.encode() + b"\n" + path.read_bytes())


def metrics(port: int) -> Iterator[Place]:
    """The figures of an application on this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert answer.status == _HTTP_OK, f"/metrics of port {port} answers {answer.status}"
        yield Place(f"/metrics of port {port}", answer.read())
    finally:
        connection.close()
