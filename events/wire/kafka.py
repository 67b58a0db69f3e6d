"""One Kafka and how to speak to it: where its brokers are, over what, and as whom.

Every client of this service takes its first settings from here, so that nobody speaks in clear to a Kafka that wants otherwise. Knows no
client library and opens no connection.
"""

from dataclasses import dataclass, field
from pathlib import Path

MECHANISM = "SCRAM-SHA-512"
#: A broker that starts may say for a moment that it knows no such topic. A client believes it until it asks again: by default 5 minutes.
METADATA_REFRESH_MS = 5_000


@dataclass(frozen=True, slots=True)
class Kafka:
    """Bootstrap servers, `host:port[,host:port]`; without `ca_file` in clear, with it over TLS; as `user` or by certificate, if by any.

    Raises ValueError for who would have to prove in clear who it is.
    """

    address: str
    ca_file: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    certificate_file: Path | None = None
    key_file: Path | None = None

    def __post_init__(self) -> None:
        if self.ca_file is None and (self.user or self.certificate_file):
            raise ValueError("ca_file must be set too: a user or a certificate is proved over TLS alone")

    def __str__(self) -> str:
        """The address alone, for a line that a person reads."""
        return self.address

    def client(self) -> dict[str, str | int | float | bool]:
        """Settings of a client, as librdkafka names them; the password is among them."""
        tls = {
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.certificate_file,
            "ssl.key.location": self.key_file,
        }
        files = {name: str(path) for name, path in tls.items() if path is not None}
        who = {"sasl.mechanism": MECHANISM, "sasl.username": self.user, "sasl.password": self.password or ""} if self.user else {}
        over = ("SASL_SSL" if who else "SSL") if self.ca_file else "PLAINTEXT"
        return {"bootstrap.servers": self.address, "security.protocol": over, **files, **who}
