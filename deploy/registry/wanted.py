"""What a registry shall hold of ours: every version of every subject under its own id, and a mark at the end of our range of ids.

Knows the lock and the files; must not know any registry.
"""

import json
from dataclasses import dataclass
from typing import Any

from events.wire.schemas import fingerprint, load

_END_OF_IDS: dict[str, Any] = {
    "type": "record",
    "name": "EndOfIds",
    "namespace": "hotline",
    "doc": "No event: ids up to this one are the hotline's; a registry that counts on from the highest gives others behind it.",
    "fields": [],
}
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_NAMED = ("record", "enum", "fixed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One version of one subject."""

    subject: str
    version: int
    id: int
    schema: dict[str, Any]

    @property
    def text(self) -> str:
        """The schema as a registry gets it, words and tags included."""
        return json.dumps(self.schema, ensure_ascii=False, separators=(",", ":"))

    def is_same(self, text: str) -> bool:
        """Whether a registry's text decodes just as ours; documentation may have been mended since."""
        try:
            return fingerprint(_spelt_out(json.loads(text))) == fingerprint(_spelt_out(self.schema))
        except (ValueError, KeyError, TypeError, AttributeError):
            return False

    def __str__(self) -> str:
        """As a line names it."""
        return f"{self.subject} version {self.version}"


def _spelt_out(part: Any, namespace: str = "") -> Any:
    """A schema with full names and the shortest types everywhere: registries write it anew, and each splits names in its own way."""
    if isinstance(part, list):
        return [_spelt_out(one, namespace) for one in part]
    if isinstance(part, str):
        return part if part in _PRIMITIVES else _full(part, namespace)
    if part.keys() == {"type"}:
        return _spelt_out(part["type"], namespace)
    told = {name: value for name, value in part.items() if name != "namespace"}
    if part["type"] in _NAMED:
        told["name"] = _full(part["name"], part.get("namespace") or namespace)
        inner = told["name"].rpartition(".")[0]
        if "fields" in part:
            told["fields"] = [{**one, "type": _spelt_out(one["type"], inner)} for one in part["fields"]]
        return told
    return told | {name: _spelt_out(part[name], namespace) for name in ("items", "values") if name in part}


def _full(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


# Ours begin at 900,000,001. Most registries give the highest id + 1: without this mark somebody else's schema would get our next one
END_OF_IDS = Wanted("hotline.end-of-ids", 1, 999_999_999, _END_OF_IDS)


def wanted_versions() -> list[Wanted]:
    """Everything, lowest id first and the mark last; a schema of two subjects stands twice. Raises BadSchemas."""
    ours = [Wanted(subject, one.version, one.id, one.schema) for one in load().by_id.values() for subject in one.subjects]
    return [*sorted(ours, key=lambda one: (one.id, one.subject)), END_OF_IDS]
