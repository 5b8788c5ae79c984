"""supervisord owns the processes of one machine, as systemd does on a VM."""

import asyncio
import configparser
import io
import os
import resource
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from autobot.errors import SetupError
from autobot.files import write_private
from autobot.manifests import rooms
from autobot.platform.programs import Program
from autobot.settings import Settings

START_DEADLINE_S = 15.0
STOP_DEADLINE_S = 40.0


def config(settings: Settings, programs: Sequence[Program]) -> str:
    """Render supervisord.conf. ``%`` is supervisord's own escape; no secret appears in it."""
    run, logs = settings.run_dir, settings.log_dir
    socket = run / "supervisor.sock"
    parser = configparser.RawConfigParser()
    parser["unix_http_server"] = {"file": str(socket), "chmod": "0700"}
    parser["supervisord"] = {
        "logfile": str(logs / "supervisord.log"),
        "pidfile": str(run / "supervisord.pid"),
        "childlogdir": str(logs),
        "directory": str(settings.home),
        "minfds": str(open_files()),
        "umask": "077",
    }
    parser["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    parser["supervisorctl"] = {"serverurl": f"unix://{socket}"}
    for program in programs:
        parser[f"program:{program.name}"] = _program(settings, program)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def open_files() -> int:
    """Ray wants tens of thousands of descriptors; supervisord cannot start at the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard // 2)


def _program(settings: Settings, program: Program) -> dict[str, str]:
    stop = ("--stop-signal", program.stop_signal)
    command = [sys.executable, "-m", "autobot.supervise", *stop, "--", *program.argv]
    return {
        "command": " ".join(_quote(word) for word in command),
        "environment": ",".join(f'{k}="{_escape(v)}"' for k, v in sorted(program.env.items())),
        "autorestart": "true",
        "startsecs": "1",
        "startretries": "1000",
        "stopwaitsecs": "20",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": str(settings.log_dir / f"{program.name}.log"),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "3",
    }


def _escape(value: str) -> str:
    return value.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')


def _quote(word: str) -> str:
    return f'"{_escape(word)}"'


class Supervisor:
    """The supervisord of one AUTOBOT_HOME; two platforms have two and never meet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._conf = settings.run_dir / "supervisord.conf"
        self._pidfile = settings.run_dir / "supervisord.pid"

    def process(self) -> psutil.Process | None:
        """The running supervisord of this home, if any; a reused pid is not mistaken for it."""
        try:
            process = psutil.Process(int(self._pidfile.read_text()))
            return process if str(self._conf) in process.cmdline() else None
        except (OSError, ValueError, psutil.Error):
            return None

    async def apply(self, programs: Sequence[Program]) -> bool:
        """Start what is missing and restart what changed; return whether anything was."""
        for folder in (self._settings.run_dir, self._settings.log_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self._conf.read_text() if self._conf.exists() else ""
        wanted = config(self._settings, programs)
        write_private(self._conf, wanted.encode())
        if self.process() is None:
            await self._start()
            return True
        if before == wanted:
            return False
        await asyncio.to_thread(self._update)
        return True

    async def _start(self) -> None:
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._conf)]
        # The home stays, and says of each process whose it is: it is what this supervisord is for.
        environment = clean_environment() | {"AUTOBOT_HOME": str(self._settings.home)}
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, env=environment
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-500:]
            raise SetupError(
                f"supervisord did not start: {said}",
                f"See {self._settings.log_dir}/supervisord.log",
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while self.process() is None or not (self._settings.run_dir / "supervisor.sock").exists():
            if time.monotonic() > deadline:
                raise SetupError("supervisord did not come up in 15 s.", "See `autobot logs main`.")
            await asyncio.sleep(0.05)

    def _rpc(self) -> Any:
        socket = f"unix://{self._settings.run_dir / 'supervisor.sock'}"
        transport = SupervisorTransport(None, None, socket)
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _update(self) -> None:
        rpc = self._rpc()
        added, changed, removed = rpc.reloadConfig()[0]
        for name in (*changed, *removed):
            rpc.stopProcessGroup(name)
            rpc.removeProcessGroup(name)
        for name in (*added, *changed):
            rpc.addProcessGroup(name)

    async def states(self) -> list[dict[str, Any]]:
        """One row a program: name, statename, pid, spawnerr."""
        if self.process() is None:
            return []
        return await asyncio.to_thread(lambda: self._rpc().getAllProcessInfo())

    async def stop(self) -> bool:
        """Stop everything this home runs; return whether anything ran."""
        process = self.process()
        if process is None:
            return False
        process.terminate()
        gone, alive = await asyncio.to_thread(psutil.wait_procs, [process], STOP_DEADLINE_S)
        if alive:
            raise SetupError(
                f"supervisord (pid {process.pid}) did not stop in {STOP_DEADLINE_S:.0f} s.",
                f"See {self._settings.log_dir}/supervisord.log",
            )
        return bool(gone)


def clean_environment() -> dict[str, str]:
    """This process's environment without AutoBot's own variables.

    Each program is given its own: what supervisord inherits would stay as long as it runs, whatever
    a later `autobot up` says, and some of it no child may see.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("AUTOBOT_")}


def log_files(settings: Settings, room: str) -> list[Path]:
    """The logs of a room on one machine, newest words last."""
    manifest = rooms()[room]
    programs = (*(["ray"] if room == "main" else []), *manifest.programs)
    serve_logs = settings.run_dir / "ray" / "session_latest" / "logs" / "serve"
    replicas = [
        file
        for each in manifest.applications
        for file in serve_logs.glob(f"replica_{each.name}_{each.deployment}_*.log")
    ]
    files = [file for name in programs if (file := settings.log_dir / f"{name}.log").exists()]
    return files + sorted(replicas, key=lambda file: file.stat().st_mtime)
