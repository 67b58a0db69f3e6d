"""What may change between versions and what may not, each with its path and reason; Apache's checker and fastavro have their say."""

import copy
import io
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import avro.compatibility
import avro.schema
import fastavro
import pytest

from events.wire.compatibility import breaks, changes, impossible_defaults
from tests.events.evolutions import Evolutions

Schema = dict[str, Any]
_RANDOM_PAIRS = 600


def _file() -> Schema:
    return {
        "type": "record",
        "name": "hotline.StoredFile",
        "fields": [
            {"name": "digest", "type": {"type": "fixed", "name": "hotline.Digest", "size": 32}},
            {"name": "media_type", "type": "string"},
            {"name": "pages", "type": ["null", "int"], "default": None},
        ],
    }


@pytest.fixture
def old() -> Schema:
    ending = {"type": "enum", "name": "Ending", "symbols": ["unknown", "closed", "merged"], "default": "unknown"}
    return {
        "type": "record",
        "namespace": "hotline.tickets",
        "name": "TicketNoted",
        "doc": "Something was noted.",
        "fields": [
            {"name": "event_id", "type": {"type": "fixed", "name": "hotline.Id", "size": 16}},
            {"name": "occurred_at", "type": "long"},
            {"name": "cause_id", "type": "hotline.Id"},
            {"name": "copies", "type": "int", "default": 1},
            {"name": "ending", "type": ending},
            {"name": "mood", "type": {"type": "enum", "name": "Mood", "symbols": ["calm", "angry"]}},
            {"name": "note", "type": ["null", "string"], "default": None},
            {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {}},
            {"name": "attachments", "type": {"type": "array", "items": _file()}, "default": []},
        ],
    }


def _of(schema: Schema, name: str) -> Schema:
    """The field `name` of a record, or with full stops of a record in an array within."""
    outer, _, inner = name.partition(".")
    field: Schema = next(one for one in schema["fields"] if one["name"] == outer)
    return _of(field["type"]["items"], inner) if inner else field


def _set(name: str, /, **said: Any) -> Callable[[Schema], object]:
    return lambda schema: _of(schema, name).update(said)


def _type(name: str, /, **said: Any) -> Callable[[Schema], object]:
    return lambda schema: _of(schema, name)["type"].update(said)


def _drop(name: str, *keys: str) -> Callable[[Schema], object]:
    return lambda schema: [_of(schema, name).pop(key) for key in keys]


def _remove(*names: str) -> Callable[[Schema], object]:
    return lambda schema: schema.update(fields=[one for one in schema["fields"] if one["name"] not in names])


def _add(place: int, /, **field: Any) -> Callable[[Schema], object]:
    return lambda schema: schema["fields"].insert(place, field)


def _in_files(change: Callable[[Schema], object]) -> Callable[[Schema], object]:
    return lambda schema: change(_of(schema, "attachments")["type"]["items"])


def _both(*deeds: Callable[[Schema], object]) -> Callable[[Schema], object]:
    return lambda schema: [deed(schema) for deed in deeds]


def _reorder(schema: Schema) -> None:
    schema["fields"][0]["type"], schema["fields"][2]["type"] = schema["fields"][2]["type"], schema["fields"][0]["type"]
    schema["fields"][0], schema["fields"][2] = schema["fields"][2], schema["fields"][0]


FORBIDDEN: dict[str, tuple[Callable[[Schema], object], str, str]] = {
    "a field is removed": (_remove("mood"), "mood", "went without a default"),
    "a field comes without a default": (_add(9, name="tone", type="string"), "tone", "came without a default"),
    "a field within is removed": (_in_files(_remove("media_type")), "attachments[].media_type", "went without a default"),
    "a field comes within without a default": (_in_files(_add(1, name="size", type="long")), "attachments[].size", "came without"),
    "a number gets wider": (_set("copies", type="long"), "copies", "was int and is long"),
    "a number gets narrower": (_set("occurred_at", type="int"), "occurred_at", "was long and is int"),
    "text becomes bytes": (_set("attachments.media_type", type="bytes"), "attachments[].media_type", "was string and is bytes"),
    "a type may now be null": (_set("occurred_at", type=["null", "long"]), "occurred_at", "was long and is null or long"),
    "a type may no longer be null": (_set("note", type="string", default=""), "note", "was null or string and is string"),
    "a union gets a branch": (_set("note", type=["null", "string", "int"]), "note", "a union keeps its branches"),
    "a union loses a branch": (_set("note", type=["null"]), "note", "a union keeps its branches"),
    "a union's branches change places": (_set("note", type=["string", "null"], default=""), "note", "their order"),
    "what an array holds changes": (_type("attachments", items="string"), "attachments[]", "was hotline.StoredFile and is string"),
    "what a map holds changes": (_type("labels", values="long"), "labels{}", "was string and is long"),
    "an array becomes a map": (_set("labels", type={"type": "array", "items": "string"}, default=[]), "labels", "was map of string"),
    "an enum without default grows": (_type("mood", symbols=["calm", "angry", "sad"]), "mood", "sad came and the enum has no default"),
    "an enum without default shrinks": (_type("mood", symbols=["calm"]), "mood", "angry went and the enum has no default"),
    "an enum loses its default": (lambda schema: _of(schema, "ending")["type"].pop("default"), "ending", "was unknown and is None"),
    "an enum gets another default": (_type("ending", default="closed"), "ending", "was unknown and is closed"),
    "a default changes": (_set("copies", default=2), "copies", "its default was 1 and is 2"),
    "a default of the same worth changes": (_set("copies", default=True), "copies", "its default was 1 and is true"),
    "a default goes": (_drop("note", "default"), "note", "its default was null and is none"),
    "a default comes too late": (_set("occurred_at", default=0), "occurred_at", "its default was none and is 0"),
    "the envelope changes its order": (_reorder, "cause_id", "stands where event_id stood"),
    "fields within change their order": (_in_files(lambda file: file["fields"].reverse()), "attachments[].pages", "keep their order"),
    "a fixed gets longer": (_type("event_id", size=20), "event_id", "had 16 bytes and has 20"),
    "a record is renamed": (lambda schema: schema.update(name="TicketRemarked"), "", "now called hotline.tickets.TicketRemarked"),
    "a record moves to another namespace": (lambda schema: schema.update(namespace="hotline.notes"), "", "names of types are for ever"),
    "a record within is renamed": (_in_files(lambda file: file.update(name="hotline.File")), "attachments[]", "now called hotline.File"),
    "an enum is renamed": (_type("mood", name="Temper"), "mood", "now called hotline.tickets.Temper"),
    "a field is renamed with an alias": (_set("copies", name="leaves", aliases=["copies"]), "leaves", "came with aliases"),
    "a field gets an alias": (_set("copies", aliases=["leaves"]), "copies", 'aliases was none and is ["leaves"]'),
    "a record gets an alias": (lambda schema: schema.update(aliases=["Remark"]), "", "aliases was none"),
    "a number gets a meaning": (
        _set("occurred_at", type={"type": "long", "logicalType": "timestamp-micros"}),
        "occurred_at",
        "logicalType",
    ),
    "a default that is no value": (_add(9, name="tone", type="int", default="none"), "tone", "is no value of int"),
}
ALLOWED: dict[str, Callable[[Schema], object]] = {
    "better words": _both(lambda schema: schema.update(doc="Said better."), _set("copies", doc="How many.")),
    "another tag": _set("attachments.media_type", code="media type"),
    "a field with a default comes last": _add(9, name="tone", type="string", default=""),
    "a field with a default comes in between": _add(3, name="tone", type=["null", "hotline.Id"], default=None),
    "a field with a default comes within": _in_files(_add(1, name="language", type="string", default="")),
    "a field with a default goes": _remove("copies"),
    "an array with a default goes": _remove("attachments"),
    "a field with a default goes within": _in_files(_remove("pages")),
    "an enum with a default grows": _type("ending", symbols=["unknown", "closed", "merged", "lost"]),
    "an enum with a default shrinks": _type("ending", symbols=["unknown", "closed"]),
    "a type said in another form": _set("occurred_at", type={"type": "long"}),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_what_is_forbidden_is_refused_with_path_and_reason(case: str, old: Schema) -> None:
    change, path, words = FORBIDDEN[case]
    new = copy.deepcopy(old)
    change(new)

    found = breaks(old, new)

    assert [one for one in found if one.path == path and words in one.reason], found


@pytest.mark.parametrize("case", [case for case in FORBIDDEN if case != "a default that is no value"])
def test_what_is_forbidden_is_so_in_either_direction(case: str, old: Schema) -> None:
    new = copy.deepcopy(old)
    FORBIDDEN[case][0](new)

    assert breaks(new, old)


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_passes_both_ways_and_is_told(case: str, old: Schema) -> None:
    new = copy.deepcopy(old)
    ALLOWED[case](new)

    assert breaks(old, new) == breaks(new, old) == []
    assert bool(changes(old, new)) == (case != "a type said in another form")
    assert _apache_refuses(old, new) == ""
    assert _fastavro_reads(Evolutions(1), old, new)


def test_every_break_is_told_at_once(old: Schema) -> None:
    new = copy.deepcopy(old)
    _both(_remove("mood"), _set("copies", default=2), _type("event_id", size=20))(new)

    assert [one.path for one in breaks(old, new)] == ["event_id", "copies", "mood"]


def test_a_type_that_is_named_again_is_told_once(old: Schema) -> None:
    new = copy.deepcopy(old)
    _type("event_id", size=20)(new)

    assert [str(one) for one in breaks(old, new)] == ["event_id: hotline.Id had 16 bytes and has 20"]


def test_a_record_that_holds_itself_is_compared_to_its_end() -> None:
    one: Schema = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"], "default": None}]}
    other = copy.deepcopy(one)
    _set("next", type=["null", "Node", "int"])(other)

    assert breaks(one, one) == []
    assert [found.path for found in breaks(one, other)] == ["next"]


@pytest.mark.parametrize(
    ("avro_type", "default"),
    [
        ("int", 1 << 31),
        ("long", -(1 << 63) - 1),
        ("int", 1.0),
        ("int", True),
        ("boolean", 0),
        ("string", None),
        ("bytes", "ы"),
        ("null", ""),
        ({"type": "fixed", "name": "Two", "size": 2}, "\u0000"),
        ({"type": "enum", "name": "Mood", "symbols": ["calm"]}, "angry"),
        ({"type": "enum", "name": "Mood", "symbols": ["calm"], "default": "angry"}, "calm"),
        (["null", "int"], 0),
        (["int", "null"], None),
        ({"type": "array", "items": "int"}, {}),
        ({"type": "array", "items": "int"}, [1, "two"]),
        ({"type": "map", "values": "int"}, {"one": None}),
        ({"type": "record", "name": "Pair", "fields": [{"name": "one", "type": "int"}]}, {}),
        ({"type": "record", "name": "Pair", "fields": [{"name": "one", "type": "int"}]}, {"one": 1, "two": 2}),
    ],
)
def test_a_default_that_no_value_could_have_is_refused(avro_type: Any, default: Any) -> None:
    schema = {"type": "record", "name": "Thing", "fields": [{"name": "one", "type": avro_type, "default": default}]}

    assert [one.path for one in impossible_defaults(schema)] == ["one"]


@pytest.mark.parametrize(
    ("avro_type", "default"),
    [
        ("int", -(1 << 31)),
        ("long", (1 << 63) - 1),
        ("double", 1),
        ("bytes", "ÿ"),
        (["null", "int"], None),
        ({"type": "fixed", "name": "Two", "size": 2}, "\u0000ÿ"),
        ({"type": "array", "items": "int"}, [1]),
        ({"type": "map", "values": "int"}, {"one": 1}),
        ({"type": "record", "name": "Pair", "fields": [{"name": "one", "type": "int", "default": 1}]}, {}),
    ],
)
def test_a_default_that_a_value_could_have_passes(avro_type: Any, default: Any) -> None:
    schema = {"type": "record", "name": "Thing", "fields": [{"name": "one", "type": avro_type, "default": default}]}

    assert impossible_defaults(schema) == []


def _apache_refuses(old: Schema, new: Schema) -> str:
    """What Apache's own checker holds against the two, whichever reads the other; empty if nothing."""
    one, other = (avro.schema.parse(json.dumps(schema)) for schema in (old, new))
    checker: Any = avro.compatibility.ReaderWriterCompatibilityChecker
    found = [checker().get_compatibility(reader, writer) for reader, writer in ((one, other), (other, one))]
    compatible = avro.compatibility.SchemaCompatibilityType.compatible
    return "; ".join(str(result.messages) for result in found if result.compatibility is not compatible)


def _fastavro_reads(made: Evolutions, old: Schema, new: Schema) -> bool:
    """Whether any value written under either is read under the other."""
    for writer, reader in ((old, new), (new, old)):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(writer), made.value(writer))
        out.seek(0)
        read: Any = fastavro.schemaless_reader(out, fastavro.parse_schema(writer), fastavro.parse_schema(reader))
        assert read.keys() == {one["name"] for one in reader["fields"]}
    return True


def test_where_our_gate_allows_apaches_checker_and_fastavro_agree() -> None:
    made, judged = Evolutions(20_260_314), Counter[str]()
    for _ in range(_RANDOM_PAIRS):
        old = made.schema()
        new = made.evolved(old)

        refused = breaks(old, new)

        if refused:
            assert breaks(new, old) or impossible_defaults(new), (old, new)
            judged["refused by both" if _apache_refuses(old, new) else "refused by us alone"] += 1
            continue
        assert _apache_refuses(old, new) == "", (old, new)
        assert _fastavro_reads(made, old, new)
        judged["allowed"] += 1
    assert min(judged[verdict] for verdict in ("allowed", "refused by both", "refused by us alone")) > _RANDOM_PAIRS / 10, judged
