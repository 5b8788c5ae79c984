"""How Chromium starts: which binary, which user, which flags, and proof of its sandbox."""

import contextlib
import os
import pwd
import shlex
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from autobot.errors import SetupError

USER = "autobot-browser"
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

WRAPPER = """\
#!/bin/sh
# Starts Chromium so that it dies with its parent{purpose}.
set -eu
ulimit -c 0
for argument in "$@"; do
    case "$argument" in --user-data-dir=*) profile="${{argument#*=}}" ;; esac
done
{own_profile}export HOME="$profile" TMPDIR="$profile"
export XDG_CONFIG_HOME="$profile" XDG_CACHE_HOME="$profile"
cd "$profile"
exec setpriv {identity} --pdeathsig KILL -- {binary} "$@"
"""


@dataclass(frozen=True)
class Launch:
    """What the driver starts: an executable that ends in Chromium, and who it runs as."""

    executable: Path
    artifacts: Path
    user: str
    sandbox: bool


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


def prepare(binary: Path, directory: Path, sandbox: bool) -> Launch:
    """Write the wrapper into ``directory`` and say who Chromium will run as.

    Root gives way to the user `USER`, whose profile directory is handed over first; anybody else
    runs it as themselves. Raises `SetupError` when that user is missing.
    """
    artifacts = directory / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    wrapper = directory / "chromium"
    fresh = directory / f".chromium.{os.getpid()}"
    account = _account()
    fresh.write_text(_wrapper(binary, account))
    fresh.chmod(0o700)
    fresh.replace(wrapper)
    return Launch(wrapper, artifacts, account.pw_name, sandbox)


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


def _wrapper(binary: Path, account: pwd.struct_passwd) -> str:
    identity = ["--inh-caps=-all", "--ambient-caps=-all"]
    own_profile = ""
    # A set-user-id sandbox helper needs what these take away; user namespaces do not.
    if not (binary.parent / "chrome-sandbox").exists():
        identity.append("--no-new-privs")
    if os.geteuid() == 0:
        ids = f"--reuid {account.pw_uid} --regid {account.pw_gid} --clear-groups"
        identity.append(ids)
        own_profile = f'chown {account.pw_uid}:{account.pw_gid} "$profile"\n'
    return WRAPPER.format(
        purpose=f" and runs as {account.pw_name}" if own_profile else "",
        own_profile=own_profile,
        identity=" ".join(identity),
        binary=shlex.quote(str(binary)),
    )


def profile_of(command: Iterable[str]) -> str | None:
    """Return the profile directory a Chromium command line names."""
    flag = "--user-data-dir="
    return next((part[len(flag) :] for part in command if part.startswith(flag)), None)


def sweep(temporary: Path) -> list[Path]:
    """Remove profiles whose Chromium and driver died together; return which.

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
    return removed


def environment() -> dict[str, str]:
    """Return Chromium's whole environment: nothing of ours, which holds secrets."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": os.environ.get("TZ", "UTC")}


def prove_sandbox(renderers: Iterable[int]) -> None:
    """Raise `SetupError` unless each renderer process is confined, by the kernel's own account.

    Confined means: in a process-id namespace of its own, under a seccomp filter, and not root.
    """
    for pid in renderers:
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        namespaced = len(status.get("NSpid", "").split()) > 1
        filtered = status.get("Seccomp", "0").strip() == "2"
        ordinary = "0" not in status["Uid"].split()
        if not (namespaced and filtered and ordinary):
            raise no_sandbox(f"namespace {namespaced}, seccomp {filtered}, unprivileged {ordinary}")


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
