"""Fixtures of the security tests: those of the HTTP tests."""

import pytest

from tests.fakes.front import FakeFront
from tests.service.http.calling import Caller


@pytest.fixture
def front() -> FakeFront:
    return FakeFront()


@pytest.fixture
def call(front: FakeFront) -> Caller:
    return Caller(front)
