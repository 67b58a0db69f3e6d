"""`hotline dead-letters`: where records lie that nobody can read, and why; their bytes stay at their place."""

import json
from typing import TYPE_CHECKING

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.replay import LogReader
    from events.dead_letters import RecordUnreadable


@click.command("dead-letters")
@click.option("--json", "as_json", is_flag=True, help="One object per record, nothing else.")
def COMMAND(as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """List all dead letters that Kafka still holds, each place once, in the order of their partitions. Exit code 1 if there are any."""
    from confluent_kafka import KafkaException

    from consumers.replay import LogReader, NoTopic
    from deploy.problems import NotThere, PartAway
    from events.envelope import DEAD_LETTERS

    try:
        reader = LogReader(Settings().kafka_access, DEAD_LETTERS)
        try:
            found = sum(_show(letter, as_json=as_json) for letter in _once_each(reader))
        finally:
            reader.close()
    except NoTopic as missing:
        raise NotThere(f"there is no topic {missing}") from None
    except KafkaException:
        raise PartAway("Kafka does not answer") from None
    if not found and not as_json:
        click.echo("no dead letters")
    return FOUND if found else DONE


def _once_each(reader: "LogReader") -> "Iterator[RecordUnreadable]":
    from events.dead_letters import RecordUnreadable

    told: set[bytes] = set()
    for record in reader.read(reader.spans(None, None)):
        if isinstance(record.event, RecordUnreadable) and record.event.event_id not in told:
            told.add(record.event.event_id)
            yield record.event


def _show(letter: "RecordUnreadable", *, as_json: bool) -> int:
    from deploy.commands.log.lines import visible
    from projectors.showing import rfc3339, shown

    if as_json:
        click.echo(visible(json.dumps(shown(letter))))
    else:
        place = f"{letter.topic}/{letter.partition}/{letter.offset}"
        click.echo(visible(f"{place:<34} {rfc3339(letter.recorded_at)}  {letter.consumer:<8} {letter.reason}"))
    return 1
