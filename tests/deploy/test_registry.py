"""Schemas pushed to a registry under the ids of the lock: to small strict registries of both kinds; the real one is in tests/interop."""

import json
from collections.abc import Iterator

import pytest

from deploy.hotline import exit_code
from deploy.parts.jars import locked
from deploy.parts.local import local_registry
from deploy.parts.ports import pick_free
from deploy.parts.registry import LOCK
from deploy.problems import PartAway, PortTaken, Unwilling, WrongUsage
from deploy.registry.asking import Registry
from deploy.registry.pushing import push
from deploy.registry.wanted import END_OF_IDS, wanted_versions
from events.settings import Settings
from events.wire.schemas import read_lock
from tests.deploy.registries import ApicurioStandin, ConfluentStandin, Standin, serving

OURS = wanted_versions()
ONE = next(one for one in OURS if one.subject == "hotline.tickets-hotline.tickets.TicketTaken")
ANOTHER = '{"type":"record","name":"Payment","namespace":"treasury","fields":[{"name":"sum","type":"long"}]}'


@pytest.fixture(params=[ApicurioStandin, ConfluentStandin])
def registry(request: pytest.FixtureRequest) -> Standin:
    made: Standin = request.param()
    return made


@pytest.fixture
def address(registry: Standin) -> Iterator[str]:
    with serving(registry) as where:
        yield where


def test_every_version_of_the_lock_and_the_mark_behind_them_are_wanted() -> None:
    locked_ids = {(s, v): entry.id for s, versions in read_lock().subjects.items() for v, entry in versions.items()}

    assert {(one.subject, one.version): one.id for one in OURS if one != END_OF_IDS} == locked_ids
    assert max(locked_ids.values()) < END_OF_IDS.id


def test_each_version_is_there_under_its_own_id_and_a_second_push_writes_nothing(registry: Standin, address: str) -> None:
    first = push(address)
    written = len(registry.writes)
    second = push(address)

    assert {(s, v): n for s, versions in registry.subjects.items() for v, n in versions.items()} == {
        (one.subject, one.version): one.id for one in OURS
    }
    assert all(one.is_same(registry.schemas[one.id]) for one in OURS)
    assert (first.pushed, first.there, second.pushed, second.there) == (OURS, [], [], OURS)
    assert len(registry.writes) == written


def test_the_next_schema_of_somebody_else_gets_an_id_behind_ours(registry: Standin, address: str) -> None:
    push(address)

    assert registry.register("treasury.payments-value", ANOTHER) == END_OF_IDS.id + 1


def test_only_what_is_missing_is_brought(registry: Standin, address: str) -> None:
    for one in OURS:
        if one.subject != ONE.subject:
            registry.holds(one.subject, one.version, one.id, one.text)

    assert push(address).pushed == [ONE]


def test_words_that_were_mended_since_are_no_other_schema(registry: Standin, address: str) -> None:
    registry.holds(ONE.subject, ONE.version, ONE.id, json.dumps({**ONE.schema, "doc": "An older wording."}))

    assert ONE in push(address).there


@pytest.mark.parametrize(
    ("subject", "version", "number", "text", "named"),
    [
        ("treasury.payments-value", 1, ONE.id, ANOTHER, f"id {ONE.id} is that of another schema there, and of {ONE} here"),
        (ONE.subject, ONE.version, 17, ANOTHER, f"{ONE} is another schema there, with the id 17"),
        (ONE.subject, ONE.version, 17, ONE.text, f"{ONE} has the id 17 there, and {ONE.id} here"),
    ],
    ids=["our id", "our version", "our schema by hand"],
)
def test_a_collision_is_named_and_nothing_is_written(
    registry: Standin, address: str, subject: str, version: int, number: int, text: str, named: str
) -> None:
    registry.holds(subject, version, number, text)

    done = push(address)

    assert done.collisions == [named]
    assert done.pushed == []
    assert registry.writes == []


def test_modes_are_as_before_after_a_push() -> None:
    registry = ConfluentStandin()
    registry.modes = {ONE.subject: "READONLY", END_OF_IDS.subject: "IMPORT"}  # the second: what a push that was killed left behind

    with serving(registry) as address:
        push(address)

    assert registry.modes == {ONE.subject: "READONLY"}


def test_a_registry_that_gives_ids_of_its_own_gets_no_second_schema() -> None:
    registry = ConfluentStandin(minds_ids=False)

    with serving(registry) as address, pytest.raises(Unwilling, match=r"the id 1, ours is 9\d{8}"):
        push(address)

    assert len(registry.schemas) == 1
    assert registry.modes == {}


def test_a_server_that_cannot_keep_ids_is_refused_before_anything_is_written() -> None:
    registry = ConfluentStandin(has_modes=False)

    with serving(registry) as address, pytest.raises(Unwilling, match="can't keep our ids"):
        push(address)

    assert registry.writes == []


def test_a_content_that_has_another_id_already_stops_the_push_before_a_version_is_made() -> None:
    registry = ApicurioStandin()
    registry.holds("treasury.copied-value", 1, 17, ONE.text)

    with serving(registry) as address, pytest.raises(Unwilling, match=f"that of {ONE} under another"):
        push(address)

    assert registry.subjects == {"treasury.copied-value": {1: 17}}


def test_what_the_registry_did_not_take_is_told() -> None:
    class Forgetful(ApicurioStandin):
        def holds(self, subject: str, version: int, number: int, text: str) -> None:
            if subject != ONE.subject:
                super().holds(subject, version, number, text)

    with serving(Forgetful()) as address, pytest.raises(Unwilling, match=f"otherwise than told: {ONE} is not there"):
        push(address)


def test_the_command_says_what_it_would_do_and_then_does_it(registry: Standin, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["schemas", "push", address, "--dry-run", "--json"]) == 0
    predicted = json.loads(capsys.readouterr().out)
    assert registry.writes == []
    assert exit_code(["schemas", "push", address]) == 0
    said = capsys.readouterr().out.splitlines()

    assert predicted["pushed"] == [{"subject": one.subject, "version": one.version, "id": one.id} for one in OURS]
    assert said == [*(f"pushed: {one} as {one.id}" for one in OURS), f"{predicted['registry']}: {len(OURS)} pushed, 0 there already"]


def test_exit_codes_tell_a_collision_from_a_registry_that_is_away(
    registry: Standin, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.holds(ONE.subject, ONE.version, 17, ANOTHER)

    assert exit_code(["schemas", "push", address, "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["collisions"]) == 1
    assert exit_code(["schemas", "push", address]) == 1
    assert exit_code(["schemas", "push", f"http://127.0.0.1:{pick_free(1)}"]) == 3
    assert exit_code(["schemas", "push", "registry:18085"]) == 2


def test_user_and_password_are_sent_and_never_shown(registry: Standin, address: str) -> None:
    named = address.replace("http://", "http://desk:s3cret@")
    Registry(named).schema(ONE.id)

    assert registry.headers["authorization"] == "Basic ZGVzazpzM2NyZXQ="
    assert Registry(named).shown == address
    with pytest.raises(PartAway) as away:
        push(f"http://desk:s3cret@127.0.0.1:{pick_free(1)}")
    assert "s3cret" not in str(away.value)
    with pytest.raises(WrongUsage):
        Registry("desk:s3cret@127.0.0.1")


def test_a_registry_in_the_settings_takes_the_place_of_a_local_one() -> None:
    named = Settings.model_validate({"registry": "https://desk:s3cret@registry.example/apis/ccompat/v7"})

    assert Settings(registry_port=20001).registry_address == "http://127.0.0.1:20001/apis/ccompat/v7"
    assert named.registry_address == "https://desk:s3cret@registry.example/apis/ccompat/v7"
    assert "s3cret" not in str(named.shown())
    with pytest.raises(Unwilling, match="schemas push"):
        local_registry(named)
    with pytest.raises(Unwilling, match="HOTLINE_REGISTRY"):
        local_registry(Settings.model_validate({"database_url": "postgresql://a/b", "vault_url": "postgresql://a/c"}))


def test_the_local_one_says_which_port_is_taken(registry: Standin, address: str) -> None:
    port = int(address.removesuffix(registry.prefix).rsplit(":", 1)[1])
    (part,), _ = local_registry(Settings(registry_port=port))

    with pytest.raises(PortTaken, match="HOTLINE_REGISTRY_PORT"):
        part.check_ports()


def test_the_lock_of_the_local_one_names_an_archive_and_no_host() -> None:
    (archive,) = locked(LOCK)

    assert archive.path == "io/apicurio/apicurio-registry-app/3.3.3/apicurio-registry-app-3.3.3-all.tar.gz"
    assert len(archive.sha256) == 64
