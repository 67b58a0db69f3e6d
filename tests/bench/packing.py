"""Rows as Postgres takes them by binary COPY, made beforehand: what is left of storing them is the database's own work."""

from collections.abc import Callable, Iterable, Sequence
from struct import Struct
from typing import Any

_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"
_NOTHING = b"\xff\xff\xff\xff"
_FIELDS, _SIZE = Struct("!h"), Struct("!i")
_INT4, _INT8, _BOOL = Struct("!ii"), Struct("!iq"), Struct("!i?")

_PACK: dict[str, Callable[[Any], bytes]] = {
    "int4": lambda value: _INT4.pack(4, value),
    "int8": lambda value: _INT8.pack(8, value),
    "bool": lambda value: _BOOL.pack(1, value),
    "bytea": lambda value: _SIZE.pack(len(value)) + value,
    "text": lambda value: _SIZE.pack(len(raw := value.encode())) + raw,
}


def packed(types: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return one whole binary COPY of `rows`, whose columns have these Postgres types."""
    packs = [_PACK[name] for name in types]
    count = _FIELDS.pack(len(packs))
    out = [_HEAD]
    for row in rows:
        out.append(count)
        out += [_NOTHING if value is None else pack(value) for pack, value in zip(packs, row, strict=True)]
    out.append(_END)
    return b"".join(out)
