"""Stored responses stay, belong to one key, and do not grow for ever."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autobot.errors import NotFound
from deployments.llm.responses_store import ResponseStore, Stored


def stored(name: str) -> Stored:
    return Stored([{"role": "user", "content": "é"}], {"id": name, "output": []})


async def test_response_is_given_back_to_its_owner_only(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path / "a" / "r.db")
    await store.put("me", stored("resp_1"))
    assert await store.get("me", "resp_1") == stored("resp_1")
    for owner, name in (("you", "resp_1"), ("me", "resp_2"), ("me", "' OR 1=1 --")):
        with pytest.raises(NotFound):
            await store.get(owner, name)
        with pytest.raises(NotFound):
            await store.delete(owner, name)
    await store.delete("me", "resp_1")
    with pytest.raises(NotFound):
        await store.get("me", "resp_1")
    store.close()


async def test_oldest_leave_when_there_are_too_many(tmp_path: Path) -> None:
    store = ResponseStore(tmp_path / "r.db", most=3)
    for number in range(5):
        await store.put("me", stored(f"resp_{number}"))
    for number in (0, 1):
        with pytest.raises(NotFound):
            await store.get("me", f"resp_{number}")
    assert await store.get("me", "resp_2")


async def test_two_replicas_share_one_file(tmp_path: Path) -> None:
    old, new = (ResponseStore(tmp_path / "r.db") for _ in range(2))
    await old.put("me", stored("resp_1"))
    await new.put("me", stored("resp_2"))
    assert await new.get("me", "resp_1")
    assert await old.get("me", "resp_2")


async def test_what_was_acknowledged_survives_a_killed_replica(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, signal; from pathlib import Path\n"
        "from deployments.llm.responses_store import ResponseStore, Stored\n"
        f"store = ResponseStore(Path({str(tmp_path / 'r.db')!r}))\n"
        "asyncio.run(store.put('me', Stored([], {'id': 'resp_1'})))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script])  # noqa: ASYNC221
    assert ended.returncode == -signal.SIGKILL
    assert (await ResponseStore(tmp_path / "r.db").get("me", "resp_1")).response["id"] == "resp_1"
    assert (os.stat(tmp_path / "r.db").st_mode & 0o077) == 0  # noqa: PTH116
