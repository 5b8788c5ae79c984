"""Callers of a lost room get 503 with its VM's address, those that wait already among them."""

import asyncio
import threading
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from autobot.manifests import rooms
from autobot.serving import absent
from autobot.serving.absent import TellAbsence, Vms
from tests.unit.cluster.configs import topology

ALL = set(topology().addresses)
NPU = "172.16.168.22"


class Served:
    """Serve's proxy: answers at once, or waits for a replica for ever."""

    def __init__(self, *, waits: bool = False) -> None:
        self.waits = waits
        self.cancelled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self.waits:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})


class Nodes:
    """What Ray says of its nodes."""

    def __init__(self) -> None:
        self.alive: set[str] = set(ALL)
        self.asked = 0

    def __call__(self) -> set[str]:
        self.asked += 1
        return self.alive


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    monkeypatch.setattr(absent, "LOOK_EVERY_S", 0.02)
    return Nodes()


async def ask(served: Served, nodes: Nodes, path: str, kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    wrapped = TellAbsence(served, Vms(topology, nodes), rooms())
    scope = {"type": kind, "path": path, "method": "POST", "headers": []}
    await asyncio.wait_for(wrapped(scope, receive, send), 5)
    return sent


async def test_a_room_whose_vm_is_there_is_served(nodes: Nodes) -> None:
    sent = await ask(Served(), nodes, "/v1/embeddings")
    assert sent[0]["status"] == 200


async def test_a_lost_room_is_503_with_its_vm_and_a_time_to_come_back(nodes: Nodes) -> None:
    nodes.alive = ALL - {NPU}
    sent = await ask(Served(waits=True), nodes, "/v1/embeddings")
    assert sent[0]["status"] == 503
    assert NPU in sent[1]["body"].decode()
    assert b"retry-after" in dict(sent[0]["headers"])
    other = await ask(Served(), nodes, "/v1/chat/completions")
    assert other[0]["status"] == 200, "the longest prefix decides: this is room llm's"


async def test_who_waits_when_the_room_is_lost_is_told_too(nodes: Nodes) -> None:
    served = Served(waits=True)
    waiting = asyncio.ensure_future(ask(served, nodes, "/api/ocr"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    nodes.alive = ALL - {NPU}
    sent = await waiting
    assert sent[0]["status"] == 503
    assert served.cancelled


async def test_a_websocket_of_a_lost_room_is_closed_with_the_reason(nodes: Nodes) -> None:
    nodes.alive = ALL - {"172.16.168.25"}
    sent = await ask(Served(waits=True), nodes, "/api/browser/playwright", "websocket")
    assert (sent[0]["type"], sent[0]["code"]) == ("websocket.close", 1013)
    assert "172.16.168.25" in sent[0]["reason"]


async def test_while_ray_does_not_answer_nobody_is_called_lost(nodes: Nodes) -> None:
    def broken() -> set[str]:
        raise ConnectionError("no control store")

    assert await Vms(topology, broken).all_lost("npu") == ()


async def test_a_hundred_callers_are_one_question(nodes: Nodes) -> None:
    vms = Vms(topology, nodes)
    await asyncio.gather(*(vms.all_lost("npu") for _ in range(100)))
    assert nodes.asked <= 2


async def test_a_room_with_another_vm_left_is_not_lost() -> None:
    two = topology(npu={"port": 8081, "addresses": [NPU, "172.16.168.32"]})
    assert await Vms(lambda: two, lambda: {"172.16.168.32"}).all_lost("npu") == ()
    assert await Vms(lambda: None, lambda: set()).all_lost("npu") == (), "one machine has no VMs"


async def test_a_control_store_that_is_silent_is_asked_once_and_takes_no_other_work_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With room main away each look left a thread behind, until a replica had none for its own."""
    monkeypatch.setattr("autobot.serving.absent.LOOK_DEADLINE_S", 0.05)
    monkeypatch.setattr("autobot.serving.absent.LOOK_EVERY_S", 0)
    back, asked = threading.Event(), 0

    def silent() -> set[str]:
        nonlocal asked
        asked += 1
        assert back.wait(20)
        return {"172.16.168.22"}

    vms = Vms(topology, silent)
    try:
        async with asyncio.timeout(15):
            for _ in range(50):
                assert await vms.all_lost("npu") == ()
            assert await asyncio.to_thread(lambda: "free") == "free"
        assert asked == 1
    finally:
        back.set()
