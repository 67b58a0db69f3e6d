"""The process `api`: serves the query application until it is told to stop."""

from threading import Event as Flag

from api.access import open_gate
from api.queries.application import make_application
from api.serving import serve
from events.reference import load
from events.settings import Settings


def run(settings: Settings, stop: Flag) -> None:
    """Serve on the address and port of the settings until `stop` is set."""
    app = make_application(settings.database, settings.kafka_access, open_gate(settings), load(settings.reference), settings.intake_port)
    serve(app, settings.bind, settings.api_port, stop, app.application.state.live.end_all)
