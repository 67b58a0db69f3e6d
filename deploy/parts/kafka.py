"""The local Kafka: one broker, its own controller, loopback only. The broker's settings stand here and nowhere else."""

import base64
import secrets
import signal
import subprocess
from functools import cached_property
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.parts import java
from deploy.parts.jars import locked, verified
from deploy.parts.ports import LOOPBACK, answers, require_free
from deploy.problems import PartAway
from deploy.spawn import Command
from events.settings import Settings
from events.wire.publisher import MAX_MESSAGE_BYTES

_FORMAT_LIMIT_S = 60
_ASK_LIMIT_S = 1.5

# One broker: everything internal once, in few partitions
SINGLE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
}
# What the promises of the log and the speed of healing rest on
FROZEN = {
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "log.message.timestamp.type": "LogAppendTime",
    "message.max.bytes": str(MAX_MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
}
_LOG4J = """<Configuration status="WARN">
<Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


class LocalKafka:
    """A Part. Its log lies in `home`/kafka."""

    name = "kafka"
    stop_signal = signal.SIGTERM

    def __init__(self, settings: Settings) -> None:
        self._home = settings.folder
        self._port = settings.kafka_port
        self._repository = settings.maven_repository
        self._jar_folders = [settings.jars] if settings.jars else _usual_folders(settings.folder)

    def check_ports(self) -> None:
        """Raise PortTaken for the broker's or the controller's."""
        require_free(self._port, "Kafka", "HOTLINE_KAFKA_PORT")
        require_free(self._port + 1, "Kafka's controller (one above Kafka's own)", "HOTLINE_KAFKA_PORT")

    def prepare(self) -> None:
        """Verify the jars, write the settings, format the folder if it is new."""
        self._home.mkdir(parents=True, exist_ok=True)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self.properties().items()))
        (self._home / "log4j2.xml").write_text(_LOG4J)
        class_path = self._class_path
        if not (self._home / "kafka" / "meta.properties").exists():
            self._format(class_path)

    def properties(self) -> dict[str, str]:
        """The broker's settings."""
        listeners = f"PLAINTEXT://{LOOPBACK}:{self._port},CONTROLLER://{LOOPBACK}:{self._port + 1}"
        own = {"listeners": listeners, "advertised.listeners": listeners, "log.dirs": str(self._home / "kafka")}
        return {**SINGLE, **own, "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._port + 1}", **FROZEN}

    def command(self) -> Command:
        """The broker's JVM."""
        switches = (f"-Dlog4j2.configurationFile={self._home}/log4j2.xml", f"-Dkafka.logs.dir={self._home}/logs")
        words = (java.executable(), *java.SMALL_SERVER, *switches, "-cp", self._class_path, "kafka.Kafka", str(self._properties))
        return Command(words, self._home)

    def answers(self) -> bool:
        """Whether a client gets the list of topics and brokers."""
        return answers(self._port) and kafka_answers(f"{LOOPBACK}:{self._port}")

    def settle(self) -> None:
        """Nothing: topics are made by `deploy.topics`."""

    @property
    def _properties(self) -> Path:
        return self._home / "kafka.properties"

    @cached_property
    def _class_path(self) -> str:
        return java.class_path(verified(locked(), self._jar_folders, self._repository))

    def _format(self, class_path: str) -> None:
        cluster = (
            base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "_")
        )  # a leading "-" reads as an option
        tool = (java.executable(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class_path, "kafka.tools.StorageTool")
        words = (*tool, "format", "--standalone", "--ignore-formatted", "-t", cluster, "-c", str(self._properties))
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=_FORMAT_LIMIT_S, cwd=self._home)
        except subprocess.CalledProcessError as problem:
            lines = (problem.stdout + problem.stderr).decode(errors="replace").strip().splitlines()
            raise PartAway(f"Kafka's folder cannot be made: {lines[-1] if lines else problem.returncode}") from None
        except subprocess.TimeoutExpired:
            raise PartAway(f"Kafka's folder was not made within {_FORMAT_LIMIT_S} s") from None


def kafka_answers(address: str) -> bool:
    """Whether a broker of the address serves metadata within 1.5 s."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0, "reconnect.backoff.max.ms": 200})
    try:
        return bool(admin.list_topics(timeout=_ASK_LIMIT_S).brokers)
    except KafkaException:
        return False


def _usual_folders(home: Path) -> list[Path]:
    try:
        return [Path.home() / ".m2" / "repository", home / "jars"]
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return [home / "jars"]
