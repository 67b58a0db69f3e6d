"""`hotline tail TOPIC`: records as they come, decoded, people masked."""

import json
from itertools import islice

import click

from deploy.commands.log.lines import line_of, seen_of, topic_of, visible
from events.settings import Settings


@click.command("tail")
@click.argument("topic")
@click.option("--json", "as_json", is_flag=True, help="One object per record, nothing else.")
@click.option("--from-beginning", is_flag=True, help="Begin where the topic begins; default: with the next record.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many records; default: at Ctrl-C.")
def COMMAND(topic: str, as_json: bool, from_beginning: bool, count: int | None) -> None:  # noqa: N802 - the name the table looks for
    """Show the records of TOPIC (`tickets` is `hotline.tickets`). Fields of people are masked; nothing is opened."""
    from confluent_kafka import KafkaException

    from consumers.replay import LogReader, NoTopic, Span
    from deploy.problems import NotThere, PartAway

    try:
        reader = LogReader(Settings().kafka_access, topic_of(topic))
        try:
            begins = {p: Span(first if from_beginning else end, None) for p, (first, end) in reader.held().items()}
            for record in islice(reader.read(begins), count):
                seen = seen_of(record)
                click.echo(visible(json.dumps(seen, ensure_ascii=False) if as_json else line_of(seen)))
        finally:
            reader.close()
    except NoTopic as missing:
        raise NotThere(f"there is no topic {missing}") from None
    except KafkaException:
        raise PartAway("Kafka does not answer") from None
    except KeyboardInterrupt:
        pass
