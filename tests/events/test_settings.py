"""Settings of Kafka: whole or refused with what lacks, the same for a child, never shown with the password."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from deploy.hotline import exit_code
from events.settings import Settings
from events.wire.kafka import Kafka

PASSWORD = "пароль для проверки"
GIVEN = {"kafka": "kafka.example:9093", "kafka_user": "hotline-desk", "kafka_password": PASSWORD}


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text("the brokers' authority\n", "utf-8")
    return path


def _client(**told: object) -> dict[str, object]:
    return dict(Settings.model_validate(told).kafka_access.client())


def test_nothing_told_is_the_local_kafka_in_clear() -> None:
    assert _client(brokers=1) == {"bootstrap.servers": "127.0.0.1:19092", "security.protocol": "PLAINTEXT"}


def test_a_user_proves_its_name_over_tls(ca: Path) -> None:
    assert _client(**GIVEN, kafka_ca_file=ca) == {
        "bootstrap.servers": "kafka.example:9093",
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(ca),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "hotline-desk",
        "sasl.password": PASSWORD,
    }


def test_a_password_may_lie_in_a_file_and_a_line_s_end_is_not_part_of_it(ca: Path, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n", "utf-8")
    told = {**GIVEN, "kafka_password": None, "kafka_password_file": tmp_path / "password"}

    assert _client(**told, kafka_ca_file=ca)["sasl.password"] == PASSWORD


def test_a_certificate_stands_for_a_user(ca: Path) -> None:
    client = _client(kafka="k:1", kafka_ca_file=ca, kafka_certificate_file=ca, kafka_key_file=ca)

    assert client["security.protocol"] == "SSL"
    assert (client["ssl.certificate.location"], client["ssl.key.location"]) == (str(ca), str(ca))


@pytest.mark.parametrize(
    ("told", "lacking"),
    [
        ({"kafka": "k:1", "kafka_user": "desk"}, "HOTLINE_KAFKA_CA_FILE, HOTLINE_KAFKA_PASSWORD must be set too"),
        ({"kafka": "k:1", "kafka_password": "p"}, "HOTLINE_KAFKA_CA_FILE, HOTLINE_KAFKA_USER must be set too"),
        ({"kafka_user": "desk", "kafka_password": "p"}, "HOTLINE_KAFKA, HOTLINE_KAFKA_CA_FILE must be set too"),
        ({"kafka": "k:1", "kafka_ca_file": "CA", "kafka_key_file": "CA"}, "HOTLINE_KAFKA_CERTIFICATE_FILE must be set too"),
        ({"kafka": "k:1", "kafka_ca_file": "CA", "kafka_certificate_file": "CA"}, "HOTLINE_KAFKA_KEY_FILE must be set too"),
        ({"kafka_ca_file": "CA"}, "HOTLINE_KAFKA must be set too"),
        (
            {"kafka": "k:1", "kafka_ca_file": "CA", "kafka_user": "desk", "kafka_password": "p", "kafka_password_file": "CA"},
            "HOTLINE_KAFKA_PASSWORD, HOTLINE_KAFKA_PASSWORD_FILE: one of them",
        ),
        ({"kafka": "k:1", "kafka_ca_file": "nowhere.pem"}, "HOTLINE_KAFKA_CA_FILE cannot be read"),
    ],
)
def test_half_of_it_is_refused_with_the_names_that_lack(ca: Path, told: dict[str, str], lacking: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({name: str(ca) if value == "CA" else value for name, value in told.items()})

    assert lacking in str(refused.value)
    assert "'p'" not in str(refused.value)


@pytest.mark.parametrize("proof", [{"user": "hotline-desk", "password": PASSWORD}, {"certificate_file": Path("desk.crt")}])
def test_nobody_proves_who_it_is_in_clear(proof: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ca_file must be set too"):
        Kafka("kafka.example:9093", **proof)


def test_a_command_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA_USER", "hotline-desk")

    assert exit_code(["topics", "plan"]) == 2

    said = capsys.readouterr().err
    assert said == "hotline: settings: Value error, HOTLINE_KAFKA, HOTLINE_KAFKA_CA_FILE, HOTLINE_KAFKA_PASSWORD must be set too\n"


def test_a_child_is_told_all_of_it_and_nobody_is_shown_the_password(ca: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_validate({**GIVEN, "kafka_ca_file": ca})

    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert Settings().kafka_access == settings.kafka_access
    assert PASSWORD not in f"{settings!r} {settings.shown()} {settings.kafka_access!r} {settings.kafka_access}"


def test_a_child_that_starts_elsewhere_finds_the_same_files(monkeypatch: pytest.MonkeyPatch, ca: Path) -> None:
    monkeypatch.chdir(ca.parent)

    told = Settings.model_validate({"kafka": "k:1", "kafka_ca_file": "ca.pem"}).environment()

    assert told["HOTLINE_KAFKA_CA_FILE"] == str(ca)
