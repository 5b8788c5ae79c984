"""Strings of a snapshot are made blank in their places."""

import pytest

from autobot.errors import Unavailable
from deployments.redis.backup.blanking import blanked

FILE = b"REDIS0012 head [sealed-one] middle [sealed-two][sealed-one] end" + b"CHECKSUM"


def test_every_place_of_a_value_is_blank_and_nothing_moves() -> None:
    found = blanked(FILE, [b"sealed-one", b"sealed-two"])
    blank = b"\0" * 10
    body = b"REDIS0012 head [" + blank + b"] middle [" + blank + b"][" + blank + b"] end"
    assert found == body + b"\0" * 8, "Redis checks no checksum that is zero"
    assert len(found) == len(FILE)


def test_without_values_it_is_the_file_itself() -> None:
    assert blanked(FILE, []) is FILE


def test_a_value_that_is_not_found_makes_no_backup() -> None:
    with pytest.raises(Unavailable, match="not found"):
        blanked(FILE, [b"sealed-three"])
