"""Events to test with: the example of every type, and any event at all."""

from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from events.catalogue import EVENT_TYPES, EventType
from events.envelope import Event
from events.wire.decoders import EARLIEST_US, LATEST_US
from events.wire.schema_examples import example_path, read_example
from events.wire.schemas import FOLDER, load

KINDS = {kind.event.__name__: kind for kind in EVENT_TYPES}
_INT = {"int": 31, "long": 63}

_WITHOUT_NUL = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


def example(name: str) -> Event:
    """Return the newest example of the event type called `name`."""
    kind = KINDS[name]
    newest = load().latest_of(kind.event)
    made: Event = _made(kind.event, read_example(example_path(FOLDER, kind, newest.version), newest.schema))
    return made


def _made(made_as: Any, record: dict[str, Any]) -> Any:
    hints = get_type_hints(made_as)
    return made_as(**{name: _frozen(hints[name], value) for name, value in record.items()})


def _frozen(hint: Any, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    inner = get_args(hint)[0]
    return tuple(_made(inner, one) if is_dataclass(inner) else one for one in value)


def as_record(value: Any) -> Any:
    """Return an event, or a value in one, in the form that fastavro reads and examples have: dicts and lists."""
    if isinstance(value, tuple):
        return [as_record(one) for one in value]
    return {one.name: as_record(getattr(value, one.name)) for one in fields(value)} if is_dataclass(value) else value


@cache
def any_event(kind: EventType) -> st.SearchStrategy[Event]:
    """Any event of one type that its schema allows."""
    return _any(kind.event, load().latest_of(kind.event).schema["fields"], {})


def _any(made_as: Any, avro_fields: list[dict[str, Any]], named: dict[str, Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(made_as)
    values = {one["name"]: _field(one, hints[one["name"]], named) for one in avro_fields}
    assert list(values) == [one.name for one in fields(made_as)]
    return st.builds(made_as, **values)


def _field(one: dict[str, Any], hint: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    if one["name"].endswith("_at"):
        moment = st.integers(EARLIEST_US, LATEST_US) | st.sampled_from((EARLIEST_US, LATEST_US, 1_741_933_613_120_000))
        return moment | st.none() if isinstance(one["type"], list) else moment
    return _value(one["type"], hint, named)


def _value(avro: Any, hint: Any, named: dict[str, Any]) -> st.SearchStrategy[Any]:
    avro = named.get(avro, avro) if isinstance(avro, str) else avro
    if isinstance(avro, list):
        assert isinstance(hint, UnionType)
        return st.none() | _value(avro[1], get_args(hint)[0], named)
    if avro in _INT if isinstance(avro, str) else False:
        bound = 1 << _INT[avro]
        edges = [
            edge
            for n in range(7, 64, 7)
            for edge in ((1 << n - 1) - 1, 1 << n - 1, -(1 << n - 1), -(1 << n - 1) - 1)
            if -bound <= edge < bound
        ]
        return st.integers(-bound, bound - 1) | st.sampled_from(edges) | st.integers(0, 100) | st.just(1_741_933_613_120_000 % bound)
    if isinstance(avro, str):
        long = st.integers(60, 9000).map(bytes)
        return {"string": st.text(_WITHOUT_NUL, max_size=80), "bytes": st.binary(max_size=40) | long, "boolean": st.booleans()}[avro]
    if avro["type"] == "array":
        assert get_origin(hint) is tuple
        return st.lists(_value(avro["items"], get_args(hint)[0], named), max_size=3).map(tuple)
    if avro["type"] == "record":
        return _any(hint, avro["fields"], named)
    named[avro["name"]] = avro
    return st.sampled_from(avro["symbols"]) if avro["type"] == "enum" else st.binary(min_size=avro["size"], max_size=avro["size"])
