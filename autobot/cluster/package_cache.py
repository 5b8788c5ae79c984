"""Fill the package cache that VMs without internet install from.

Run it as `python -m autobot.cluster.package_cache [VERSION ...]`, for example with 3.11 and 3.13:
the VMs' Pythons, when they are not the one of this machine's system.

The cache (AUTOBOT_CACHE, at /var/cache/autobot on a VM) then holds uv itself and, in uv's own
format, every wheel of every room's lock.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from autobot.errors import AutoBotError, SetupError
from autobot.manifests import rooms
from autobot.platform.topology import CHECKOUT
from autobot.settings import Settings

# A VM's Python is its system's; wheels are chosen for it, whatever Python this program runs on.
SYSTEM_PYTHON = Path("/usr/bin/python3")


def lock_files(checkout: Path = CHECKOUT) -> list[Path]:
    """Of Ray, of `autobot` and of each room that has packages of its own."""
    named = [checkout / "locks" / f"{name}.txt" for name in ("ray", "base", *rooms())]
    return [file for file in named if file.exists()]


def stamp_of(files: list[Path]) -> str:
    """Return the SHA-256 in hex of what the files contain, one after the other."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def system_version() -> str:
    """For example 3.11: the version of this machine's system's Python."""
    python = SYSTEM_PYTHON if SYSTEM_PYTHON.exists() else Path(sys.executable)
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.check_output([python, "-c", program], text=True).strip()


def fill(cache: Path, version: str, checkout: Path = CHECKOUT) -> bool:
    """Make the cache complete for a Python and the locks; return whether anything was to do.

    SetupError when a package cannot be fetched. Installing is what fills uv's cache, so everything
    is installed once, into a folder that is then thrown away.
    """
    files = lock_files(checkout)
    stamp, wanted = cache / "uv" / f".autobot-locks-{version}", stamp_of(files)
    if stamp.exists() and stamp.read_text() == wanted and (cache / "bin" / "uv").exists():
        return False
    uv = _find_uv()
    (cache / "bin").mkdir(parents=True, exist_ok=True)
    partial = cache / "bin" / f".uv.{os.getpid()}"
    shutil.copy2(uv, partial)
    partial.replace(cache / "bin" / "uv")
    environment = {
        "UV_SYSTEM_CERTS": "1",
        **os.environ,
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_LINK_MODE": "symlink",
    }
    with tempfile.TemporaryDirectory(prefix="autobot-warm-") as scratch:
        sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--allow-empty-requirements"]
        target = ["--target", scratch, "--python-version", version, "--only-binary", ":all:"]
        _run([*sync, *target, *(str(file) for file in files)], environment)
    stamp.write_text(wanted)
    return True


def _find_uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise SetupError("uv is not installed.", "Run `make setup`, or `pip install uv`.")
    return found


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SetupError(
            f"The package cache cannot be filled: {done.stderr.strip()[-800:]}",
            "Check that the package registry is reachable from this machine.",
        )


def main(versions: list[str]) -> int:
    """Fill this machine's cache for each Python of ``versions``, or else for the system's own.

    Returns the exit code: 1 when a package could not be fetched, which is printed.
    """
    cache = Settings().cache
    try:
        for version in versions or [system_version()]:
            did = "filled" if fill(cache, version) else "already complete"
            print(f"{cache}: {did} for Python {version}", flush=True)
    except AutoBotError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
