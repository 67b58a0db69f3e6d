"""The local schema registry: Apicurio on the packaged Java, loopback only, its schemas in a database of the local Postgres.

Only who asks for it gets it (`hotline up --registry`). Knows how the server is made and started; which schemas lie in it, and how they get
there with their ids, is `deploy.registry`'s to know.
"""

import http.client
import os
import shutil
import signal
import tarfile
from functools import cached_property
from pathlib import Path

from deploy.parts import java
from deploy.parts.jars import jar_folders, locked, verified
from deploy.parts.ports import LOOPBACK, require_free
from deploy.problems import Unwilling
from deploy.spawn import Command
from events.settings import Settings

DATABASE = "registry"
LOCK = Path(__file__).parent.parent / "registry.lock"
SIZE_MB = 159
_ASK_LIMIT_S = 1.5
_POOL = 4  # connections; 20 at once and up to 100 by default, more than a small Postgres has
_SMALL = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class LocalRegistry:
    """A Part. Needs the local Postgres up, with its database made, before it starts."""

    name = "registry"
    stop_signal = signal.SIGTERM

    def __init__(self, settings: Settings) -> None:
        """Raise Unwilling where the settings name a registry, or another Postgres."""
        if settings.registry is not None:
            raise Unwilling("HOTLINE_REGISTRY names a registry, so none is started: `hotline schemas push` brings the schemas there")
        if settings.database_url is not None and settings.vault_url is not None:
            raise Unwilling(
                "the local registry keeps its schemas in the local Postgres, and the settings name others: set HOTLINE_REGISTRY"
            )
        self._settings = settings
        self._home = settings.folder
        self._port = settings.registry_port

    def check_ports(self) -> None:
        """Raise PortTaken for the registry's, or that of its own health."""
        require_free(self._port, "the schema registry", "HOTLINE_REGISTRY_PORT")
        require_free(self._port + 1, "the registry's health (one above its own)", "HOTLINE_REGISTRY_PORT")

    def prepare(self) -> None:
        """Unpack the verified archive once."""
        if self._program.exists():
            return
        (archive,) = verified(locked(LOCK), jar_folders(self._settings), self._settings.maven_repository)
        half = self._program.with_name(f"{self._program.name}.new")  # moved when whole: a kill leaves no half of it
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        with tarfile.open(archive) as packed:
            packed.extraction_filter = getattr(tarfile, "data_filter", None)  # from 3.11.4 on; what was verified needs none
            packed.extractall(half)  # noqa: S202
        half.rename(self._program)

    def command(self) -> Command:
        """The registry's JVM."""
        self._write_properties()
        where = f"-Dquarkus.config.locations={self._properties}"
        return Command((java.executable(), *_SMALL, where, "-jar", str(self._program / "quarkus-run.jar")), self._home)

    def answers(self) -> bool:
        """Whether it lists its subjects."""
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=_ASK_LIMIT_S)
        try:
            connection.request("GET", "/apis/ccompat/v7/subjects")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def settle(self) -> None:
        """Bring the schemas there. Raises Unwilling if something else has their ids."""
        from deploy.registry.pushing import push, require_no_collision

        require_no_collision(push(self._settings.registry_address))

    @cached_property
    def _program(self) -> Path:
        (archive,) = locked(LOCK)
        return self._home / "jars" / f"{archive.artifact}-{archive.version}-{archive.sha256[:12]}"

    @property
    def _properties(self) -> Path:
        return self._home / "registry.properties"

    def _write_properties(self) -> None:
        properties = {
            "config_ordinal": "500",  # above what the archive says itself
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": str(self._port),
            "quarkus.management.host": LOOPBACK,
            "quarkus.management.port": str(self._port + 1),
            'quarkus.log.category."io.apicurio".level': "WARN",
            "quarkus.http.access-log.enabled": "false",
            "apicurio.storage.sql.kind": "postgresql",
            "apicurio.datasource.url": f"jdbc:postgresql://{LOOPBACK}:{self._settings.postgres_port}/{DATABASE}",
            "apicurio.datasource.username": "postgres",
            "apicurio.datasource.password": (self._home / "postgres.pass").read_text().strip().rsplit(":", 1)[1],
            "apicurio.datasource.jdbc.initial-size": "1",
            "apicurio.datasource.jdbc.min-size": "1",
            "apicurio.datasource.jdbc.max-size": str(_POOL),
        }
        self._properties.unlink(missing_ok=True)
        with os.fdopen(os.open(self._properties, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.writelines(f"{name}={value}\n" for name, value in properties.items())
