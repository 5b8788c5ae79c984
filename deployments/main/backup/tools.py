"""The tool `platform.backup`: what `autobot backup` does, into a folder of VM main."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field

from autobot.backup import pack
from autobot.contracts.backup import Backup
from autobot.contracts.tools import ToolCall
from autobot.files import private_folder, write_private
from autobot.tools.tool import Arguments, Tool

LONGEST_S = 120.0
SecretNames = Callable[[], Awaitable[Sequence[str]]]


class BackupArguments(Arguments):
    keep: int = Field(7, ge=1, le=365, description="Backups that stay; older ones are deleted.")


class BackupResult(BaseModel):
    file: str = Field(description="On VM main.")
    size: int = Field(description="Bytes.")
    sha256: str
    secrets: list[str] = Field(description="Whose values are not in it.")
    kept: int = Field(description="Backups in the folder.")


def backup_tool(
    folder: Path, data: Backup, secrets: SecretNames
) -> Tool[BackupArguments, BackupResult]:
    """Return the tool that writes backups into ``folder``."""

    async def backup(given: BackupArguments, call: ToolCall) -> BackupResult:
        names = list(await secrets())
        snapshot = await data.snapshot()
        return await asyncio.to_thread(_write, folder, snapshot, names, given.keep)

    return Tool(
        name="platform.backup",
        title="Backup of all data",
        description="Write all data of the platform to a file on VM main, as `autobot backup` "
        "does, and delete the oldest such files. `autobot restore` reads it.",
        arguments=BackupArguments,
        result=BackupResult,
        run=backup,
        scopes=("admin",),
        reads_only=False,
        on_unknown="retry",
        longest_s=LONGEST_S,
    )


def _write(folder: Path, snapshot: bytes, secrets: list[str], keep: int) -> BackupResult:
    packed = pack(snapshot, secrets)
    file = private_folder(folder) / f"autobot-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.tar.gz"
    write_private(file, packed)
    older = sorted(folder.glob("autobot-*.tar.gz"))
    for old in older[:-keep]:
        old.unlink(missing_ok=True)
    return BackupResult(
        file=str(file),
        size=len(packed),
        sha256=hashlib.sha256(packed).hexdigest(),
        secrets=secrets,
        kept=min(len(older), keep),
    )
