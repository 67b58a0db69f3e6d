"""Fixtures of the intake's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.intake.a_door import Door


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    """An intake over stand-ins."""
    with Door(tmp_path) as made:
        yield made
