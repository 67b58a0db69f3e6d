"""`hotline replay TOPIC`: a range of the log read again, decoded, people masked; it ends where the range ends."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

if TYPE_CHECKING:
    from consumers.replay import LogReader, Lost, Point
    from events.envelope import Event
    from projectors.record import Record

_PLACES = re.compile(r"\d{1,6}:\d{1,18}(,\d{1,6}:\d{1,18})*", re.ASCII)
_POINT = "PLACE|TIME|TOKEN"


@click.command("replay")
@click.argument("topic")
@click.option("--from", "since", metavar=_POINT, help="Where to begin; default: with the log. After what a token includes.")
@click.option(
    "--to", "until", metavar=_POINT, help="Where to end, not included; default: the log's end as of now. A token: with what it includes."
)
@click.option("--ticket", metavar="NUMBER", help="Only records about that ticket.")
@click.option("--type", "kind", metavar="NAME", help="Only events of that type, such as TicketTaken.")
@click.option("--json", "as_json", is_flag=True, help="One object per record, nothing else.")
def COMMAND(*, topic: str, since: str | None, until: str | None, ticket: str | None, kind: str | None, as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """Show the records of TOPIC (`tickets` is `hotline.tickets`) once more, each partition's in its order.

    A PLACE is partition:offset, or several with commas: only those partitions are read. A TIME is RFC 3339 with an offset, by the broker's
    clock. Exit code 1 and the problem `gone` when the log no longer reaches the beginning that is asked for.
    """
    from confluent_kafka import KafkaException

    from consumers.replay import Ahead, Gone, LogReader, NoTopic
    from deploy.commands.log.lines import topic_of
    from deploy.problems import NotThere, PartAway

    name = topic_of(topic)
    begin, end = _point("--from", since), _point("--to", until)
    try:
        reader = LogReader(Settings().kafka_access, name)
        try:
            _show(reader, begin, end, ticket, kind, as_json=as_json)
        finally:
            reader.close()
    except NoTopic:
        raise NotThere(f"there is no topic {name}") from None
    except Gone as gone:
        return _refuse({"problem": "gone", "status": 410, "lost": [_lost(one) for one in gone.lost]}, f"gone: {gone}", as_json=as_json)
    except Ahead as ahead:
        return _refuse({"problem": "not-reached", "status": 503, "detail": str(ahead)}, f"not reached: {ahead}", as_json=as_json)
    except KafkaException:
        raise PartAway("Kafka does not answer") from None
    return DONE


def _show(reader: "LogReader", begin: "Point | None", end: "Point | None", ticket: str | None, kind: str | None, *, as_json: bool) -> None:
    from deploy.commands.log.lines import line_of, seen_of, visible

    wanted = _filter(reader.topic, ticket, kind)
    for record in reader.read(reader.spans(begin, end, _partitions(reader, ticket))):
        if wanted(record):
            seen = seen_of(record)
            click.echo(visible(json.dumps(seen, ensure_ascii=False) if as_json else line_of(seen)))


def _point(option: str, text: str | None) -> "Point | None":
    from api.problems import Problem
    from api.queries.pages import time_us
    from deploy.problems import WrongUsage
    from projectors.tokens import BadToken, Token

    if text is None:
        return None
    if _PLACES.fullmatch(text):
        return {int(partition): int(offset) for partition, _, offset in (place.partition(":") for place in text.split(","))}
    try:
        return Token.parse(text) if text.startswith("h1.") else time_us(option, text)
    except BadToken as bad:
        raise WrongUsage(f"{option}: {bad}") from None
    except Problem:
        raise WrongUsage(f"{option} takes partition:offset, a time as RFC 3339 has it with an offset from UTC, or a token") from None


def _partitions(reader: "LogReader", ticket: str | None) -> set[int] | None:
    """Return where a ticket's records can lie, if its key tells: then nothing else is read."""
    from events.envelope import COMMANDS, TICKETS
    from events.wire.partitioning import partition_of

    if ticket is None or reader.topic not in (TICKETS, COMMANDS):
        return None
    return {partition_of(ticket.encode(), len(reader.partitions))}


def _filter(topic: str, ticket: str | None, kind: str | None) -> "Callable[[Record], bool]":
    from deploy.problems import WrongUsage
    from events.catalogue import TYPES_ON
    from events.envelope import COMMANDS, OUTCOMES, TICKETS

    if ticket is not None and topic not in (TICKETS, COMMANDS, OUTCOMES):
        raise WrongUsage(f"records of {topic} name no ticket; `hotline ticket {ticket}` shows its contacts")
    kinds = {event.__name__: event for event in TYPES_ON.get(topic, ())}
    if kind is not None and kind.rpartition(".")[2] not in kinds:
        raise WrongUsage(f"--type: {topic} holds {', '.join(sorted(kinds))}")
    wanted = kinds[kind.rpartition(".")[2]] if kind is not None else None
    return lambda r: (wanted is None or type(r.event) is wanted) and (ticket is None or r.key == ticket.encode() or _names(r.event, ticket))


def _names(event: "Event | None", ticket: str) -> bool:
    from events.outcomes import CauseSettled

    return isinstance(event, CauseSettled) and (event.cause_key == ticket or any(one.number == ticket for one in event.decisions))


def _lost(one: "Lost") -> dict[str, object]:
    return {"topic": one.topic, "partition": one.partition, "from": one.first, "to": one.last}


def _refuse(document: dict[str, object], line: str, *, as_json: bool) -> int:
    click.echo(json.dumps(document) if as_json else line, err=not as_json)
    return FOUND
