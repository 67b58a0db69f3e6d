"""Reading a request's body: bounded in size and time while it arrives, then parsed. Knows types of content, not what is inside."""

import asyncio

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from api.problems import Problem

JSON, JSON_LINES, LETTER = "application/json", "application/x-ndjson", "message/rfc822"
BODY_TIMEOUT_S = 60.0
READ_PAST_LIMIT_BYTES = 32_000_000  # a client that sends first and reads later still hears why; beyond that the connection is cut


def content_type(request: Request, taken: tuple[str, ...]) -> str:
    """Return the type of the body, one of `taken`; raise Problem 415."""
    essence, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = essence.strip().lower()
    name, _, charset = parameters.partition("=")
    foreign = kind != LETTER and name.strip().lower() == "charset" and charset.strip(' "').lower() not in ("utf-8", "utf8")
    if kind not in taken or foreign or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem.of("wrong-type", detail=f"taken here, in UTF-8 and not compressed: {', '.join(taken)}")
    return kind


async def read_body(request: Request, limit_bytes: int, limit_name: str) -> bytes:
    """Return the body of at most `limit_bytes`; raise Problem 413 naming the limit, 408, or 400 when the client goes away."""
    declared = request.headers.get("content-length", "")
    said = int(declared) if declared.isascii() and declared.isdigit() else 0
    if said > limit_bytes and (said > limit_bytes + READ_PAST_LIMIT_BYTES or "expect" in request.headers):
        raise _too_large(limit_bytes, limit_name, cut=True)
    taken = bytearray()
    passed = 0
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                passed += len(chunk)
                if passed > limit_bytes + READ_PAST_LIMIT_BYTES:
                    raise _too_large(limit_bytes, limit_name, cut=True)
                if passed <= limit_bytes:
                    taken += chunk
                else:
                    taken.clear()
    except TimeoutError:
        raise Problem.of("too-slow", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Problem.of("unreadable", detail="the client went away") from None
    if passed > limit_bytes:
        raise _too_large(limit_bytes, limit_name, cut=False)
    return bytes(taken)


def parse_documents(raw: bytes, kind: str, most: int) -> list[object]:
    """Return the documents of a body: one object, an array of them, or one per line; raise Problem 400, 413 or 422."""
    documents = _parse_lines(raw) if kind == JSON_LINES else _parse_whole(raw)
    if not documents:
        raise Problem.of("broken-rule", rule="empty", detail="there is no message in it")
    if len(documents) > most:
        raise Problem.of("too-large", limit="facts_per_request", limit_value=most)
    return documents


def parse_object(raw: bytes) -> object:
    """Return the one JSON document of a body; raise Problem 400."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem.of("unreadable", detail="not JSON in UTF-8", line=error.lineno, column=error.colno) from None


def _parse_whole(raw: bytes) -> list[object]:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        if len([line for line in raw.splitlines() if line.strip()]) > 1 and error.lineno > 1:
            return _parse_lines(raw)
        raise Problem.of("unreadable", detail="not JSON in UTF-8", line=error.lineno, column=error.colno) from None
    return document if isinstance(document, list) else [document]


def _parse_lines(raw: bytes) -> list[object]:
    documents = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            documents.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise Problem.of("unreadable", detail="a line is not JSON in UTF-8", line=number, column=error.colno) from None
    return documents


def _too_large(limit_bytes: int, limit_name: str, *, cut: bool) -> Problem:
    headers = {"Connection": "close"} if cut else {}
    return Problem.of("too-large", limit=limit_name, limit_bytes=limit_bytes, headers=headers)
