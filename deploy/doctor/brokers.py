"""Hazards in how the brokers are set up, whichever topic they would hit."""

from collections.abc import Iterator

from deploy.doctor.context import Context
from deploy.doctor.finding import Finding, hard, warning
from events.wire.publisher import MAX_MESSAGE_BYTES

SESSION_LIMIT_MS = 2_000
TRANSACTIONS = "__transaction_state"


def settings(context: Context) -> Iterator[Finding]:
    """Brokers that make topics by themselves, elect laggards, refuse our largest record, or miss a dead neighbour too late."""
    for node, there in sorted(context.kafka.broker_settings().items()):
        if there.get("auto.create.topics.enable") == "true":
            what = f"broker {node} makes a topic for whoever mistypes a name (auto.create.topics.enable is true)"
            yield hard("auto-create", what, "set auto.create.topics.enable=false on every broker and restart them one by one")
        if there.get("unclean.leader.election.enable") == "true":
            what = (
                f"broker {node} lets a replica lead that lags (unclean.leader.election.enable is true): acknowledged records are gone then"
            )
            yield hard("unclean-election", what, "set unclean.leader.election.enable=false on every broker; it takes effect at once")
        if (largest := int(there.get("message.max.bytes", MAX_MESSAGE_BYTES))) < MAX_MESSAGE_BYTES:
            what = f"broker {node} takes records of {largest} bytes at most, our largest has {MAX_MESSAGE_BYTES}"
            yield warning("small-records", what, f"set message.max.bytes={MAX_MESSAGE_BYTES} on every broker")
        if (session_ms := int(there.get("broker.session.timeout.ms", SESSION_LIMIT_MS))) > SESSION_LIMIT_MS:
            what = f"broker {node} is missed only after {session_ms} ms: so long its partitions stand still when it dies"
            yield warning("slow-failover", what, f"set broker.session.timeout.ms={SESSION_LIMIT_MS} on every controller")


def transactions(context: Context) -> Iterator[Finding]:
    """Transactional writers that nothing keeps away: their markers take offsets, and a reader that misses an offset stops.

    Without an authorizer every Kafka would let them in, ours too. So it counts whether any has ever come: then Kafka's own topic for them
    exists.
    """
    guarded = [node for node, there in context.kafka.broker_settings().items() if there.get("authorizer.class.name")]
    if TRANSACTIONS in context.kafka.metadata.topics and not guarded:
        what = f"somebody has begun transactions on this Kafka ({TRANSACTIONS} exists), and no authorizer keeps them off our topics"
        yield warning("transactions-allowed", what, "give writers of our topics no right to transactional ids (an authorizer and ACLs)")
