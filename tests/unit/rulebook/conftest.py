"""A fresh small rulebook for each test."""

from pathlib import Path

import pytest

from tests.unit.rulebook.support import Book


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """A small rulebook that loads."""
    return Book(tmp_path)
