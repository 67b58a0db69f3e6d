"""The folder of schemas keeps its own rules, and the check notices whoever breaks one."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.catalogue import EVENT_TYPES
from events.outcomes import EraOpened
from events.tickets import TicketTaken
from events.wire.bad_schemas import BadSchemas
from events.wire.schema_lock import lock_schemas
from events.wire.schema_rules import check
from events.wire.schemas import FIRST_ID, FOLDER, load, topics

_REFUSED = "tickets/ticket_refused.v1.avsc"
_ENDED = "calls/call_ended.v1.avsc"
_GOLDEN = "golden/calls/call_ended.v1.hex"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "schemas"))


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")


def _field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in schema["fields"] if one["name"] == name)


def test_the_schemas_keep_every_rule() -> None:
    assert check() == []


def test_every_event_type_has_an_id_of_ours_on_each_of_its_topics() -> None:
    schemas = load()

    for kind in EVENT_TYPES:
        for topic in kind.topics:
            assert schemas.by_id[schemas.latest_id(kind.event, topic)].event is kind.event
    assert min(schemas.by_id) == FIRST_ID


def test_a_schema_under_two_subjects_has_one_id() -> None:
    schemas = load()

    assert schemas.latest_id(EraOpened, "hotline.tickets") == schemas.latest_id(EraOpened, "hotline.outcomes")
    assert len(schemas.by_id[schemas.latest_id(EraOpened, "hotline.tickets")].subjects) == 3


def test_an_event_has_no_id_on_a_topic_where_it_has_no_business() -> None:
    with pytest.raises(KeyError):
        load().latest_id(TicketTaken, "hotline.contacts")


def test_facts_are_kept_without_end_and_dead_letters_three_years() -> None:
    wanted = topics()

    assert {wanted[name].retention_ms for name in wanted if name != "hotline.dead-letters"} == {-1}
    assert wanted["hotline.dead-letters"].retention_ms == 1_096 * 24 * 3_600_000
    assert {topic.partitions for topic in wanted.values() if topic.name != "hotline.reference"} == {12}
    assert wanted["hotline.reference"].partitions == 1


def _with_field(name: str, **changed: Any) -> Callable[[dict[str, Any]], object]:
    return lambda schema: _field(schema, name).update(changed)


def _without(name: str, key: str) -> Callable[[dict[str, Any]], object]:
    return lambda schema: _field(schema, name).pop(key)


def _swapped(schema: dict[str, Any]) -> None:
    schema["fields"][0:2] = reversed(schema["fields"][0:2])


@pytest.mark.parametrize(
    ("file", "change", "complaint"),
    [
        (_REFUSED, _without("explanation", "personal"), "needs a tag"),
        (_REFUSED, _without("reason_code", "code"), "needs a tag"),
        (_REFUSED, _with_field("reason_code", code="customer's words"), "`code` stands at text in clear"),
        (_REFUSED, _with_field("explanation", personal={"of": "somebody", "kind": "free text"}), "`personal` says"),
        (_REFUSED, _with_field("explanation", type=["null", "string"]), "sealed, so its type is bytes"),
        (_REFUSED, _without("explanation", "doc"), "explanation has no doc"),
        (_REFUSED, _with_field("explanation", personal=7), "`personal` says"),
        (_REFUSED, _with_field("explanation", personal={"of": [], "kind": {}}), "`personal` says"),
        (_REFUSED, _with_field("reason_code", code=[]), "`code` stands at text in clear"),
        (_REFUSED, lambda schema: schema.pop("fields"), "no Avro schema: the file: record needs fields, a list"),
        (_REFUSED, lambda schema: schema.pop("namespace"), "no Avro schema: a record in a namespace is wanted"),
        (_REFUSED, lambda schema: schema.update(fields=[3]), "no Avro schema: the file: a field is an object with name and type"),
        (_REFUSED, _with_field("reason_code", type=[]), "no Avro schema: reason_code: a type is a name, a list of types"),
        (_REFUSED, _with_field("reason_code", type={"type": "array"}), "no Avro schema: reason_code: array needs items, a type"),
        (_ENDED, lambda schema: _field(schema, "ending")["type"].pop("symbols"), "no Avro schema: ending: enum needs symbols, a list"),
        (_REFUSED, lambda schema: schema.pop("doc"), "TicketRefused has no doc"),
        (_REFUSED, _without("explanation", "default"), "default null"),
        (_REFUSED, _swapped, "must begin with the envelope"),
        (_REFUSED, _with_field("occurred_at", type="int"), "as in every envelope"),
        (_REFUSED, lambda schema: schema["fields"].pop(), "fields differ from the class"),
        (_REFUSED, _with_field("reason_code", type=["null", "string"], default=None), "the class says"),
        (_REFUSED, lambda schema: schema.update(name="TicketDeclined"), "must be a record called"),
        (_REFUSED, _with_field("version", type="numeral"), "no Avro schema"),
        (_REFUSED, _with_field("reason_code", default="none"), "gives what it is now an id of its own"),
        (_REFUSED, _with_field("reason_code", aliases=["reason"]), "has no alias"),
        (_REFUSED, _with_field("reason_code", default=5), "no Avro schema"),
        ("letters/letter_received.v1.avsc", _with_field("thread_keys", default=["0123456789abcdef"]), "an array is empty by default"),
        (_ENDED, _with_field("connected_at", type="long", default=0), "its default is no time"),
        (_ENDED, _with_field("wait_s", default=1 << 31), "is no value of int"),
        (_ENDED, lambda schema: _field(schema, "ending")["type"].pop("default"), "as its first symbol and its default"),
        (_ENDED, lambda schema: _field(schema, "ending")["type"]["symbols"].append("dropped"), "gives what it is now an id of its own"),
        (_ENDED, _with_field("ending", type="hotline.calls.CallEnded"), "no type hotline.calls.CallEnded before this place"),
    ],
)
def test_a_schema_that_breaks_a_rule_fails_the_check(
    folder: Path, file: str, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    _edit(folder / file, change)

    assert any(complaint in line and Path(file).stem in line for line in check(folder)), check(folder)


def test_a_nested_field_without_a_tag_fails_the_check(folder: Path) -> None:
    def untag(schema: dict[str, Any]) -> None:
        _field(_field(schema, "attachments")["type"]["items"], "name").pop("personal")

    _edit(folder / "letters/letter_received.v1.avsc", untag)

    assert any("needs a tag" in line for line in check(folder))


def _stray(lock: dict[str, Any]) -> None:
    lock["last_id"] += 1
    lock["subjects"]["hotline.x-hotline.Y"] = {"1": {"id": lock["last_id"], "fingerprint": "0"}}


def _below(lock: dict[str, Any]) -> None:
    lock["subjects"]["hotline.x-hotline.Y"] = {"1": {"id": 7, "fingerprint": "0"}}


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / "examples/calls/call_ended.v1.json").unlink(), "call_ended.v1.json is missing"),
        (lambda folder: (folder / _ENDED).unlink(), "versions must be 1, 2, 3"),
        (lambda folder: (folder / _ENDED).rename(folder / "calls/call_ended.v2.avsc"), "versions must be 1, 2, 3"),
        (lambda folder: (folder / _ENDED).write_bytes(b"\xff{"), "no Avro schema"),
        (lambda folder: (folder / "calls/call_forgotten.v1.avsc").write_text("{}"), "belongs to nothing"),
        (lambda folder: (folder / "lock.json").unlink(), "is not in lock.json"),
        (lambda folder: _edit(folder / "lock.json", _stray), "has no file; hotline schemas lock withdraws it"),
        (lambda folder: _edit(folder / "lock.json", lambda lock: lock.pop("last_id")), "lock.json is no lock"),
        (lambda folder: _edit(folder / "lock.json", lambda lock: lock.update(last_id=FIRST_ID)), f"last_id is {FIRST_ID}, but 9"),
        (lambda folder: _edit(folder / "lock.json", lambda lock: lock.update(last_id="many")), "an id and last_id are whole numbers"),
        (lambda folder: _edit(folder / "lock.json", _below), "id 7 is not ours"),
        (lambda folder: (folder / "lock.json").write_text("ids"), "lock.json is no lock"),
        (lambda folder: (folder / _GOLDEN).unlink(), "call_ended.v1.hex is missing: hotline schemas lock"),
        (lambda folder: (folder / _GOLDEN).write_bytes(b"\xffdeed"), "call_ended.v1.hex is not its example in bytes"),
        (lambda folder: (folder / "golden/calls/call_forgotten.v1.hex").write_text("00"), "belongs to nothing"),
        (
            lambda folder: _edit(folder / "examples/calls/call_ended.v1.json", lambda said: said.update(ending="x")),
            "does not fit its schema",
        ),
        (lambda folder: _edit(folder / "examples/calls/call_ended.v1.json", lambda said: said.update(mood="x")), "does not fit its schema"),
        (
            lambda folder: _edit(folder / "examples/calls/call_ended.v1.json", lambda said: said.update(occurred_at=10**30)),
            "does not fit its schema",
        ),
    ],
)
def test_a_folder_that_lacks_something_fails_the_check(folder: Path, spoil: Callable[[Path], object], complaint: str) -> None:
    spoil(folder)

    assert any(complaint in line for line in check(folder)), check(folder)


@pytest.mark.parametrize(
    ("written", "instead", "complaint"),
    [
        ('families = ["commands"]', "families = []", "must name the family commands"),
        ('families = ["commands"]', 'families = ["commands", "gossip"]', "no events of the family gossip"),
        ('owner = "platform team"', 'owner = ""', "needs owner"),
        ('owner = "platform team"\n', "", "hotline.dead-letters: owner is missing"),
        ('owner = "platform team"', 'mood = "good"', "topics.toml: hotline.dead-letters: mood is nothing that a topic has; "),
        ('owner = "platform team"', "owner = 7", "hotline.dead-letters: owner must be a text"),
        ('families = ["commands"]', 'families = ["commands", 7]', "hotline.commands: families must be a list of texts"),
        ("partitions = 1\n", 'partitions = "x"\n', "hotline.reference: partitions must be a whole number from 1"),
        ("partitions = 1\n", "partitions = true\n", "hotline.reference: partitions must be a whole number from 1"),
        ("partitions = 1\n", "partitions = 0\n", "hotline.reference: partitions must be a whole number from 1"),
        ("retention_ms = -1\n", "retention_ms = -2\n", "hotline.contacts: retention_ms must be a whole number from 1, or -1"),
        ("guarantees = [", "guaranteed = [", "a list of texts `guarantees` and a table `topics` are wanted"),
    ],
)
def test_a_topic_that_is_not_described_fails_the_check(folder: Path, written: str, instead: str, complaint: str) -> None:
    path = folder / "topics.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace(written, instead), "utf-8")

    assert written in text
    assert any(complaint in line for line in check(folder)), check(folder)


@pytest.mark.parametrize("text", ["[", "x = 1", '["a"]', "guarantees = []\ntopics = 7", "guarantees = []\n[topics]\na = 7", "\x00"])
def test_a_file_of_topics_that_is_none_is_told_in_one_line(folder: Path, text: str) -> None:
    (folder / "topics.toml").write_text(text, "utf-8")

    with pytest.raises(BadSchemas) as told:
        topics(folder)

    assert check(folder) == [str(told.value)]
    assert re.fullmatch("topics.toml: [^\n]+", str(told.value))


def test_one_id_for_two_schemas_fails_the_check(folder: Path) -> None:
    def reuse(lock: dict[str, Any]) -> None:
        first, second = list(lock["subjects"].values())[:2]
        second["1"]["id"] = first["1"]["id"]

    _edit(folder / "lock.json", reuse)

    assert any("belongs to another schema" in line for line in check(folder))


def _version(folder: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / f"tickets/ticket_refused.v{number}.avsc"
    shutil.copy(folder / _REFUSED, path)
    _edit(path, change)


def _new_field(**said: Any) -> Callable[[dict[str, Any]], object]:
    return lambda schema: schema["fields"].insert(14, {"name": "mood", "doc": "x", "type": "int", **said})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (_new_field(), "mood: came without a default: the newer version cannot read what the older one writes"),
        (lambda schema: schema["fields"].pop(14), "reason_code: went without a default: the older version cannot read"),
        (_with_field("appeal_route", type="bytes"), "appeal_route: was string and is bytes"),
        (_with_field("cause_count", type="long"), "cause_count: was int and is long"),
        (_with_field("explanation", default=""), "explanation: its default was null and is"),
        (_swapped, "occurred_at: stands where event_id stood"),
        (lambda schema: schema.update(namespace="hotline.decisions"), "names of types are for ever"),
    ],
)
def test_a_version_that_breaks_another_fails_the_check_with_path_and_reason(
    folder: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    _version(folder, 2, change)
    lock_schemas(folder)

    assert any("ticket_refused.v2.avsc: " in line and complaint in line and "(against version 1)" in line for line in check(folder))


def test_a_version_is_held_against_all_before_it_and_not_only_the_last(folder: Path) -> None:
    _version(folder, 2, lambda schema: schema["fields"].pop())
    _version(folder, 3, _with_field("explanation", type=["null", "string"], personal=None, code="rule"))
    lock_schemas(folder)

    (line,) = [line for line in check(folder) if "v3" in line and "explanation" in line and "against" in line]

    assert line == (
        "ticket_refused.v3.avsc: explanation: was null or bytes and is null or string; "
        "a union keeps its branches and their order (against version 1)"
    )


def test_an_edited_locked_schema_is_not_loaded(folder: Path) -> None:
    _edit(folder / _REFUSED, lambda schema: schema["fields"].pop())

    with pytest.raises(BadSchemas, match=re.escape("ticket_refused.v1.avsc")):
        load(folder)


def test_better_words_do_not_change_a_fingerprint(folder: Path) -> None:
    _edit(folder / _REFUSED, lambda schema: schema.update(doc="The hotline said no."))

    assert check(folder) == []
