"""The secrets of one platform: made once, kept at 0600, and divided so that a VM gets only its own.

    secrets/                    0700, files 0600
      ray_token                 every node: Ray's own calls carry it
      desktop_password          room main
      cli_key                   room main and the operator: an API key for the CLI
      sealing_key               room main: seals the secrets of automations
      redis/<user>              the password of each Redis user
      redis/users.acl           room redis: all users, passwords hashed
      seed_keys.json            room redis: the first API keys, hashed

The owner's API key is in none of them: it is returned once, when it is made.
"""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autobot.errors import SetupError
from autobot.files import private_folder, write_private
from autobot.keys import RECORDS, NewKey, make_key
from autobot.manifests import rooms
from autobot.platform.acl import render_acl, users

# VNC's own authentication reads no more than eight characters.
DESKTOP_PASSWORD_LENGTH = 8
MIN_FIRST_KEY_LENGTH = 16
SEALING_KEY = "sealing_key"
"""32 bytes in hexadecimal, with which room main seals the secrets of automations."""


@dataclass(frozen=True)
class Secrets:
    """Where they are. ``owner_key`` is the first API key, only in the run that made it."""

    directory: Path
    owner_key: str | None

    def read(self, name: str) -> str:
        """Return what is in the file ``name``, such as ``redis/llm``, without the space around it.

        Raises OSError when it is not there or this user may not read it.
        """
        return (self.directory / name).read_text().strip()


def ensure_secrets(directory: Path, first_key: str | None = None) -> Secrets:
    """Make what is missing and change nothing else; processes that come at once take turns.

    ``first_key`` (AUTOBOT_API_KEY) becomes the owner's key if there are no keys yet; SetupError
    when it is too short to be one, and when the directory is somebody else's.
    """
    private_folder(directory)
    with _locked(directory / ".lock"):
        _ensure(directory / "ray_token", secrets.token_hex(32))
        _ensure(directory / "desktop_password", _readable(DESKTOP_PASSWORD_LENGTH))
        _ensure(directory / SEALING_KEY, secrets.token_hex(32))
        for user in users():
            _ensure(directory / "redis" / user, secrets.token_urlsafe(32))
        hashes = {user: _sha256_of(directory / "redis" / user) for user in users()}
        _ensure(directory / "redis" / "users.acl", render_acl(hashes), replace=True)
        return Secrets(directory, _ensure_keys(directory, first_key))


def _ensure_keys(directory: Path, first_key: str | None) -> str | None:
    seeds = directory / "seed_keys.json"
    if seeds.exists():
        return None
    if first_key is not None and len(first_key) < MIN_FIRST_KEY_LENGTH:
        raise SetupError(
            f"AUTOBOT_API_KEY has {len(first_key)} characters; a key has {MIN_FIRST_KEY_LENGTH} "
            "or more.",
            "Give a longer one, or none: then a key is made and shown once.",
        )
    owner_key, owner = make_key(
        NewKey(name="owner", scopes=("admin",), expires_in_s=None), first_key
    )
    cli_key, cli = make_key(NewKey(name="cli", scopes=("admin",), expires_in_s=None))
    write_private(directory / "cli_key", cli_key.encode())
    # Written last: its presence says that the keys are complete.
    write_private(seeds, RECORDS.dump_json([owner, cli]))
    return owner_key


def files_of(room: str) -> tuple[str, ...]:
    """Which secrets a VM of ``room`` may hold, as paths below the directory."""
    manifest = rooms()[room]
    password = (f"redis/{room}",) if manifest.redis else ()
    return ("ray_token", *password, *manifest.secrets)


def divide(directory: Path, target: Path, rooms: tuple[str, ...]) -> None:
    """Write ``target/<room>/`` with what each room may hold, and nothing it may not."""
    for room in rooms:
        share = target / room
        wanted = files_of(room)
        for file in sorted(share.rglob("*")) if share.exists() else []:
            if file.is_file() and str(file.relative_to(share)) not in wanted:
                file.unlink()
        share.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in wanted:
            _copy_private(directory / name, share / name)
    target.chmod(0o700)


def _copy_private(source: Path, target: Path) -> None:
    content = source.read_bytes()
    if not target.exists() or target.read_bytes() != content:
        write_private(target, content)


def _ensure(path: Path, value: str, *, replace: bool = False) -> None:
    if not path.exists() or (replace and path.read_text() != value):
        write_private(path, value.encode())
    path.chmod(0o600)


def _sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_text().strip().encode()).hexdigest()


def _readable(length: int) -> str:
    # Typed by hand into a prompt: no characters that look alike.
    return "".join(secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(length))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
