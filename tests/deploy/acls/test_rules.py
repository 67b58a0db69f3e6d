"""Rules as code: what comes of the list of clients, what differs from the rules there are, and what a list may not say."""

from pathlib import Path

import pytest

from deploy.acls.authorizer import _holes
from deploy.acls.clients import read_clients
from deploy.acls.kinds import KINDS
from deploy.acls.rules import Rule, differences, rules_of
from deploy.problems import WrongUsage
from events.wire import schemas

CLIENTS = read_clients()
WANTED = rules_of(CLIENTS, schemas.topics())


def _said(kind: str, rule: Rule) -> list[tuple[str, Rule]]:
    return [(kind, rule)]


def _differ(*there: Rule) -> list[tuple[str, Rule]]:
    return [(change.kind, change.rule) for change in differences(WANTED, {*WANTED, *there}, CLIENTS)]


def test_kinds_and_topics_name_each_other() -> None:
    named = {kind for topic in schemas.topics().values() for kind in (*topic.written_by, *topic.read_by)}

    assert named <= {kind.name for kind in KINDS}
    assert {kind.name for kind in KINDS} - named == {"api"}


def test_no_rule_speaks_of_transactions_or_lets_anybody_delete_or_do_all() -> None:
    assert {rule.resource for rule in WANTED} == {"topic", "group", "cluster"}
    assert {rule.operation for rule in WANTED}.isdisjoint({"DELETE", "ALL", "IDEMPOTENT_WRITE", "CLUSTER_ACTION"})
    assert [rule.principal for rule in WANTED if rule.operation == "ALTER"] == ["User:hotline-admin"]


def test_a_rule_that_is_not_there_is_missing() -> None:
    rule = Rule("User:hotline-adapter", "topic", "hotline.contacts", False, "WRITE")

    found = differences(WANTED, WANTED - {rule}, CLIENTS)

    assert [(change.kind, change.text) for change in found] == [
        ("missing", "missing: User:hotline-adapter may WRITE topic hotline.contacts")
    ]


@pytest.mark.parametrize(
    "rule",
    [
        Rule("User:stranger", "topic", "hotline.tickets", False, "READ"),
        Rule("User:stranger", "topic", "hot", True, "READ"),
        Rule("User:stranger", "topic", "hotline.tickets-copy", True, "WRITE"),
        Rule("User:stranger", "topic", "*", False, "ALL"),
        Rule("User:stranger", "group", "hotline.desk", False, "READ"),
        Rule("User:stranger", "group", "service-statistics.monthly", False, "READ"),
        Rule("User:*", "transactional_id", "*", False, "WRITE"),
        Rule("User:hotline-relay", "transactional_id", "relay", False, "WRITE"),
        Rule("User:hotline-relay", "topic", "hotline.tickets", False, "WRITE", allows=False),
        Rule("User:hotline-relay", "topic", "hotline.tickets", False, "WRITE", host="10.0.0.7"),
        Rule("User:service-statistics", "topic", "elsewhere", False, "READ"),
    ],
)
def test_a_rule_beyond_them_that_bears_on_us_is_surplus_whoever_has_it(rule: Rule) -> None:
    assert _differ(rule) == _said("surplus", rule)


@pytest.mark.parametrize(
    "rule",
    [
        Rule("User:stranger", "topic", "elsewhere", False, "WRITE"),
        Rule("User:stranger", "topic", "hotlines", True, "READ"),
        Rule("User:stranger", "group", "elsewhere.", True, "READ"),
        Rule("User:stranger", "transactional_id", "elsewhere", False, "WRITE"),
        Rule("User:platform", "cluster", "kafka-cluster", False, "ALTER"),
    ],
)
def test_a_stranger_s_rules_on_what_is_not_ours_are_left_alone(rule: Rule) -> None:
    assert _differ(rule) == []


def test_a_denial_says_that_it_is_one() -> None:
    rule = Rule("User:hotline-relay", "group", "hotline.", True, "READ", allows=False, host="10.0.0.7")

    assert rule.text == "User:hotline-relay may not READ group hotline.… from 10.0.0.7"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('[clients.Bureau]\nkind = "auditor"', "Bureau: a name is lower-case letters"),
        ('[clients."a.b"]\nkind = "auditor"', "a.b: a name is lower-case letters"),
        ('[clients.bureau]\nkind = "clerk"', "bureau: kind 'clerk' is not one of adapter, "),
        ("[clients.bureau]\ntopics = []", "bureau: kind None is not one of adapter, "),
        ('[clients.bureau]\nkind = "data-team"', "bureau: a data-team must name its topics"),
        ('[clients.bureau]\nkind = "data-team"\ntopics = "hotline.tickets"', "bureau: topics is a list of names"),
        ('[clients.bureau]\nkind = "data-team"\ntopics = ["hotline.ticket"]', "bureau: there is no topic hotline.ticket"),
        ('[clients.bureau]\nkind = "data-team"\ntopics = ["hotline.commands"]', "bureau: hotline.commands is not open to data teams"),
        ('[clients.hotline]\nkind = "data-team"\ntopics = ["hotline.tickets"]', "hotline: that name is ours"),
        ('[clients.bureau]\nkind = "desk"\ntopics = ["hotline.tickets"]', "bureau: only a data-team chooses its topics"),
        ('[clients.bureau]\nkind = "desk"\nhost = "10.0.0.7"', "bureau: `kind` and `topics` are all that may be said"),
        ("clients = 7", "one table `clients` is wanted, nothing else"),
        ("[client.bureau]", "one table `clients` is wanted, nothing else"),
        ("[clients", "Expected"),
    ],
)
def test_a_list_of_clients_that_contradicts_the_contract_is_refused_with_the_entry_and_the_rule(
    tmp_path: Path, entry: str, said: str
) -> None:
    path = tmp_path / "clients.toml"
    path.write_text(entry, "utf-8")

    with pytest.raises(WrongUsage) as refused:
        read_clients(path)

    assert said in str(refused.value)


def test_everything_wrong_in_a_list_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    path.write_text('[clients.a]\nkind = "clerk"\n[clients.b]\nkind = "data-team"\n', "utf-8")

    with pytest.raises(WrongUsage, match=r": a: kind 'clerk'.*: b: a data-team must"):
        read_clients(path)


def test_what_makes_rules_worth_nothing_is_told() -> None:
    guarded = {"authorizer.class.name": "A", "listeners": "CLIENTS://:9092,CONTROLLER://:9093", "controller.listener.names": "CONTROLLER"}
    spoken = {"listener.security.protocol.map": "CLIENTS:SASL_SSL,CONTROLLER:PLAINTEXT"}

    assert list(_holes({**guarded, **spoken})) == []
    assert [hole.split(" ")[0] for hole in _holes({"listeners": "PLAINTEXT://:9092"})] == ["has", "listens"]
    assert [hole[:14] for hole in _holes({**guarded, "allow.everyone.if.no.acl.found": "true", **spoken})] == ["lets everybody"]
    assert list(_holes({**guarded, "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SSL"})) == [
        "listens in clear at :9092 (CLIENTS)"
    ]
