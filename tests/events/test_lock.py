"""A version's life: it gets an id, may be edited or withdrawn until a release has it, and never afterwards."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.commands.schemas import differences
from deploy.hotline import exit_code
from events.catalogue import EVENT_TYPES
from events.tickets import TicketRefused
from events.wire.bad_schemas import BadSchemas
from events.wire.codec import Codec, UnknownSchema
from events.wire.schema_lock import Frozen, NotReleasable, lock_schemas, release
from events.wire.schema_rules import check
from events.wire.schemas import FIRST_ID, FOLDER, LOCK, fingerprint, load, read_lock

_REFUSED = "tickets/ticket_refused.v1.avsc"
_SUBJECT = "hotline.tickets-hotline.tickets.TicketRefused"
_SECOND = "tickets/ticket_refused.v2"
_FIELD_IS_A_NUMBER = b'{"type": "record", "name": "A", "namespace": "b", "fields": [3]}'
_ERA_SUBJECTS = {f"hotline.{topic}-hotline.outcomes.EraOpened" for topic in ("outcomes", "tickets", "reference")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "schemas"))


def _edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")


def _leave(folder: Path) -> None:
    """Nothing is done to it."""


def _edit_a_default(schema: dict[str, Any]) -> None:
    """A change that bears on decoding and fits the class."""
    next(one for one in schema["fields"] if one["name"] == "reason_code")["default"] = ""


def _add_second_version(folder: Path) -> None:
    shutil.copy(folder / _REFUSED, folder / f"{_SECOND}.avsc")
    shutil.copy(folder / "examples/tickets/ticket_refused.v1.json", folder / f"examples/{_SECOND}.json")


def _release_and_lock_another(folder: Path) -> None:
    release("v1.0", folder)
    _add_second_version(folder)
    lock_schemas(folder)


def _bytes_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_version_gets_the_next_id_and_a_golden_record_and_leaves_all_others_as_they_were(folder: Path) -> None:
    before, files = read_lock(folder), _bytes_of(folder)
    _add_second_version(folder)

    lock_schemas(folder)

    after = read_lock(folder)
    assert after.last_id == before.last_id + 1
    assert after.subjects[_SUBJECT].keys() == {1, 2}
    assert after.subjects[_SUBJECT][2].id == after.last_id
    assert {**after.subjects, _SUBJECT: before.subjects[_SUBJECT]} == before.subjects
    assert (folder / f"golden/{_SECOND}.hex").read_text()[:10] == f"00{after.last_id:08x}"
    assert {path: value for path, value in _bytes_of(folder).items() if path in files and path.name != LOCK} == {
        path: value for path, value in files.items() if path.name != LOCK
    }
    assert load(folder).latest_of(TicketRefused).version == 2
    assert check(folder) == []


def test_locking_twice_changes_nothing(folder: Path) -> None:
    before = _bytes_of(folder)

    assert lock_schemas(folder) == []
    assert _bytes_of(folder) == before


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(folder: Path) -> None:
    _add_second_version(folder)
    before = _bytes_of(folder)

    said = lock_schemas(folder, write=False)

    assert said == [f"{_SUBJECT} version 2: id {read_lock(folder).last_id + 1}", f"golden/{_SECOND}.hex: written"]
    assert _bytes_of(folder) == before


def test_an_edited_version_that_is_not_released_gets_another_id_and_its_old_records_are_unknown(folder: Path) -> None:
    old_value = bytes.fromhex((folder / "golden/tickets/ticket_refused.v1.hex").read_text())
    old_id = read_lock(folder).subjects[_SUBJECT][1].id
    _edit(folder / _REFUSED, _edit_a_default)

    lock_schemas(folder)

    new_id = read_lock(folder).subjects[_SUBJECT][1].id
    assert new_id == read_lock(folder).last_id > old_id
    assert check(folder) == []
    with pytest.raises(UnknownSchema) as unknown:
        Codec(load(folder)).decode(old_value)
    assert unknown.value.schema_id == old_id


def test_an_id_is_not_given_again_when_its_version_was_withdrawn(folder: Path) -> None:
    _add_second_version(folder)
    lock_schemas(folder)
    withdrawn_id = read_lock(folder).last_id
    (folder / f"{_SECOND}.avsc").unlink()
    (folder / f"examples/{_SECOND}.json").unlink()
    assert any("hotline schemas lock withdraws it" in line for line in check(folder))

    said = lock_schemas(folder)

    assert f"{_SUBJECT} version 2: withdrawn, and id {withdrawn_id} is never given again" in said
    assert check(folder) == []
    _add_second_version(folder)
    lock_schemas(folder)
    assert read_lock(folder).subjects[_SUBJECT][2].id == withdrawn_id + 1


def _lower_last_id(folder: Path) -> None:
    _edit(folder / LOCK, lambda lock: lock.update(last_id=FIRST_ID))


def _give_an_id_twice(folder: Path) -> None:
    _edit(folder / LOCK, lambda lock: lock["subjects"][_SUBJECT]["1"].update(id=FIRST_ID))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_lower_last_id, f"last_id is {FIRST_ID}, but 9000000[0-9]{{2}} is given"),
        (_give_an_id_twice, f"{_SUBJECT} version 1: id {FIRST_ID} belongs to another schema, hotline.calls.CallStarted version 1"),
    ],
)
@pytest.mark.parametrize("add", [_leave, _add_second_version])
def test_a_lock_that_contradicts_itself_is_refused_with_and_without_a_new_version(
    folder: Path, add: Callable[[Path], object], spoil: Callable[[Path], object], told: str
) -> None:
    spoil(folder)
    add(folder)
    before = _bytes_of(folder)

    with pytest.raises(BadSchemas, match=told):
        lock_schemas(folder)

    assert _bytes_of(folder) == before


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff\xfe", b'{"type": "record", "name": "A", "namespace": "b"}', _FIELD_IS_A_NUMBER])
def test_a_file_that_is_no_schema_is_told_in_one_line_by_lock_check_release_and_diff(folder: Path, content: bytes) -> None:
    _add_second_version(folder)
    (folder / f"{_SECOND}.avsc").write_bytes(content)
    kind = next(kind for kind in EVENT_TYPES if kind.event is TicketRefused)
    before = _bytes_of(folder)

    with pytest.raises(BadSchemas) as by_lock:
        lock_schemas(folder)
    with pytest.raises(BadSchemas) as by_diff:
        list(differences(kind, folder))
    with pytest.raises(NotReleasable) as by_release:
        release("v1.0", folder)

    assert re.fullmatch(r"ticket_refused\.v2\.avsc: no Avro schema: [^\n]+", str(by_lock.value))
    assert str(by_lock.value) == str(by_diff.value)
    assert str(by_lock.value) in check(folder)
    assert str(by_lock.value) in str(by_release.value).splitlines()
    assert _bytes_of(folder) == before


def test_a_version_whose_example_does_not_fit_gets_its_id_and_no_golden_record(folder: Path) -> None:
    _add_second_version(folder)
    _edit(folder / f"{_SECOND}.avsc", lambda schema: schema["fields"][14].update(type=["null"]))

    said = lock_schemas(folder)

    assert said == [f"{_SUBJECT} version 2: id {read_lock(folder).last_id}"]
    assert any("a union is null and one type" in line for line in check(folder))


def test_one_schema_under_several_subjects_is_locked_under_one_id(folder: Path) -> None:
    _edit(folder / "outcomes/era_opened.v1.avsc", lambda schema: schema["fields"][6].update(order="ignore"))

    said = lock_schemas(folder)

    lock = read_lock(folder)
    assert {line.split()[0] for line in said if line.startswith("hotline.")} == _ERA_SUBJECTS
    assert {lock.subjects[name][1].id for name in _ERA_SUBJECTS} == {lock.last_id}


def test_a_release_freezes_every_version_that_none_has_yet(folder: Path) -> None:
    said = release("v1.0", folder)

    lock = read_lock(folder)
    assert len(said) == sum(len(versions) for versions in lock.subjects.values())
    assert {entry.released for versions in lock.subjects.values() for entry in versions.values()} == {"v1.0"}
    assert check(folder) == []
    assert release("v1.1", folder) == []


def test_a_later_release_takes_only_what_is_new(folder: Path) -> None:
    release("v1.0", folder)
    _add_second_version(folder)
    lock_schemas(folder)

    said = release("v1.1", folder)

    assert said == [f"{_SUBJECT} version 2: released with v1.1, frozen from now on"]
    assert {number: entry.released for number, entry in read_lock(folder).subjects[_SUBJECT].items()} == {1: "v1.0", 2: "v1.1"}


def test_a_release_that_is_only_tried_writes_nothing(folder: Path) -> None:
    before = _bytes_of(folder)

    assert len(release("v1.0", folder, write=False)) > 30
    assert _bytes_of(folder) == before


@pytest.mark.parametrize(
    ("spoil", "tag", "reason"),
    [
        (_leave, "v 1", "a tag is letters"),
        (_leave, "", "a tag is letters"),
        (lambda folder: _edit(folder / _REFUSED, _edit_a_default), "v1.0", "ticket_refused.v1.avsc is not what lock.json holds"),
        (_release_and_lock_another, "v1.0", "v1.0 is released already"),
    ],
)
def test_a_release_is_refused_for_a_bad_tag_a_second_time_and_while_anything_is_wrong(
    folder: Path, spoil: Callable[[Path], object], tag: str, reason: str
) -> None:
    spoil(folder)
    before = _bytes_of(folder)

    with pytest.raises(NotReleasable, match=reason):
        release(tag, folder)

    assert _bytes_of(folder) == before


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: _edit(folder / _REFUSED, _edit_a_default), r"ticket_refused.v1.avsc was released with v1.0 and is frozen"),
        (lambda folder: (folder / _REFUSED).unlink(), f"{_SUBJECT} version 1 was released with v1.0 and has no file: restore it"),
    ],
)
def test_a_released_version_that_is_edited_or_gone_stops_lock_and_check(folder: Path, spoil: Callable[[Path], object], reason: str) -> None:
    release("v1.0", folder)
    spoil(folder)
    _add_something_else(folder)
    before = _bytes_of(folder)

    with pytest.raises(Frozen, match=reason):
        lock_schemas(folder)

    assert _bytes_of(folder) == before
    assert any("released with v1.0" in line for line in check(folder))


def _add_something_else(folder: Path) -> None:
    shutil.copy(folder / "calls/call_ended.v1.avsc", folder / "calls/call_ended.v2.avsc")


def test_the_golden_record_of_a_released_version_is_never_written_again(folder: Path) -> None:
    release("v1.0", folder)
    golden = folder / "golden/tickets/ticket_refused.v1.hex"
    golden.unlink()

    assert lock_schemas(folder) == []
    assert check(folder) == ["golden/tickets/ticket_refused.v1.hex is missing: restore it and its example as v1.0 has them"]


def test_better_words_are_free_even_after_a_release(folder: Path) -> None:
    release("v1.0", folder)
    _edit(folder / _REFUSED, lambda schema: schema.update(doc="The hotline said no, and why."))

    assert lock_schemas(folder) == []
    assert check(folder) == []


def _git(root: Path, *words: str) -> str | None:
    """What git says in `root`; None where there is no git, no repository, or nothing of that name."""
    try:
        told = subprocess.run(("git", "-C", str(root), *words), capture_output=True, timeout=30, check=False)
    except FileNotFoundError:
        return None
    return told.stdout.decode() if told.returncode == 0 else None


def _tags(root: Path) -> list[str]:
    return [tag for tag in (_git(root, "tag", "--list") or "").split() if _git(root, "cat-file", "-e", f"{tag}:schemas/{LOCK}") is not None]


def _broken_promises(root: Path) -> list[str]:
    """What the schemas in `root` no longer hold of what the tags there have: locked ids, schemas, examples, golden records."""
    now = json.loads((root / "schemas" / LOCK).read_text("utf-8"))["subjects"]
    found = []
    for tag in _tags(root):
        for name, versions in json.loads(_git(root, "show", f"{tag}:schemas/{LOCK}") or "")["subjects"].items():
            for number, entry in versions.items():
                today = now.get(name, {}).get(number, {})
                if any(today.get(key) != entry[key] for key in ("id", "fingerprint")):
                    found.append(f"{tag}: {name} version {number} is gone or another one")
                elif "released" not in today:
                    found.append(f"{tag}: {name} version {number} is in the tag and not released")
        for path in (_git(root, "diff", "--no-renames", "--diff-filter=MDT", "--name-only", tag, "--", "schemas") or "").splitlines():
            if not _is_same(_git(root, "show", f"{tag}:{path}") or "", root / path):
                found.append(f"{tag}: {path} is gone or another one")
    return found


_AS_NOBODY = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")
_SAME_AS: dict[str, Callable[[str], object]] = {".avsc": lambda text: fingerprint(json.loads(text)), ".json": json.loads, ".hex": str}


def _is_same(then: str, today: Path) -> bool:
    """Whether a file of today says what it said `then`; the lock is looked at entry by entry, and what is no record of old may change."""
    read = _SAME_AS.get(today.suffix)
    return read is None or today.name == LOCK or (today.exists() and read(then) == read(today.read_text("utf-8")))


def _in_lock(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda lock: change(lock["subjects"][_SUBJECT]["1"])


def test_what_a_tag_has_is_what_we_have_today() -> None:
    root = FOLDER.parent
    if not _tags(root):
        pytest.skip("no tag of a release here")

    assert _broken_promises(root) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_leave, None),
        (_add_second_version, None),
        (lambda folder: _edit(folder / _REFUSED, lambda schema: schema.update(doc="Said better.")), None),
        (lambda folder: _edit(folder / _REFUSED, _edit_a_default), "v1.0: schemas/tickets/ticket_refused.v1.avsc is gone"),
        (lambda folder: (folder / "golden/tickets/ticket_refused.v1.hex").write_text("00"), "v1.0: schemas/golden/tickets"),
        (lambda folder: (folder / "examples/tickets/ticket_refused.v1.json").write_text("{}"), "v1.0: schemas/examples/tickets"),
        (
            lambda folder: _edit(folder / LOCK, _in_lock(lambda entry: entry.update(id=1))),
            f"v1.0: {_SUBJECT} version 1 is gone",
        ),
        (
            lambda folder: _edit(folder / LOCK, _in_lock(lambda entry: entry.pop("released"))),
            "is in the tag and not released",
        ),
    ],
)
def test_what_changed_since_a_tag_is_noticed(folder: Path, spoil: Callable[[Path], object], told: str | None) -> None:
    root = folder.parent
    if _git(root, "init") is None:
        pytest.skip("no git here")
    release("v1.0", folder)
    _git(root, "add", "schemas")
    assert _git(root, *_AS_NOBODY, "commit", "-m", "Release") is not None
    assert _git(root, *_AS_NOBODY, "tag", "v1.0") is not None
    spoil(folder)

    found = _broken_promises(root)

    assert bool(found) == (told is not None), found
    assert all(str(told) in line for line in found[:1])


def test_a_release_and_a_lock_from_the_command_line_can_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    before = (FOLDER / LOCK).read_bytes()

    assert exit_code(["schemas", "lock", "--dry-run"]) == 0
    assert exit_code(["schemas", "release", "v0.0-tried", "--dry-run"]) == 0
    assert exit_code(["schemas", "release", "no tag", "--dry-run"]) == 1

    assert "a tag is letters" in capsys.readouterr().err
    assert (FOLDER / LOCK).read_bytes() == before


def test_the_difference_of_two_versions_is_told_with_what_breaks(folder: Path) -> None:
    kind = next(kind for kind in EVENT_TYPES if kind.event is TicketRefused)
    _add_second_version(folder)
    _edit(folder / f"{_SECOND}.avsc", lambda schema: schema["fields"].append({"name": "mood", "type": "string", "default": ""}))
    _edit(folder / f"{_SECOND}.avsc", lambda schema: schema["fields"].pop(14))
    _edit(folder / _REFUSED, lambda schema: schema["fields"][15].update(default=""))

    told = list(differences(kind, folder))

    assert [(one["from"], one["to"], one["path"], one["breaks"]) for one in told] == [
        (None, 1, "", False),
        (1, 2, "reason_code", True),
        (1, 2, "appeal_route", True),
        (1, 2, "mood", False),
    ]
    assert "hotline schemas lock" in told[0]["reason"]


def test_differences_of_an_event_that_there_is_not_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["schemas", "diff", "TicketLost"]) == 2
    assert exit_code(["schemas", "diff", "hotline.tickets.TicketRefused", "--json"]) == 0
    assert exit_code(["schemas", "diff", "TicketRefused"]) == 0

    assert capsys.readouterr().out == '{"differences": []}\nschemas: no change\n'
