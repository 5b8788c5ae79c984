"""The registries' own clients, run as programs, so that mirrors and proxies set up for them hold.

A carrier is data. pip is asked for wheels only, because fetching a source distribution would run
its build, and npm is told to run no script.
"""

import asyncio
import importlib.util
import os
import re
import shutil
import signal
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from autobot import nodejs
from autobot.catalogue.archives import Archive, CarrierError

_CREDENTIALS = re.compile(r"//[^/@\s]+@")
DEBIAN_WHEELS = Path("/usr/share/python-wheels")
_LONGEST_LINE = 240
# npm waits 10 s, then 60 s by default: more than a minute until a dead registry is said to be dead.
_NPM_RETRIES = ("--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000")
_GRACE_S = 5.0


class Client(Protocol):
    """Brings one archive into `folder` (which it may also use for temporary files)."""

    async def download(self, archive: Archive, folder: Path) -> Path:
        """The archive's file. Raises CarrierError with the client's own last words."""
        ...


class Pip:
    """`pip download`."""

    async def download(self, archive: Archive, folder: Path) -> Path:
        """Fetch one wheel without its dependencies; pip's own settings name index and proxy."""
        target = folder / "archive"
        command = [*pip_command(), "download", "--quiet", "--no-deps", "--no-cache-dir"]
        command += ["--disable-pip-version-check", "--no-input", "--only-binary=:all:"]
        if tags := archive.tags:
            command += ["--platform", tags.platform, "--python-version", tags.python]
            command += ["--implementation", tags.implementation, "--abi", tags.abi]
        command += ["--dest", str(target), f"{archive.package}=={archive.version}"]
        await run("pip download", command, folder)
        return _only_file(target, archive)


class NpmPack:
    """`npm pack`."""

    async def download(self, archive: Archive, folder: Path) -> Path:
        """Fetch the tarball; no script of it runs. npm's own settings name the registry."""
        npm, environment = await asyncio.to_thread(npm_command)
        target = folder / "archive"
        target.mkdir()
        command = [
            *npm,
            "pack",
            "--loglevel=error",
            "--logs-max=0",
            "--ignore-scripts",
            *_NPM_RETRIES,
        ]
        command += ["--cache", str(folder / "npm")]
        command += ["--pack-destination", str(target), f"{archive.package}@{archive.version}"]
        await run("npm pack", command, folder, environment)
        return _only_file(target, archive)


def pip_command() -> list[str]:
    """How to run pip here: this Python's own, the one bundled with Python, or one on the PATH."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if wheels := sorted(wheel for folder in _wheel_folders() for wheel in folder.glob("pip-*.whl")):
        return [sys.executable, str(wheels[-1] / "pip")]
    if found := shutil.which("pip3") or shutil.which("pip"):
        return [found]
    raise CarrierError("pip is not on this machine: install it (apt: python3-pip)")


def _wheel_folders() -> list[Path]:
    """Where a Python without pip keeps the wheel that it would install pip from."""
    folders = [DEBIAN_WHEELS]
    if given := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.append(Path(given))
    bundled = importlib.util.find_spec("ensurepip")
    if bundled is not None and bundled.origin is not None:
        folders.append(Path(bundled.origin).parent / "_bundled")
    return folders


def npm_command() -> tuple[list[str], dict[str, str]]:
    """How to run npm here, and in which environment: any npm can pack, an old one too."""
    if node := nodejs.find():
        return [*node.npm], node.environment
    if found := shutil.which("npm"):
        return [found], {**os.environ}
    raise CarrierError("npm is not on this machine: install Node.js with npm (apt: npm)")


async def run(
    what: str, command: list[str], folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run to the end in `folder`, also the place of its temporary files.

    A cancelled caller takes the whole process group with it. Raises CarrierError, in which `what`
    names the program.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**(environment or os.environ), "TMPDIR": str(folder)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        # Shielded: a start that is cancelled half-way leaves the program's children behind.
        process = await asyncio.shield(starting)
        _, stderr = await process.communicate()
    except asyncio.CancelledError:
        await _end(await starting)
        raise
    if process.returncode != 0:
        words = _CREDENTIALS.sub("//***@", stderr.decode(errors="replace")).strip()
        raise CarrierError(f"{what} ended with {process.returncode}: {_gist(words)}")


def _gist(words: str) -> str:
    """npm names the cause in its first lines, pip in its last."""
    lines = [line for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines
    chosen = dict.fromkeys(errors[:2] + errors[-2:])
    return " / ".join(line.strip()[:_LONGEST_LINE] for line in chosen) or "no message"


async def _end(process: asyncio.subprocess.Process) -> None:
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            os.killpg(process.pid, kind)
            try:
                await asyncio.wait_for(process.wait(), _GRACE_S)
            except TimeoutError:
                continue
        return


def _only_file(folder: Path, archive: Archive) -> Path:
    files = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if len(files) != 1:
        raise CarrierError(f"{archive.label}: {len(files)} files arrived, not one")
    return files[0]
