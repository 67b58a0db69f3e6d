"""Questions to what we did not start ourselves, and to our own HTTP applications: does it answer?"""

import http.client

import psycopg

from deploy.parts.kafka import kafka_answers
from deploy.parts.local import wait_until
from deploy.parts.ports import LOOPBACK
from events.settings import Settings

_FOREIGN_LIMIT_S = 15.0
_LIVEZ_LIMIT_S = 1.0


def serves(port: int) -> bool:
    """Whether the application on that port of this machine says that it runs."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_LIVEZ_LIMIT_S)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def database_answers(address: str) -> bool:
    """Whether a Postgres lets us in at that address within 3 s."""
    try:
        psycopg.connect(address, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def require_foreign_parts(settings: Settings) -> None:
    """Wait for the parts that settings name instead of local ones; PartAway after 15 s each, without their addresses' secrets."""
    if settings.kafka is not None:
        line = f"Kafka at {settings.kafka} (HOTLINE_KAFKA) does not answer"
        wait_until(lambda: kafka_answers(settings.kafka_access), _FOREIGN_LIMIT_S, line)
    if settings.database_url is not None:
        wait_until(lambda: database_answers(settings.database), _FOREIGN_LIMIT_S, "the database of HOTLINE_DATABASE_URL does not answer")
    if settings.vault_url is not None:
        wait_until(lambda: database_answers(settings.vault), _FOREIGN_LIMIT_S, "the database of HOTLINE_VAULT_URL does not answer")
