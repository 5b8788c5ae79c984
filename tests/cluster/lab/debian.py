"""Debian made by debootstrap: bare systems to run set-up in, roots for VMs of another suite.

They take packages from where this machine takes them: its mirror, its settings of apt, pip and npm,
and the certificates it trusts are theirs too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .host import LabError, execute
from .lab import labs_home

# What the README asks for, and sudo's and ps's own packages, which every installed Debian has.
BARE = ("ca-certificates", "git", "make", "python3", "sudo", "procps")
# What a VM without internet must have before `ray up`, beside what makes it a VM with SSH.
VM = (
    *("systemd-sysv", "dbus", "openssh-server", "rsync", "nftables", "iproute2", "locales"),
    *(
        "chromium",
        "bubblewrap",
        "libgomp1",
        "libatomic1",
        "tigervnc-standalone-server",
        "novnc",
        "websockify",
        "openbox",
    ),
)
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
CLEAN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Whatever is mounted and started ends with the command, however that ends.
APART = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child")
# A root of its own and not chroot: in that the kernel gives Chromium's sandbox no user namespace.
ENTER = """
mount --bind "$1" "$1" && cd "$1"; shift
mount -t proc proc proc && mount --rbind /sys sys && mount --rbind /dev dev
mkdir -p .outside && pivot_root . .outside && exec chroot . sh -euc '
    umount -l /.outside && rmdir /.outside; exec "$@"' sh "$@"
"""


def make_root(suite: str, packages: Sequence[str] = ()) -> Path:
    """The root of a system of this suite, with packages beside the bare ones; made once.

    LabError when debootstrap or apt fails.
    """
    kind = "vm" if packages else "bare"
    root = labs_home() / ".debian" / f"{suite}-{kind}"
    made = root.with_suffix(".made")
    wanted = " ".join((*BARE, *packages))
    if made.exists() and made.read_text() == wanted:
        return root
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(BARE)}", suite, str(root)]
    execute([*APART, *command, *_mirror()], timeout=1200)
    _settings(root)
    if packages:
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        for step in (["apt-get", "update", "-qq"], install, ["apt-get", "clean"]):
            done = run(root, step, environment, timeout=1800)
            if done.returncode:
                raise LabError(f"{' '.join(step)[:200]} failed in {suite}: {done.stdout[-2000:]}")
    made.write_text(wanted)
    return root


def copy(root: Path, to: Path) -> None:
    """A system to change, of the same content; a file system that can shares the blocks."""
    execute(["cp", "-a", "--reflink=auto", f"{root}/.", str(to)], timeout=300)


def run(
    root: Path,
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    cwd: str = "/",
    timeout: float = 1800,
) -> subprocess.CompletedProcess[str]:
    """Run a command as root of the system, with an empty environment; output and errors are one.

    Its processes end with it and its mounts are its own; ports and addresses are this machine's.
    """
    given = {"HOME": "/root", "TERM": "dumb", "PATH": CLEAN, **(environment or {})}
    inside = ["env", "-i", "-C", cwd, *(f"{key}={value}" for key, value in given.items()), *command]
    return subprocess.run(
        [*APART, "sh", "-euc", ENTER, "sh", str(root), *inside],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
    )


def _mirror() -> list[str]:
    """This machine's own mirror of Debian; nothing where it has none: debootstrap's default."""
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for file in lists:
        if file.suffix in (".list", ".sources") and file.is_file():
            found = re.search(r"(?m)^(?:URIs:|deb(?: \[.*?\])?)\s+(\S+)", file.read_text())
            if found is not None and "debian" in found[1] and "security" not in found[1]:
                return [found[1]]
    return []


def _settings(root: Path) -> None:
    """What configures package sources here; and services of packages must not start."""
    shutil.copytree("/etc/apt/apt.conf.d", root / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    for name in (CERTIFICATES, "/etc/pip.conf", "/etc/resolv.conf", "/etc/hosts"):
        if (file := Path(name)).exists():
            shutil.copy(file, root / file.relative_to("/"))
    if (npmrc := Path(os.environ.get("NPM_CONFIG_USERCONFIG", Path.home() / ".npmrc"))).exists():
        shutil.copy(npmrc, root / "root/.npmrc")
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
