"""The head of a letter or of one of its parts, read as it comes: raw 8-bit letters, unknown charsets, broken encoding and all.

Nothing here raises. Every step is linear in the size of the head, which is bounded. What it reads: RFC 5322 fields, RFC 2047 words,
RFC 2231 parameters, addresses, dates.
"""

import binascii
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_tz
from urllib.parse import unquote_to_bytes

from events.channels.charsets import decode
from events.channels.moments import BadMoment, Moment, moment_of

HEAD_LINES = 5_000
FIELD_BYTES = 16_000
SHOWN_CHARS = 1_000  # of a subject or a name; the stored letter has it all
_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:(.*)", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_PARAMETER = re.compile(r';\s*([^\s=;"]{1,60})\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)', re.DOTALL)
_SECTION = re.compile(r"([^*]+)\*(?:(\d{1,3})(\*)?)?", re.ASCII)
_IN_ANGLES = re.compile(r"<\s*([^<>\s]{1,320})\s*>")
_BARE_ADDRESS = re.compile(r'[^\s<>,;:"()@]{1,200}@[^\s<>,;:"()@]{1,200}')
_SHORT_ZONE = re.compile(r"[+-]\d\d$", re.ASCII)  # G7; the standard parser takes it for minutes
_MESSAGE_ID = re.compile(rb"<([^<>\s]{1,1000})>")


@dataclass(frozen=True, slots=True)
class Head:
    """The fields of a head, names in small letters, values raw and unfolded, in their order."""

    fields: tuple[tuple[str, bytes], ...]

    def raw(self, name: str) -> bytes:
        """Return the first field of that name, empty when there is none."""
        return next((value for field, value in self.fields if field == name), b"")

    def words(self, name: str) -> str:
        """Return a field as people read it, cut at a bound."""
        return words(decode(self.raw(name)))[:SHOWN_CHARS]

    def valued(self, name: str) -> tuple[str, dict[str, str]]:
        """Return a field's value in small letters and its parameters."""
        return parameters(decode(self.raw(name)))


def read_head(raw: bytes) -> tuple[Head, int]:
    """Return the head that `raw` begins with and where the body starts."""
    fields: list[tuple[str, bytearray]] = []
    place = 0
    for _ in range(HEAD_LINES):
        end = raw.find(b"\n", place) + 1 or len(raw)
        line = raw[place:end].rstrip(b"\r\n")
        found = _FIELD.match(line)
        if not line:
            return _head(fields), end
        if line[:1] in (b" ", b"\t") and fields:
            room = FIELD_BYTES - len(fields[-1][1])
            fields[-1][1].extend((b" " + line.strip())[: max(0, room)])
        elif found is not None:
            fields.append((found[1].decode("ascii").lower(), bytearray(found[2].strip()[:FIELD_BYTES])))
        elif not (place == 0 and line.startswith(b"From ")):  # an envelope line of an mbox; any other line belongs to the body
            return _head(fields), place
        place = end
    blank = min((at for at in (raw.find(b"\n\n", place), raw.find(b"\n\r\n", place)) if at >= 0), default=len(raw))
    return _head(fields), blank


def _head(fields: list[tuple[str, bytearray]]) -> Head:
    return Head(tuple((name, bytes(value)) for name, value in fields))


def words(text: str) -> str:
    """Return `text` with its RFC 2047 words decoded and its blanks made single."""
    pieces: list[str] = []
    pending, charset, place = b"", "", 0  # adjacent words may share one letter between them
    for found in _ENCODED_WORD.finditer(text):
        between = text[place : found.start()]
        if not pending or between.strip() or found[1] != charset:
            pieces += [decode(pending, charset), between if between.strip() or not pending else ""]
            pending, charset = b"", found[1]
        pending += _word_bytes(found[2], found[3])
        place = found.end()
    pieces += [decode(pending, charset), text[place:]]
    return " ".join("".join(pieces).split())


def _word_bytes(encoding: str, content: str) -> bytes:
    raw = content.encode("utf-8", "replace")
    return binascii.a2b_qp(raw, header=True) if encoding in "qQ" else base64_bytes(raw)


def base64_bytes(raw: bytes) -> bytes:
    """Return what base64 says, as far as it can be read."""
    letters = raw.translate(None, b" \t\r\n")
    try:
        return binascii.a2b_base64(letters)
    except binascii.Error:  # other letters in between, padding lost or cut
        kept = re.sub(rb"[^A-Za-z0-9+/]", b"", letters)
        whole = kept[: len(kept) - (len(kept) % 4 == 1)]
        return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def parameters(text: str) -> tuple[str, dict[str, str]]:
    """Return the value before the first semicolon, in small letters, and the parameters by their names in small letters."""
    value = text.partition(";")[0].strip().lower()
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, str]]] = {}
    for found in _PARAMETER.finditer(text[len(text.partition(";")[0]) :]):
        name, told = found[1].lower(), found[2].strip()
        if told.startswith('"'):
            told = re.sub(r"\\(.)", r"\1", told[1:].removesuffix('"'))
        section = _SECTION.fullmatch(name)
        if section is None:
            plain.setdefault(name, words(told))
        else:
            extended = section[2] is None or section[3] is not None
            sections.setdefault(section[1], []).append((int(section[2] or 0), extended, told))
    return value, plain | {name: _joined(parts) for name, parts in sections.items()}


def _joined(parts: list[tuple[int, bool, str]]) -> str:
    """Join the sections of an RFC 2231 parameter; the first one names the charset."""
    charset, raw = "", b""
    for place, (_, extended, told) in enumerate(sorted(parts, key=lambda part: part[0])):
        value = told
        if extended and place == 0 and told.count("'") >= len(("charset", "language")):
            charset, _, value = told.split("'", 2)
        raw += unquote_to_bytes(value) if extended else value.encode("utf-8", "replace")
    return " ".join(decode(raw, charset).split())


def address(text: str) -> tuple[str, str]:
    """Return the first address of a field and the name beside it, either empty when it is not there. `text` is still encoded."""
    found = _IN_ANGLES.search(text) or _BARE_ADDRESS.search(text)
    if found is None:
        return "", words(text).strip(" \"'")
    beside = text[: found.start()] if found.re is _IN_ANGLES else text[found.end() :].strip().strip("()")
    name = words(re.sub(r"\\(.)", r"\1", beside)).strip(" \"',;")
    told = found[1] if found.re is _IN_ANGLES else found[0]
    return (told if "@" in told else ""), ("" if name.lower() == told.lower() else name)


def moment(raw: bytes) -> Moment | None:
    """Return the moment that a Date field tells, None when it tells none."""
    try:
        parsed = parsedate_tz(_SHORT_ZONE.sub(r"\g<0>00", raw[:200].decode("ascii", "replace").strip()))
        if parsed is None:
            return None
        return moment_of(datetime(*parsed[:6], tzinfo=timezone(timedelta(seconds=parsed[9] or 0))))
    except (BadMoment, ValueError, OverflowError, IndexError, TypeError):  # the last two are the standard parser's on odd dates
        return None


def message_ids(raw: bytes) -> tuple[bytes, ...]:
    """Return the Message-IDs of a field, each once, in their order."""
    return tuple(dict.fromkeys(_MESSAGE_ID.findall(raw))) or ((raw.strip(),) if raw.strip() else ())
