"""`hotline topics`: what is wanted against what Kafka has, making it so, and the same as manifests."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

if TYPE_CHECKING:
    from deploy.topics import Change

_JSON = click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")


@click.group("topics")
def COMMAND() -> None:  # noqa: N802 - the name the table looks for
    """Topics as code; the wanted ones stand in schemas/topics.toml."""


@COMMAND.command("plan")
@_JSON
def plan(as_json: bool) -> int:
    """Show what `apply` would do; exit code 1 if there is anything."""
    from deploy.topics import planned

    return _shown(planned(Settings().kafka_access), as_json, "nothing to do")


@COMMAND.command("apply")
@_JSON
@click.option("--dry-run", is_flag=True, help="Only show, as `plan` does.")
def apply(as_json: bool, dry_run: bool) -> None:
    """Create what is missing and set what differs; a wrong number of partitions is refused, then nothing is changed."""
    from deploy.topics import apply_topics, planned

    kafka = Settings().kafka_access
    _shown(planned(kafka) if dry_run else apply_topics(kafka), as_json, "nothing to do")


@COMMAND.command("check")
@_JSON
def check(as_json: bool) -> int:
    """Show all that is not as wanted; exit code 1 if anything.

    Beside what `plan` shows: topics of our name that nobody wants, and topics that fewer brokers keep than should.
    """
    from deploy.topics import checked

    return _shown(checked(Settings().kafka_access), as_json, "all topics are as wanted")


@COMMAND.command("strimzi")
@click.option("--brokers", type=click.IntRange(min=1), default=3, show_default=True, help="How many the cluster has.")
@click.option("--cluster", default="hotline", show_default=True, help="Name of the Kafka resource.")
def strimzi(brokers: int, cluster: str) -> None:
    """Print the topics as KafkaTopic resources (Strimzi 0.49 or newer), for `kubectl apply -f -`.

    Each is written in JSON, which is YAML. Deleting a resource deletes its topic: set delete.topic.enable=false on the brokers.
    """
    from deploy.topics import manifests

    click.echo("\n---\n".join(json.dumps(manifest, indent=2) for manifest in manifests(brokers, cluster)))


def _shown(changes: "Sequence[Change]", as_json: bool, otherwise: str) -> int:
    if as_json:
        click.echo(json.dumps({"changes": [asdict(change) for change in changes]}))
    else:
        click.echo("\n".join(change.text for change in changes) or otherwise)
    return FOUND if changes else DONE
