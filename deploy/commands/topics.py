"""`hotline topics`: what is wanted against what Kafka has, and making it so."""

import json
from dataclasses import asdict

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings


@click.group("topics")
def COMMAND() -> None:  # noqa: N802 - the name the table looks for
    """Topics as code; the wanted ones stand in schemas/topics.toml."""


@COMMAND.command("plan")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def plan(as_json: bool) -> int:
    """Show the differences; exit code 1 if there are any."""
    from deploy.topics import planned

    changes = planned(Settings().kafka_address)
    if as_json:
        click.echo(json.dumps({"changes": [asdict(change) for change in changes]}))
    else:
        click.echo("\n".join(change.text for change in changes) or "nothing to do")
    return FOUND if changes else DONE


@COMMAND.command("apply")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
@click.option("--dry-run", is_flag=True, help="Only show, as `plan` does.")
def apply(as_json: bool, dry_run: bool) -> None:
    """Create what is missing and set what differs; a wrong number of partitions is refused, then nothing is changed."""
    from deploy.topics import apply_topics, planned

    address = Settings().kafka_address
    changes = planned(address) if dry_run else apply_topics(address)
    if as_json:
        click.echo(json.dumps({"changes": [asdict(change) for change in changes]}))
    else:
        click.echo("\n".join(change.text for change in changes) or "nothing to do")
