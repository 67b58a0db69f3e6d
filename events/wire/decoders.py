"""Makes one decoder for each writer schema: Python source written from the schema's data, compiled once, as quick as Python gets.

Knows Avro's binary encoding and the event classes; must not know topics, headers or where schemas lie. A decoder takes a framed value (five
bytes, then the body) and returns the event, or raises Undecodable or one of RAW_ERRORS: the caller turns the latter into the former. Only
the one encoding that our own and Java's standard writers produce is accepted: shortest integers, an array in one block. So two records
are the same event exactly if their bytes are the same.

Here is also the one place where an old record becomes an event of today: a decoder is made from the schema it was written under and the
newest class. Nobody after it meets an old version, and there is nothing to write for one: what it lacks is the newest schema's default.

For a record of an id, a time, an offset, a name of a queue and a sealed text, the source reads:

    def decode(b):
        p = 5
        e = new(Draft)                                         # the event's twin that may still be written to
        e.event_id, x, y, z = FIXED(b, p)                      # a time of our century has eight bytes: two pairs, and four at once
        p += 24
        if (n := FIRST[x] | SECOND[y]) & 1:                    # any other number of bytes: before 1979 or after 3111
            raise Undecodable("…")                             # nobody could put it into a calendar
        e.occurred_at = (n >> 1) + LAST[z]                     # the last four bytes change every 134 s: they are remembered
        if (n := b[p]) < 128:                                  # a number of one byte, of two, of more
            e.offset_min = ZIGZAG[n]
            p += 1
        elif 0 < (m := b[p + 1]) < 128:
            e.offset_min = ZIGZAG[n & 127 | m << 7]
            p += 2
        else:
            e.offset_min, p = integer(b, p, 32)
        if k := STEP[b[p]]:                                    # a length of one byte: how far the next field is
            t = b[p + 1 : (p := p + k)]
        elif …                                                 # a length of two bytes, of more
        e.queue = WORDS.get(t) or word(t)                      # most texts are one of few: the same object each time
        if (n := b[p]) == 0:                                   # first branch of the union: null
            e.question = None
            p += 1
        elif …
        if p != len(b):                                        # slices shorten silently: this line notices every one that did
            raise Undecodable("…")
        e.__class__ = ClarificationAsked                       # from here on nobody can change it
        return e
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class under a lower-case name
from typing import Any, get_args, get_type_hints

from events.envelope import Event

HEADER_BYTES = 5
"""Magic byte and schema id in front of the body."""
RAW_ERRORS = (IndexError, KeyError, StructError, UnicodeDecodeError)
"""What the quick source raises by itself on broken bytes; their texts may hold payload, so nobody may log them."""

Decode = Callable[[bytes], Event]
Avro = str | list[Any] | dict[str, Any]
"""A type as a schema's JSON says it: a name, a union, or an object."""
EARLIEST_US, LATEST_US = 1 << 48, (1 << 55) - 1
"""Times are numbers of eight bytes, years 1979 to 3111: what lies outside stops every calendar, so it is no time."""
_NO_TIME = "a time outside the years 1979 to 3111"
_NO_MOMENT = f"raise Undecodable('{_NO_TIME}')"
_TIME_BYTES = 8
_ONE_OF_MANY = ("number", "target", "idempotency_key")
"""Fields whose texts seldom come again: not worth remembering."""
_SYMBOLS_IN_A_BYTE = 64


class Undecodable(Exception):
    """These bytes are no event; the reason is in words of ours and never holds any of them."""


class NoDecoder(Exception):
    """A schema uses what the generator does not know, or a class has a field that no schema explains."""


def _integer(b: bytes, p: int, bits: int) -> tuple[int, int]:
    """Read a zigzag number of at most `bits` at `p`; return it and the place after it."""
    n = shift = 0
    while (byte := b[p]) > 127:  # noqa: PLR2004 - the top bit says that more bytes follow
        n |= (byte & 127) << shift
        p += 1
        shift += 7
        if shift >= bits:
            raise Undecodable("a number has too many bytes")
    n |= byte << shift
    if (shift and not byte) or n >> bits:
        raise Undecodable("a number is longer than it need be, or too great")
    return n >> 1 ^ -(n & 1), p + 1


def _length(b: bytes, p: int) -> tuple[int, int]:
    """Read a length at `p`; return it and the place after it."""
    n, p = _integer(b, p, 64)
    if n < 0:
        raise Undecodable("a length is negative")
    return n, p


def _count(b: bytes, p: int, item_bytes: int) -> tuple[int, int]:
    """Read the number of items of an array's only block at `p`, each of `item_bytes` at least; what is left of `b` bounds it."""
    n, p = _integer(b, p, 64)
    if not 0 < n <= (len(b) - p) // item_bytes:
        raise Undecodable("an array claims more items than there are bytes, or none")
    return n, p


def _pairs(shift: int) -> list[int]:
    """Two bytes of a number that others follow → their 14 bits, moved up by `shift`, or -1, which is odd, where they are no such bytes."""
    table = [-1] * 65536
    for high in range(128):
        for low in range(128):
            table[(high | 128) << 8 | low | 128] = (high << 7 | low) << shift
    return table


class _LastOfTimes(dict[int, int]):
    """The last four of a time's eight bytes → what they add to it. Bounded: when there is no more room, it begins anew."""

    def __missing__(self, four: int) -> int:
        if four & _TOP_BITS != _MORE_MORE_MORE_LAST or not four >> 24:
            raise Undecodable(_NO_TIME)
        if len(self) >= _MOST_LASTS:
            self.clear()
        bits = sum((four >> 8 * place & 127) << 7 * place for place in range(4))
        self[four] = bits << 27
        return self[four]


_MOST_LASTS = 4_096
_TOP_BITS, _MORE_MORE_MORE_LAST = 0x80808080, 0x00808080  # the first of the four bytes is the lowest
_WORDS: dict[bytes, str] = {}
_MOST_WORDS, _LONGEST_WORD_BYTES = 4_096, 32


def _text(raw: bytes) -> str:
    """Return `raw` as text; NUL, a stranger's, would stop every table."""
    text = raw.decode()
    if "\0" in text:
        raise Undecodable("a text holds NUL, which no table can")
    return text


def _word(raw: bytes) -> str:
    """Return `raw` as text, and remember it if it is short; when there is no more room, remembering begins anew."""
    text = _text(raw)
    if len(raw) <= _LONGEST_WORD_BYTES:
        if len(_WORDS) >= _MOST_WORDS:
            _WORDS.clear()
        _WORDS[raw] = text
    return text


_READERS: dict[str, Any] = {
    "Undecodable": Undecodable,
    "WORDS": _WORDS,
    "word": _word,
    "text": _text,
    "integer": _integer,
    "length": _length,
    "count": _count,
    "FIRST": _pairs(0),
    "SECOND": _pairs(14),
    "LAST": _LastOfTimes(),
    "ZIGZAG": tuple(n >> 1 ^ -(n & 1) for n in range(1 << 14)),
    "STEP": tuple(0 if n & 129 else 1 + (n >> 1) for n in range(256)),
    "TRUTH": (False, True),
    "new": object.__new__,
}


@dataclass
class _Source:
    """Lines of one decoder while they are written, the constants they name, and what the schemas say of named types."""

    named: Mapping[str, dict[str, Any]]
    read_as: Mapping[str, dict[str, Any]]  # what the reader's schema says of them
    lines: list[str] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=lambda: dict(_READERS))
    depth: int = 0

    def write(self, *lines: str) -> None:
        self.lines += ["    " * self.depth + line for line in lines]

    @contextmanager
    def under(self, *lines: str) -> Iterator[None]:
        """Write `lines`, and what follows inside the last one."""
        self.write(*lines)
        self.depth += 1
        yield
        self.depth -= 1

    def constant(self, prefix: str, value: object) -> str:
        name = f"{prefix}_{len(self.constants)}"
        self.constants[name] = value
        return name

    def resolve(self, avro: Avro) -> Avro:
        """Return what a name stands for; anything else as it is."""
        return self.named.get(avro, avro) if isinstance(avro, str) else avro

    def least_bytes(self, avro: Avro) -> int:
        """Return the fewest bytes that a value of type `avro` can have."""
        avro = self.resolve(avro)
        if isinstance(avro, dict) and avro["type"] == "fixed":
            return int(avro["size"])
        if isinstance(avro, dict) and avro["type"] == "record":
            return sum(self.least_bytes(one["type"]) for one in avro["fields"])
        return 1


def compile_decoder(writer: dict[str, Any], reader: dict[str, Any], event: type[Event]) -> Decode:
    """Return the decoder of records written under `writer`, as `event`, whose newest schema is `reader` (both as parsed JSON).

    Fields that the class does not have are read over, fields that the writer did not have take the reader's default, and so in records
    within; a symbol that the reader does not have is read as its default. NoDecoder.
    """
    source = _Source({_full(part, writer): part for part in _named(writer)}, {_full(part, reader): part for part in _named(reader)})
    with source.under("def decode(b):"):
        source.write(f"p = {HEADER_BYTES}")
        _read_record(source, "e", event, writer["fields"], reader["fields"])
        source.write("if p != len(b):", "    raise Undecodable('the record is cut short, or something follows it')")
        source.write(f"e.__class__ = {source.constant('Class', event)}", "return e")
    exec(compile("\n".join(source.lines), f"<decoder of {writer['name']}>", "exec"), source.constants)  # noqa: S102 - our own text
    decode: Decode = source.constants["decode"]
    return decode


def _draft(kind: type) -> type:
    """Return a class with the slots of `kind` that lets them be written, so that an instance can be filled and then become a `kind`.

    Filling by `object.__setattr__`, as the frozen `__init__` must, takes longer than reading the bytes.
    """
    free = {"__slots__": kind.__dict__["__slots__"], "__setattr__": object.__setattr__, "__delattr__": object.__delattr__}
    return type(kind.__name__, kind.__bases__, free)


def _read_record(source: _Source, into: str, kind: type | None, written: list[Any], read: list[Any]) -> None:
    """Write the lines that read the fields of one record into `into`, a draft of a `kind`, or that read over it where there is no class."""
    hints = get_type_hints(kind) if kind else {}
    wanted = {one.name for one in fields(kind)} if kind else set()
    source.write(f"{into} = new({source.constant('Draft', _draft(kind))})" if kind else f"{into} = None")
    place = 0
    while place < len(written):
        one = written[place]
        target = f"{into}.{one['name']}" if one["name"] in wanted else "_"
        if together := _fixed_ones(source, written[place:]):
            _read_fixed(source, into, wanted, together)
            place += len(together)
            continue
        if one["type"] == "string" and one["name"] in _ONE_OF_MANY:
            _read_text(source, target, "text(t)")
        else:
            _read(source, target, one["type"], hints.get(one["name"]))
        if one["name"].endswith("_at"):
            source.write(f"if {target} is not None and not {EARLIEST_US} <= {target} <= {LATEST_US}:", f"    {_NO_MOMENT}")
        place += 1
    defaults = {one["name"]: one["default"] for one in read if "default" in one}
    for name in sorted(wanted - {one["name"] for one in written}):
        if name not in defaults:
            raise NoDecoder(f"{kind and kind.__name__}.{name} is neither written nor has it a default")
        default = defaults[name].encode("latin-1") if hints[name] is bytes else defaults[name]  # in JSON bytes are text
        default = tuple(default) if isinstance(default, list) else default
        source.write(f"{into}.{name} = {source.constant('DEFAULT', default)}")


def _read(source: _Source, into: str, avro: Avro, hint: object) -> None:
    """Write the lines that read one value of type `avro` at `p` into `into`; `hint` is what the class says of it."""
    avro = source.resolve(avro)
    if isinstance(avro, list):
        _read_nullable(source, into, avro, hint)
    elif avro == "int":
        _read_number(source, into, 32)
    elif avro == "long":
        _read_number(source, into, 64)
    elif avro == "string":
        _read_text(source, into, "WORDS.get(t) or word(t)")
    elif avro == "bytes":
        _read_text(source, into, "t")
    elif avro == "boolean":
        source.write(f"{into} = TRUTH[b[p]]", "p += 1")
    elif isinstance(avro, dict) and avro["type"] == "fixed":
        source.write(f"{into} = b[p : (p := p + {avro['size']})]")
    elif isinstance(avro, dict) and avro["type"] == "enum":
        source.write(f"{into} = {source.constant('SYMBOLS', _symbols(source, avro))}[b[p]]", "p += 1")
    elif isinstance(avro, dict) and avro["type"] == "array":
        _read_array(source, into, avro["items"], hint)
    else:
        raise NoDecoder(f"no way to read {avro}")


def _fixed_ones(source: _Source, written: list[Any]) -> list[Any]:
    """Return as many of the first fields as have a fixed number of bytes: ids, and times where eight bytes are left for each."""
    found = []
    for place, one in enumerate(written):
        kind = source.resolve(one["type"])
        is_fixed = isinstance(kind, dict) and kind["type"] == "fixed"
        is_time = kind == "long" and one["name"].endswith("_at")
        rest_bytes = sum(source.least_bytes(later["type"]) for later in written[place:])
        if not is_fixed and not (is_time and rest_bytes >= _TIME_BYTES):
            break
        found.append(one)
    return found


def _read_fixed(source: _Source, into: str, wanted: set[str], together: list[Any]) -> None:
    """Write the lines that read neighbours of a fixed number of bytes in one step."""
    parts, names, size, times = "", [], 0, []
    for place, one in enumerate(together):
        kind = source.resolve(one["type"])
        target = f"{into}.{one['name']}" if one["name"] in wanted else "_"
        if isinstance(kind, dict):
            parts, size = f"{parts}{kind['size']}s", size + kind["size"]
            names.append(target)
        else:
            parts, size = f"{parts}2HI", size + _TIME_BYTES
            bits = [f"{letter}{place}" for letter in "xyz"]
            names += bits
            times.append((target, *bits))
    source.write(f"{', '.join(names)}, = {source.constant('FIXED', Struct(f'<{parts}').unpack_from)}(b, p)", f"p += {size}")
    for target, x, y, z in times:
        source.write(f"if (n := FIRST[{x}] | SECOND[{y}]) & 1:", f"    {_NO_MOMENT}", f"{target} = (n >> 1) + LAST[{z}]")


def _read_number(source: _Source, into: str, bits: int) -> None:
    source.write("if (n := b[p]) < 128:", f"    {into} = ZIGZAG[n]", "    p += 1")
    source.write("elif 0 < (m := b[p + 1]) < 128:", f"    {into} = ZIGZAG[n & 127 | m << 7]", "    p += 2")
    source.write("else:", f"    {into}, p = integer(b, p, {bits})")


def _read_text(source: _Source, into: str, value: str) -> None:
    """Write the lines that read bytes behind their length into `t`, and what `value` makes of them into `into`."""
    source.write("if k := STEP[b[p]]:", "    t = b[p + 1 : (p := p + k)]")
    source.write("elif not (n := b[p]) & 1 and 0 < (m := b[p + 1]) < 128:", "    p += 2")
    source.write("    t = b[p : (p := p + ((n & 127 | m << 7) >> 1))]")
    source.write("else:", "    n, p = length(b, p)", "    t = b[p : (p := p + n)]")
    source.write(f"{into} = {value}")


def _read_nullable(source: _Source, into: str, branches: list[Any], hint: object) -> None:
    if len(branches) != 2 or branches[0] != "null":  # noqa: PLR2004
        raise NoDecoder("a union other than null and one type")
    source.write("if (n := b[p]) == 0:", f"    {into} = None", "    p += 1")
    with source.under("elif n == 2:"):
        source.write("p += 1")
        _read(source, into, branches[1], hint)
    source.write("else:", "    raise Undecodable('a union has no such branch')")


def _read_array(source: _Source, into: str, items: Avro, hint: object) -> None:
    one, several = f"one_{source.depth}", f"several_{source.depth}"
    items = source.resolve(items)
    source.write("if b[p] == 0:", f"    {into} = ()", "    p += 1")
    with source.under("else:"):
        source.write(f"n, p = count(b, p, {source.least_bytes(items)})", f"{several} = []")
        with source.under("for _ in range(n):"):
            if isinstance(items, dict) and items["type"] == "record":
                _read_within(source, one, items, hint)
            else:
                _read(source, one, items, None)
            source.write(f"{several}.append({one})")
        source.write("if b[p]:", "    raise Undecodable('an array has more than one block')", "p += 1", f"{into} = tuple({several})")


def _read_within(source: _Source, into: str, record: dict[str, Any], hint: object) -> None:
    """Write the lines that read a record within an array; without a `hint` the class does not want the array, and they read over it."""
    kind: Any = next((argument for argument in get_args(hint) if is_dataclass(argument)), None)
    if hint is not None and kind is None:
        raise NoDecoder(f"no class for {record['name']}")
    full = next(name for name, part in source.named.items() if part is record)
    _read_record(source, into, kind, record["fields"], source.read_as.get(full, record)["fields"])
    if kind is not None:
        source.write(f"{into}.__class__ = {source.constant('Class', kind)}")


def _symbols(source: _Source, enum: dict[str, Any]) -> dict[int, str]:
    """Return first byte of the number → symbol, or the reader's default where the reader does not know the symbol."""
    if len(enum["symbols"]) > _SYMBOLS_IN_A_BYTE:
        raise NoDecoder(f"{enum['name']} has more than {_SYMBOLS_IN_A_BYTE} symbols")
    full = next(name for name, part in source.named.items() if part is enum)
    reader = source.read_as.get(full, enum)
    return {2 * place: symbol if symbol in reader["symbols"] else reader["default"] for place, symbol in enumerate(enum["symbols"])}


def _named(part: Avro | None) -> list[dict[str, Any]]:
    """Return every type that has a name, at any depth of a schema."""
    if isinstance(part, list):
        return [found for one in part for found in _named(one)]
    if not isinstance(part, dict):
        return []
    inner = [found for key in ("type", "items", "fields") for found in _named(part.get(key))]
    is_type = "name" in part and isinstance(part["type"], str) and part["type"] in {"fixed", "enum", "record"}
    return [part, *inner] if is_type else inner


def _full(part: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    name: str = part["name"]
    return name if "." in name else f"{record['namespace']}.{name}"
