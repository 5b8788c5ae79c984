"""The processes of a platform: the same commands under supervisord and under systemd.

Listing them changes nothing on the disk: each names the files that it reads, and `prepare_programs`
writes them before it starts.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from autobot.errors import SetupError
from autobot.manifests import rooms
from autobot.platform import same_origin
from autobot.platform.desktop import desktop_env, desktop_files, vnc_password
from autobot.platform.haproxy import wrapper_script
from autobot.platform.program_files import ProgramFile
from autobot.platform.ray_env import (
    SYSTEM_PATH,
    loopback_env,
    ray_env,
    settings_file,
    short_run_dir,
)
from autobot.platform.redis_conf import data_folder, find_server, render_conf, users_file
from autobot.platform.topology import CHECKOUT
from autobot.settings import Settings

NOVNC = Path("/usr/share/novnc")
GEOMETRY = "1440x900"
OLLAMA = Path("/usr/local/bin/ollama")
OLLAMAS_UNIT = Path("/etc/systemd/system/ollama.service")
# Serve moves requests over HTTP, not through Ray's object store.
OBJECT_STORE_BYTES = 512 << 20


@dataclass(frozen=True)
class Program:
    """One long-running process. ``user`` None means the user who starts it.

    ``stop_signal`` is what ends it: a name without SIG. ``unless`` names a file that says that
    somebody else runs it; with one, a program that is not installed is no error either. ``files``
    and ``folders`` are what `prepare_programs` makes for it.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    user: str | None = None
    stop_signal: str = "TERM"
    unless: Path | None = None
    files: tuple[ProgramFile, ...] = ()
    folders: tuple[Path, ...] = ()


def prepare_programs(programs: Iterable[Program]) -> None:
    """Make the folders, closed to others, and write the files that the programs read.

    Raises OSError, for example when the disk is full or a secret is missing.
    """
    for program in programs:
        for folder in program.folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in program.files:
            file.write()


def redis(settings: Settings) -> Program:
    """Redis Stack. Changed users or a changed configuration show in the program's environment."""
    server = find_server(settings)
    content = render_conf(settings, server).encode()
    conf = ProgramFile(settings.run_dir / "redis.conf", lambda: content)
    users = users_file(settings).read_bytes() if users_file(settings).exists() else b""
    return Program(
        "redis",
        (str(server.binary), str(conf.path)),
        {"AUTOBOT_CONFIG": hashlib.sha256(content + users).hexdigest()[:16]},
        files=(conf,),
        folders=(data_folder(settings),),
    )


def ollama(settings: Settings) -> Program:
    """The Ollama server of room llm's VM, once its owner has installed one.

    Ollama's own installer leaves a unit of its own, which then runs it.
    """
    # Ollama reads an address as its clients do, down to the port of one that names none.
    host = {"OLLAMA_HOST": settings.ollama_url}
    return Program("ollama", (str(OLLAMA), "serve"), host, unless=OLLAMAS_UNIT)


def ollama_is_here(settings: Settings) -> bool:
    """Whether room llm looks for Ollama on its own VM."""
    here = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::", settings.node_ip)
    return urlsplit(settings.ollama_url).hostname in here


def desktop_x(settings: Settings) -> Program:
    """The X server. Neither X nor VNC listens on TCP: websockify is the only way in."""
    argv = (
        installed("Xtigervnc", "tigervnc-standalone-server"),
        f":{settings.desktop_display}",
        *("-geometry", GEOMETRY, "-depth", "24", "-nolisten", "tcp"),
        *("-auth", desktop_env(settings)["XAUTHORITY"]),
        *("-rfbport", "-1", "-rfbunixpath", str(_vnc_socket(settings)), "-rfbunixmode", "0600"),
        *("-SecurityTypes", "VncAuth", "-PasswordFile", str(vnc_password(settings))),
        *("-desktop", "AutoBot", "-AlwaysShared"),
        # All come from websockify, as from one address: whoever guesses wrong five times would lock
        # the owner out. 31^8 passwords are not guessed.
        "-UseBlacklist=0",
    )
    return Program("desktop-x", argv, desktop_env(settings), files=desktop_files(settings))


def desktop_wm(settings: Settings) -> Program:
    """The window manager, with a terminal to begin with where there is one."""
    terminal = shutil.which("xterm")
    startup = ("--startup", terminal) if terminal else ()
    argv = (installed("openbox", "openbox"), "--sm-disable", *startup)
    return Program("desktop-wm", argv, desktop_env(settings))


def desktop_web(settings: Settings) -> Program:
    """noVNC's page and its socket to the X server."""
    argv = (
        *(installed("websockify", "websockify"), "--web", str(NOVNC)),
        *("--unix-target", str(_vnc_socket(settings)), "--heartbeat", "30"),
        *("--auth-plugin", f"{same_origin.__name__}.{same_origin.SameOrigin.__name__}"),
        f"{settings.bind}:{settings.desktop_port}",
    )
    return Program("desktop-web", argv, {"PYTHONPATH": str(CHECKOUT)})


def named(settings: Settings, names: Iterable[str]) -> list[Program]:
    """The programs that a manifest names; Ollama only where it is installed."""
    by_name: dict[str, Callable[[Settings], Program]] = {
        "redis": redis,
        "desktop-x": desktop_x,
        "desktop-wm": desktop_wm,
        "desktop-web": desktop_web,
        "ollama": ollama,
    }
    wanted = [name for name in names if name != "ollama" or ollama_is_here(settings)]
    return [by_name[name](settings) for name in wanted]


def ray_node(
    settings: Settings,
    *,
    head: bool,
    resources: Mapping[str, float],
    node_ip: str,
    head_address: str | None = None,
    autoscaling_config: Path | None = None,
) -> Program:
    """One Ray node in the foreground, on fixed ports so that a firewall can know them.

    ``head_address`` is ``host:port`` of the GCS, for a node that is not the head.
    """
    ports = {
        "node-manager-port": settings.node_manager_port,
        "object-manager-port": settings.object_manager_port,
        "min-worker-port": settings.min_worker_port,
        "max-worker-port": settings.max_worker_port,
        "metrics-export-port": settings.metrics_port,
        "dashboard-agent-listen-port": settings.dashboard_agent_port,
        "dashboard-agent-grpc-port": settings.dashboard_agent_grpc_port,
        "runtime-env-agent-port": settings.runtime_env_agent_port,
    }
    role = _head_role(settings, autoscaling_config) if head else (f"--address={head_address}",)
    argv = (
        str(Path(sys.executable).with_name("ray")),
        *("start", "--block", *role),
        f"--node-ip-address={node_ip}",
        f"--resources={json.dumps(dict(resources))}",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={short_run_dir(settings) / 'ray'}",
        *(f"--{name}={port}" for name, port in ports.items()),
        "--disable-usage-stats",
    )
    # A head that ends in order marks its own node dead in the control store and is gone before it
    # marks the actors on it: at the next start Serve's controller counts as alive there, for ever.
    # A head that is killed leaves nothing half done, as after a power cut.
    return Program(
        "ray",
        argv,
        ray_env(settings),
        stop_signal="KILL" if head else "TERM",
        files=(settings_file(settings),),
    )


def _head_role(settings: Settings, autoscaling_config: Path | None) -> tuple[str, ...]:
    autoscaling = (f"--autoscaling-config={autoscaling_config}",) if autoscaling_config else ()
    return (
        "--head",
        f"--port={settings.gcs_port}",
        "--include-dashboard=true",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={settings.dashboard_port}",
        f"--ray-client-server-port={settings.ray_client_port}",
        *autoscaling,
    )


def one_machine_programs(settings: Settings) -> list[Program]:
    """Every process of a platform on one machine."""
    resources: dict[str, float] = dict.fromkeys(rooms(), 1.0)
    ray = ray_node(settings, head=True, resources=resources, node_ip=settings.node_ip)
    return [
        redis(settings),
        desktop_x(settings),
        desktop_wm(settings),
        desktop_web(settings),
        alone(ray, settings),
    ]


def alone(ray: Program, settings: Settings) -> Program:
    """Return the Ray node as it is where it is the only one, with a wrapper around HAProxy.

    VMs need none of it: their listeners are for other VMs, and the firewall says for which.
    """
    script = wrapper_script(settings.bind).encode()
    wrapper = ProgramFile(settings.run_dir / "haproxy", lambda: script, mode=0o700)
    environment = {
        "PATH": own_path(),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(wrapper.path),
        **loopback_env(settings.node_ip),
    }
    return replace(ray, env={**ray.env, **environment}, files=(*ray.files, wrapper))


def own_path() -> str:
    """Begins with this environment: a job's `python` and `ray` are the platform's.

    Not the PATH of whoever starts it: with another one a second `up` would restart the node.
    """
    return f"{Path(sys.executable).parent}:{SYSTEM_PATH}:/snap/bin"


def _vnc_socket(settings: Settings) -> Path:
    return short_run_dir(settings) / "vnc.sock"


def installed(program: str, package: str) -> str:
    """Return the program's path; SetupError names the Debian package when it is missing."""
    found = shutil.which(program)
    if found is None:
        raise SetupError(f"{program} is not installed.", f"apt-get install {package}")
    return found
