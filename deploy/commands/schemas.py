"""`hotline schemas check`: the schemas against their own rules."""

import json

import click


@click.group("schemas")
def COMMAND() -> None:  # noqa: N802 - the name the table looks for
    """The public contract in schemas/."""


@COMMAND.command("check")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def check(as_json: bool) -> int:
    """Say what is wrong with the schemas; exit code 1 if anything is."""
    from events.schemas import check as problems_of_schemas

    problems = problems_of_schemas()
    click.echo(json.dumps({"problems": problems}) if as_json else "\n".join(problems) or "schemas: in order")
    return 1 if problems else 0
