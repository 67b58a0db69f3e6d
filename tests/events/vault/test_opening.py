"""The master key's file: hex or raw, and a clear word when it is neither."""

from pathlib import Path

import pytest

from events.settings import Settings
from events.vault.opening import MasterKeyUnusable, open_vault


@pytest.mark.parametrize("content", [bytes(range(32)), bytes(range(32)).hex().encode(), bytes(range(32)).hex().encode() + b"\n"])
def test_a_master_key_is_read_raw_or_in_hex(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "master.key").write_bytes(content)

    assert open_vault(Settings(home=tmp_path)) is not None


@pytest.mark.parametrize("content", [b"", b"too short", b"\xff" * 31, b"zz" * 32, None])
def test_a_file_that_holds_no_key_is_named_without_its_content(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "master.key").write_bytes(content)

    with pytest.raises(MasterKeyUnusable, match=r"master\.key") as refusal:
        open_vault(Settings(home=tmp_path))

    assert not content or repr(content)[2:-1] not in str(refusal.value)
