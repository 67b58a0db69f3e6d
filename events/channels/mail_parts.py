"""A letter taken apart: its leaves in their order, each with what its head says and its content decoded.

Broken MIME is read as far as it goes and never raises. The standard parser is not used for bodies: it recurses for each nested multipart
and asks every open boundary at every line, so that a hostile letter of one megabyte keeps a core busy for twenty seconds. Here depth, parts
and boundary lines are bounded and the search is the byte search of the runtime.
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from events.channels.mail_headers import Head, base64_bytes, read_head

MOST_DEPTH = 12
MOST_PARTS = 1_000
MOST_BOUNDARY_LINES = 20_000
_FIRST_DASHES = re.compile(rb"(?:^|\n)--([!-~][ -~]{0,199}?)[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part without parts."""

    media_type: str
    charset: str
    name: str
    attached: bool  # by its own word: Content-Disposition, or a file name
    forwarded: bool  # inside a letter that this letter carries
    content: bytes


@dataclass(frozen=True, slots=True)
class _Piece:
    raw: bytes
    default_type: str
    depth: int
    forwarded: bool


def leaves(head: Head, body: bytes) -> Iterator[Leaf]:
    """Yield the leaves of a letter, at most MOST_PARTS of them, a forwarded letter before its own parts."""
    waiting = _inner(head, body, _Piece(b"", "text/plain", 0, forwarded=False))
    yielded = 0
    while waiting and yielded < MOST_PARTS:
        piece = waiting.pop(0)
        if isinstance(piece, Leaf):
            yielded += 1
            yield piece
        else:
            inner_head, start = read_head(piece.raw)
            waiting = _inner(inner_head, piece.raw[start:], piece) + waiting


def _inner(head: Head, body: bytes, piece: _Piece) -> "list[Leaf | _Piece]":
    """Return what a part with this head and body consists of: leaves, and pieces to take apart."""
    told, told_parameters = head.valued("content-type")
    media_type = told if "/" in told else piece.default_type
    if piece.depth >= MOST_DEPTH:
        return [_leaf(head, body, media_type, piece)]
    if media_type.startswith("multipart/"):
        boundary = told_parameters.get("boundary", "").encode("utf-8", "replace")
        parts = _split(body, boundary) or _split(body, _guessed_boundary(body))
        inner = "message/rfc822" if media_type == "multipart/digest" else "text/plain"
        if parts:
            return [_Piece(part, inner, piece.depth + 1, piece.forwarded) for part in parts]
        return [_leaf(head, body, "text/plain", piece)]
    if media_type == "message/rfc822":
        carried = _leaf(head, body, media_type, piece)
        within = _Piece(carried.content, "text/plain", piece.depth + 1, forwarded=True)
        return [within] if piece.forwarded else [carried, within]  # stored whole once, however deep it is wrapped
    return [_leaf(head, body, media_type, piece)]


def _leaf(head: Head, body: bytes, media_type: str, piece: _Piece) -> Leaf:
    disposition, beside = head.valued("content-disposition")
    _, of_type = head.valued("content-type")
    name = beside.get("filename") or of_type.get("name", "")
    attached = disposition == "attachment" or bool(name)
    content = _content(body, head.raw("content-transfer-encoding").strip().lower())
    return Leaf(media_type, of_type.get("charset", ""), name, attached, piece.forwarded, content)


def _content(body: bytes, encoding: bytes) -> bytes:
    if encoding == b"base64":
        return base64_bytes(body)
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(body)
    return body


def _guessed_boundary(body: bytes) -> bytes:
    found = _FIRST_DASHES.search(body[:100_000])
    return found[1] if found else b""


def _split(body: bytes, boundary: bytes) -> list[bytes]:
    """Return the parts between the boundary lines; what stands before the first and after the closing one is no part."""
    if not boundary.strip():
        return []
    line = b"--" + boundary.rstrip()
    parts: list[bytes] = []
    start: int | None = None
    at = 0 if body.startswith(line) else _next(body, line, 0)
    for _ in range(MOST_BOUNDARY_LINES):
        if at < 0 or len(parts) >= MOST_PARTS:
            break
        line_end = body.find(b"\n", at) + 1 or len(body)
        rest = body[at + len(line) : min(line_end, at + len(line) + 200)].strip()
        if rest in (b"", b"--"):
            if start is not None:
                parts.append(body[start:at].removesuffix(b"\n").removesuffix(b"\r"))
            start = None if rest else line_end
            if rest:
                return parts
        at = _next(body, line, max(at, line_end - 1))
    if start is not None:
        parts.append(body[start:])  # the closing line was lost, or there are more than anybody sends
    return parts


def _next(body: bytes, line: bytes, place: int) -> int:
    found = body.find(b"\n" + line, place)
    return found + 1 if found >= 0 else -1
