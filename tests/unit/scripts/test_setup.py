"""What cannot work is said by set-up before anything is fetched, all of it at once."""

import shutil
import subprocess
from pathlib import Path

import pytest

from autobot.platform.topology import CHECKOUT

TOOLS = ("awk", "bash", "cat", "df", "dirname", "grep", "id", "sha256sum", "tail", "uname")


class Machine:
    """A machine with a fresh checkout, where only a few programs are installed."""

    def __init__(self, home: Path) -> None:
        self.checkout, self.bin = home / "checkout", home / "bin"
        self.bin.mkdir()
        for part in ("scripts", "locks"):
            shutil.copytree(CHECKOUT / part, self.checkout / part)
        shutil.copy(CHECKOUT / "pyproject.toml", self.checkout)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)
        self.environment = {"PATH": str(self.bin), "HOME": str(home)}
        self.has("python3", '[ "$1" = --version ] && echo Python 3.12.3; true')
        self.has("dpkg-query", "echo install ok installed")
        self.has("df", "echo Avail; echo 90000")
        self.has("uname", '[ "$1" = -s ] && echo Linux || echo x86_64')

    def has(self, program: str, script: str) -> None:
        """Install a program that does what the script says."""
        (self.bin / program).unlink(missing_ok=True)
        (self.bin / program).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / program).chmod(0o755)

    def lacks_debian_packages(self) -> None:
        self.has("dpkg-query", "exit 1")

    def check(self) -> subprocess.CompletedProcess[str]:
        command = [self.bin / "bash", self.checkout / "scripts" / "setup.sh", "check"]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True)

    def complaint(self) -> str:
        done = self.check()
        assert done.returncode == 1, done.stderr
        return done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_machine_that_will_do_is_not_complained_about(machine: Machine) -> None:
    done = machine.check()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("version", ["3.10.12", "3.14.0"])
def test_a_python_that_will_not_do_is_named_with_those_that_will(
    machine: Machine, version: str
) -> None:
    machine.has("python3", f'[ "$1" = --version ] && echo Python {version} || exit 1')
    said = machine.complaint()
    assert f"Python 3.11 to 3.13 is needed; here is Python {version}." in said
    assert "Debian 12, 13 or Ubuntu 24.04" in said


def test_another_python_is_taken_from_where_its_owner_says(machine: Machine) -> None:
    machine.has("python3", '[ "$1" = --version ] && echo Python 3.10.12 || exit 1')
    machine.has("mine", "true")
    machine.environment["AUTOBOT_PYTHON"] = str(machine.bin / "mine")
    assert machine.check().returncode == 0


def test_missing_packages_need_root_or_sudo(machine: Machine) -> None:
    machine.lacks_debian_packages()
    machine.has("apt-get", "false")
    machine.has("id", "echo 1000")
    assert "there is no sudo" in machine.complaint()
    machine.has("sudo", "false")
    assert machine.check().returncode == 0


def test_a_system_without_apt_is_told_what_to_install(machine: Machine) -> None:
    machine.lacks_debian_packages()
    said = machine.complaint()
    assert "not a Debian system" in said
    assert "chromium" in said


def test_ubuntus_chromium_is_a_snap_and_another_one_will_do(
    machine: Machine, tmp_path: Path
) -> None:
    machine.lacks_debian_packages()
    machine.has("apt-get", "false")
    machine.has("sudo", "false")
    (tmp_path / "os-release").write_text('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\n')
    machine.environment["OS_RELEASE"] = str(tmp_path / "os-release")
    assert "AUTOBOT_CHROMIUM" in machine.complaint()
    machine.has("chrome", "true")
    machine.environment["AUTOBOT_CHROMIUM"] = str(machine.bin / "chrome")
    assert machine.check().returncode == 0


def test_everything_that_is_wrong_is_said_at_once(machine: Machine) -> None:
    machine.has("uname", '[ "$1" = -s ] && echo Linux || echo aarch64')
    machine.has("python3", '[ "$1" = --version ] && echo Python 3.9.2 || exit 1')
    machine.has("df", "echo Avail; echo 900")
    said = machine.complaint()
    assert said.count("error: ") == said.count("remedy: ") == 3
    for words in ("aarch64", "Python 3.9.2", "900 MiB of disk"):
        assert words in said
