"""How Chromium starts: which binary, which user, which flags, and proof of its sandbox."""

import asyncio
import contextlib
import os
import shlex
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from autobot.errors import SetupError
from deployments.browser.chromium.isolation.cgroups import UNCAGED, Cgroup
from deployments.browser.chromium.isolation.folders import Folders
from deployments.browser.chromium.isolation.namespaces import (
    NO_NAMESPACES,
    Namespaces,
    unprivileged,
)

DEBIAN_BINARY = Path("/usr/lib/chromium/chromium")
"""The program behind /usr/bin/chromium: that script adds extensions and flags of its own."""

FLAGS = (
    # Nothing of its own on the network: no updates, sync, pings, predictions or reports.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-sync",
    "--disable-breakpad",
    "--no-first-run",
    "--no-pings",
    # Nothing around the proxy: no UDP, and no name is ever resolved by Chromium itself. The WebRTC
    # policy changed its name; Chromium 156 ignores the first spelling, which older ones know.
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # No questions, no devices, no graphics hardware; a heap a small VM can hold.
    "--deny-permission-prompts",
    "--disable-notifications",
    "--disable-gpu",
    "--js-flags=--max-old-space-size=1024",
    # No library of the system's plays or records sound: what it would read may name commands.
    "--disable-audio-output",
    "--disable-audio-input",
)
DROPPED_FLAGS = (
    # Software WebGL runs page-made machine code outside the renderer's sandbox.
    "--enable-unsafe-swiftshader",
)

PROTOCOL_FLAGS = (
    # What Playwright gives a Chromium it starts; these are started without it.
    "--headless",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-default-browser-check",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-popup-blocking",
    "--disable-component-extensions-with-background-pages",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-dev-shm-usage",
    "--password-store=basic",
    "--use-mock-keychain",
    "--enable-automation",
)

SILENT = {"ALSA_CONFIG_PATH": "/dev/null", "PULSE_SERVER": "unix:/dev/null"}

WRAPPER = """\
#!/bin/sh
# Starts Chromium as Playwright asks, but with a profile of ours: the folder that Playwright made,
# and will remove, is its own user's and stays so.
set -eu
for argument do
    shift
    case "$argument" in
        --user-data-dir=*)
            rmdir "${{argument#*=}}" 2>/dev/null || :
            argument=--user-data-dir={profile} ;;
    esac
    set -- "$@" "$argument"
done
exec {command} "$@"
"""
PLAIN_WRAPPER = """\
#!/bin/sh
# Starts Chromium, for who is its user and in its place already, so that it dies with its parent.
exec setpriv --pdeathsig KILL -- {binary} "$@"
"""
TO_PIPE = "exec 3<&0 4>&1 </dev/null >/dev/null\n"
"""A debugging pipe is on the descriptors 3 and 4; who starts us offers its own ends as 0 and 1."""


@dataclass(frozen=True)
class Launch:
    """How browsers are started here: which Chromium, and what it is shut into."""

    binary: Path
    sandbox: bool
    cgroup: Cgroup = UNCAGED
    namespaces: Namespaces = NO_NAMESPACES

    def command(
        self, folders: Folders, *, readable: Iterable[Path] = (), pipe: bool = False
    ) -> list[str]:
        """Return the beginning of a command that is to run shut in, and as ``folders.account``.

        It sees ``readable`` beside its folders. With ``pipe`` it gets a debugging pipe.
        """
        entrance = f"set -eu\n{self.cgroup.entrance()}ulimit -c 0\n{TO_PIPE * pipe}"
        seen = (self.binary.parent, *readable)
        # A set-user-id sandbox helper needs what this takes away; user namespaces do not.
        helped = (self.binary.parent / "chrome-sandbox").exists()
        return [
            *("sh", "-c", f'{entrance}exec "$@"', "sh"),
            *self.namespaces.enter(folders, seen),
            *unprivileged(folders.account, new_privileges=helped),
        ]


def find_chromium(configured: Path | None, fallback: Path | str) -> Path:
    """Return the Chromium to run: the owner's, Debian's, or ``fallback`` (the driver's own)."""
    candidates = [configured] if configured else [DEBIAN_BINARY, Path(fallback)]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise SetupError(
        f"Chromium is not at {candidates[-1]}.",
        "Install it (Debian: apt-get install chromium) or set AUTOBOT_CHROMIUM to its path.",
    )


def wrapper(chosen: Launch, folders: Folders, directory: Path) -> Path:
    """Write into ``directory``, which is ours, what Playwright is to start as Chromium."""
    directory.mkdir(parents=True, exist_ok=True)
    made = directory / "chromium"
    fresh = directory / f".chromium.{os.getpid()}"
    fresh.write_text(
        WRAPPER.format(
            profile=shlex.quote(str(folders.tmp / "profile")),
            command=shlex.join([*chosen.command(folders), str(chosen.binary)]),
        )
    )
    fresh.chmod(0o700)
    return fresh.replace(made)


def plain_wrapper(chosen: Launch, folders: Folders) -> Path:
    """Write a wrapper for who is Chromium's user and in its place already."""
    text = PLAIN_WRAPPER.format(binary=shlex.quote(str(chosen.binary)))
    return folders.write("chromium", text, executable=True)


def environment(folders: Folders) -> dict[str, str]:
    """Return Chromium's whole environment: nothing of ours, which holds secrets."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": os.environ.get("TZ", "UTC"),
        "HOME": str(folders.home),
        "TMPDIR": str(folders.tmp),
        "XDG_CONFIG_HOME": str(folders.home),
        "XDG_DATA_HOME": str(folders.home),
        "XDG_CACHE_HOME": str(folders.tmp),
        **SILENT,
    }


async def prove_sandbox(renderers: Iterable[int], browser: int, within_s: float = 5.0) -> None:
    """Raise `SetupError` unless each renderer process is confined, by the kernel's own account.

    Confined means: in a process-id namespace below that of ``browser``, under a seccomp filter, and
    not root. A renderer puts the filter on itself as it starts, so each has ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    for pid in renderers:
        while (why := _unconfined(pid, browser)) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if why:
            raise no_sandbox(why)


def _unconfined(pid: int, browser: int) -> str:
    """What a renderer lacks, or nothing. One that has ended proves nothing: FileNotFoundError."""
    status = _status(pid)
    namespaced = len(status["NSpid"].split()) > len(_status(browser)["NSpid"].split())
    filtered = status.get("Seccomp", "0").strip() == "2"
    ordinary = "0" not in status["Uid"].split()
    if namespaced and filtered and ordinary:
        return ""
    return f"namespace {namespaced}, seccomp {filtered}, unprivileged {ordinary}"


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def family(folders: Folders) -> list[psutil.Process]:
    """Return the processes we started for the browser of ``folders``, the first of them first."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may be over
            if any(str(folders.base) in word for word in process.cmdline()):
                return [process, *process.children(recursive=True)]
    return []


def seen_from_here(
    family: Iterable[psutil.Process], pids: Iterable[int], shut_in: bool
) -> list[int]:
    """Return what ``pids``, by which a browser's processes know each other, are called here."""
    if not shut_in:
        return list(pids)
    called: dict[int, int] = {}
    for process in family:
        with contextlib.suppress(OSError, KeyError):
            levels = _status(process.pid)["NSpid"].split()
            if len(levels) > 1:
                called[int(levels[1])] = process.pid
    return [called[pid] for pid in pids if pid in called]


def no_sandbox(cause: str) -> SetupError:
    """Return the error to raise; its remedy says what the owner has to allow."""
    return SetupError(
        f"Chromium's sandbox does not work on this machine ({cause}).",
        "Allow unprivileged user namespaces (sysctl user.max_user_namespaces, and on Ubuntu "
        "kernel.apparmor_restrict_unprivileged_userns=0), or accept the risk with "
        "AUTOBOT_BROWSER_NO_SANDBOX=1.",
    )


def last_words(message: str) -> str:
    """Return the telling line of a launch log: Chromium's own, without its D-Bus complaints."""
    lines = [line for line in message.splitlines() if line.strip() and "dbus" not in line]
    said = [line for line in lines if "[err]" in line or "FATAL" in line]
    return (said or lines)[-1].strip()[:300]
