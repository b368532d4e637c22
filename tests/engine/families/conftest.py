"""What tests of songs that the grammar alone decides share."""

import pytest

from tests.helpers.drawn_songs import silence, toy_aria


@pytest.fixture(scope="module")
def aria():
    """An aria that has learned nothing; files that need the bundled one have a fixture of this name of their own."""
    return toy_aria()


@pytest.fixture
def silent(monkeypatch):
    """Nothing is rendered."""
    silence(monkeypatch)
