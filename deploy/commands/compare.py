"""`hotline compare MODEL`: the newest build of a read model against the one that serves, row by row, while both go on."""

import json

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

_SHOWN = 20


@click.command("compare")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(model: str, as_json: bool) -> int:  # noqa: N802 - the name the table looks for
    """Compare the newest build of MODEL with the one that serves. Exit code 1 if a difference is found that no rule expects."""
    from deploy.models import answering, compared
    from events.logging import configure

    configure("compare")
    with answering():
        found = compared(Settings(), model)
    if as_json:
        click.echo(json.dumps(found.as_object()))
        return DONE if found.is_clean else FOUND
    click.echo(f"{found.new} against {found.old}: {found.rows} rows in {found.took_s:.1f} s")
    click.echo(f"{found.rows_unexpected} differ unexpectedly, {found.rows_expected} as expected, {found.rows_unsettled} not judged")
    for what, count in (*found.columns.most_common(), *found.reasons.most_common()):
        click.echo(f"  {count:>8}  {what}")
    for consumer, keys in found.parked.items():
        click.echo(f"{consumer}: {keys} keys are parked")
    if found.keys_parked:
        click.echo(f"{found.keys_parked} keys are parked by {found.new} alone")
    if found.unpaired:
        click.echo(f"on one side only: {', '.join(found.unpaired)}")
    if found.lost:
        click.echo(f"readers would miss: {', '.join(found.lost)}")
    for one in found.differences[:_SHOWN]:
        click.echo(f"{one.ticket}  {one.table}.{one.column}: {one.old} → {one.new}")
    if len(found.differences) > _SHOWN:
        click.echo("…")
    return DONE if found.is_clean else FOUND
