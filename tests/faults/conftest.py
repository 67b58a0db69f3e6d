"""One stack for every scenario that does not destroy it: `site`."""

from collections.abc import Iterator

import pytest

from tests.conftest import FIRST_SEED
from tests.faults.site import Site, running_site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """A stack of the scenarios' own, harmed by one after another."""
    with running_site(FIRST_SEED, patient=True) as running:
        yield running
