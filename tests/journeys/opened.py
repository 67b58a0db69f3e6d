"""Opens every sealed value of a played day with the vault's keys and compares it with what the simulator put in."""

import html
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from deploy.simulator.ledger import Ledger
from deploy.simulator.script import LETTER
from events.identity import Identity
from events.vault.files import FileStore
from events.vault.sealing import parse, unseal
from tests.oracle import Told

_SCHEMAS = Path(__file__).parent.parent.parent / "schemas"
Clears = dict[bytes, dict[str, set[bytes]]]  # event id → field → what may stand in it


class Opened(NamedTuple):
    """One sealed value, opened: in which record and field it was found, where it was sealed first, and what it says."""

    record: Told
    field: str
    origin_event_id: bytes
    origin_field: str
    clear: bytes


def key_on_log(identity: Identity, key: str) -> str:
    """Return what stands on the log for an idempotency key of a caller."""
    return identity.digest("idempotency-key", key).hex()


def put_in(ledger: Ledger, records: Sequence[Told], identity: Identity) -> Clears:
    """Return what the simulator put into each sealed field of each fact and each command."""
    clears: Clears = defaultdict(lambda: defaultdict(set))
    for accepted in ledger.accepted:
        for field, value in accepted.message.clear.items():
            clears[accepted.event_id][field].add(value.encode() if isinstance(value, str) else value)
        if accepted.message.media_type == LETTER:  # a letter delivered once more has other trace headers
            clears[accepted.event_id]["file:0"].add(accepted.message.body)
    commands = {r.fields["idempotency_key"]: r.fields["event_id"] for r in records if r.topic == "hotline.commands"}
    for answered in ledger.answered:
        for field, value in answered.order.clear.items():
            clears[commands[key_on_log(identity, answered.order.key)]][field].add(value.encode() if isinstance(value, str) else value)
    return clears


def strange(values: Sequence[Opened], clears: Clears) -> list[str]:
    """Return a line, without the value, for each opened value that nobody put in."""
    return [
        f"{o.record.name} {o.field}, sealed as {o.origin_field}"
        for o in values
        if not _was_put_in(o, clears[o.origin_event_id].get(o.origin_field, set()), clears[o.origin_event_id].get("file:0", set()))
    ]


def _was_put_in(value: Opened, told: set[bytes], letters: set[bytes]) -> bool:
    """Of a letter's text the blanks may differ; of one written by hand the script tells a part only: the rest must stand in the letter."""
    if value.clear in told:
        return True
    if not letters or value.origin_field.startswith("file:0"):
        return False
    if told:
        return value.clear.split() in [one.split() for one in told]
    return any(value.clear in files or _words(value.clear) <= words for files, words in map(_contents, letters))


@cache
def _contents(letter: bytes) -> tuple[tuple[bytes, ...], frozenset[str]]:
    """Return the parts of a letter and all words in it, as Python's own library reads them."""
    message = message_from_bytes(letter, policy=policy.default)
    parts = [part for part in message.walk() if not part.is_multipart()]
    texts = [html.unescape(part.get_content()).encode() for part in parts if part.get_content_maintype() == "text"]
    files = tuple(bytes(part.get_payload(decode=True) or b"") for part in parts)
    return files, _words(b"\n".join([letter, *texts, *(str(value).encode() for value in message.values())]))


def _words(text: bytes) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.decode("utf-8", "replace")))


def opened(records: Sequence[Told], key: Callable[[bytes], bytes], store: FileStore) -> Iterator[Opened]:
    """Open every field that a schema tags as personal, and every stored file that a record names."""
    for record in records:
        for field, value in _sealed(record):
            yield _open(record, field, value, key)
        for digest in _digests(record.fields):
            yield _open(record, "file", store.get(digest), key)


def _open(record: Told, field: str, value: bytes, key: Callable[[bytes], bytes]) -> Opened:
    sealed = parse(value)
    return Opened(record, field, sealed.origin_event_id, sealed.origin_field, unseal(key(sealed.key_id), value))


def _sealed(record: Told) -> Iterator[tuple[str, bytes]]:
    assert record.name is not None, "decoded"
    for path in _tagged()[record.name]:
        yield from ((".".join(path), value) for value in _values(record.fields, path))


def _values(fields: Any, path: tuple[str, ...]) -> Iterator[bytes]:
    if isinstance(fields, list | tuple):
        for one in fields:
            yield from _values(one, path)
    elif path and fields is not None:
        yield from _values(fields[path[0]], path[1:])
    elif fields is not None:
        yield fields


def _digests(fields: Any) -> Iterator[bytes]:
    if isinstance(fields, list | tuple):
        for one in fields:
            yield from _digests(one)
    elif isinstance(fields, dict):
        for name, value in fields.items():
            if name in ("digest", "raw_digest") and value is not None:
                yield value
            else:
                yield from _digests(value)


@cache
def _tagged() -> dict[str, list[tuple[str, ...]]]:
    """Read in the schemas' own files which fields of each record are personal."""
    schemas = [json.loads(path.read_text("utf-8")) for path in _SCHEMAS.rglob("*.avsc")]
    return {f"{schema['namespace']}.{schema['name']}": list(_personal(schema)) for schema in schemas}


def _personal(schema: Any) -> Iterator[tuple[str, ...]]:
    for field in schema.get("fields", ()):
        if "personal" in field:
            yield (field["name"],)
        kind = field["type"]
        inner = kind.get("items") if isinstance(kind, dict) else None
        if isinstance(inner, dict):
            yield from ((field["name"], *path) for path in _personal(inner))
