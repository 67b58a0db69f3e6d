"""A Kafka of the tests' own that lets in whom it knows alone: an authorizer, SCRAM over TLS for clients, certificates among its parts."""

import datetime
import ipaddress
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deploy.parts.kafka import LocalKafka, kafka_answers
from deploy.parts.local import LocalParts
from deploy.parts.ports import LOOPBACK, pick_free
from events.settings import Settings
from events.wire.kafka import Kafka
from tests.deploy.acls.tries import ANSWER_S, YES, to_get_in
from tests.waiting import until

TOPICS = tuple(f"hotline.{name}" for name in ("contacts", "commands", "tickets", "outcomes", "reference", "dead-letters"))
ROOT = "root"  # a super user, by certificate alone
PASSWORD = "a password of tests"  # every user's
_PORTS, _STOP_LIMIT_S = 3, 30  # for clients, for the controller, for the broker itself and its super user
_DAY = datetime.timedelta(days=1)


class Certificates:
    """An authority of the tests' own, and what it has signed: files in PEM."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._sign("tests", self._key, authority=True).public_bytes(Encoding.PEM))

    def make(self, name: str) -> tuple[Path, Path]:
        """Return files with a certificate of `name`, good for this machine, and with its key followed by the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name, key).public_bytes(Encoding.PEM)
        paths = self.folder / f"{name}.crt", self.folder / f"{name}.pem"
        paths[0].write_bytes(certificate)
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate)
        return paths

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        )
        return builder.sign(self._key, SHA256())


class GuardedKafka(LocalKafka):
    """One broker as production has it: nothing in clear, nobody without a name, nothing that no rule allows."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.certificates = Certificates(settings.folder)
        self._own = self.certificates.make("broker")[1]
        self._root = self.certificates.make(ROOT)

    def properties(self) -> dict[str, str]:
        """The usual settings, and what guards it."""
        port = self._settings.kafka_port
        listeners = f"CLIENTS://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{port + 1},INSIDE://{LOOPBACK}:{port + 2}"
        return {
            **super().properties(),
            "listeners": listeners,
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,CONTROLLER:SSL,INSIDE:SSL",
            "inter.broker.listener.name": "INSIDE",
            "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.controller.ssl.client.auth": "required",
            "listener.name.inside.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._own),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates.ca),
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+)$/$1/",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:broker;User:{ROOT}",
        }

    def answers(self) -> bool:
        """Whether its super user gets the list of topics and brokers."""
        return kafka_answers(self.root)

    @property
    def root(self) -> Kafka:
        """The way of its super user, past all rules."""
        return self.by_certificate(*self._root)

    def by_certificate(self, certificate: Path, key: Path) -> Kafka:
        """The way of whoever has this certificate."""
        address = f"{LOOPBACK}:{self._settings.kafka_port + 2}"
        return Kafka(address, self.certificates.ca, certificate_file=certificate, key_file=key)

    def by_password(self, user: str, password: str = PASSWORD) -> Kafka:
        """The way of an ordinary client."""
        return Kafka(f"{LOOPBACK}:{self._settings.kafka_port}", self.certificates.ca, user, password)

    def settings_of(self, user: str, **named: Any) -> Settings:
        """Settings of a process that is this client; `named` replace some."""
        way = self.by_password(user)
        told = {"home": self._settings.folder, "kafka": way.address, "kafka_ca_file": way.ca_file, "kafka_user": user}
        return Settings.model_validate({**told, "kafka_password": PASSWORD, **named})

    @cached_property
    def admin(self) -> AdminClient:
        """Its super user's client."""
        return AdminClient({**self.root.client(), "log_level": 0})

    def know(self, users: Iterable[str]) -> None:
        """Give users their passwords, and see that the broker knows them."""
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted: list[UserScramCredentialAlteration] = [UserScramCredentialUpsertion(user, scram, PASSWORD.encode()) for user in users]
        for answer in self.admin.alter_user_scram_credentials(wanted, request_timeout=ANSWER_S).values():
            answer.result(ANSWER_S)
        for one in wanted:
            until(partial(self._knows, one.user), ANSWER_S)

    def _knows(self, user: str) -> bool:
        return to_get_in(self.by_password(user)) == YES


class _GuardedParts(LocalParts):
    """That broker and nothing else."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.kafka = GuardedKafka(settings)
        self._parts = [self.kafka]


@contextmanager
def guarded_kafka() -> Iterator[GuardedKafka]:
    """Such a Kafka in a temporary home on free ports; ended even if pytest is killed."""
    home = Path(tempfile.mkdtemp(prefix="hotline-acls-"))
    leash = subprocess.Popen((sys.executable, "-m", "deploy.parts.leash", str(home)), stdin=subprocess.PIPE, start_new_session=True)
    elsewhere = {"database_url": "postgresql://nowhere/none", "vault_url": "postgresql://nowhere/none"}
    parts = _GuardedParts(Settings.model_validate({"home": home, "kafka_port": pick_free(_PORTS), **elsewhere}))
    try:
        parts.start()
        yield parts.kafka
    finally:
        parts.stop()
        leash.communicate(timeout=_STOP_LIMIT_S)
