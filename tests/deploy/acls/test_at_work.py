"""Our own processes and commands on a guarded Kafka, each as the client of its kind."""

import json
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from consumers import project, relay
from consumers.desk import desk
from deploy.acls.authorizer import Authorizer
from deploy.acls.clients import read_clients
from deploy.acls.rules import Change, Rule
from deploy.administrator import Administrator
from deploy.commands.kafka import acls, topics
from deploy.doctor.context import Context
from deploy.doctor.examination import BEFORE_A_PROCESS, before, examine
from deploy.hotline import exit_code
from deploy.problems import PartAway
from deploy.processes import units_of
from deploy.topics import planned
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.kafka import Kafka
from events.wire.publisher import OutcomeUnknown, Publisher
from tests.consumers.facts import request
from tests.deploy.acls.guarded import PASSWORD, ROOT, GuardedKafka
from tests.deploy.acls.tries import ANSWER_S, YES, asked, to_get_in
from tests.waiting import until

pytestmark = pytest.mark.parts
HUNG_UP = {"_TRANSPORT", "_ALL_BROKERS_DOWN"}  # by the one broker there is
STRAY = Rule("User:stranger", "topic", "hotline.tickets", False, "WRITE")
LOST = Rule("User:hotline-adapter", "topic", "hotline.contacts", False, "WRITE")


@pytest.fixture
def as_admin(kafka: GuardedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run as the administrator by password."""
    for name, value in kafka.settings_of("hotline-admin").environment().items():
        if name.startswith("HOTLINE_KAFKA") and name != "HOTLINE_KAFKA_PORT":
            monkeypatch.setenv(name, value)


@contextmanager
def _running(run: Callable[[Settings, threading.Event], None], settings: Settings) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(settings, stop), name=f"{run.__module__}")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(ANSWER_S)
        assert not thread.is_alive()


def test_a_fact_becomes_a_ticket_while_every_process_is_a_client_of_its_own(kafka: GuardedKafka, database: str, tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text(secrets.token_hex(32))
    named = {"home": tmp_path, "database_url": database, "vault_url": database}
    fact = request(f"guarded-{secrets.token_hex(4)}")
    publisher = Publisher(kafka.settings_of("hotline-adapter").kafka_access, load_codec(), "/tests")

    place = publisher.submit(fact).result(ANSWER_S)
    publisher.close()
    with (
        _running(desk.run, kafka.settings_of("hotline-desk", **named)),
        _running(relay.run, kafka.settings_of("hotline-relay", **named)),
        _running(project.run_all, kafka.settings_of("hotline-projector", **named)),
        psycopg.connect(database, autocommit=True) as db,
    ):
        until(lambda: db.execute("SELECT to_regclass('ticket_status')").fetchone() != (None,), 40)
        status = "SELECT status FROM ticket_status WHERE contact_id = %s"
        found = until(lambda: db.execute(status, [fact.contact_id]).fetchone(), 40)

    assert place.topic == "hotline.contacts"
    assert found == ("registered",)


@pytest.mark.parametrize("process", ["intake", "desk", "relay", "projectors", "drift", "api"])
def test_each_process_can_look_for_hazards_before_it_starts(kafka: GuardedKafka, process: str, database: str) -> None:
    settings = kafka.settings_of(f"hotline-{process.removesuffix('s')}", database_url=database, vault_url=database)

    result = examine(Context(settings, ask_limit_s=ANSWER_S), before(units_of([process])))

    assert (list(result.findings), list(result.unreachable)) == ([], [])


def test_a_client_of_another_kind_is_answered_and_not_left_to_wait(kafka: GuardedKafka) -> None:
    publisher = Publisher(kafka.settings_of("hotline-projector").kafka_access, load_codec(), "/tests")

    for _ in range(2):  # the second record meets a new producer
        with pytest.raises(OutcomeUnknown):
            publisher.submit(request("guarded-no")).result(ANSWER_S)
    assert publisher.close() == 0


def test_nobody_gets_in_without_the_password_in_clear_or_past_the_certificate(kafka: GuardedKafka, tmp_path: Path) -> None:
    way = kafka.by_password("hotline-desk")
    of_others = type(kafka.certificates)(tmp_path)

    assert to_get_in(way) == YES
    assert to_get_in(kafka.by_password("hotline-desk", "a guess")) == "_AUTHENTICATION"
    assert to_get_in(Kafka(way.address)) in HUNG_UP
    assert to_get_in(Kafka(way.address, way.ca_file)) in HUNG_UP
    assert to_get_in(Kafka(way.address, of_others.ca, way.user, way.password)) == "_SSL"
    assert to_get_in(kafka.by_certificate(*of_others.make(ROOT))) in {*HUNG_UP, "_SSL"}  # TLS 1.3 tells of it after the greeting


@pytest.mark.parametrize(
    ("password", "trusts", "said"),
    [
        ("a guess", "ours", "does not let us in: HOTLINE_KAFKA_USER or its password is wrong"),
        (PASSWORD, "others", "and we do not trust each other: look at HOTLINE_KAFKA_CA_FILE and our certificate, if any"),
    ],
)
def test_a_wrong_password_and_an_unknown_authority_are_one_line_each(
    kafka: GuardedKafka, tmp_path: Path, password: str, trusts: str, said: str
) -> None:
    authorities = {"ours": kafka.certificates.ca, "others": type(kafka.certificates)(tmp_path).ca}
    way = replace(kafka.by_password("hotline-admin", password), ca_file=authorities[trusts])
    administrator = Administrator(way)

    def line() -> str | None:
        with pytest.raises(PartAway) as away:
            administrator.ask(lambda: administrator.client.list_topics(timeout=0.5))
        return None if str(away.value).endswith("does not answer") else str(away.value)

    assert until(line, ANSWER_S) == f"Kafka at {way} {said}"


def test_a_file_that_holds_no_certificate_is_one_line(kafka: GuardedKafka, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("of no authority\n", "utf-8")
    way = replace(kafka.by_password("hotline-admin"), ca_file=tmp_path / "ca.pem")

    with pytest.raises(PartAway, match=r"can't be asked: .*ssl\.ca\.location failed"):
        planned(way)
    assert len(examine(Context(kafka.settings_of("hotline-admin", kafka_ca_file=way.ca_file)), BEFORE_A_PROCESS).unreachable) == 1


def test_a_client_may_prove_itself_by_certificate_instead(kafka: GuardedKafka) -> None:
    admin = kafka.by_certificate(*kafka.certificates.make("hotline-admin"))

    assert planned(admin) == []
    with pytest.raises(PartAway, match="refuses: only who may DESCRIBE the cluster sees its rules"):
        Authorizer(kafka.by_certificate(*kafka.certificates.make("hotline-desk"))).rules()


@pytest.mark.usefixtures("as_admin")
def test_plan_and_check_show_nothing_where_all_is_as_wanted() -> None:
    for words in (["acls", "plan"], ["acls", "check"], ["topics", "plan"], ["topics", "check"]):
        assert exit_code(words) == 0


@pytest.mark.usefixtures("as_admin")
def test_apply_adds_what_is_missing_and_removes_what_is_surplus_only_when_told(kafka: GuardedKafka) -> None:
    authorizer, run = Authorizer(kafka.root), CliRunner().invoke
    authorizer.apply([Change("surplus", LOST), Change("missing", STRAY)])
    try:
        plan = run(acls.COMMAND, ["plan", "--json"], standalone_mode=False)
        dry = run(acls.COMMAND, ["apply", "--prune", "--dry-run"], standalone_mode=False)
        between = authorizer.rules()
        run(acls.COMMAND, ["apply"], standalone_mode=False)
        after = authorizer.rules()
        pruned = run(acls.COMMAND, ["apply", "--prune"], standalone_mode=False)
    finally:
        authorizer.apply([Change("surplus", STRAY), Change("missing", LOST)])

    assert plan.return_value == 1
    assert [change["kind"] for change in json.loads(plan.output)["changes"]] == ["missing", "surplus"]
    assert dry.output.splitlines() == [f"missing: {LOST.text}", f"surplus: {STRAY.text}"]
    assert (LOST in between, STRAY in between) == (False, True)
    assert (LOST in after, STRAY in after) == (True, True)
    assert pruned.output.splitlines() == [f"surplus: {STRAY.text}"]
    assert exit_code(["acls", "plan"]) == 0


@pytest.mark.usefixtures("as_admin")
def test_a_team_that_left_the_list_loses_its_topics(kafka: GuardedKafka, tmp_path: Path) -> None:
    (tmp_path / "clients.toml").write_text('[clients.hotline-admin]\nkind = "admin"\n', "utf-8")

    shown = CliRunner().invoke(acls.COMMAND, ["plan", "--clients", str(tmp_path / "clients.toml"), "--json"], standalone_mode=False)

    surplus = {change["rule"]["principal"] for change in json.loads(shown.output)["changes"] if change["kind"] == "surplus"}
    assert surplus == {client.principal for client in read_clients()} - {"User:hotline-admin"}


@pytest.mark.usefixtures("as_admin")
def test_a_topic_of_our_name_that_nobody_wants_is_found_by_check_alone(kafka: GuardedKafka) -> None:
    def stranger() -> str | None:
        shown = CliRunner().invoke(topics.COMMAND, ["check"], standalone_mode=False).output
        return shown if "stranger" in shown else None

    assert asked(kafka.root).to_make("hotline.ticket") == YES
    try:
        shown = until(stranger, ANSWER_S)
        assert shown == "stranger hotline.ticket: schemas/topics.toml does not know it\n"
        assert exit_code(["topics", "check"]) == 1
        assert exit_code(["topics", "plan"]) == 0
    finally:
        asked(kafka.root).rid_of("hotline.ticket")


def test_check_tells_of_a_kafka_that_guards_nothing(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)

    shown = CliRunner().invoke(acls.COMMAND, ["check", "--json"], standalone_mode=False)

    assert shown.return_value == 1
    told = json.loads(shown.output)
    assert told["holes"][0].startswith("broker 1 has no authorizer")
    assert {change["kind"] for change in told["changes"]} == {"missing"}


def test_a_kafka_without_an_authorizer_is_told_before_the_rules_and_takes_none(
    stack: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)

    assert exit_code(["acls", "plan"]) == 1
    planned_first = capsys.readouterr().out.splitlines()[0]
    assert exit_code(["acls", "apply"]) == 1

    unguarded = "broker 1 has no authorizer (authorizer.class.name): everybody may do everything"
    assert planned_first == unguarded
    assert capsys.readouterr().err == f"hotline: {unguarded}\n"


@pytest.mark.parametrize(
    "words", [["acls", "plan"], ["acls", "apply"], ["topics", "plan"], ["tail", "tickets"], ["publish", "phone", "CALLS"]]
)
def test_a_command_given_a_file_without_certificates_says_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls, authority = tmp_path / "calls.jsonl", tmp_path / "ca.pem"
    calls.write_text("", "utf-8")
    authority.write_text("of no authority\n", "utf-8")
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path))
    monkeypatch.setenv("HOTLINE_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("HOTLINE_KAFKA_CA_FILE", str(authority))

    code = exit_code([str(calls) if word == "CALLS" else word for word in words])

    assert code == 3
    assert re.fullmatch("hotline: Kafka [^\n]+\n", capsys.readouterr().err)
