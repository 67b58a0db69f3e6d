"""Whether two versions of a schema read each other, in both directions; where they don't, the path of the field and the reason.

Pure, over schemas as parsed JSON. Knows Avro's types and its rules of resolution; must not know our files, topics or events. It is stricter
than Avro: no number is promoted, no name has an alias, no default changes, fields keep their order. So what a field means never depends on
which two versions meet, nor on how much of Avro a reader's library follows.

A path names fields from the outside in: `attachments[].media_type` is a field of the records in an array, `labels{}` the values of a map.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

WORDS = frozenset({"doc", "personal", "code"})
"""What is said about a field or a type and changes nothing that is read."""
_NAMED = frozenset({"record", "error", "enum", "fixed"})
_TREE = frozenset({"type", "name", "namespace", "fields", "symbols", "items", "values", "size", "branches", "default"})
"""What is compared by rules of its own; any other attribute must stay as it is."""
_BYTE_VALUES = 256

Type = dict[str, Any]
"""A type with every name in it resolved: full names, and the definition itself wherever a name stood."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions."""

    path: str
    """The field; empty for the record itself."""
    reason: str
    """What changed and what follows from it, in words."""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


@dataclass(frozen=True, slots=True)
class Break(Change):
    """A difference that keeps one version from reading the other, or lets the two mean different things."""


def breaks(old: Any, new: Any) -> list[Break]:
    """Return why `new` may not be a version beside `old`, whichever of the two reads the other; empty if it may."""
    return [one for one in changes(old, new) if isinstance(one, Break)] + impossible_defaults(new)


def changes(old: Any, new: Any) -> list[Change]:
    """Return every difference between two versions in the order of the fields, breaks among them."""
    return list(_differences("", _resolved(old, "", {}), _resolved(new, "", {}), set()))


def impossible_defaults(schema: Any) -> list[Break]:
    """Return every default in `schema` that no value of its type could hold: libraries find out on reading, each in its own way."""
    return list(_impossible("", _resolved(schema, "", {}), set()))


def _resolved(avro: Any, namespace: str, named: dict[str, Type]) -> Type:
    if isinstance(avro, list):
        return {"type": "union", "branches": [_resolved(one, namespace, named) for one in avro]}
    if isinstance(avro, str):
        return {"type": avro} if avro in _PLAIN else named.get(_full(avro, namespace), {"type": avro})
    kind = avro["type"]
    if not isinstance(kind, str) or kind not in {*_PLAIN, *_NAMED, "array", "map"}:
        return _resolved(kind, namespace, named)
    part = dict(avro)
    if kind in _NAMED:
        part["name"] = _full(avro["name"], avro.get("namespace", namespace))
        named[part["name"]] = part
        inside = part["name"].rpartition(".")[0]
        part["fields"] = [{**one, "type": _resolved(one["type"], inside, named)} for one in avro.get("fields", ())]
    for inner in {"items", "values"} & avro.keys():
        part[inner] = _resolved(avro[inner], namespace, named)
    return part


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _differences(path: str, old: Type, new: Type, seen: set[tuple[int, int]]) -> Iterator[Change]:
    if (id(old), id(new)) in seen:  # a type that is named again was compared where it first stood
        return
    seen.add((id(old), id(new)))
    if old["type"] != new["type"]:
        yield Break(path, f"was {_say(old)} and is {_say(new)}; a type never changes, not even to a wider one")
        return
    if old.get("name") != new.get("name"):
        yield Break(path, f"{old['name']} is now called {new['name']}; names of types are for ever")
    yield from _attributes(path, old, new)
    if old["type"] == "union":
        yield from _branches(path, old["branches"], new["branches"], seen)
    elif old["type"] == "enum":
        yield from _symbols(path, old, new)
    elif old["type"] == "fixed" and old["size"] != new["size"]:
        yield Break(path, f"{new['name']} had {old['size']} bytes and has {new['size']}")
    elif old["type"] in ("array", "map"):
        inner, sign = ("items", "[]") if old["type"] == "array" else ("values", "{}")
        yield from _differences(path + sign, old[inner], new[inner], seen)
    else:
        yield from _fields(path, old.get("fields", []), new.get("fields", []), seen)


def _say(avro: Type) -> str:
    if avro["type"] == "union":
        return " or ".join(_say(one) for one in avro["branches"])
    inner = avro.get("items") or avro.get("values")
    return f"{avro['type']} of {_say(inner)}" if inner else str(avro.get("name", avro["type"]))


def _attributes(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted((old.keys() | new.keys()) - _TREE):
        then, now = (_json(one, name) for one in (old, new))
        if then != now and name in WORDS:
            yield Change(path, f"{name} was {then} and is {now}")
        elif then != now:
            yield Break(path, f"{name} was {then} and is {now}; readers differ in what they make of it")


def _json(part: Mapping[str, Any], name: str) -> str:
    return json.dumps(part[name], ensure_ascii=False, sort_keys=True) if name in part else "none"


def _branches(path: str, old: list[Type], new: list[Type], seen: set[tuple[int, int]]) -> Iterator[Change]:
    then, now = ([_say(one) for one in branches] for branches in (old, new))
    if then != now:
        yield Break(path, f"was {' or '.join(then)} and is {' or '.join(now)}; a union keeps its branches and their order")
        return
    for one, other in zip(old, new, strict=True):
        yield from _differences(path, one, other, seen)


def _symbols(path: str, old: Type, new: Type) -> Iterator[Change]:
    if old.get("default") != new.get("default"):
        yield Break(path, f"what a reader meets for a word it does not know was {old.get('default')} and is {new.get('default')}")
    for reader, writer, happened, who in ((old, new, "came", "the older"), (new, old, "went", "the newer")):
        for symbol in (one for one in writer["symbols"] if one not in reader["symbols"]):
            if reader.get("default") in reader["symbols"]:
                yield Change(path, f"the symbol {symbol} {happened}; {who} version reads it as {reader['default']}")
            else:
                yield Break(path, f"the symbol {symbol} {happened} and the enum has no default: {who} version cannot read it")


def _fields(path: str, old: list[Type], new: list[Type], seen: set[tuple[int, int]]) -> Iterator[Change]:
    then, now = ({one["name"]: one for one in fields} for fields in (old, new))
    for name in [*then, *(name for name in now if name not in then)]:
        at = f"{path}.{name}" if path else name
        if name in then and name in now:
            yield from _field(at, then[name], now[name], seen)
            continue
        field, happened, who = (now[name], "came", "the older") if name in now else (then[name], "went", "the newer")
        if "default" not in field:
            reader = "newer" if name in now else "older"
            yield Break(at, f"{happened} without a default: the {reader} version cannot read what {who} one writes")
        elif "aliases" in field:
            yield Break(at, f"{happened} with aliases; not every reader follows them")
        else:
            yield Change(at, f"{happened}; where it is not written its default is read, {_json(field, 'default')}")
    kept = [name for name in then if name in now]
    for before, after in zip(kept, (name for name in now if name in then), strict=True):
        if before != after:
            at = f"{path}.{after}" if path else after
            yield Break(at, f"stands where {before} stood; fields keep their order, the envelope's above all")
            return


def _field(at: str, old: Type, new: Type, seen: set[tuple[int, int]]) -> Iterator[Change]:
    then, now = (_json(one, "default") for one in (old, new))
    if then != now:
        yield Break(at, f"its default was {then} and is {now}; two versions would read the same record differently")
    yield from _attributes(at, old, new)
    yield from _differences(at, old["type"], new["type"], seen)


def _impossible(path: str, avro: Type, seen: set[int]) -> Iterator[Break]:
    if id(avro) in seen:
        return
    seen.add(id(avro))
    if avro["type"] == "enum" and "default" in avro and avro["default"] not in avro["symbols"]:
        yield Break(path, f"{avro['default']} is the default and no symbol of {avro['name']}")
    for one in avro.get("fields", []):
        at = f"{path}.{one['name']}" if path else one["name"]
        if "default" in one and not _holds(one["type"], one["default"]):
            yield Break(at, f"its default {_json(one, 'default')} is no value of {_first(one['type'])}")
        yield from _impossible(at, one["type"], seen)
    for inner, sign in (("items", "[]"), ("values", "{}")):
        if inner in avro:
            yield from _impossible(path + sign, avro[inner], seen)
    for one in avro.get("branches", []):
        yield from _impossible(path, one, seen)


def _first(avro: Type) -> str:
    return f"{_say(avro['branches'][0])}, the first branch" if avro["type"] == "union" else _say(avro)


def _holds(avro: Type, value: Any) -> bool:
    """Whether `value`, a default as JSON says it, is one of type `avro`; a union's is one of its first branch, as older readers ask."""
    kind = avro["type"]
    if kind == "union":
        return _holds(avro["branches"][0], value)
    if kind == "array":
        return isinstance(value, list) and all(_holds(avro["items"], one) for one in value)
    if kind == "map":
        return isinstance(value, dict) and all(_holds(avro["values"], one) for one in value.values())
    if kind in ("record", "error"):
        wanted = {one["name"]: one for one in avro["fields"]}
        is_whole = isinstance(value, dict) and value.keys() <= wanted.keys()
        return is_whole and all(_holds(one["type"], value[name]) if name in value else "default" in one for name, one in wanted.items())
    if kind in ("enum", "fixed"):
        return value in avro["symbols"] if kind == "enum" else _is_bytes(value) and len(value) == avro["size"]
    return kind in _PLAIN and _PLAIN[kind](value)


def _is_whole(value: Any, bits: int) -> bool:
    return type(value) is int and -(1 << bits) <= value < 1 << bits


def _is_bytes(value: Any) -> bool:
    """Whether `value` is text whose every character stands for one byte, as Avro's JSON has it."""
    return isinstance(value, str) and all(ord(one) < _BYTE_VALUES for one in value)


_PLAIN: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "int": lambda value: _is_whole(value, 31),
    "long": lambda value: _is_whole(value, 63),
    "float": lambda value: type(value) in (int, float),
    "double": lambda value: type(value) in (int, float),
    "bytes": _is_bytes,
    "string": lambda value: isinstance(value, str),
}
"""Types without parts → whether a value in JSON is one of them."""
