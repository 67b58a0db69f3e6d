"""The store of sealed files: whole or not at all, one file for one content."""

from hashlib import sha256
from pathlib import Path

import pytest

from events.vault.files import FileDamaged, FileMissing, FileStore, StoreUnavailable


def test_a_stored_file_is_found_by_its_digest(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "files")

    digest = store.put(b"sealed bytes")

    assert digest == sha256(b"sealed bytes").digest()
    assert store.exists(digest)
    assert store.get(digest) == b"sealed bytes"


def test_the_same_content_twice_is_one_file_and_nothing_unfinished_stays(tmp_path: Path) -> None:
    store = FileStore(tmp_path)

    store.put(b"x")
    store.put(b"x")

    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_file_that_was_never_stored_is_missing(tmp_path: Path) -> None:
    store = FileStore(tmp_path)

    assert not store.exists(bytes(32))
    with pytest.raises(FileMissing):
        store.get(bytes(32))


def test_a_file_changed_on_disk_is_named_and_not_given(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    digest = store.put(b"sealed bytes")
    next(path for path in tmp_path.rglob("*") if path.is_file()).write_bytes(b"other bytes")

    with pytest.raises(FileDamaged):
        store.get(digest)


def test_a_store_that_cannot_write_says_so_and_stores_nothing(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file where the folder should be")

    with pytest.raises(StoreUnavailable):
        FileStore(tmp_path / "files").put(b"x")


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    FileStore(tmp_path / "files").put(b"x")

    (path,) = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("digest", [b"", b"/../../../../../../../../etc/pas", b"x" * 33])
def test_what_is_no_digest_names_no_file(tmp_path: Path, digest: bytes) -> None:
    store = FileStore(tmp_path)

    if len(digest) == 32:
        assert not store.exists(digest)
    else:
        with pytest.raises(ValueError, match="digest"):
            store.get(digest)
