"""The tool that writes backups."""

import hashlib
import stat
from collections.abc import Sequence
from pathlib import Path

from autobot.backup import unpack
from autobot.contracts.backup import FakeBackup
from autobot.contracts.tools import ToolCall
from autobot.keys import NewKey, make_key
from autobot.tools.tool import ToolSet
from deployments.main.backup.tools import backup_tool

ADMIN = make_key(NewKey(name="admin", scopes=("admin",)))[1]


async def names() -> Sequence[str]:
    return ["TOKEN"]


async def test_a_backup_is_one_that_restore_reads_and_the_oldest_go(tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    tools = ToolSet([backup_tool(folder, FakeBackup(), names)])
    call = ToolCall("platform.backup", {"keep": 2}, ADMIN, 30)
    results = [await tools.run(call) for _ in range(4)]
    assert [result["kept"] for result in results] == [1, 2, 2, 2]
    files = sorted(folder.iterdir())
    assert [str(file) for file in files] == [result["file"] for result in results[2:]]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    manifest, snapshot = unpack(files[-1])
    assert snapshot == await FakeBackup().snapshot()
    assert manifest.secrets == ("TOKEN",)
    content = files[-1].read_bytes()
    assert results[-1]["sha256"] == hashlib.sha256(content).hexdigest()
    assert results[-1]["size"] == len(content)
    assert results[-1]["secrets"] == ["TOKEN"]
