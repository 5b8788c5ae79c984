"""The environment of every Ray node. It must be the same on all of them, before `ray start`."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from autobot.errors import SetupError
from autobot.files import private_folder, short_folder
from autobot.platform.program_files import ProgramFile
from autobot.settings import Settings

# Workers wait a day for a lost head; Ray's own default is a minute.
HEAD_PATIENCE_S = 86400
# HAProxy binds `<run dir>/h/<56 characters of a node's id>/a.<its pid>.tmp`: 73 of the 107 bytes
# that the path of a socket may have. Ray needs less.
HAPROXY, ADMIN, METRICS, LOG = "h", "a", "m", "l"
LONGEST_RUN_DIR = 34
# supervisord, systemd and a shell have quotes and escapes of their own; none of them changes this.
# No @: before it an address may have a password, and on a VM anybody reads the node's environment.
PLAIN = re.compile(r"[A-Za-z0-9_./:+,=-]*")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def short_run_dir(settings: Settings) -> Path:
    """``run_dir``, or a short path to it: Ray and HAProxy put sockets below it.

    The short path is a link in a folder of ours. In `/tmp` anybody could have made it first, or
    again once a clean-up of old files has taken it away.
    """
    run = settings.run_dir.absolute()
    if len(os.fsencode(run)) <= LONGEST_RUN_DIR:
        return run
    return short_folder() / hashlib.sha256(str(run).encode()).hexdigest()[:6]


def prepare_run_dir(settings: Settings) -> None:
    """Make the folders that sockets live in, closed to others, and the short path to them.

    SetupError when something else is at the short path, or when even that is too long.
    """
    for folder in (settings.home, settings.run_dir, settings.run_dir / HAPROXY):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    for folder in (settings.home / "state" / "gcs", settings.log_dir, settings.data_dir):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    link, target = short_run_dir(settings), settings.run_dir.absolute()
    if link != target:
        _link(link, target)


def _link(link: Path, target: Path) -> None:
    if len(os.fsencode(link)) > LONGEST_RUN_DIR:
        raise SetupError(
            f"{target} is too long a path for sockets, and so is {link}.",
            f"Set AUTOBOT_HOME to a path of at most {LONGEST_RUN_DIR - len('/run')} bytes.",
        )
    for old in private_folder(link.parent).iterdir():
        if old.is_symlink() and not old.exists():
            old.unlink(missing_ok=True)  # its platform was deleted
    try:
        link.symlink_to(target)
    except FileExistsError:
        if not link.is_symlink() or link.readlink() != target:
            raise SetupError(
                f"{link} is not this platform's link to {target}.", f"Remove {link}."
            ) from None


def ray_env(settings: Settings) -> dict[str, str]:
    """Return the variables of a Ray node: settings for replicas, Ray's switches, no secret."""
    haproxy = short_run_dir(settings) / HAPROXY
    switches = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": settings.secrets_dir / "ray_token",
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": settings.home / "state" / "gcs",
        "RAY_gcs_rpc_server_reconnect_timeout_s": HEAD_PATIENCE_S,
        "RAY_USAGE_STATS_ENABLED": 0,
        # Ray's default of 15 lets every other process go before a replica and what it starts: the
        # engines, Chromium and HAProxy are what the machine is for.
        "RAY_worker_niceness": 0,
        "RAY_SERVE_ENABLE_HA_PROXY": 1,
        # Ten a second is the default: at rest most of what Serve's controller does is this.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": 0.25,
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": 1,
        # It would also route calls of other rooms in the loop that serves. Routing looks a new
        # replica up in the control store, which blocks its loop while room main is away.
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": 1,
        # Calls between rooms go over Ray's own RPC, which carries the token and has known ports; by
        # gRPC they would go to any port of the replica, without one.
        "RAY_SERVE_USE_GRPC_BY_DEFAULT": 0,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": haproxy / "haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": haproxy / ADMIN,
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": haproxy,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": haproxy / "server-state",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": haproxy / METRICS,
        # Ray's default is 127.0.0.1:514: whoever may read the system's log would read every URL.
        # Nobody listens at this path, below a folder of the owner's.
        "RAY_SERVE_HAPROXY_LOG_TARGET": haproxy / LOG,
        "RAY_SERVE_HAPROXY_METRICS_PORT": settings.haproxy_metrics_port,
        "RAY_SERVE_HAPROXY_STATS_PORT": settings.haproxy_stats_port,
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": settings.fallback_proxy_port,
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "autobot.serving.absent.middlewares",
        "DASHBOARD_METRIC_PORT": settings.dashboard_metrics_port,
        "AUTOSCALER_METRIC_PORT": settings.autoscaler_metrics_port,
        # Draining moves replicas to other nodes of their room, of which there mostly are none.
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": 0,
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": settings.replica_min_port,
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": settings.replica_max_port,
    }
    return settings_env(settings) | {name: str(value) for name, value in switches.items()}


def loopback_env(node_ip: str) -> dict[str, str]:
    """What makes a node at 127.0.0.1 stay there; nothing for another address.

    Ray puts its listeners on loopback for this address only, and replaces it by that of a network
    card. Not where it is told that there is no cluster: its own default on macOS and Windows.
    """
    return {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if node_ip == "127.0.0.1" else {}


def settings_env(settings: Settings) -> dict[str, str]:
    """Return the settings as variables: what this process was told, its children are.

    What an environment does not carry unharmed, and what others may not read, is in
    `settings_file`; a change of it changes these variables.
    """
    plain, rest = _divided(settings)
    if rest:
        plain |= {
            "AUTOBOT_SETTINGS_FILE": str(settings_file(settings).path),
            "AUTOBOT_SETTINGS_DIGEST": hashlib.sha256(_content(rest)).hexdigest()[:16],
        }
    return plain


def settings_file(settings: Settings) -> ProgramFile:
    """The settings that are no variables, for this user alone; no file when there are none."""
    _, rest = _divided(settings)
    # Not in `state`, which is root's on VM browser, while units are written by the platform's user.
    path = settings.home / "settings.json"
    return ProgramFile(path, lambda: _content(rest) if rest else None)


def _divided(settings: Settings) -> tuple[dict[str, str], dict[str, Any]]:
    """What was set, as variables and as values for the file.

    The first API key is in neither: nobody below needs it.
    """
    values = settings.model_dump(exclude_none=True, exclude={"api_key"}, exclude_unset=True)
    values |= {"home": settings.home, "cache": settings.cache}
    plain: dict[str, str] = {}
    rest: dict[str, Any] = {}
    for name, value in sorted(values.items()):
        text = _text(value)
        if text is not None and (PLAIN.fullmatch(text) or name in ("home", "cache")):
            plain[f"AUTOBOT_{name.upper()}"] = text
        else:
            secret = isinstance(value, SecretStr)
            rest[name] = value.get_secret_value() if secret else value
    return plain, rest


def _text(value: object) -> str | None:
    """How an environment says it; None for what it cannot or may not say."""
    if isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, str | int | float | Path) else None


def _content(rest: dict[str, Any]) -> bytes:
    return json.dumps(rest, sort_keys=True, default=str).encode()
