"""Pages: how long they are, and opaque cursors that fit only the question they were given for."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import Query
from fastapi.responses import Response

from api.problems import Problem

DEFAULT_LIMIT, GREATEST_LIMIT = 50, 200
MISSHAPEN = "no page ends at such a place"
_DIGEST_BYTES = 8
_NUMBERS = 2**63
_GREATEST_TIME_US = 253_402_300_800_000_000  # end of the year 9999

Limit = Annotated[int, Query(ge=1, le=GREATEST_LIMIT, description="Rows on a page.")]
Cursor = Annotated[str | None, Query(max_length=1_000, description="Where the page before ended, as its Link rel=next says.")]
Code = Annotated[str | None, Query(max_length=80, pattern=r"^[A-Za-z0-9._:-]+$")]
Time = Annotated[str | None, Query(max_length=40, description="RFC 3339 with an offset.")]


def time_us(field: str, text: str | None) -> int | None:
    """Return the moment that the parameter `field` says, in microseconds; raise Problem bad-filter."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Problem.of("bad-filter", field=field, detail="a time as RFC 3339 has it, with an offset from UTC")
    return min(round(moment.timestamp() * 1_000_000), _GREATEST_TIME_US)


def _digest(path: str, asked: Mapping[str, Any], after: bytes) -> bytes:
    question = orjson.dumps([path, asked], option=orjson.OPT_SORT_KEYS)
    return blake2b(question + b"\0" + after, digest_size=_DIGEST_BYTES, person=b"cursor").digest()


def encode_cursor(path: str, asked: Mapping[str, Any], after: Sequence[int | str]) -> str:
    """Return the text of the place `after` in the answer to what was `asked` of `path`."""
    place = orjson.dumps(list(after))
    return urlsafe_b64encode(place + _digest(path, asked, place)).rstrip(b"=").decode("ascii")


def decode_cursor(path: str, asked: Mapping[str, Any], text: str | None, *types: type[int] | type[str]) -> Any:
    """Return the place that a cursor tells, values of `types`, None without one; raise Problem bad-cursor when it is another question's.

    The digest tells questions apart and keeps nobody out: what a caller makes up is held to the shape.
    """
    if text is None:
        return None
    try:
        packed = urlsafe_b64decode(text.encode("ascii") + b"==")
    except (Error, UnicodeEncodeError):
        raise Problem.of("bad-cursor", field="cursor") from None
    place, digest = packed[:-_DIGEST_BYTES], packed[-_DIGEST_BYTES:]
    if digest != _digest(path, asked, place):
        raise Problem.of("bad-cursor", field="cursor", detail="ask the same question as for the page before, with its cursor")
    try:
        after = orjson.loads(place)
    except orjson.JSONDecodeError:
        after = None
    if not isinstance(after, list) or [type(value) for value in after] != list(types) or not all(map(_is_storable, after)):
        raise Problem.of("bad-cursor", field="cursor", detail=MISSHAPEN)
    return tuple(after)


def _is_storable(value: int | str) -> bool:
    """Tell whether a row could hold `value`: a number of 64 bits, or text without the one character that Postgres has not."""
    return "\0" not in value if isinstance(value, str) else -_NUMBERS <= value < _NUMBERS


def page(
    path: str,
    asked: Mapping[str, Any],
    limit: int,
    rows: Sequence[Any],
    *,
    position: str,
    last: Sequence[int | str] | None,
    said: Mapping[str, Any] | None = None,
) -> Response:
    """Return a page as an answer; `last` is the place of its last row when there may be more, `said` what else it tells of all rows."""
    headers = {"Position": position, "Cache-Control": "private, no-cache"}
    following = None
    if last is not None:
        following = encode_cursor(path, asked, last)
        said = {name: value for name, value in asked.items() if value is not None}
        headers["Link"] = f'<{path}?{urlencode({**said, "limit": limit, "cursor": following})}>; rel="next"'
    body = orjson.dumps({"rows": rows, "next": following, "position": position, **(said or {})})
    return Response(body, headers=headers, media_type="application/json")
