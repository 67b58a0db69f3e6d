"""Every kind of client tries everything on a real broker with an authorizer, SCRAM and TLS: allowed is what this table says, no more."""

import pytest

from deploy.acls.authorizer import Authorizer
from deploy.acls.clients import read_clients
from deploy.acls.rules import Change, Rule
from events.wire import schemas
from tests.deploy.acls import tries
from tests.deploy.acls.guarded import TOPICS, GuardedKafka
from tests.deploy.acls.tries import YES, asked
from tests.waiting import until

pytestmark = pytest.mark.parts

#: r reads it, w writes it, d sees that it is there, s sees its settings, a alters them, x deletes it, p gives it more partitions
MAY = {
    "hotline-adapter": ("wd", "", "", "", "", ""),
    "hotline-operator": ("", "wd", "", "", "", ""),
    "hotline-intake": ("wds", "wds", "ds", "ds", "ds", "ds"),
    "hotline-desk": ("rds", "rds", "rwds", "rwds", "rwds", "ds"),
    "hotline-relay": ("ds", "ds", "wds", "wds", "rds", "wds"),
    "hotline-projector": ("rds", "rds", "rds", "rds", "ds", "ds"),
    "hotline-drift": ("rds", "rds", "rds", "rds", "ds", "ds"),
    "hotline-api": ("ds", "ds", "ds", "ds", "ds", "ds"),
    "hotline-auditor": ("rd", "rd", "rd", "rd", "rd", "rd"),
    "hotline-admin": ("rdsa", "rdsa", "rdsa", "rdsa", "rdsa", "rdsa"),
    "service-statistics": ("", "", "rd", "rd", "rd", ""),
}
#: Groups, and who alone may read in them.
GROUPS = {
    "hotline.desk": {"hotline-desk"},
    "hotline.history": {"hotline-desk", "hotline-relay"},
    "hotline.projector.projectors": {"hotline-projector"},
    "hotline.projector.ticket_status": {"hotline-projector"},
    "hotline.rebuild": {"hotline-projector"},
    "hotline.drift": {"hotline-drift"},
    "hotline.replay": {"hotline-auditor"},
    "hotline.doctor": {"hotline-admin"},
    "hotline.status": {"hotline-admin"},
    "service-statistics.monthly": {"service-statistics"},
    "service-statistics-of-others.monthly": set(),
    "hotline.anything": set(),
    "anything": set(),
}
REFUSED = "TOPIC_AUTHORIZATION_FAILED"
every_client = pytest.mark.parametrize("client", MAY)


def test_the_table_has_every_client_and_every_topic() -> None:
    assert list(MAY) == [client.name for client in read_clients()]
    assert sorted(schemas.topics()) == sorted(TOPICS)


@every_client
def test_each_client_may_do_with_each_topic_what_its_kind_may_and_no_more(kafka: GuardedKafka, client: str) -> None:
    way, group = kafka.by_password(client), next((name for name, members in GROUPS.items() if client in members), "anything")
    as_administrator = asked(way)

    heard = {
        "r": tries.to_read(way, group, TOPICS),
        "w": tries.to_write(way, TOPICS),
        "d": as_administrator.to_describe(TOPICS),
        "s": as_administrator.to_see_settings(TOPICS),
        "a": as_administrator.to_alter(TOPICS),
        "x": as_administrator.to_delete(TOPICS),
        "p": as_administrator.to_add_partitions(TOPICS),
    }

    assert {said for of_topics in heard.values() for said in of_topics.values()} <= {YES, REFUSED}
    assert {topic: "".join(letter for letter in heard if heard[letter][topic] == YES) for topic in TOPICS} == dict(
        zip(TOPICS, MAY[client], strict=True)
    )


@every_client
def test_each_client_reads_in_the_groups_of_its_kind_alone(kafka: GuardedKafka, client: str) -> None:
    way = asked(kafka.by_password(client))
    readable = next((topic for topic, may in zip(TOPICS, MAY[client], strict=True) if "r" in may), TOPICS[0])

    heard = {group: way.to_use_group(group, readable) for group in GROUPS}

    assert heard == {group: YES if client in members else "GROUP_AUTHORIZATION_FAILED" for group, members in GROUPS.items()}


@every_client
def test_nobody_may_use_transactions(kafka: GuardedKafka, client: str) -> None:
    assert tries.in_a_transaction(kafka.by_password(client), client) == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"


@every_client
def test_who_may_write_may_do_so_idempotently_and_nobody_else(kafka: GuardedKafka, client: str) -> None:
    written = next((topic for topic, may in zip(TOPICS, MAY[client], strict=True) if "w" in may), None)
    refusals = {"CLUSTER_AUTHORIZATION_FAILED", REFUSED}  # a topic that it does not see may be refused before idempotence is

    heard = tries.to_write_as_we_do(kafka.by_password(client), written or TOPICS[0])

    assert heard in ({YES} if written else refusals)


@every_client
def test_only_the_administrator_makes_topics_of_our_name_and_nobody_others(kafka: GuardedKafka, client: str) -> None:
    way = asked(kafka.by_password(client))
    may = client == "hotline-admin"

    assert way.to_make("hotline.later") == (YES if may else REFUSED)
    assert way.to_make("elsewhere") == REFUSED
    if may:
        asked(kafka.root).rid_of("hotline.later")


@every_client
def test_only_the_administrator_grants(kafka: GuardedKafka, client: str) -> None:
    granted = Rule("User:somebody", "topic", "hotline.commands", False, "READ")
    authorizer = Authorizer(kafka.root)

    answer = asked(kafka.by_password(client)).to_grant(granted.principal, granted.name)

    assert answer == (YES if client == "hotline-admin" else "CLUSTER_AUTHORIZATION_FAILED")
    if answer == YES:
        until(lambda: granted in authorizer.rules(), tries.ANSWER_S)
        authorizer.apply([Change("surplus", granted)])
    assert granted not in authorizer.rules()
