"""Write locks/: exact versions with hashes, for what every VM needs and for what each room adds.

A VM installs ``ray.txt`` + ``base.txt`` + ``ROOM.txt``; no package stands in two of the three.
Everything is resolved together first: no two rooms can ever disagree about a version. What is
locked stays at its version unless ``--upgrade`` is given.

The locks are universal: one file for every Python of ``requires-python``, with a marker at what
only some Pythons or systems need.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "locks"
COMPILE = [
    "uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header",
    "--no-emit-index-url", "--no-emit-find-links", "--universal", "--python-version", "3.11",
]  # fmt: skip


def compile_lock(source: str, *flags: str, stdin: str = "") -> dict[str, str]:
    """Return requirement name -> its pinned blocks, hashes included; of several, one a marker."""
    command = [*COMPILE, source, *flags]
    done = subprocess.run(
        command, cwd=ROOT, check=True, input=stdin, stdout=subprocess.PIPE, text=True
    )
    blocks: dict[str, str] = {}
    for block in filter(None, re.split(r"(?m)^(?=[a-z0-9])", done.stdout)):
        package = re.split(r"[=\[]", block, maxsplit=1)[0]
        blocks[package] = blocks.get(package, "") + block
    return blocks


def write(name: str, blocks: dict[str, str], without: Iterable[str] = ()) -> None:
    text = "".join(block for package, block in blocks.items() if package not in without)
    (LOCKS / f"{name}.txt").write_text(text)


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = list(project["optional-dependencies"])
    ray_requirement = "ray[default]"
    LOCKS.mkdir(exist_ok=True)
    pins = LOCKS / ".pins.txt"
    if "--upgrade" not in sys.argv:  # uv prefers the versions it finds in its output file
        pins.write_text("".join(lock.read_text() for lock in sorted(LOCKS.glob("[a-z]*.txt"))))
    try:
        compile_lock("pyproject.toml", *(f"--extra={extra}" for extra in extras), f"-o={pins}")
        ray = compile_lock("-", "-c", str(pins), stdin=ray_requirement)
        base = compile_lock("pyproject.toml", "-c", str(pins))
        write("ray", ray)
        write("base", base, without=ray)
        for extra in extras:
            write(extra, compile_lock("pyproject.toml", f"--extra={extra}", "-c", str(pins)), base)
    finally:
        pins.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
