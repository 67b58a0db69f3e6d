"""The authorizer of one Kafka, asked and told as its administrator; and what makes its rules worth nothing.

Every question is bounded. Judges no rule.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from deploy.acls.rules import Change, Resource, Rule
from deploy.administrator import Administrator
from deploy.doctor.kafka import KafkaSeen
from deploy.parts.local import wait_until
from deploy.problems import PartAway, Unwilling
from events.wire.kafka import Kafka

_LIMIT_S = 15.0
_RESOURCES: Mapping[Resource, ResourceType] = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "cluster": ResourceType.BROKER,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}
_NAMES = {number: name for name, number in _RESOURCES.items()}
_ANYTHING = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY  # type: ignore[arg-type]
)  # fmt: skip
_CLASS = "authorizer.class.name"
_UNGUARDED = f"has no authorizer ({_CLASS}): everybody may do everything"
_CLEAR = ("PLAINTEXT", "SASL_PLAINTEXT")


class Authorizer:
    """One Kafka. Raises PartAway when it does not answer in 15 s, or refuses us."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._administrator = Administrator(kafka)
        self._admin = self._administrator.client

    def rules(self) -> set[Rule]:
        """All rules there are, of whomever; none where nothing asks for them."""
        return self._administrator.ask(self._rules)

    def _rules(self) -> set[Rule]:
        cluster = self._admin.describe_cluster(include_authorized_operations=True, request_timeout=_LIMIT_S).result(_LIMIT_S)
        if AclOperation.DESCRIBE not in (cluster.authorized_operations or ()):  # the client would tell it as a Kafka without rules
            raise PartAway(f"Kafka at {self._kafka} refuses: only who may DESCRIBE the cluster sees its rules")
        found = self._admin.describe_acls(_ANYTHING, request_timeout=_LIMIT_S).result(_LIMIT_S)
        return {_rule(binding) for binding in found}

    def apply(self, changes: Iterable[Change]) -> None:
        """Add what is missing, then remove what is surplus; return when the broker shows it. Raises Unwilling for what we can't name."""
        missing = [change.rule for change in changes if change.kind == "missing"]
        surplus = [change.rule for change in changes if change.kind == "surplus"]
        if nameless := [rule.text for rule in surplus if rule.resource == "other" or rule.operation == AclOperation.UNKNOWN.name]:
            raise Unwilling(f"remove by Kafka's own tool kafka-acls, ours does not know their kind: {'; '.join(nameless)}")
        if missing:
            self._carry_out(lambda: self._admin.create_acls([AclBinding(*_words(r)) for r in missing], request_timeout=_LIMIT_S))
        if surplus:
            self._carry_out(lambda: self._admin.delete_acls([AclBindingFilter(*_words(r)) for r in surplus], request_timeout=_LIMIT_S))
        wait_until(lambda: self._shows(missing, surplus), _LIMIT_S, f"Kafka at {self._kafka} took the rules but does not show them")

    def _shows(self, missing: list[Rule], surplus: list[Rule]) -> bool:
        there = self.rules()  # the controller's yes comes before the broker's own view
        return there.issuperset(missing) and there.isdisjoint(surplus)

    def _carry_out(self, order: Callable[[], Mapping[Any, "Future[Any]"]]) -> None:
        answers = self._administrator.ask(order)
        self._administrator.ask(lambda: [answer.result(_LIMIT_S) for answer in answers.values()])

    def holes(self) -> list[str]:
        """What lets clients past the rules, one line for each broker: no authorizer, leave for whom no rule names, a listener in clear."""
        return [f"broker {node} {hole}" for node, settings in self._brokers() for hole in _holes(settings)]

    def unguarded(self) -> list[str]:
        """The brokers that keep no rules and ask for none, one line each."""
        return [f"broker {node} {_UNGUARDED}" for node, settings in self._brokers() if not settings.get(_CLASS)]

    def _brokers(self) -> list[tuple[int, Mapping[str, str]]]:
        return sorted(KafkaSeen(self._kafka, _LIMIT_S).broker_settings().items())


def _holes(settings: Mapping[str, str]) -> Iterator[str]:
    if not settings.get(_CLASS):
        yield _UNGUARDED
    if settings.get("allow.everyone.if.no.acl.found") == "true":
        yield "lets everybody at what no rule names (allow.everyone.if.no.acl.found), transactional ids among them"
    spoken = dict(pair.split(":") for pair in settings.get("listener.security.protocol.map", "").split(",") if pair)
    controllers = settings.get("controller.listener.names", "").split(",")
    for listener in settings.get("listeners", "").split(","):
        name, _, place = listener.partition("://")
        if name not in controllers and spoken.get(name, name) in _CLEAR:
            yield f"listens in clear at {place} ({name})"


def _words(rule: Rule) -> tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]:
    pattern = ResourcePatternType.PREFIXED if rule.begins else ResourcePatternType.LITERAL
    permission = AclPermissionType.ALLOW if rule.allows else AclPermissionType.DENY
    return _RESOURCES[rule.resource], rule.name, pattern, rule.principal, rule.host, AclOperation[rule.operation], permission


def _rule(binding: AclBinding) -> Rule:
    begins = binding.resource_pattern_type == ResourcePatternType.PREFIXED
    resource, operation = _NAMES.get(ResourceType(binding.restype), "other"), AclOperation(binding.operation).name
    allows = binding.permission_type == AclPermissionType.ALLOW
    return Rule(binding.principal, resource, binding.name, begins, operation, allows, binding.host)
