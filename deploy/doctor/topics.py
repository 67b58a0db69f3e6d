"""Hazards in how the topics are set up: what the promises of the log rest on, topic by topic."""

from collections.abc import Iterator

from deploy.doctor.context import Context
from deploy.doctor.finding import Finding, hard, warning

_APPLY = "`hotline topics apply`"
FOR_EVER = "-1"

#: Setting of a topic: code of the finding, why it matters.
_HAZARDS: dict[str, tuple[str, str]] = {
    "cleanup.policy": ("compaction", "records are dropped once a later one has their key"),
    "retention.ms": ("finite-retention", "records are deleted by their age"),
    "retention.bytes": ("finite-retention", "records are deleted once the topic has its size"),
    "message.timestamp.type": ("create-time", "times of the log are then whatever a producer says"),
    "unclean.leader.election.enable": ("unclean-election", "a broker that lags may lead, and acknowledged records are gone"),
    "min.insync.replicas": ("copies-below-profile", "an acknowledged record may have too few copies"),
}


def missing(context: Context) -> Iterator[Finding]:
    """Topics that do not exist."""
    for name in context.wanted.keys() - context.found.keys():
        yield hard("topic-missing", f"there is no topic {name}", _APPLY)


def settings(context: Context) -> Iterator[Finding]:
    """Settings of topics that are not as wanted: each a hazard of its own, any other a warning."""
    for name, there in context.found.items():
        for setting, value in context.wanted[name].settings.items():
            actual = there.settings.get(setting)
            if actual == value or (setting == "min.insync.replicas" and int(actual or 0) > int(value)):
                continue
            code, why = _HAZARDS.get(setting, ("topic-setting", "it is not what `hotline topics apply` sets"))
            make = hard if setting in _HAZARDS else warning
            yield make(code, f"{name} has {setting} {actual}, not {value}: {why}", _APPLY)


def partitions(context: Context) -> Iterator[Finding]:
    """Topics whose number of partitions has changed: keys then lie on other partitions than before."""
    for name, there in context.found.items():
        wanted = context.wanted[name].partitions
        if len(there.copies) != wanted:
            yield hard(
                "partitions-changed",
                f"{name} has {len(there.copies)} partitions, not {wanted}: a key's later records no longer follow its earlier ones",
                "stop all writers; copy the log to a cluster with the right number, partition by partition and in order",
            )


def copies(context: Context) -> Iterator[Finding]:
    """Topics that fewer brokers keep than the profile says."""
    for name, there in context.found.items():
        wanted, fewest = context.wanted[name].copies, min(there.copies.values(), default=0)
        if fewest < wanted:
            yield hard(
                "copies-below-profile",
                f"{name} is kept by {fewest} broker{'s' if fewest > 1 else ''}, not {wanted}",
                "assign more replicas with Kafka's own tool kafka-reassign-partitions; offsets stay as they are",
            )


def laggards(context: Context) -> Iterator[Finding]:
    """Topics of which some broker that should keep a copy is away or behind: the next failure may stop all writing."""
    for name, there in context.found.items():
        behind = [number for number, wanted in there.copies.items() if there.in_sync[number] < wanted]
        if behind:
            what = f"{len(behind)} partitions of {name} have fewer up-to-date copies than brokers that should keep one"
            yield warning(
                "copies-behind", what, "start the broker that is away (`hotline status`); one that is lost for good is replaced by another"
            )


def beginnings(context: Context) -> Iterator[Finding]:
    """Endless topics that no longer begin at 0: nothing can be built again from them."""
    lost: dict[str, list[str]] = {}
    for (name, number), (first, _) in context.spans.items():
        if first > 0 and context.wanted[name].settings.get("retention.ms") == FOR_EVER:
            lost.setdefault(name, []).append(f"{number} before {first}")
    for name, places in lost.items():
        what = f"{name} has lost its beginning (partition before offset: {', '.join(places)})"
        yield hard("log-cut", what, "restore the log from a copy; never rebuild a read model from what is left")
