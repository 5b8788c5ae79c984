"""Redis Stack's configuration: which server, which modules, and data that survives a power cut."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from autobot.catalogue import Catalogue
from autobot.errors import ModelNotFound, SetupError
from autobot.files import refuse_to_run_what_others_wrote
from autobot.settings import Settings

MODULES = ("redisearch.so", "rejson.so")
MIN_VERSION = (8, 0)
STACK = Path("/opt/redis-stack")
PACKAGED_MODULES = Path("/usr/lib/redis/modules")

CONF = """\
# Written by AutoBot at each start; changes made here are lost.
bind {bind}
port {port}
protected-mode yes
daemonize no
databases 1
tcp-keepalive 60
dir "{data}"
aclfile "{acl}"
{modules}
# What was acknowledged is on the disk: each write is synced before it is answered.
appendonly yes
appendfsync always
aof-use-rdb-preamble yes
save ""
dbfilename dump.rdb
# Full memory refuses writes; it never drops what was kept.
maxmemory {memory}
maxmemory-policy noeviction
"""


@dataclass(frozen=True)
class RedisServer:
    """A server binary and the modules it loads."""

    binary: Path
    modules: tuple[Path, ...]


def find_server(settings: Settings) -> RedisServer:
    """Redis Stack as the owner installed it, else Redis >= 8, else the catalogue's.

    SetupError when there is none.
    """
    stack = STACK / "bin" / "redis-server"
    if stack.exists():
        return RedisServer(stack, tuple(STACK / "lib" / name for name in MODULES))
    found = shutil.which("redis-server")
    packaged = tuple(PACKAGED_MODULES / name for name in MODULES)
    if found and all(module.exists() for module in packaged) and _version(found) >= MIN_VERSION:
        return RedisServer(Path(found), packaged)
    try:
        folder = Catalogue(settings.cache).path("redis-stack")
    except ModelNotFound as error:
        raise SetupError("Redis Stack is not on this machine.", error.detail) from error
    server = RedisServer(folder / "redis-server", tuple(folder / name for name in MODULES))
    refuse_to_run_what_others_wrote(settings.cache, folder, server.binary, *server.modules)
    return server


def _version(binary: str) -> tuple[int, int]:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"v=(\d+)\.(\d+)", answer.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def render_conf(settings: Settings, server: RedisServer) -> str:
    """Return redis.conf. It holds no secret: the users file has the passwords' hashes."""
    return CONF.format(
        bind=settings.bind,
        port=settings.redis_port,
        data=data_folder(settings),
        acl=users_file(settings),
        modules="\n".join(f'loadmodule "{module}"' for module in server.modules),
        memory=psutil.virtual_memory().total // 4,
    )


def data_folder(settings: Settings) -> Path:
    """Return the folder of Redis' data, which must be there before it starts."""
    return settings.data_dir / "redis"


def users_file(settings: Settings) -> Path:
    """Return the file of Redis' users, which `ensure_secrets` makes."""
    return settings.secrets_dir / "redis" / "users.acl"
