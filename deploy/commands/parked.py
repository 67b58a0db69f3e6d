"""`hotline parked`: what could not be applied and waits for repair, by consumer and key."""

import json
from typing import Any

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

_MOST_KEYS = 1_000


@click.command("parked")
@click.option("--json", "as_json", is_flag=True, help="One object per parked key, nothing else.")
def COMMAND(as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """List parked tickets and contacts, the longest waiting first, at most 1,000. Exit code 1 if there are any."""
    from deploy.databases import asking
    from projectors import parked

    with asking(Settings().database, "hotline parked") as db:
        keys = parked.list_keys(db, limit=_MOST_KEYS)
    for one in keys:
        seen = shown(one)
        click.echo(json.dumps(seen) if as_json else line(seen))
    if not keys and not as_json:
        click.echo("nothing is parked")
    return FOUND if keys else DONE


def shown(one: Any) -> dict[str, Any]:
    """Return a parked key (`projectors.parked.ParkedKey`) as JSON shows it."""
    from projectors.showing import rfc3339

    return {**one._asdict(), "key": one.key.decode("utf-8", "replace"), "parked_at": rfc3339(one.parked_at)}


def line(seen: dict[str, Any]) -> str:
    """Return a parked key as a line for people."""
    from deploy.commands.log.lines import visible

    place = f"{seen['topic']}/{seen['partition']}/{seen['first_offset']}"
    key = visible(seen["key"])
    return f"{key:<34} {seen['consumer']:<20} {place}  since {seen['parked_at']}  {seen['records']} records  {seen['reason']}"
