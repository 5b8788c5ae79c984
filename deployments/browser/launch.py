"""How Chromium starts: which binary, which user, which flags, and proof of its sandbox."""

import asyncio
import contextlib
import os
import pwd
import shlex
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from autobot.errors import SetupError
from deployments.browser.cgroups import UNCAGED, Cage

USER = "autobot-browser"
PRIVATE = "autobot-browser-"
"""How names of directories that belong to one replica begin; its process id follows."""
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

WRAPPER = """\
#!/bin/sh
# Starts Chromium so that it dies with its parent{purpose}.
set -eu
{entrance}ulimit -c 0
for argument in "$@"; do
    case "$argument" in --user-data-dir=*) profile="${{argument#*=}}" ;; esac
done
{own_profile}export HOME="$profile" TMPDIR={temporary}
export XDG_CONFIG_HOME="$profile" XDG_CACHE_HOME="$profile"
cd "$profile"
# A debugging pipe is on the descriptors 3 and 4; who starts us offers its own ends as 0 and 1.
if [ "${{AUTOBOT_PIPE-}}" ]; then exec 3<&0 4>&1 </dev/null >/dev/null; unset AUTOBOT_PIPE; fi
exec setpriv {identity} --pdeathsig KILL -- {binary} "$@"
"""


@dataclass(frozen=True)
class Launch:
    """What the driver starts: an executable that ends in Chromium, and who it runs as."""

    executable: Path
    artifacts: Path
    """Downloads: a directory of the user Chromium runs as."""
    binary: Path
    """The Chromium behind ``executable``."""
    traces: Path
    """Recordings: a directory of ours, in which Chromium writes nothing."""
    user: str
    sandbox: bool
    cage: Cage = UNCAGED


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


def prepare(binary: Path, directory: Path, sandbox: bool, cage: Cage = UNCAGED) -> Launch:
    """Write the wrapper into ``directory`` and say who Chromium will run as.

    Root gives way to the user `USER`, whose profile directory is handed over first; anybody else
    runs it as themselves. Raises `SetupError` when that user is missing.
    """
    traces = directory / "traces"
    traces.mkdir(parents=True, exist_ok=True)
    wrapper = directory / "chromium"
    fresh = directory / f".chromium.{os.getpid()}"
    account = _account()
    fresh.write_text(_wrapper(binary, account, cage=cage))
    fresh.chmod(0o700)
    fresh.replace(wrapper)
    artifacts = private_directory("artifacts")
    return Launch(wrapper, artifacts, binary, traces, account.pw_name, sandbox, cage)


def private_directory(purpose: str) -> Path:
    """Make a directory for Chromium's user alone; its name says which replica it belongs to.

    It is under the system's temporary directory: that user cannot enter the platform's home.
    """
    made = Path(tempfile.mkdtemp(prefix=f"{PRIVATE}{os.getpid()}-{purpose}-"))
    if os.geteuid() == 0:
        account = _account()
        os.chown(made, account.pw_uid, account.pw_gid)
    return made


def _account() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(USER)
    except KeyError as error:
        raise SetupError(
            f"Chromium must not run as root, and there is no user {USER}.",
            f"useradd --system --no-create-home --shell /usr/sbin/nologin {USER}",
        ) from error


def plain_wrapper(chosen: Launch, folder: Path) -> Path:
    """Write a wrapper for who is Chromium's user already, into ``folder``."""
    wrapper = folder / "chromium"
    wrapper.write_text(_wrapper(chosen.binary, _account(), temporary=str(folder)))
    wrapper.chmod(0o755)
    return wrapper


def as_user(cage: Cage) -> list[str]:
    """Return the beginning of a command that is to run as Chromium's user, in ``cage``, and die
    with us.
    """
    account = _account()
    change = ["--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]
    identity = change if os.geteuid() == 0 else []
    enter = ["sh", "-c", f'set -eu\n{cage.entrance()}exec "$@"', "sh"] if cage.groups else []
    return [*enter, "setpriv", *identity, "--inh-caps=-all", "--pdeathsig", "KILL", "--"]


def _wrapper(
    binary: Path,
    account: pwd.struct_passwd,
    temporary: str | None = None,
    cage: Cage = UNCAGED,
) -> str:
    """Without ``temporary`` it changes the user and keeps temporary files in the profile."""
    identity = ["--inh-caps=-all", "--ambient-caps=-all"]
    own_profile = ""
    # A set-user-id sandbox helper needs what these take away; user namespaces do not.
    if not (binary.parent / "chrome-sandbox").exists():
        identity.append("--no-new-privs")
    if os.geteuid() == 0 and temporary is None:
        ids = f"--reuid {account.pw_uid} --regid {account.pw_gid} --clear-groups"
        identity.append(ids)
        own_profile = f'chown {account.pw_uid}:{account.pw_gid} "$profile"\n'
    return WRAPPER.format(
        entrance=cage.entrance(),
        purpose=f" and runs as {account.pw_name}" if own_profile else "",
        own_profile=own_profile,
        identity=" ".join(identity),
        binary=shlex.quote(str(binary)),
        # A socket's path has 108 bytes at most: deep in a folder there is no room for one.
        temporary=shlex.quote(temporary) if temporary else '"$profile"',
    )


def profile_of(command: Iterable[str]) -> str | None:
    """Return the profile directory a Chromium command line names."""
    flag = "--user-data-dir="
    return next((part[len(flag) :] for part in command if part.startswith(flag)), None)


def sweep(temporary: Path) -> list[Path]:
    """Remove profiles and directories whose Chromium and replica died together; return which.

    Chromium's own lock, a link to ``host-pid``, says whose a profile is. Without one it is too
    young to judge.
    """
    removed: list[Path] = []
    for profile in temporary.glob("playwright_chromiumdev_profile-*"):
        with contextlib.suppress(OSError):
            host, _, pid = str((profile / "SingletonLock").readlink()).rpartition("-")
            if host == socket.gethostname() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(profile)
                removed.append(profile)
    for left in temporary.glob(f"{PRIVATE}*"):
        with contextlib.suppress(OSError, ValueError):
            if not psutil.pid_exists(int(left.name[len(PRIVATE) :].partition("-")[0])):
                shutil.rmtree(left)
                removed.append(left)
    return removed


def environment() -> dict[str, str]:
    """Return Chromium's whole environment: nothing of ours, which holds secrets."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": os.environ.get("TZ", "UTC")}


async def prove_sandbox(renderers: Iterable[int], within_s: float = 5.0) -> None:
    """Raise `SetupError` unless each renderer process is confined, by the kernel's own account.

    Confined means: in a process-id namespace of its own, under a seccomp filter, and not root. A
    renderer puts the filter on itself as it starts, so each has ``within_s`` seconds to do so.
    """
    deadline = time.monotonic() + within_s
    for pid in renderers:
        while (why := _unconfined(pid)) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        if why:
            raise no_sandbox(why)


def _unconfined(pid: int) -> str:
    """What a renderer lacks, or nothing. One that has ended proves nothing: FileNotFoundError."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    namespaced = len(status.get("NSpid", "").split()) > 1
    filtered = status.get("Seccomp", "0").strip() == "2"
    ordinary = "0" not in status["Uid"].split()
    if namespaced and filtered and ordinary:
        return ""
    return f"namespace {namespaced}, seccomp {filtered}, unprivileged {ordinary}"


def no_sandbox(cause: str) -> SetupError:
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
