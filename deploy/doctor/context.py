"""What a check may look at: the settings, the Kafka and the databases they name, and what is wanted of them.

Opens each part when it is first asked for and bounds every question; a part that was away once is away for all checks. Judges nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from deploy.doctor.kafka import KafkaSeen, Sample, TopicSeen
from deploy.problems import PartAway
from deploy.topics import Topic, desired_topics
from events.places import Partition
from events.settings import Settings
from events.wire.schemas import FOLDER
from projectors import database

ASK_LIMIT_S = 3.0
STATEMENT_LIMIT_S = 5
SAMPLE_RECORDS = 100  # of each partition
LEAST_FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class Context:
    """One set-up under examination. What has a default is changed by tests alone.

    `topics` are the wanted ones, by default those of `schemas/topics.toml` for as many brokers as the cluster has.
    """

    settings: Settings
    topics: Sequence[Topic] | None = None
    now_s: Callable[[], float] = time.time
    least_free_bytes: int = LEAST_FREE_BYTES
    schemas_folder: Path = FOLDER
    ask_limit_s: float = ASK_LIMIT_S
    _opened: list[psycopg.Connection[Any]] = field(default_factory=list)

    @cached_property
    def kafka(self) -> KafkaSeen:
        """The Kafka."""
        return KafkaSeen(self.settings.kafka_access, self.ask_limit_s)

    @cached_property
    def wanted(self) -> dict[str, Topic]:
        """The topics there should be, by name. Raises PartAway."""
        topics = desired_topics(self.kafka.brokers) if self.topics is None else self.topics
        return {topic.name: topic for topic in topics}

    @cached_property
    def found(self) -> dict[str, TopicSeen]:
        """Those of the wanted topics that exist. Raises PartAway."""
        return self.kafka.topics(self.wanted)

    @cached_property
    def spans(self) -> dict[Partition, tuple[int, int]]:
        """The first offset and the one past the last of each of their partitions. Raises PartAway."""
        return self.kafka.spans(self.wanted)

    @cached_property
    def sample(self) -> Sample:
        """Their newest records. Raises PartAway."""
        return self.kafka.newest(self.wanted, SAMPLE_RECORDS)

    @cached_property
    def database(self) -> psycopg.Connection[Any]:
        """A session as every process of ours has it on the main database, but with less patience. Raises PartAway."""
        return self._connect(self.settings.database, "the database")

    @cached_property
    def vault(self) -> psycopg.Connection[Any]:
        """Such a session on the vault's database. Raises PartAway."""
        return self._connect(self.settings.vault, "the vault's database")

    def has_table(self, name: str) -> bool:
        """Whether the main database has such a table or view; before anything ran it has none."""
        row = self.database.execute("SELECT to_regclass(%s)", [name]).fetchone()
        return row is not None and row[0] is not None

    def close(self) -> None:
        """Let the sessions go."""
        for connection in self._opened:
            connection.close()

    def _connect(self, address: str, name: str) -> psycopg.Connection[Any]:
        try:
            connection = database.connect(address, "doctor")
        except psycopg.OperationalError:
            raise PartAway(f"{name} does not answer") from None
        self._opened.append(connection)
        connection.execute(sql.SQL("SET statement_timeout = {}").format(f"{STATEMENT_LIMIT_S}s"))
        return connection
