"""Systems that are really new: the README's two commands on them, and `ray up` onto them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from autobot.cluster import package_cache
from autobot.platform.topology import CHECKOUT
from tests.cluster.conftest import running_lab
from tests.cluster.lab import debian
from tests.cluster.lab.lab import default_cache
from tests.cluster.sixvms import SixVms
from tests.platform import environment_of

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]

HOME = "/root/.autobot"
PYTHONS = ("3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Bare:
    """A bare system with a fresh checkout; ``environment`` moves its ports from the defaults."""

    root: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return debian.run(self.root, command, self.environment, cwd="/root/autobot", timeout=3000)

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """With nothing set, as by somebody who has just cloned it."""
        return debian.run(self.root, ("make", target), {}, cwd="/root/autobot", timeout=3000)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def bare(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bare]:
    if os.geteuid() != 0:
        pytest.skip("debootstrap and chroot need root")
    root = tmp_path_factory.mktemp(request.param)
    debian.copy(debian.make_root(request.param), root)
    subprocess.run(["git", "clone", "-q", CHECKOUT, root / "root/autobot"], check=True)
    yield Bare(root, environment_of(Path(HOME), ranges_from=23000, display=47))
    subprocess.run(["rm", "-rf", "--one-file-system", root], check=True)


def test_make_up_does_all_its_own_set_up_and_the_main_job(bare: Bare) -> None:
    up = bare.run("sh", "-c", "make up && .venv/bin/autobot status && .venv/bin/autobot down")
    assert up.returncode == 0, up.stdout[-3000:]
    assert "384 dimensions" in up.stdout


def test_the_unit_tests_pass(bare: Bare) -> None:
    done = bare.make("unit")
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.parametrize("version", PYTHONS)
def test_every_locked_package_has_a_wheel_for_every_python(tmp_path: Path, version: str) -> None:
    locks = [lock for lock in sorted((CHECKOUT / "locks").glob("*.txt")) if lock.stat().st_size]
    command = [Path(sys.executable).with_name("uv"), "pip", "install", "--dry-run", "--no-deps"]
    command += ["--target", tmp_path, "--python-version", version, "--only-binary", ":all:"]
    for lock in locks:
        command += ["--require-hashes", "-r", lock]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_ray_up_brings_six_vms_of_debian_13_up(tmp_path: Path) -> None:
    root = debian.make_root("trixie", debian.VM)
    package_cache.fill(default_cache(), "3.13")
    with running_lab("d", root=root) as lab:
        cluster = SixVms(lab, tmp_path)
        cluster.prepare()
        cluster.up()
        cluster.wait_until_ok(120)
        python = lab.vm("npu").run("/opt/autobot/venv/bin/python --version").stdout
        assert python.startswith("Python 3.13")
