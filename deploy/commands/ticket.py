"""`hotline ticket NUMBER`: the card and the timeline of one ticket, people masked, from the same reads as the query application."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_LONGEST_TIMELINE = 1_000


@click.command("ticket")
@click.argument("number")
@click.option("--as-of", "moment", metavar="TIME", help="As it stood at that moment: RFC 3339 with an offset.")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(number: str, moment: str | None, as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """Show where a ticket stands and everything that was decided about it. Exit code 1 if there is no such ticket."""
    from psycopg import OperationalError
    from psycopg.errors import UndefinedTable

    from api.problems import Problem
    from deploy.problems import PartAway, WrongUsage

    try:
        seen = asyncio.run(_look(Settings(), number, moment))
    except OperationalError:
        raise PartAway("the database of the read models does not answer") from None
    except UndefinedTable:
        seen = None
    except Problem:
        raise WrongUsage("--as-of is a time as RFC 3339 has it, with an offset from UTC") from None
    if seen is None:
        click.echo(
            json.dumps({"number": number, "problem": "unknown-ticket"}) if as_json else f"there is no ticket {number}", err=not as_json
        )
        return FOUND
    click.echo(json.dumps(seen, ensure_ascii=False) if as_json else "\n".join(_lines(seen)))
    return DONE


async def _look(settings: Settings, number: str, moment: str | None) -> dict[str, Any] | None:
    from psycopg import AsyncConnection

    from api.queries.as_of import moment_of
    from api.queries.records import history_entry
    from projectors.reads.audit_log import list_history

    at_us = None if moment is None else moment_of(moment)
    async with await AsyncConnection.connect(settings.database, autocommit=True, application_name="hotline ticket") as db:
        card = await (_card(db, number) if at_us is None else _card_as_of(db, settings, number, at_us))
        if card is None:
            return None
        decisions = await list_history(db, number, above_version=0, limit=_LONGEST_TIMELINE)
    told = decisions if at_us is None else [d for d in decisions if (d.version or 0) <= card["version"]]
    return {**card, "history": [history_entry(decision) for decision in told]}


async def _card(db: "AsyncConnection[Any]", number: str) -> dict[str, Any] | None:
    from api.queries.cards import card_of
    from api.queries.reading import find_waiting, waiting_of
    from projectors.audit_log import AUDIT_LOG
    from projectors.reaching import read_included
    from projectors.ticket_status import TICKET_STATUS, find_tickets

    included = await read_included(db, (TICKET_STATUS, AUDIT_LOG))
    row = (await find_tickets(db, [number])).get(number)
    if row is None:
        return None
    return card_of(row, included.encode(), waiting_of(row, await find_waiting(db, TICKET_STATUS, [row])))


async def _card_as_of(db: "AsyncConnection[Any]", settings: Settings, number: str, at_us: int) -> dict[str, Any] | None:
    from api.queries.as_of import MODELS, look, said_of
    from api.queries.cards import card_of
    from api.queries.finality import Finality
    from api.queries.lag import is_final_now
    from events import reference
    from projectors.audit_log import AUDIT_LOG
    from projectors.reaching import read_included

    margin_us = reference.load(settings.reference).clocks.differ_s * 1_000_000
    final = await is_final_now(db, settings.kafka_access, Finality(MODELS[0], margin_us), at_us)
    included = await read_included(db, (*MODELS, AUDIT_LOG))
    found, parked = await look(db, number, at_us)
    if found is None:
        return None
    return {**card_of(found.ticket, included.encode(), parked), **said_of(at_us, final=final and parked is None)}


#: What the card and the timeline name already.
_KNOWN = frozenset(
    {"event_id", "number", "version", "actor", "recorded_at", "received_at", "occurred_at", "occurred_offset_min", "era", "cycle"}
)
_OF_THE_CAUSE = frozenset({"cause_id", "cause_ordinal", "cause_count", "reference_version", "contact_id", "opened_offset_min"})


def _lines(seen: dict[str, Any]) -> list[str]:
    lines = [f"{name:<17} {_words(value)}" for name, value in seen.items() if name not in ("history", "position") and value is not None]
    lines.append("")
    for entry in seen["history"]:
        place = f"{entry['partition']}/{entry['offset']}"
        lines.append(f"{entry['version']:>3}  {entry['recorded_at']}  {entry['type'].rsplit('.', 1)[-1]:<22} {entry['actor']:<16} {place}")
        told = {
            name: value for name, value in (entry["event"] or {}).items() if name not in _KNOWN | _OF_THE_CAUSE and value not in (None, "")
        }
        lines.append("     " + ", ".join(f"{name} {_words(value)}" for name, value in told.items()))
    return lines


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(said)}" for name, said in value.items() if said is not None) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(_words(one) for one in value)
    return str(value)
