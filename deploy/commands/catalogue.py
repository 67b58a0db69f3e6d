"""`hotline catalogue`: what the topics hold and what their readers may rely on, for people and for programs. Asks no server."""

import click

from deploy.exits import DONE


@click.command("catalogue")
@click.option("--json", "as_json", is_flag=True, help="The AsyncAPI document of all topics, as /asyncapi.yaml serves it.")
@click.option("--page", "as_page", is_flag=True, help="The page that /topics serves, in HTML.")
def COMMAND(as_json: bool, as_page: bool) -> int:  # noqa: N802 - the name the table looks for
    """Say what lies on each topic, who answers for it, and its events with their ids."""
    from api.queries.catalogue import page
    from events.wire.asyncapi import text
    from events.wire.descriptions import describe, kept_for

    catalogue = describe()
    if as_json or as_page:
        click.echo(text(catalogue) if as_json else page(catalogue), nl=False)
        return DONE
    for topic in catalogue.topics:
        click.echo(f"{topic.name}: {topic.holds}")
        click.echo(f"    key: {topic.key}; {topic.partitions} partitions; kept {kept_for(topic)}; owner: {topic.owner}")
        for event in catalogue.on(topic.name):
            click.echo(f"    {event.name} {', '.join(f'version {one.number} id {one.id}' for one in event.versions)}")
    return DONE
