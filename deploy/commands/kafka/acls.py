"""`hotline acls`: who may do what on Kafka; what is wanted against the rules it has, and making it so."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

if TYPE_CHECKING:
    from deploy.acls.authorizer import Authorizer
    from deploy.acls.rules import Change

_JSON = click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
_CLIENTS = click.option(
    "--clients", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="List of clients; default: deploy/acls/clients.toml."
)


@click.group("acls")
def COMMAND() -> None:  # noqa: N802 - the name the table looks for
    """Who may do what on Kafka, as code: clients of a kind each (deploy/acls), topics by schemas/topics.toml."""


@COMMAND.command("plan")
@_CLIENTS
@_JSON
def plan(clients: Path | None, as_json: bool) -> int:
    """Show rules that are missing, and surplus ones on our topics, groups and clients; exit code 1 if there are any.

    A broker without an authorizer is told first.
    """
    authorizer, changes = _looked(clients)
    return _shown(changes, as_json, authorizer.unguarded())


@COMMAND.command("apply")
@_CLIENTS
@_JSON
@click.option("--prune", is_flag=True, help="Remove surplus rules too, strangers' and denials among them.")
@click.option("--dry-run", is_flag=True, help="Only show.")
def apply(clients: Path | None, as_json: bool, prune: bool, dry_run: bool) -> None:
    """Add rules that are missing; only with --prune remove any. Shows what was done.

    Refused, with exit code 1, while a broker has no authorizer, which alone keeps rules.
    """
    from deploy.problems import Unwilling

    authorizer, found = _looked(clients)
    if unguarded := authorizer.unguarded():
        raise Unwilling("; ".join(unguarded))
    changes = [change for change in found if prune or change.kind == "missing"]
    if not dry_run:
        authorizer.apply(changes)
    _shown(changes, as_json)


@COMMAND.command("check")
@_CLIENTS
@_JSON
def check(clients: Path | None, as_json: bool) -> int:
    """Show what `plan` shows, and what makes rules worth nothing; exit code 1 if anything.

    That is a broker without an authorizer, one that lets everybody at what no rule names, and one that listens in clear.
    """
    authorizer, changes = _looked(clients)
    return _shown(changes, as_json, authorizer.holes())


def _looked(clients: Path | None) -> "tuple[Authorizer, list[Change]]":
    from deploy.acls.authorizer import Authorizer
    from deploy.acls.clients import FILE, read_clients
    from deploy.acls.rules import differences, rules_of
    from events.wire.schemas import topics

    known = read_clients(clients or FILE)
    authorizer = Authorizer(Settings().kafka_access)
    return authorizer, differences(rules_of(known, topics()), authorizer.rules(), known)


def _shown(changes: "Sequence[Change]", as_json: bool, holes: Sequence[str] = ()) -> int:
    if as_json:
        shown = [{"kind": change.kind, "text": change.text, "rule": asdict(change.rule)} for change in changes]
        click.echo(json.dumps({"changes": shown, "holes": list(holes)}))
    else:
        click.echo("\n".join([*holes, *(change.text for change in changes)]) or "all rules are as wanted")
    return FOUND if changes or holes else DONE
