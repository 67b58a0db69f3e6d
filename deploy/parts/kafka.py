"""The local Kafka: one broker with its own controller, or three with a controller each; loopback only.

The broker's settings stand here and nowhere else.
"""

import base64
import secrets
import signal
import subprocess
from functools import cached_property
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.parts import java
from deploy.parts.jars import jar_folders, locked, verified
from deploy.parts.ports import LOOPBACK, answers, require_free
from deploy.problems import PartAway, Unwilling
from deploy.spawn import Command
from events.settings import Settings
from events.wire.kafka import Kafka
from events.wire.publisher import MAX_MESSAGE_BYTES

_FORMAT_LIMIT_S = 60
_ASK_LIMIT_S = 1.5

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
# Three controllers agree on a new leader among them within about a second of losing theirs; only then do they miss its broker
_QUORUM = {
    "controller.quorum.fetch.timeout.ms": "1000",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.election.backoff.max.ms": "300",
}
_LOG4J = """<Configuration status="WARN">
<Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


class LocalKafka:
    """A Part: one broker. Its log lies in `home`/kafka, or `home`/kafka-N where there are three."""

    stop_signal = signal.SIGTERM

    def __init__(self, settings: Settings, node: int = 1) -> None:
        """`node` is 1 … `settings.broker_count`."""
        self._settings, self._node = settings, node
        self._home = settings.folder
        self._port = settings.kafka_ports[node - 1]
        self.name = _name(node, settings.broker_count)

    def check_ports(self) -> None:
        """Raise PortTaken for the broker's or the controller's."""
        require_free(self._port, "Kafka", "HOTLINE_KAFKA_PORT")
        require_free(self._port + 1, "Kafka's controller (one above Kafka's own)", "HOTLINE_KAFKA_PORT")

    def prepare(self) -> None:
        """Verify the jars, write the settings, format the folder if it is new. Raises Unwilling in a home of another number of brokers."""
        require_same_number(self._settings)
        self._home.mkdir(parents=True, exist_ok=True)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in self.properties().items()))
        (self._home / "log4j2.xml").write_text(_LOG4J)
        class_path = self._class_path
        folder = self._home / self.name
        if folder.exists() and not folder.is_dir():  # a lost disk: said at once, before a JVM is started in vain
            raise PartAway(f"{folder} is no folder")
        if not (folder / "meta.properties").exists():
            self._format(class_path)

    def properties(self) -> dict[str, str]:
        """The broker's settings."""
        listeners = f"PLAINTEXT://{LOOPBACK}:{self._port},CONTROLLER://{LOOPBACK}:{self._port + 1}"
        own = {"node.id": str(self._node), "listeners": listeners, "advertised.listeners": listeners}
        own |= self._side_door(listeners, self._settings.kafka_side_port) if self._settings.kafka_side_port else {}
        return {**own, "log.dirs": str(self._home / self.name), **self._controllers(), **copies(self._settings.broker_count), **FROZEN}

    def _side_door(self, listeners: str, port: int) -> dict[str, str]:
        """A second listener; who comes by it is told to come to the port above, where a test puts what it wants in between."""
        return {
            "listeners": f"{listeners},SIDE://{LOOPBACK}:{port}",
            "advertised.listeners": f"{listeners},SIDE://{LOOPBACK}:{port + 1}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SIDE:PLAINTEXT",
        }

    def _controllers(self) -> dict[str, str]:
        shared = {"process.roles": "broker,controller", "controller.listener.names": "CONTROLLER"}
        ports = self._settings.kafka_ports
        if len(ports) == 1:
            return {**shared, "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._port + 1}"}
        voters = ",".join(f"{node}@{LOOPBACK}:{port + 1}" for node, port in enumerate(ports, 1))
        return {**shared, "controller.quorum.voters": voters, **_QUORUM}

    def command(self) -> Command:
        """The broker's JVM."""
        switches = (f"-Dlog4j2.configurationFile={self._home}/log4j2.xml", f"-Dkafka.logs.dir={self._home}/logs")
        words = (java.executable(), *java.SMALL_SERVER, *switches, "-cp", self._class_path, "kafka.Kafka", str(self._properties))
        return Command(words, self._home)

    def answers(self) -> bool:
        """Whether a client gets the list of topics and brokers."""
        return answers(self._port) and kafka_answers(Kafka(f"{LOOPBACK}:{self._port}"))

    def settle(self) -> None:
        """Nothing: topics are made by `deploy.topics`."""

    @property
    def _properties(self) -> Path:
        return self._home / f"{self.name}.properties"

    @cached_property
    def _class_path(self) -> str:
        return java.class_path(verified(locked(), jar_folders(self._settings), self._settings.maven_repository))

    def _format(self, class_path: str) -> None:
        tool = (java.executable(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", class_path, "kafka.tools.StorageTool")
        alone = ("--standalone",) if self._settings.broker_count == 1 else ()
        words = (*tool, "format", *alone, "--ignore-formatted", "-t", self._cluster(), "-c", str(self._properties))
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=_FORMAT_LIMIT_S, cwd=self._home)
        except subprocess.CalledProcessError as problem:
            lines = (problem.stdout + problem.stderr).decode(errors="replace").strip().splitlines()
            raise PartAway(f"Kafka's folder cannot be made: {lines[-1] if lines else problem.returncode}") from None
        except subprocess.TimeoutExpired:
            raise PartAway(f"Kafka's folder was not made within {_FORMAT_LIMIT_S} s") from None

    def _cluster(self) -> str:
        """The id of the cluster: that of a neighbour who has one already, else a new one."""
        for folder in broker_folders(self._settings):
            meta = folder / "meta.properties"
            lines = meta.read_text().splitlines() if meta.is_file() else []
            if found := next((line.removeprefix("cluster.id=") for line in lines if line.startswith("cluster.id=")), None):
                return found
        made = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        return made.replace("-", "_")  # a leading "-" reads as an option


def local_brokers(settings: Settings) -> list[LocalKafka]:
    """Every broker of the local Kafka."""
    return [LocalKafka(settings, node) for node in range(1, settings.broker_count + 1)]


def broker_folders(settings: Settings) -> list[Path]:
    """The folder of each local broker, whether it is there yet or not."""
    return [settings.folder / _name(node, settings.broker_count) for node in range(1, settings.broker_count + 1)]


def copies(brokers: int) -> dict[str, str]:
    """How often everything is kept, our topics and Kafka's own: by one broker once, by three thrice, twice before it counts."""
    replicas, written = str(min(3, brokers)), str(min(2, (brokers + 1) // 2))
    return {
        "default.replication.factor": replicas,
        "min.insync.replicas": written,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": written,
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": written,
        "share.coordinator.state.topic.num.partitions": "4",
    }


def require_same_number(settings: Settings) -> None:
    """Raise Unwilling if the home was made with another number of brokers: a log is not moved between them by a start."""
    other = {1: 3, 3: 1}[settings.broker_count]
    if any((settings.folder / _name(node, other)).is_dir() for node in range(1, other + 1)):
        raise Unwilling(
            f"{settings.folder} was made with {other} broker{'s' if other > 1 else ''}, not {settings.broker_count}: "
            f"start it with --brokers {other}, or take another HOTLINE_HOME"
        )


def _name(node: int, brokers: int) -> str:
    return "kafka" if brokers == 1 else f"kafka-{node}"


def kafka_answers(kafka: Kafka) -> bool:
    """Whether one of its brokers serves metadata within 1.5 s."""
    admin = AdminClient({**kafka.client(), "log_level": 0, "reconnect.backoff.max.ms": 200})
    try:
        return bool(admin.list_topics(timeout=_ASK_LIMIT_S).brokers)
    except KafkaException:
        return False
