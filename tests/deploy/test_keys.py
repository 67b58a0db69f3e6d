"""Key files: made when missing, never written over, nobody else's to read."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from deploy.keys import make_missing_keys
from deploy.problems import PartAway
from events.settings import Settings


def test_missing_keys_are_made_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    made = make_missing_keys(settings)
    before = {path: path.read_bytes() for path in made}

    assert make_missing_keys(settings) == []

    assert set(made) == {settings.master_key_path, settings.signing_key_path, settings.verifying_key_path}
    assert {path: path.read_bytes() for path in made} == before
    assert {path.stat().st_mode & 0o777 for path in made} == {0o600}
    assert len(bytes.fromhex(settings.master_key_path.read_text())) == 32
    load_pem_public_key(settings.verifying_key_path.read_bytes())


def test_public_key_alone_stays_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.verifying_key_path.write_text("of another issuer")

    assert make_missing_keys(settings) == [settings.master_key_path]


def test_unreadable_private_key_is_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    settings.signing_key_path.write_text("no key")

    with pytest.raises(PartAway, match=r"token\.key is not a private key"):
        make_missing_keys(settings)
