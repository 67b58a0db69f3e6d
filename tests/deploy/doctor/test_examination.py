"""The whole examination: silent where nothing is wrong; what is away hides nothing else; a hard hazard keeps us from starting."""

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from deploy.doctor.context import Context
from deploy.doctor.examination import BEFORE_A_STACK, CHECKS, Check, before, examine, require_sound
from deploy.exits import AWAY, DONE, FOUND
from deploy.hotline import exit_code
from deploy.parts.ports import pick_free
from deploy.problems import PartAway, Unwilling
from deploy.processes import units_of
from deploy.stack import start_detached
from events.envelope import FACTS, TICKETS
from events.settings import Settings
from events.wire.publisher import PRODUCER_SETTINGS
from tests.consumers.facts import call_started
from tests.consumers.on_parts import publish
from tests.deploy.doctor.harm import broker_with, topic_with
from tests.waiting import until


def asked(settings: Settings, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    for name, value in settings.environment().items():
        if name.startswith("HOTLINE_"):
            patch.setenv(name, value)
    code = exit_code(list(words))
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part that counts as away hides a hazard; on a busy machine a question may take longer than is waited for."""
    monkeypatch.setattr("deploy.doctor.examination._START_LIMIT_S", 10.0)
    monkeypatch.setattr("deploy.doctor.kafka.SAMPLE_LIMIT_S", 30.0)


def refusal(settings: Settings, checks: Sequence[Check]) -> str:
    """Say why nothing starts on this set-up; empty, if nothing was found or looked at."""
    try:
        require_sound(settings, checks)
    except Unwilling as problem:
        return str(problem)
    return ""


@pytest.mark.parts
def test_sound_set_up_has_nothing_to_say(own: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    publish(own, [call_started(secrets.token_hex(4)) for _ in range(50)])

    result = examine(Context(own))
    code, out, _ = asked(own, monkeypatch, capsys, "doctor")

    assert (list(result.findings), list(result.unreachable)) == ([], [])
    assert (code, out) == (DONE, f"nothing found by {len(CHECKS)} checks\n")


@pytest.mark.parts
def test_command_tells_what_it_found(own: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with topic_with(own, FACTS, "retention.ms", "604800000"):
        code, out, _ = asked(own, monkeypatch, capsys, "doctor", "--json")
        _, text, _ = asked(own, monkeypatch, capsys, "doctor")

    seen = json.loads(out)
    assert code == FOUND
    assert [finding["code"] for finding in seen["findings"]] == ["finite-retention"]
    assert set(seen["findings"][0]) == {"code", "severity", "what", "remedy"}
    assert text.startswith("hard     finite-retention: hotline.contacts has retention.ms 604800000")
    assert "remedy: `hotline topics apply`" in text


def test_what_is_away_is_said_and_the_rest_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = pick_free(5)
    settings = Settings(home=tmp_path, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4)
    monkeypatch.setitem(PRODUCER_SETTINGS, "acks", "1")

    code, out, _ = asked(settings, monkeypatch, capsys, "doctor", "--json")

    seen = json.loads(out)
    assert code == AWAY
    assert [finding["code"] for finding in seen["findings"]] == ["client-setting"]
    assert seen["unreachable"] == [f"Kafka at 127.0.0.1:{port} does not answer", "the database does not answer"]


def test_process_is_not_kept_from_starting_by_a_part_that_is_away(tmp_path: Path) -> None:
    port = pick_free(5)

    require_sound(Settings(home=tmp_path, kafka_port=port, postgres_port=port + 2), before(units_of(["desk", "projectors"])))


@pytest.mark.parts
def test_process_refuses_to_start_on_a_hard_hazard(
    own: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with topic_with(own, FACTS, "cleanup.policy", "compact"):
        code, _, err = asked(own, monkeypatch, capsys, "run", "relay")

    assert code == FOUND
    assert "hotline: will not start on this set-up: hotline.contacts has cleanup.policy compact" in err
    assert "remedy: `hotline topics apply`" in err


@pytest.mark.parts
def test_process_starts_in_spite_of_a_warning(own: Settings) -> None:
    with topic_with(own, FACTS, "max.message.bytes", "1048588"):
        require_sound(own, before(units_of(["relay"])))


@pytest.mark.parts
def test_stack_refuses_to_start_on_a_kafka_that_elects_laggards(own: Settings, tmp_path: Path) -> None:
    there = {"kafka": own.kafka_address, "database_url": own.database, "vault_url": own.vault}
    settings = Settings.model_validate({"home": tmp_path, "intake_port": own.intake_port, "api_port": own.api_port, **there})

    with broker_with(own, "unclean.leader.election.enable", "true"), pytest.raises(PartAway, match=r"unclean.*; remedy: set unclean"):
        start_detached(settings)


@pytest.mark.parts
def test_every_hard_hazard_is_told_at_once(own: Settings) -> None:
    with (
        topic_with(own, FACTS, "retention.ms", "1000"),
        topic_with(own, FACTS, "message.timestamp.type", "CreateTime"),
        pytest.raises(Unwilling, match=r"retention\.ms.*message\.timestamp\.type"),
    ):
        require_sound(own, before(units_of(["relay"])))


@pytest.fixture
def lost(own: Settings, db: psycopg.Connection) -> Iterator[dict[str, str]]:
    """Consumers that go on beyond the end of the log: the desk, what serves ticket status, and a build that serves nobody."""
    places = {"desk_v1": FACTS, "ticket_status_v1": TICKETS, "retention_v1_b2": TICKETS}
    found = Context(own).found
    for consumer, topic in places.items():
        db.execute("INSERT INTO position VALUES (%s, %s, 0, %s, 1, 1000000, 1)", [consumer, topic, found[topic].topic_id])
    db.execute("INSERT INTO read_model_build VALUES ('retention', 1, 2, 'retention_v1_b2', 'following', false)")
    yield places
    db.execute("TRUNCATE position")
    db.execute("DELETE FROM read_model_build WHERE NOT serving")


@pytest.mark.parts
@pytest.mark.parametrize("words", ["intake", "api", "relay", "drift", "projector retention", "intake api"])
def test_position_of_others_keeps_no_process_from_starting(own: Settings, lost: dict[str, str], words: str) -> None:
    require_sound(own, before(units_of(words.split())))


@pytest.mark.parts
@pytest.mark.parametrize(
    ("words", "consumer"),
    [
        ("desk", "desk_v1"),
        ("projectors", "ticket_status_v1"),
        ("projector ticket_status", "ticket_status_v1"),
        ("api projectors", "ticket_status_v1"),
    ],
)
def test_process_refuses_to_go_on_from_a_position_outside_the_log(own: Settings, lost: dict[str, str], words: str, consumer: str) -> None:
    refused = until(lambda: refusal(own, before(units_of(words.split()))))

    assert re.search(f"{consumer} goes on at .* the log ends at .*; remedy: restore the log", refused)
    assert [name for name in lost if f"{name} goes on" in refused] == [consumer]


@pytest.mark.parts
def test_stack_and_parts_start_in_spite_of_a_position_outside_the_log(own: Settings, lost: dict[str, str]) -> None:
    require_sound(own, BEFORE_A_STACK)
