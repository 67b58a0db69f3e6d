"""The rules that Kafka's authorizer should have, made from clients and topics, and what differs from those it has. Pure.

Only the least is granted: reading and writing include describing, and since Kafka 3.0 whoever may write to some topic may write
idempotently.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from consumers.kafka import GROUPS
from deploy.acls.clients import Client
from deploy.acls.kinds import DATA_TEAM
from deploy.topics import PREFIX
from events.wire.schemas import Topic

Resource = Literal["topic", "group", "cluster", "transactional_id", "other"]
CLUSTER = "kafka-cluster"  # the one resource of its type, by Kafka's own name
EVERYBODY = "User:*"
_ANY = "*"

_Rights = tuple[tuple[Resource, str, tuple[str, ...]], ...]
_OF_AN_EXAMINER: _Rights = (("topic", PREFIX, ("DESCRIBE", "DESCRIBE_CONFIGS")), ("cluster", CLUSTER, ("DESCRIBE_CONFIGS",)))
_OF_AN_ADMINISTRATOR: _Rights = (("topic", PREFIX, ("CREATE", "ALTER_CONFIGS")), ("cluster", CLUSTER, ("DESCRIBE", "ALTER")))


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """One rule of Kafka's: who may, or may not, do what to which resource, or to all whose names begin so."""

    principal: str
    resource: Resource
    name: str
    begins: bool
    operation: str
    allows: bool = True
    host: str = _ANY

    @property
    def text(self) -> str:
        """The rule in one line."""
        may = "may" if self.allows else "may not"
        where = "" if self.host == _ANY else f" from {self.host}"
        return f"{self.principal} {may} {self.operation} {self.resource} {self.name}{'…' if self.begins else ''}{where}"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: a rule that is `missing`, or there and `surplus`; `text` is the line to show."""

    kind: Literal["missing", "surplus"]
    rule: Rule

    @property
    def text(self) -> str:
        """The line to show."""
        return f"{self.kind}: {self.rule.text}"


def rules_of(clients: Iterable[Client], topics: Mapping[str, Topic]) -> set[Rule]:
    """Return every rule there should be."""
    return {rule for client in clients for rule in _rules(client, topics)}


def _rules(client: Client, topics: Mapping[str, Topic]) -> Iterator[Rule]:
    who, kind = client.principal, client.kind
    chosen = topics if kind.name != DATA_TEAM else {name: topics[name] for name in client.topics}
    yield from (Rule(who, "topic", topic.name, False, "READ") for topic in chosen.values() if kind.name in topic.read_by)
    yield from (Rule(who, "topic", topic.name, False, "WRITE") for topic in chosen.values() if kind.name in topic.written_by)
    yield from (Rule(who, "group", group, True, "READ") for group in groups_of(client))
    if kind.examines:
        yield from _granted(who, _OF_AN_EXAMINER)
    if kind.administers:
        yield from _granted(who, _OF_AN_ADMINISTRATOR)


def _granted(who: str, rights: _Rights) -> Iterator[Rule]:
    for resource, name, operations in rights:
        yield from (Rule(who, resource, name, resource == "topic", operation) for operation in operations)


def groups_of(client: Client) -> list[str]:
    """Return how the names of groups begin that a client reads in."""
    return [f"{client.name}."] if client.kind.name == DATA_TEAM else [f"{GROUPS}{group}" for group in client.kind.groups]


def differences(wanted: Iterable[Rule], there: Iterable[Rule], clients: Iterable[Client]) -> list[Change]:
    """Return what is missing, then what is there beyond it and bears on our clients, topics or groups; strangers' own rules are theirs."""
    wanted, there, clients = set(wanted), set(there), list(clients)
    surplus = [rule for rule in sorted(there - wanted) if _concerns_us(rule, clients)]
    return [*(Change("missing", rule) for rule in sorted(wanted - there)), *(Change("surplus", rule) for rule in surplus)]


def _concerns_us(rule: Rule, clients: Iterable[Client]) -> bool:
    if rule.principal in {EVERYBODY, *(client.principal for client in clients)}:
        return True
    ours = {"topic": [PREFIX], "group": [GROUPS, *(group for client in clients for group in groups_of(client))]}
    return any(_overlap(rule, beginning) for beginning in ours.get(rule.resource, ()))


def _overlap(rule: Rule, beginning: str) -> bool:
    if rule.begins:
        return rule.name.startswith(beginning) or beginning.startswith(rule.name)
    return rule.name == _ANY or rule.name.startswith(beginning)
