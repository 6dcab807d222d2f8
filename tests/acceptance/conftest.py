"""The service and the EHR, started once for all acceptance tests."""

import os
from collections.abc import Iterator

import pytest

from tests.acceptance.world import UNHURRIED, Ehr, Service, ehr_running, started


@pytest.fixture(scope="session")
def ehr() -> Iterator[Ehr]:
    """The EHR's FHIR server, apart from the service; it keeps what it was asked."""
    with ehr_running() as running:
        yield running


@pytest.fixture(scope="session")
def service(ehr: Ehr) -> Iterator[Service]:
    """The service with its sandbox, free of the environment in which the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith("CDS_")]:
            patch.delenv(name)
        with started(ehr.base, **UNHURRIED) as running:
            yield running
