"""What must be true of this machine before the platform starts; each failure says the remedy."""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from autobot import nodejs
from autobot.catalogue import Catalogue
from autobot.errors import SetupError
from autobot.manifests import rooms
from autobot.settings import Settings

MIN_FREE_HOME = 2 << 30
MIN_FREE_CACHE = 4 << 30
MIN_MEMORY = 3 << 30


def public_ports(settings: Settings) -> dict[str, int]:
    """Setting -> port, for every port that something on this machine will listen on."""
    names = [name for name in type(settings).model_fields if name.endswith("_port")]
    ranges = ("min_worker_port", "max_worker_port", "replica_min_port", "replica_max_port")
    return {name: getattr(settings, name) for name in names if name not in ranges}


LOOPBACK = ("dashboard_port", "haproxy_stats_port", "haproxy_metrics_port", "fallback_proxy_port")
"""Settings of ports that one machine has on loopback, whatever its addresses are."""
RAYS = (
    *("gcs_port", "ray_client_port", "node_manager_port", "object_manager_port", "metrics_port"),
    *("dashboard_agent_port", "dashboard_agent_grpc_port", "runtime_env_agent_port"),
    *("dashboard_metrics_port", "autoscaler_metrics_port"),
)
"""Settings of ports that Ray has at the node's address."""


def address_of(name: str, settings: Settings) -> str:
    """Return where the port that setting ``name`` has will be listened on."""
    if name in LOOPBACK:
        return "127.0.0.1"
    return settings.node_ip if name in RAYS else settings.bind


def holder_of(port: int) -> str:
    """Say who listens on ``port``: pid and name, as far as this user may see."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr[1] == port and connection.status == "LISTEN":
            if connection.pid is None:
                return "another user's process"
            return f"pid {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "a process that is just ending"


def check_ports(settings: Settings) -> Iterator[SetupError]:
    """Yield an error for each port of the settings that is given twice or is taken.

    Each port is bound for a moment. A platform that runs holds them all itself.
    """
    seen: dict[int, str] = {}
    for name, port in public_ports(settings).items():
        variable = f"AUTOBOT_{name.upper()}"
        if port in seen:
            yield SetupError(f"{variable} and {seen[port]} are both {port}.", "Change one of them.")
        seen[port] = variable
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            address = address_of(name, settings)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    yield SetupError(
                        f"Port {port} cannot be opened at {address}: {error.strerror}.",
                        f"Correct {variable}, AUTOBOT_BIND or AUTOBOT_NODE_IP.",
                    )
                    continue
                yield SetupError(
                    f"Port {port} is taken by {holder_of(port)}.",
                    f"Stop it, or set {variable} to a free port.",
                )


def default_files(settings: Settings) -> list[str]:
    """Catalogue entries the platform starts with: Redis Stack and the two default models."""
    catalogue = Catalogue(settings.cache)
    memory = psutil.virtual_memory().total
    return [
        "redis-stack",
        settings.default_embedding_model or catalogue.default("embedding", memory),
        settings.default_chat_model or catalogue.default("chat", memory),
    ]


def check_disk(settings: Settings) -> Iterator[SetupError]:
    """Yield an error where AUTOBOT_HOME or AUTOBOT_CACHE cannot be written or has too little room.

    The cache is looked at only while something is still to be fetched into it.
    """
    yield from _check_place(settings.home, "AUTOBOT_HOME", MIN_FREE_HOME)
    installed = {entry.name for entry in Catalogue(settings.cache).installed()}
    # A complete cache may be read-only: nothing will be written there.
    if not installed.issuperset(default_files(settings)):
        yield from _check_place(settings.cache, "AUTOBOT_CACHE", MIN_FREE_CACHE)


def _check_place(place: Path, variable: str, needed: int) -> Iterator[SetupError]:
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    if not os.access(existing, os.W_OK):
        yield SetupError(f"{place} cannot be written.", f"Set {variable} to a folder of yours.")
    free = shutil.disk_usage(existing).free
    if free < needed:
        yield SetupError(
            f"{free >> 20} MiB are free at {place}; {needed >> 20} MiB are needed.",
            f"Free some space, or set {variable} to a larger disk.",
        )


def check_memory(settings: Settings) -> Iterator[SetupError]:
    """Yield an error when less than `MIN_MEMORY` bytes are available, before the rooms start."""
    available = psutil.virtual_memory().available
    if available < MIN_MEMORY:
        yield SetupError(
            f"{available >> 20} MiB of memory are available; {MIN_MEMORY >> 20} MiB are needed.",
            "Close something, or run fewer rooms on this machine.",
        )


def check_programs(settings: Settings) -> Iterator[SetupError]:
    """Yield an error for each program of the desktop that the PATH lacks, and one for Node."""
    for program, package in (
        ("Xtigervnc", "tigervnc-standalone-server"),
        ("websockify", "websockify"),
        ("openbox", "openbox"),
    ):
        if shutil.which(program) is None:
            yield SetupError(f"{program} is not installed.", f"apt-get install {package}")
    try:
        nodejs.require()
    except SetupError as error:
        yield error


def check_rooms(settings: Settings) -> Iterator[SetupError]:
    """Yield what is wrong with each of the owner's rooms that is left out."""
    yield from rooms().left_out.values()


def problems(settings: Settings, *, running: bool) -> list[SetupError]:
    """Everything wrong at once, not one at a time. A running platform holds its own ports."""
    checks = [check_rooms, check_disk, check_programs]
    if not running:
        checks += [check_memory, check_ports]
    return [error for check in checks for error in check(settings)]
