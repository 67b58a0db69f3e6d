"""The door to Postgres: bounded even when the other side says nothing."""

import socket

import psycopg
import pytest

from projectors import database


@pytest.mark.timeout(30)
def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(psycopg.OperationalError, match="timeout"):
        database.connect(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none", "test")
