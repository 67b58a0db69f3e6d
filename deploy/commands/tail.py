"""`hotline tail TOPIC`: records as they come, decoded, people masked."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from events.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

_ANSWER_S = 5.0
_POLL_S = 0.5
_BATCH_RECORDS = 500


@click.command("tail")
@click.argument("topic")
@click.option("--json", "as_json", is_flag=True, help="One object per record, nothing else.")
@click.option("--from-beginning", is_flag=True, help="Begin where the topic begins; default: with the next record.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many records; default: at Ctrl-C.")
def COMMAND(topic: str, as_json: bool, from_beginning: bool, count: int | None) -> None:  # noqa: N802 - the name the table looks for
    """Show the records of TOPIC (`tickets` is `hotline.tickets`). Fields of people are masked; nothing is opened."""
    from confluent_kafka import KafkaException

    from consumers.kafka import make_consumer
    from deploy.problems import PartAway

    name = topic if "." in topic else f"hotline.{topic}"
    consumer = make_consumer(Settings().kafka_address, "tail")
    try:
        _place(consumer, name, from_beginning)
        for number, message in enumerate(_records(consumer), start=1):
            seen = _seen(message)
            click.echo(visible(json.dumps(seen, ensure_ascii=False) if as_json else _line(seen)))
            if number == count:
                break
    except KafkaException:
        raise PartAway("Kafka does not answer") from None
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


def _place(consumer: "Consumer", topic: str, from_beginning: bool) -> None:
    from confluent_kafka import TopicPartition

    from deploy.problems import NotThere

    known = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
    if known.error is not None:
        raise NotThere(f"there is no topic {topic}")
    places = [TopicPartition(topic, partition) for partition in known.partitions]
    for place in places:
        first, end = consumer.get_watermark_offsets(place, timeout=_ANSWER_S)
        place.offset = first if from_beginning else end
    consumer.assign(places)


def _records(consumer: "Consumer") -> Iterator["Message"]:
    from confluent_kafka import KafkaException

    while True:
        for message in consumer.consume(_BATCH_RECORDS, timeout=_POLL_S):
            if error := message.error():
                raise KafkaException(error)
            yield message


def _seen(message: "Message") -> dict[str, Any]:
    from events.wire.codec import Undecodable, UnknownSchema, load_codec
    from projectors.showing import rfc3339, shown

    place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
    when = rfc3339(message.timestamp()[1] * 1000)
    key = (message.key() or b"").decode("utf-8", "replace")
    try:
        event = load_codec().decode(message.value())
    except (Undecodable, UnknownSchema) as unreadable:
        return {**place, "appended_at": when, "key": key, "type": None, "event": None, "unreadable": str(unreadable)}
    return {**place, "appended_at": when, "key": key, "type": type(event).__name__, "event": shown(event)}


def _line(seen: dict[str, Any]) -> str:
    head = f"{seen['partition']}/{seen['offset']}  {seen['appended_at']}  {seen['key']}  {seen['type'] or 'unreadable'}"
    told = seen["event"] or {"reason": seen.get("unreadable")}
    return f"{head}  " + ", ".join(f"{name} {value}" for name, value in told.items() if value not in (None, "", []))


def visible(text: str) -> str:
    """Return `text` with whatever is no printable character escaped as in JSON: anybody may write a key, and a terminal obeys."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)
