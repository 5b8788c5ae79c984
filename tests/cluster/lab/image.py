"""Turns a root, this machine's own or one of `debian`, into that of a bare system with SSH.

A VM's root is an overlay of its disk over that root. Two small layers made here are put on the new
disk.
The base layer, the same for all, hides what is this machine's own (homes, data, services, users,
local software) and adds the user `autobot`; a VM's own layer holds its name and keys. So Debian's
packages are those installed in that root, and nothing else of this machine is seen.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Mapping
from pathlib import Path

from .host import execute

AUTOBOT_ID = 1000
CACHE_IN_VM = "/var/cache/autobot"
# The uv of the cache installs from the cache alone: a VM has no internet.
OFFLINE = {
    "UV_CACHE_DIR": f"{CACHE_IN_VM}/uv",
    "UV_OFFLINE": "1",
    "UV_LINK_MODE": "symlink",
}
_DEBIAN_TOP = {"bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr", "var"}
_EMPTY_TOP = ("dev", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp")
_EMPTY = (
    "usr/local",
    *("var/cache/apt", "var/local", "var/log", "var/mail", "var/opt", "var/spool", "var/tmp"),
    *("etc/cron.d", "etc/cron.daily", "etc/cron.hourly", "etc/cron.weekly", "etc/cron.monthly"),
    *("etc/environment.d", "etc/profile.d", "etc/security/limits.d", "etc/sudoers.d"),
    *("etc/ssh", "etc/ssl/private", "etc/systemd/system", "etc/systemd/system.conf.d"),
    *("etc/systemd/network", "etc/network", "etc/netns", "etc/apt/sources.list.d"),
    *(f"etc/rc{level}.d" for level in "0123456S"),
)
_VAR_LIB_OF_DEBIAN = {
    "apt",
    "dpkg",
    "pam",
    "python",
    "sgml-base",
    "ucf",
    "xfonts",
    "xkb",
    "xml-core",
}
_VAR_LIB_EMPTIED = ("dbus", "private", "systemd")
_NOT_DEBIANS = ("etc/npmrc", "etc/pip.conf", "etc/gitconfig", "etc/apt/sources.list", "etc/crontab")
# They have nothing to do in a VM without a console or the internet, and would fail or wait.
_MASKED = (
    "console-getty.service",
    "getty.target",
    "systemd-timesyncd.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
)


def make_base(layer: Path, public_key: str, root: Path) -> None:
    """Write the layer over `root` that all VMs share.

    `public_key` opens `autobot`'s account by SSH.
    """
    layer.mkdir(parents=True)
    layer.chmod(0o755)
    for name in sorted(_names(root) - _DEBIAN_TOP - set(_EMPTY_TOP)):
        _hide(layer / name)
    for name in (*_EMPTY_TOP, *_EMPTY):
        _empty(layer / name)
    for name in sorted(_names(root / "var/lib") - _VAR_LIB_OF_DEBIAN - set(_VAR_LIB_EMPTIED)):
        _hide(layer / "var/lib" / name)
    for name in _NOT_DEBIANS:
        if (root / name).exists():
            _hide(layer / name)
    _directories(layer)
    _services(layer / "etc/systemd")
    _people(layer, public_key, root / "etc")
    _settings(layer, root)


def make_own(layer: Path, room: str, rooms: Mapping[str, str]) -> str:
    """Write the layer of one room's VM; returns the public host key of its SSH server."""
    ssh = layer / "etc/ssh"
    ssh.mkdir(parents=True)
    make_key(ssh / "ssh_host_ed25519_key", f"root@{room}")
    _write(layer / "etc/hostname", f"{room}\n")
    _write(layer / "etc/machine-id", f"{uuid.uuid4().hex}\n")
    names = "".join(f"{address}\t{name}\n" for name, address in rooms.items())
    _write(layer / "etc/hosts", f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n{names}")
    return (ssh / "ssh_host_ed25519_key.pub").read_text()


def make_key(path: Path, comment: str) -> None:
    """A new ed25519 key pair at `path` and `path`.pub, without a passphrase."""
    execute(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def make_disk(path: Path, size: int) -> None:
    """A sparse ext4 disk of `size` bytes, which only its owner may read: secrets come onto it.

    It has no journal: a power cut of a VM is not one of this machine, whose kernel goes on and
    closes the file system properly.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as disk:
        disk.truncate(size)
    options = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard"]
    execute(["mkfs.ext4", *options, str(path)])


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _hide(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))


def _empty(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    os.setxattr(path, "trusted.overlay.opaque", b"y")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _directories(layer: Path) -> None:
    for name, mode in (("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700)):
        (layer / name).chmod(mode)
    (layer / "etc/ssl/private").chmod(0o700)
    for name in ("bin", "lib", "sbin", "share", "etc"):
        (layer / "usr/local" / name).mkdir()
    for name in ("cache/apt/archives/partial", "cache/autobot", "log/journal"):
        (layer / "var" / name).mkdir(parents=True)
    for name in _VAR_LIB_EMPTIED:
        _empty(layer / "var/lib" / name)
    (layer / "var/lib/private").chmod(0o700)


def _services(etc: Path) -> None:
    units = etc / "system"
    wants = units / "multi-user.target.wants"
    wants.mkdir()
    (wants / "ssh.service").symlink_to("/lib/systemd/system/ssh.service")
    (units / "sshd.service").symlink_to("/lib/systemd/system/ssh.service")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for unit in _MASKED:
        (units / unit).symlink_to("/dev/null")


def _people(layer: Path, public_key: str, etc: Path) -> None:
    """Debian's system users, and `autobot` in place of this machine's people."""
    for name, own, mode in (
        ("passwd", f"autobot:x:{AUTOBOT_ID}:{AUTOBOT_ID}:AutoBot:/home/autobot:/bin/bash", 0o644),
        ("group", f"autobot:x:{AUTOBOT_ID}:", 0o644),
    ):
        system = [line for line in (etc / name).read_text().splitlines() if _is_system(line)]
        _write(layer / "etc" / name, "\n".join([*system, own]) + "\n", mode)
    users = [line.split(":")[0] for line in (layer / "etc/passwd").read_text().splitlines()]
    groups = [line.split(":")[0] for line in (layer / "etc/group").read_text().splitlines()]
    shadow = "".join(f"{user}:*:19000:0:99999:7:::\n" for user in users)
    _write(layer / "etc/shadow", shadow, 0o640)
    _write(layer / "etc/gshadow", "".join(f"{group}:*::\n" for group in groups), 0o640)
    shadow_group = next(
        int(line.split(":")[2])
        for line in (layer / "etc/group").read_text().splitlines()
        if line.startswith("shadow:")
    )
    for name in ("shadow", "gshadow"):
        os.chown(layer / "etc" / name, 0, shadow_group)
    _write(layer / "etc/sudoers.d/autobot", "autobot ALL=(ALL:ALL) NOPASSWD:ALL\n", 0o440)
    home = layer / "home/autobot"
    shutil.copytree(etc / "skel", home)
    _write(home / ".ssh/authorized_keys", public_key, 0o600)
    (home / ".ssh").chmod(0o700)
    for path in (home, *home.rglob("*")):
        os.chown(path, AUTOBOT_ID, AUTOBOT_ID, follow_symlinks=False)


def _is_system(line: str) -> bool:
    number = int(line.split(":")[2])
    return number < 1000 or number == 65_534


def _settings(layer: Path, root: Path) -> None:
    lines = "".join(f"{key}={value}\n" for key, value in OFFLINE.items())
    _write(layer / "etc/environment", lines)
    _write(layer / "etc/environment.d/autobot.conf", lines)
    pairs = " ".join(f"{key}={value}" for key, value in OFFLINE.items())
    units = f"[Manager]\nDefaultEnvironment={pairs}\n"
    _write(layer / "etc/systemd/system.conf.d/autobot.conf", units)
    _write(layer / "etc/resolv.conf", "# A lab VM has no name server.\n")
    _write(layer / "etc/ssh/sshd_config", (root / "usr/share/openssh/sshd_config").read_text())
