"""The lab for the tests that need six machines."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests import parts

from .lab import Lab
from .sixvms import SixVms


def bury_the_dead(labs: Path) -> None:
    """Take down labs whose test run was killed before it could."""
    for record in labs.glob("test-*/"):
        named = re.fullmatch(r"test-(\d+)[bcd]?", record.name)
        if named is not None and not psutil.pid_exists(int(named[1])):
            Lab(record.name).down()


@contextmanager
def running_lab(
    suffix: str = "", rooms: Mapping[str, str] | None = None, root: Path = Path("/")
) -> Iterator[Lab]:
    """Running VMs, the six unless ``rooms`` says otherwise, and an operator: this test run's own.

    ``root`` is the system below the VMs' disks.

    Skips where a lab cannot be, and fails instead when AUTOBOT_REQUIRE_LAB is 1. For work on one
    test, AUTOBOT_LAB_ATTACH names a running lab to use and leave running.
    """
    attach = os.environ.get("AUTOBOT_LAB_ATTACH")
    made = Lab(attach or f"test-{os.getpid()}{suffix}", rooms=rooms, root=root)
    reasons = made.missing()
    if reasons:
        complaint = "no lab on this machine: " + "; ".join(reasons)
        if os.environ.get("AUTOBOT_REQUIRE_LAB") == "1":
            pytest.fail(complaint)
        pytest.skip(complaint)
    if attach:
        made.up()
        yield made
        return
    parts.fetch_all()
    bury_the_dead(made.home.parent)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """The lab the platform is brought up in."""
    with running_lab() as made:
        yield made


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    """A lab with nothing in it, for the tests of the lab itself: they reboot and cut at will."""
    with running_lab("b") as made:
        yield made


@pytest.fixture(scope="package")
def cluster(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> SixVms:
    """The platform on the lab's VMs, brought up by one `ray up` and every room ok."""
    made = SixVms(lab, tmp_path_factory.mktemp("operator"))
    made.prepare()
    made.first_up_s = made.up()
    made.wait_until_ok(60)
    return made
