"""The two ways to bring a schema to a registry under an id that is already given, and which of them a registry understands.

Apicurio takes no id over Confluent's API but imports contents in its own export's format with ids kept. Confluent's kind takes ids in
POSTs while a subject is in import mode. Knows nothing of what was there before: `pushing` has looked.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol
from urllib.parse import quote

from deploy.problems import Unwilling
from deploy.registry.asking import Registry
from deploy.registry.wanted import Wanted

_PLAIN_MODES = ("READWRITE", "READONLY")


class Kind(Protocol):
    """How one kind of registry takes versions with their ids."""

    @property
    def name(self) -> str:
        """Its name for people."""

    def put(self, versions: Sequence[Wanted]) -> None:
        """Bring them there. What it says about success is not trusted: look afterwards."""


def kind_of(registry: Registry) -> Kind:
    """Ask what it is. Raises Unwilling if it is neither."""
    about = registry.ask("GET", f"{registry.root}/apis/registry/v3/system/info")
    if isinstance(about, dict) and "Apicurio" in str(about.get("name")):
        return Apicurio(registry)
    if registry.say("GET", "/mode") is not None:
        return Confluent(registry)
    raise Unwilling(
        f"the registry at {registry.shown} has neither the import of Apicurio 3 nor modes of Confluent's kind, so it can't keep our ids"
    )


class Apicurio:
    """Apicurio Registry 3: contents are imported with their ids, then versions are made in the usual way and find their contents there.

    Versions could be imported too, but then a later one would not become its subject's latest.
    """

    name = "apicurio"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def put(self, versions: Sequence[Wanted]) -> None:
        """Import all contents in one request, then make each version. Raises Unwilling before the first if a content did not get its id."""
        kept = {"X-Registry-Preserve-ContentId": "true", "Content-Type": "application/zip"}
        place = f"{self._registry.root}/apis/registry/v3"
        self._registry.ask("POST", f"{place}/admin/import?requireEmptyRegistry=false", contents(versions), kept)
        for one in versions:
            if not one.is_same(json.dumps(self._registry.ask("GET", f"{place}/ids/contentIds/{one.id}"))):
                raise Unwilling(
                    f"the registry at {self._registry.shown} has another content as {one.id}, or that of {one} under another id"
                )
        for one in sorted(versions, key=lambda one: (one.subject, one.version)):
            content = {"content": one.text, "contentType": "application/json"}
            made = {"artifactId": one.subject, "artifactType": "AVRO", "firstVersion": {"version": str(one.version), "content": content}}
            path = f"{place}/groups/default/artifacts?ifExists=CREATE_VERSION"
            self._registry.ask("POST", path, json.dumps(made).encode(), {"Content-Type": "application/json"})


def contents(versions: Iterable[Wanted]) -> bytes:
    """The archive that Apicurio 3 imports: a manifest, and each content once under its id; what it has already it passes over."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        manifest = {"systemName": "hotline", "systemVersion": "3", "exportVersion": "3.0"}
        packed.writestr("manifest-1.Manifest.json", json.dumps(manifest))
        for one in {one.id: one for one in versions}.values():
            digest = hashlib.sha256(one.text.encode()).hexdigest()
            hashes = {"contentHash": digest, "canonicalHash": digest}
            about = {"contentId": one.id, **hashes, "artifactType": "AVRO", "contentType": "application/json"}
            packed.writestr(f"content/{digest}.Content.json", json.dumps(about))
            packed.writestr(f"content/{digest}.Content.data", one.text.encode())
    return out.getvalue()


class Confluent:
    """Confluent's Schema Registry and what imitates its import mode: one POST per version, its subject in import mode meanwhile."""

    name = "confluent"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def put(self, versions: Sequence[Wanted]) -> None:
        """Register each under its id and version. Raises Unwilling at the first that gets another id; modes are as before then too."""
        for subject, ours in groupby(sorted(versions, key=lambda one: (one.subject, one.version)), key=lambda one: one.subject):
            place = f"/mode/{quote(subject, safe='')}"
            before = (self._registry.say("GET", place) or {}).get("mode")
            if self._registry.say("PUT", f"{place}?force=true", {"mode": "IMPORT"}) is None:
                raise Unwilling(f"the registry at {self._registry.shown} has no import mode, so it can't keep our ids")
            try:
                for one in ours:
                    self._register(one)
            finally:
                if before in _PLAIN_MODES:
                    self._registry.say("PUT", place, {"mode": before})
                else:  # none of its own, or one that an earlier push could not set back
                    self._registry.say("DELETE", place)

    def _register(self, one: Wanted) -> None:
        body = {"schema": one.text, "schemaType": "AVRO", "id": one.id, "version": one.version}
        got = (self._registry.say("POST", f"/subjects/{quote(one.subject, safe='')}/versions", body) or {}).get("id")
        if got != one.id:
            raise Unwilling(f"the registry at {self._registry.shown} gave {one} the id {got}, ours is {one.id}: it has no import mode")
