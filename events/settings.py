"""Every setting of every process, read once at the entry: environment variables with the prefix `HOTLINE_`, or a TOML file.

The one file that reads the environment. What a hotline's clerk may change (lines, terms, limits) is reference data, not a setting.
"""

import os
import ssl
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from events.wire.kafka import Kafka

BROKER_PORTS_APART = 100
_SECURE = {"kafka_ca_file", "kafka_user", "kafka_password", "kafka_password_file", "kafka_certificate_file", "kafka_key_file"}


class Settings(BaseSettings):
    """What one process is told from outside. Addresses left out mean the local parts under `home`."""

    model_config = SettingsConfigDict(env_prefix="HOTLINE_", frozen=True, extra="ignore", hide_input_in_errors=True)

    home: Path = Field(default=Path(".hotline"), description="The one folder for local data, keys and logs.")
    kafka: str | None = Field(default=None, description="An existing Kafka, host:port[,host:port]; nothing local is started then.")
    kafka_ca_file: Path | None = Field(
        default=None, description="Certificates that its brokers are checked against, PEM; TLS from then on."
    )
    kafka_user: str | None = Field(default=None, min_length=1, description="Our name there, proved by SCRAM-SHA-512; only over TLS.")
    kafka_password: SecretStr | None = Field(default=None, description="Its password.")
    kafka_password_file: Path | None = Field(default=None, description="File that holds the password, instead.")
    kafka_certificate_file: Path | None = Field(default=None, description="Our own certificate, PEM, where brokers ask for one.")
    kafka_key_file: Path | None = Field(default=None, description="Its private key, PEM.")
    kafka_port: int = Field(default=19092, description="Port of the local Kafka; its controller takes the next one.")
    brokers: int | None = Field(default=None, description="Brokers of the local Kafka, 1 or 3; default: as its home was made, else 1.")
    kafka_side_port: int | None = Field(
        default=None, description="For tests alone: a second port of the local Kafka, whose clients are told to come to the next one."
    )
    database_url: SecretStr | None = Field(default=None, description="An existing Postgres, 15 or newer.")
    jars: Path | None = Field(default=None, description="Folder of Kafka's jars; default: Maven's usual one, else one in home.")
    maven_repository: str | None = Field(default=None, description="Address of a Maven repository to fetch them from.")
    postgres_port: int = Field(default=15432, description="Port of the local Postgres.")
    vault_url: SecretStr | None = Field(default=None, description="Database of the vault; by default another one on the local server.")
    registry: SecretStr | None = Field(
        default=None, description="An existing schema registry that speaks Confluent's API; user:password@ before its host if it wants one."
    )
    registry_port: int = Field(default=18085, description="Port of the local one (`up --registry`); its own health takes the next one.")
    intake_port: int = Field(default=8081, description="Port of the intake application.")
    api_port: int = Field(default=8080, description="Port of the query application.")
    bind: str = Field(default="127.0.0.1", description="Address the two HTTP applications listen on.")
    master_key_file: Path | None = Field(default=None, description="File with the vault's master key, 32 bytes; default: in home.")
    signing_key_file: Path | None = Field(default=None, description="Private key of `hotline token`, PEM; default: in home.")
    verifying_key_file: Path | None = Field(
        default=None, description="Public key the applications check tokens with, PEM; default: in home."
    )
    files: Path | None = Field(default=None, description="Folder of sealed files; default: in home.")
    reference: Path | None = Field(default=None, description="Folder of reference data; default: the one in the package.")
    crash_point: str | None = Field(default=None, description="For tests alone: where this process kills or freezes itself.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the framework's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the environment, then the file that `HOTLINE_SETTINGS` names."""
        named = os.environ.get("HOTLINE_SETTINGS")
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        return (*sources, TomlConfigSettingsSource(settings_cls, Path(named))) if named else sources

    @field_validator("brokers")
    @classmethod
    def _one_or_three(cls, brokers: int | None) -> int | None:
        if brokers not in (None, 1, 3):
            raise ValueError("1 or 3")
        return brokers

    @model_validator(mode="after")
    def _speaks_to_kafka_wholly_or_not_at_all(self) -> "Settings":
        given = {name for name in type(self).model_fields if name.startswith("kafka") and getattr(self, name) is not None}
        lacking = {
            *({"kafka", "kafka_ca_file"} if given & _SECURE else set()),
            *({"kafka_password"} if "kafka_user" in given and "kafka_password_file" not in given else set()),
            *({"kafka_user"} if given & {"kafka_password", "kafka_password_file"} else set()),
            *({"kafka_key_file"} if "kafka_certificate_file" in given else set()),
            *({"kafka_certificate_file"} if "kafka_key_file" in given else set()),
        } - given
        wrong = [f"{_named(*lacking)} must be set too"] if lacking else []
        if {"kafka_password", "kafka_password_file"} <= given:
            wrong.append(f"{_named('kafka_password', 'kafka_password_file')}: one of them")
        files = [name for name in given if name.endswith("_file") and not os.access(getattr(self, name), os.R_OK)]
        if files:
            wrong.append(f"{_named(*files)} cannot be read")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @cached_property
    def folder(self) -> Path:
        """`home` as an absolute path."""
        return self.home.expanduser().absolute()

    @property
    def broker_count(self) -> int:
        """How many brokers the local Kafka has: as told, else as the home was made; a home with three has a folder for each."""
        return self.brokers or (3 if any((self.folder / f"kafka-{node}").is_dir() for node in (1, 2, 3)) else 1)

    @property
    def kafka_ports(self) -> tuple[int, ...]:
        """The port of each local broker; its controller takes the next one."""
        return tuple(self.kafka_port + BROKER_PORTS_APART * place for place in range(self.broker_count))

    @property
    def kafka_address(self) -> str:
        """Bootstrap servers of the Kafka in use."""
        return self.kafka or ",".join(f"127.0.0.1:{port}" for port in self.kafka_ports)

    @property
    def kafka_access(self) -> Kafka:
        """The Kafka in use and how to speak to it: what every client of ours begins with."""
        return Kafka(
            self.kafka_address, self.kafka_ca_file, self.kafka_user, self._kafka_secret(), self.kafka_certificate_file, self.kafka_key_file
        )

    def _kafka_secret(self) -> str | None:
        if self.kafka_password_file:
            return self.kafka_password_file.read_text("utf-8").strip("\r\n")
        return self.kafka_password.get_secret_value() if self.kafka_password else None

    @property
    def database(self) -> str:
        """Connection string of the read models', the desk's and the positions' database; no password in it for the local server."""
        return self.database_url.get_secret_value() if self.database_url else self._local_database("hotline")

    @property
    def vault(self) -> str:
        """Connection string of the vault's database."""
        return self.vault_url.get_secret_value() if self.vault_url else self._local_database("vault")

    def _local_database(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.postgres_port}/{name}?passfile={quote(str(self.folder))}/postgres.pass&connect_timeout=3"

    @property
    def registry_address(self) -> str:
        """Where the schema registry in use speaks Confluent's API."""
        return self.registry.get_secret_value() if self.registry else f"http://127.0.0.1:{self.registry_port}/apis/ccompat/v7"

    @property
    def master_key_path(self) -> Path:
        """Where the vault's master key lies."""
        return self.master_key_file or self.folder / "master.key"

    @property
    def signing_key_path(self) -> Path:
        """Where the private key of local tokens lies."""
        return self.signing_key_file or self.folder / "token.key"

    @property
    def verifying_key_path(self) -> Path:
        """Where the public key that checks tokens lies."""
        return self.verifying_key_file or self.folder / "token.pub"

    @property
    def files_path(self) -> Path:
        """Where sealed files lie."""
        return self.files or self.folder / "files"

    def environment(self) -> dict[str, str]:
        """Our environment with these settings in it, secrets too: for a child process that must see the same, wherever it starts."""
        told = {name: getattr(self, name) for name in type(self).model_fields} | {"home": self.folder}
        plain = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value.absolute() if isinstance(value, Path) else value)
            for name, value in told.items()
            if value is not None
        }
        return os.environ | {f"HOTLINE_{name.upper()}": value for name, value in plain.items()}

    def shown(self) -> dict[str, Any]:
        """All settings for a person to read, secrets left out."""
        return {name: str(value) for name, value in {**self.model_dump(), "brokers": self.broker_count}.items()}


def _named(*settings: str) -> str:
    return ", ".join(f"HOTLINE_{name.upper()}" for name in sorted(settings))


def trust_system_certificates() -> None:
    """Let fetches over HTTPS trust what the machine trusts, unless somebody has said otherwise."""
    bundles = (ssl.get_default_verify_paths().cafile, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
    found = next((path for path in bundles if path and Path(path).exists()), None)
    if found:
        os.environ.setdefault("REQUESTS_CA_BUNDLE", found)
