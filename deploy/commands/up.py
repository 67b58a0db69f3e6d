"""`hotline up`: the whole stack, in the foreground or aside."""

import threading

import click

from events.logging import configure
from events.settings import Settings


@click.command("up")
@click.option(
    "--brokers", type=click.Choice(["1", "3"]), help="Brokers of the local Kafka; a home keeps the number it was made with (default 1)."
)
@click.option("--registry", is_flag=True, help="A schema registry too, with our schemas in it; fetches 159 MB the first time.")
@click.option("--detach", is_flag=True, help="Run aside; return when all is ready.")
@click.option("--apart", is_flag=True, help="Each projector as a process of its own.")
@click.option("--parts-only", is_flag=True, help="Only Kafka and Postgres, with topics and databases.")
@click.option("--log-json", is_flag=True, hidden=True)
def COMMAND(  # noqa: N802 - the name the table looks for
    brokers: str | None, registry: bool, detach: bool, apart: bool, parts_only: bool, log_json: bool
) -> None:
    """Start local parts and all processes, and keep them running until Ctrl-C or `hotline down`."""
    from deploy.processes import units_to_start
    from deploy.stack import run_stack, start_detached

    settings = Settings()
    if brokers is not None:
        settings = settings.model_copy(update={"brokers": int(brokers)})
    if detach:
        chosen = {"--registry": registry, "--apart": apart, "--parts-only": parts_only}
        start_detached(settings, *(option for option, is_chosen in chosen.items() if is_chosen))
        applications = f", intake http://127.0.0.1:{settings.intake_port}, queries http://127.0.0.1:{settings.api_port}"
        schemas = f", registry {settings.registry_address}" if registry else ""
        click.echo(f"up: Kafka {settings.kafka_address}{schemas}{'' if parts_only else applications}; `hotline down` stops it")
        return
    configure("supervisor", for_people=not log_json)
    run_stack(settings, [] if parts_only else units_to_start(apart=apart), threading.Event(), registry=registry)
