"""A mount and process namespace for each browser, made by bubblewrap: what it sees of the machine.

It sees the system's programs and libraries to read, and of everything else only its own folders:
no home, no other browser's files, no device, no socket of a service, no process but its own. Where
this cannot be made the room runs without, and says so.
"""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deployments.browser.chromium.isolation.accounts import Account
from deployments.browser.chromium.isolation.folders import Folders

PROBE_S = 20.0
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
READABLE = (
    # What Chromium and Node look up; there is no sound configuration among it.
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl",
    "/sys/devices/system/cpu",
    "/var/cache/fontconfig",
)
HIDDEN = (
    "/usr/share/alsa",
    "/usr/lib/x86_64-linux-gnu/alsa-lib",
    "/usr/lib/aarch64-linux-gnu/alsa-lib",
)
"""Sound: its configuration may name commands to run and libraries to load."""
POLICIES = Path(__file__).with_name("policies.json")
"""What Chromium itself keeps to, whoever commands it: files and pages of its own stay shut."""
POLICIES_PLACE = Path("/etc/chromium/policies/managed/autobot.json")


@dataclass(frozen=True)
class Namespaces:
    """How browsers are shut in: ``program`` is bubblewrap's; without it ``why`` says why not."""

    program: str = ""
    why: str = "not tried"

    def enter(self, folders: Folders, readable: Iterable[Path] = ()) -> list[str]:
        """Return the beginning of a command that is to see ``folders`` and ``readable`` alone."""
        if not self.program:
            return []
        made: set[Path] = set()
        command = [self.program, "--die-with-parent", "--unshare-pid", "--unshare-ipc"]
        if folders.account.change() == []:
            command.append("--unshare-user")
        command += ["--ro-bind", "/usr", "/usr"]
        for path in map(Path, SYSTEM):
            if path.is_symlink():
                command += ["--symlink", str(path.readlink()), str(path)]
            elif path.is_dir():
                command += ["--ro-bind", str(path), str(path)]
        command += ["--proc", "/proc", "--dev", "/dev"]
        for path in ("/dev/shm", "/tmp"):  # noqa: S108  the browser's own, in memory
            command += ["--perms", "1777", "--tmpfs", path]
            made.add(Path(path))
        for path in (*map(Path, READABLE), *readable, folders.home, folders.config):
            if path.exists() and not path.is_relative_to("/usr"):
                command += [*_above(path, made), "--ro-bind", str(path), str(path)]
        owners = POLICIES_PLACE.parent.glob("*.json")
        for path, place in ((POLICIES, POLICIES_PLACE), *((path, path) for path in owners)):
            command += [*_above(place, made), "--ro-bind", str(path), str(place)]
        for path in (folders.tmp, folders.files):
            command += [*_above(path, made), "--bind", str(path), str(path)]
        for path in filter(Path.is_dir, map(Path, HIDDEN)):
            command += ["--perms", "0555", "--tmpfs", str(path), "--remount-ro", str(path)]
        return [*command, "--remount-ro", "/", "--chdir", str(folders.tmp), "--"]

    def told(self, pid: int, proc: Path = Path("/proc")) -> str:
        """Say what process ``pid`` lacks of its own namespaces, or nothing."""
        if not self.program:
            return self.why
        try:
            shared = [
                kind
                for kind in ("mnt", "pid")
                if (proc / str(pid) / "ns" / kind).readlink()
                == (proc / "self" / "ns" / kind).readlink()
            ]
        except OSError:
            return "the browser's namespaces cannot be read"
        return f"the browser shares this machine's {' and '.join(shared)} namespace" * bool(shared)


NO_NAMESPACES = Namespaces()


def _above(path: Path, made: set[Path]) -> list[str]:
    """Options that make the folders over ``path``, which bubblewrap would give to root alone."""
    options: list[str] = []
    for parent in reversed(path.parents[:-1]):
        if parent not in made:
            made.add(parent)
            options += ["--perms", "0755", "--dir", str(parent)]
    return options


def prepare(folders: Folders) -> Namespaces:
    """Try it out, with Chromium's own sandbox in mind, which makes another inside. Never raises."""
    program = shutil.which("bwrap")
    if program is None:
        return Namespaces(why="bubblewrap is not installed (Debian: apt-get install bubblewrap)")
    trial = Namespaces(program, "")
    command = [*trial.enter(folders), *unprivileged(folders.account), "unshare", "--user", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Namespaces(why=f"bubblewrap cannot be run: {error}")
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        return Namespaces(why=f"bubblewrap cannot make one here: {said[:200]}")
    return trial


def unprivileged(account: Account, *, new_privileges: bool = False) -> list[str]:
    """Return the beginning of a command that is to run as ``account``, and die with its parent."""
    drop = ["--inh-caps=-all", "--ambient-caps=-all"]
    if account.change():
        drop.append("--bounding-set=-all")
    if not new_privileges:
        drop.append("--no-new-privs")
    return ["setpriv", *account.change(), *drop, "--pdeathsig", "KILL", "--"]
