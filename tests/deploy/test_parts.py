"""The local servers before they start: ports, jars, identity, what a killed one left; and the broker's frozen settings."""

import hashlib
import os
import socket
import subprocess
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from pydantic import ValidationError

from deploy.parts.identity import identity_for, outside_folder
from deploy.parts.jars import Jar, locked, verified
from deploy.parts.kafka import FROZEN, LocalKafka
from deploy.parts.local import LocalParts, local_parts
from deploy.parts.ports import pick_free, require_free
from deploy.parts.postgres import clear_stale_lock
from deploy.problems import JarsRefused, PartAway, PortTaken, Unwilling
from events.settings import Settings

LIMIT_S = 10.0


def a_jar(folder: Path, content: bytes = b"classes") -> Jar:
    jar = Jar("org.example", "tool", "1.0", hashlib.sha256(b"classes").hexdigest())
    (folder / jar.path).parent.mkdir(parents=True)
    (folder / jar.path).write_bytes(content)
    return jar


def test_taken_port_is_said_in_one_line_with_the_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PortTaken, match=f"port {port}, wanted by Kafka, is taken .* HOTLINE_KAFKA_PORT"):
            require_free(port, "Kafka", "HOTLINE_KAFKA_PORT")


def test_jars_are_found_in_any_of_the_folders(tmp_path: Path) -> None:
    jar = a_jar(tmp_path / "second")

    assert verified([jar], [tmp_path / "first", tmp_path / "second"], None) == [tmp_path / "second" / jar.path]


def test_changed_jar_is_refused_and_named(tmp_path: Path) -> None:
    jar = a_jar(tmp_path, b"classes and more")

    with pytest.raises(JarsRefused, match=r"tool-1\.0\.jar"):
        verified([jar], [tmp_path], None)


def test_jar_that_cannot_be_fetched_is_one_line_without_a_host(tmp_path: Path) -> None:
    jar = Jar("org.example", "tool", "1.0", "0" * 64)

    with pytest.raises(PartAway) as caught:
        verified([jar], [tmp_path], "http://127.0.0.1:9/maven")

    assert "cannot fetch tool 1.0" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_lock_names_jars_of_one_kafka_and_no_host() -> None:
    jars = locked()

    assert {jar.version for jar in jars if jar.group == "org.apache.kafka"} == {"4.3.1"}
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert len({jar.path for jar in jars}) == len(jars)


def test_settings_replace_local_parts(tmp_path: Path) -> None:
    named = Settings.model_validate({"home": tmp_path, "kafka": "10.0.0.1:9092", "database_url": "postgresql://a/b"})
    both = named.model_copy(update={"vault_url": named.database_url})

    assert [part.name for part in local_parts(Settings(home=tmp_path))] == ["postgres", "kafka"]
    assert [part.name for part in local_parts(named)] == ["postgres"]  # the vault still lives here
    assert local_parts(both) == []


def test_pid_file_of_a_killed_server_goes_once_nobody_works_in_the_folder(tmp_path: Path) -> None:
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text("1\n")

    clear_stale_lock(tmp_path)

    assert not pid_file.exists()


def test_folder_in_which_a_server_still_works_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.parts.postgres._LEFTOVERS_LIMIT_S", 0.2)
    (tmp_path / "postmaster.pid").write_text("1\n")
    with subprocess.Popen(("sleep", "60"), cwd=tmp_path) as session:
        with pytest.raises(PartAway, match="still work in"):
            clear_stale_lock(tmp_path)
        session.kill()

    assert (tmp_path / "postmaster.pid").exists()


def test_broker_listens_on_loopback_only(tmp_path: Path) -> None:
    properties = LocalKafka(Settings(home=tmp_path, kafka_port=21000)).properties()

    assert properties["listeners"] == "PLAINTEXT://127.0.0.1:21000,CONTROLLER://127.0.0.1:21001"


def test_three_brokers_vote_and_keep_everything_thrice_and_twice_before_it_counts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka_port=21000, brokers=3)

    parts = [part for part in local_parts(settings) if isinstance(part, LocalKafka)]
    properties = [part.properties() for part in parts]

    assert settings.kafka_address == "127.0.0.1:21000,127.0.0.1:21100,127.0.0.1:21200"
    assert [part.name for part in parts] == ["kafka-1", "kafka-2", "kafka-3"]
    assert [shown["log.dirs"] for shown in properties] == [str(tmp_path / part.name) for part in parts]
    assert {shown["controller.quorum.voters"] for shown in properties} == {"1@127.0.0.1:21001,2@127.0.0.1:21101,3@127.0.0.1:21201"}
    assert {value for shown in properties for name, value in shown.items() if name.endswith("replication.factor")} == {"3"}
    assert {value for shown in properties for name, value in shown.items() if name.endswith(("min.isr", "min.insync.replicas"))} == {"2"}


def test_home_keeps_the_number_of_brokers_it_was_made_with(tmp_path: Path) -> None:
    (tmp_path / "kafka-2").mkdir()  # the first broker's disk may be the one that is lost

    assert Settings(home=tmp_path).broker_count == 3
    with pytest.raises(Unwilling, match="was made with 3 brokers, not 1: start it with --brokers 3"):
        local_parts(Settings(home=tmp_path, brokers=1))


def test_home_of_one_broker_refuses_three(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()

    assert Settings(home=tmp_path).broker_count == 1
    with pytest.raises(Unwilling, match="was made with 1 broker, not 3"):
        local_parts(Settings(home=tmp_path, brokers=3))


def test_broker_whose_disk_is_gone_is_said_at_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, kafka_port=21000, brokers=3)
    (tmp_path / "kafka-3").touch()

    with pytest.raises(PartAway, match="kafka-3 is no folder"):
        LocalKafka(settings, 3).prepare()


def test_two_brokers_are_not_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="1 or 3"):
        Settings(home=tmp_path, brokers=2)


@pytest.mark.parts
def test_running_broker_has_the_frozen_settings(stack: Settings) -> None:
    admin = AdminClient({"bootstrap.servers": stack.kafka_address})
    resource = ConfigResource(ResourceType.BROKER, "1")

    shown = admin.describe_configs([resource])[resource].result(LIMIT_S)

    assert {name: shown[name].value for name in FROZEN} == FROZEN


@pytest.mark.parts
@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another identity")
def test_root_without_namespaces_runs_postgres_as_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.parts.identity._namespaces_work", lambda: False)
    settings = Settings(home=tmp_path, kafka="127.0.0.1:1", postgres_port=pick_free(1))
    parts = LocalParts(settings, durable=False)
    try:
        parts.start()
        with psycopg.connect(settings.vault) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert os.stat(f"/proc/{parts.child('postgres').pid}").st_uid != 0
    finally:
        parts.stop()
        subprocess.run(("rm", "-rf", str(outside_folder(tmp_path))), check=True)


def test_identity_of_root_lies_inside_home_where_namespaces_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.parts.identity._namespaces_work", lambda: True)

    identity = identity_for(tmp_path, tmp_path / "wheel")

    assert identity.tables == tmp_path / "postgres"
    assert identity.user is None
    assert identity.prefix == (("unshare", "--user", "--map-user=65534", "--map-group=65534") if os.geteuid() == 0 else ())
