"""Schemas nobody thought of, and what people do to schemas: for holding our gate against others' judgement.

Everything comes from one seeded generator. A made-up schema uses what Avro has, more than our events do; an evolution does one to three
things to it that a person might, allowed or not.
"""

import copy
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Schema = dict[str, Any]
_PLAIN = ("int", "long", "string", "bytes", "boolean", "double")
_WIDER = {"int": "long", "long": "double", "string": "bytes", "bytes": "string", "boolean": "int", "double": "string"}
_VALUES = {
    **{"null": None, "int": -5, "long": 1 << 40, "string": "сүз", "bytes": b"\xff\0", "boolean": True, "double": 2.5},
    "hotline.Id": bytes(16),  # the one name that tests use again
}
_DEEPEST = 2


class Evolutions:
    """Makes schemas, changes and values from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._named = 0

    def schema(self) -> Schema:
        """Return a new record of three to six fields."""
        return {
            "type": "record",
            "name": "Thing",
            "namespace": "made.up",
            "fields": [self._field(0) for _ in range(self._random.randint(3, 6))],
        }

    def evolved(self, schema: Schema) -> Schema:
        """Return a copy of `schema` to which one to three things were done."""
        new = copy.deepcopy(schema)
        for _ in range(self._random.randint(1, 3)):
            self._random.choice(self._deeds())(self._random.choice(list(_records(new))))
        return new

    def value(self, avro: Any) -> Any:
        """Return any value of a type, as fastavro takes it."""
        if isinstance(avro, str):
            return _VALUES[avro]
        if isinstance(avro, list):
            return self.value(self._random.choice(avro))
        if avro["type"] == "record":
            return {one["name"]: self.value(one["type"]) for one in avro["fields"]}
        if avro["type"] in ("array", "map"):
            several = [self.value(avro.get("items") or avro["values"]) for _ in range(self._random.randint(0, 2))]
            return several if avro["type"] == "array" else {f"key{n}": one for n, one in enumerate(several)}
        named: dict[str, Callable[[], Any]] = {
            "enum": lambda: self._random.choice(avro["symbols"]),
            "fixed": lambda: self._random.randbytes(avro["size"]),
        }
        return named.get(avro["type"], lambda: self.value(avro["type"]))()

    def _field(self, depth: int) -> Schema:
        avro = self._type(depth)
        field: Schema = {"name": self._name("field"), "type": avro}
        return field | ({"default": self._default(avro)} if self._random.random() < 0.6 else {})

    def _name(self, word: str) -> str:
        self._named += 1
        return f"{word}{self._named}"

    def _type(self, depth: int) -> Any:
        plain = self._random.choice(_PLAIN)
        kinds = ["plain", "plain", "enum", "fixed", "union", *(["array", "map", "record", "array of records"] if depth < _DEEPEST else [])]
        kind = self._random.choice(kinds)
        if kind == "enum":
            symbols = [self._name("SYMBOL") for _ in range(3)]
            return {"type": "enum", "name": self._name("Enum"), "symbols": symbols} | (
                {"default": symbols[0]} if self._random.random() < 0.6 else {}
            )
        if kind == "fixed":
            return {"type": "fixed", "name": self._name("Fixed"), "size": self._random.randint(1, 4)}
        if kind == "record":
            return {"type": "record", "name": self._name("Record"), "fields": [self._field(depth + 1) for _ in range(2)]}
        if kind == "array of records":
            return {"type": "array", "items": {"type": "record", "name": self._name("Record"), "fields": [self._field(depth + 1)]}}
        made = {"union": ["null", plain], "array": {"type": "array", "items": plain}, "map": {"type": "map", "values": plain}}
        return made.get(kind, plain)

    def _default(self, avro: Any) -> Any:
        if isinstance(avro, list):
            return self._default(avro[0])
        kind = avro if isinstance(avro, str) else avro["type"]
        if kind == "record":
            return {one["name"]: self._default(one["type"]) for one in avro["fields"]}
        if kind == "enum":
            return avro["symbols"][-1]
        if kind == "fixed":
            return "\u00ff" * avro["size"]
        return {"null": None, "array": [], "map": {}, "string": "нет", "bytes": "\u00ff", "boolean": False, "double": 0.5}.get(kind, 7)

    def _deeds(self) -> list[Callable[[Schema], None]]:
        allowed: list[Callable[[Schema], None]] = [self._add, self._add, self._remove_optional, self._say_better, self._more_symbols]
        forbidden: list[Callable[[Schema], None]] = [self._remove, self._retype, self._rename, self._change_type, self._change_default]
        return [*allowed, *allowed, *forbidden]

    def _any(self, record: Schema) -> Schema:
        field: Schema = self._random.choice(record["fields"])
        return field

    def _add(self, record: Schema) -> None:
        record["fields"].insert(self._random.randint(0, len(record["fields"])), self._field(1))

    def _remove(self, record: Schema) -> None:
        if len(record["fields"]) > 1:
            record["fields"].remove(self._any(record))

    def _remove_optional(self, record: Schema) -> None:
        if (optional := [one for one in record["fields"] if "default" in one]) and len(record["fields"]) > 1:
            record["fields"].remove(self._random.choice(optional))

    def _say_better(self, record: Schema) -> None:
        self._any(record)["doc"] = self._name("Said better ")

    def _more_symbols(self, record: Schema) -> None:
        for one in record["fields"]:
            if isinstance(one["type"], dict) and one["type"]["type"] == "enum":
                one["type"]["symbols"].append(self._name("SYMBOL"))

    def _retype(self, record: Schema) -> None:
        field = self._any(record)
        avro = field["type"]
        plain = _WIDER.get(avro) if isinstance(avro, str) else avro[1] if isinstance(avro, list) else ["null", "string"]
        field["type"] = plain if self._random.random() < 0.5 else ["null", *(avro[:0:-1] if isinstance(avro, list) else [avro])]
        if "default" in field:
            field["default"] = self._default(field["type"])

    def _rename(self, record: Schema) -> None:
        field = self._any(record)
        named = field["type"] if isinstance(field["type"], dict) and "name" in field["type"] and self._random.random() < 0.5 else field
        if self._random.random() < 0.5:
            named["aliases"] = [named["name"]]
        named["name"] = self._name("renamed")

    def _change_type(self, record: Schema) -> None:
        avro = self._any(record)["type"]
        if isinstance(avro, dict) and avro["type"] == "fixed":
            avro["size"] += 1
        elif isinstance(avro, dict) and avro["type"] == "enum":
            avro.pop("default", None)
            avro["symbols"] = avro["symbols"][-2:]
        elif isinstance(avro, dict) and avro["type"] in ("array", "map"):
            inner = "items" if avro["type"] == "array" else "values"
            avro[inner] = _WIDER.get(avro[inner], avro[inner]) if isinstance(avro[inner], str) else "string"
        else:
            record["fields"].reverse()

    def _change_default(self, record: Schema) -> None:
        field = self._any(record)
        if field["type"] in ("int", "long"):
            field["default"] = self._random.randint(8, 99)
        elif self._random.random() < 0.5:
            field.pop("default", None)
        else:
            field.setdefault("default", self._default(field["type"]))


def _records(avro: Any) -> Iterator[Schema]:
    """Every record in a schema, the outermost first."""
    if isinstance(avro, list):
        for one in avro:
            yield from _records(one)
    elif isinstance(avro, dict):
        if avro["type"] == "record":
            yield avro
        for one in avro.get("fields", []):
            yield from _records(one["type"])
        yield from _records(avro.get("items"))
