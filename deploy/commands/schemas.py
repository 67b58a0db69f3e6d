"""`hotline schemas check|lock`: the schemas against their own rules, and ids for new ones."""

import json

import click

from deploy.exits import DONE, FOUND


@click.group("schemas")
def COMMAND() -> None:  # noqa: N802 - the name the table looks for
    """The public contract in schemas/."""


@COMMAND.command("check")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def check(as_json: bool) -> int:
    """Say what is wrong with the schemas; exit code 1 if anything is."""
    from events.wire.schema_rules import check as problems_of_schemas

    problems = problems_of_schemas()
    click.echo(json.dumps({"problems": problems}) if as_json else "\n".join(problems) or "schemas: in order")
    return FOUND if problems else DONE


@COMMAND.command("lock")
@click.option("--dry-run", is_flag=True, help="Say what would be locked and write nothing.")
def lock(dry_run: bool) -> int:
    """Give every new schema its id in schemas/lock.json; what is locked is never touched."""
    from events.wire.schemas import extend_lock

    added = extend_lock(write=not dry_run)
    click.echo("\n".join(added) or "schemas: nothing new")
    return DONE
