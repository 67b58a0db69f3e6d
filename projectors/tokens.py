"""The one token of "everything up to here": for partitions of topics, the last offset included.

The intake's answer, a command's answer, a card and a page carry it; a reader hands it back to see at least as much. It is text that
survives a header and an address line, it says nothing about a person, and a slip of the pen is noticed. Nothing here knows how far
anybody has come; that is `projectors.reaching`.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from events.places import Partition, Place

_PREFIX = "h1."
_CHECKSUM_BYTES = 5
_LONGEST_CHARS = 4_000
_MOST_PARTS = 500
_MOST_VARINT_BYTES = 9
_GROUP, _MORE = 0x7F, 0x80  # seven bits of a number, and the bit that says that more follow


class BadToken(Exception):
    """The text is no token of ours, or was damaged on its way; the message never repeats it."""


class Token(Mapping[Partition, int]):
    """For each (topic, partition) the offset of the last record included."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Mapping[Partition, int]) -> None:
        self._parts = dict(sorted(parts.items()))

    @classmethod
    def of(cls, places: Iterable[Place]) -> "Token":
        """Return the token that includes all `places`."""
        parts: dict[Partition, int] = {}
        for topic, partition, offset in places:
            parts[topic, partition] = max(offset, parts.get((topic, partition), 0))
        return cls(parts)

    @classmethod
    def parse(cls, text: str) -> "Token":
        """Return the token that `text` says; raise BadToken when it says none."""
        if not text.startswith(_PREFIX) or len(text) > _LONGEST_CHARS:
            raise BadToken("a token starts with h1. and is at most 4000 characters long")
        try:
            packed = urlsafe_b64decode(text[len(_PREFIX) :].encode("ascii") + b"==")
        except (binascii.Error, UnicodeEncodeError) as damaged:
            raise BadToken("the token is damaged: not base64") from damaged
        body, checksum = packed[:-_CHECKSUM_BYTES], packed[-_CHECKSUM_BYTES:]
        if checksum != _checksum(body):
            raise BadToken("the token is damaged: its checksum differs")
        return cls(_unpack(body))

    def encode(self) -> str:
        """Return the token as text."""
        body = _pack(self._parts)
        return _PREFIX + urlsafe_b64encode(body + _checksum(body)).rstrip(b"=").decode("ascii")

    def __getitem__(self, partition: Partition) -> int:
        return self._parts[partition]

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __hash__(self) -> int:
        return hash(tuple(self._parts.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self._parts == other._parts

    def __repr__(self) -> str:
        return f"Token({self._parts})"


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM_BYTES, person=b"token").digest()


def _pack(parts: Mapping[Partition, int]) -> bytes:
    """For each topic: length and name, how many partitions, then number and offset of each; numbers in seven-bit groups."""
    by_topic: dict[str, list[tuple[int, int]]] = {}
    for (topic, partition), offset in parts.items():
        by_topic.setdefault(topic, []).append((partition, offset))
    packed = bytearray()
    for topic, offsets in by_topic.items():
        name = topic.encode()
        packed += bytes([len(name)]) + name + _varint(len(offsets))
        for partition, offset in offsets:
            packed += _varint(partition) + _varint(offset)
    return bytes(packed)


def _unpack(body: bytes) -> dict[Partition, int]:
    parts: dict[Partition, int] = {}
    at = 0
    try:
        while at < len(body):
            length = body[at]
            topic = body[at + 1 : at + 1 + length].decode()
            at += 1 + length
            count, at = _read_varint(body, at)
            for _ in range(min(count, _MOST_PARTS)):
                partition, at = _read_varint(body, at)
                parts[topic, partition], at = _read_varint(body, at)
    except (IndexError, UnicodeDecodeError) as damaged:
        raise BadToken("the token is damaged: it ends too early") from damaged
    if len(parts) > _MOST_PARTS:
        raise BadToken("the token names too many partitions")
    return parts


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number >= _MORE:
        groups.append(number & _GROUP | _MORE)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    number = 0
    for group in range(_MOST_VARINT_BYTES):
        byte = body[at + group]
        number |= (byte & _GROUP) << 7 * group
        if byte < _MORE:
            return number, at + group + 1
    raise BadToken("the token is damaged: a number is too long")
