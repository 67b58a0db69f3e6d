"""`hotline doctor`: every hazard of the set-up, each with its remedy."""

import json
from dataclasses import asdict

import click

from deploy.exits import AWAY, DONE, FOUND
from events.settings import Settings


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """Look at Kafka, the databases and this machine. Exit code 1 if anything is found, 3 if a part could not be looked at."""
    from deploy.doctor.context import Context
    from deploy.doctor.examination import CHECKS, examine

    result = examine(Context(Settings()))
    if as_json:
        click.echo(json.dumps({"findings": [asdict(finding) for finding in result.findings], "unreachable": result.unreachable}))
    else:
        lines = [finding.line for finding in result.findings] + [f"not looked at: {line}" for line in result.unreachable]
        click.echo("\n".join(lines) or f"nothing found by {len(CHECKS)} checks")
    if result.unreachable:
        return AWAY
    return FOUND if result.findings else DONE
