"""`/mcp` behind a real socket, used by real clients with the tools of real rooms' code."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import fastmcp
import httpx
import pytest
import pytest_asyncio
import uvicorn
from fastmcp.client.auth import BearerAuth
from fastmcp.exceptions import ToolError
from mcp.client import Client
from mcp.shared.exceptions import MCPError

from autobot.contracts.tools import JsonObject, ToolCall, ToolInfo, Tools
from autobot.errors import Unavailable
from autobot.keys import KeyRecord, KeyRing, NewKey, make_key
from autobot.manifests import rooms
from autobot.settings import Settings
from autobot.tools.registry import Registry
from autobot.tools.tool import ToolSet
from autobot.web.app import create_app
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Policy
from deployments.browser.fake import FakeBrowser
from deployments.browser.outside.tools import outside_tools
from deployments.browser.pages.tools import page_tools
from deployments.main.mcp.api import mcp_routes
from deployments.main.mcp.server import MOST_RUNNING_EACH, MOST_WAITING_EACH
from deployments.npu.embeddings.service import Embedder
from deployments.npu.embeddings.tools import embedding_tools
from deployments.npu.fake import FakeEmbeddingModel, FakeModels

VERSIONS = ["2025-06-18", "2025-11-25", "2026-07-28"]
PAGE = "<body style='background:#00ff00'>"


class Room:
    """Tools of a room that can go away, and whose calls are counted."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.away = False
        self.begun = asyncio.Event()
        self.left = asyncio.Event()
        self.hangs = False

    async def describe(self) -> Sequence[ToolInfo]:
        return await self._tools.describe()

    async def run(self, call: ToolCall) -> JsonObject:
        if self.away:
            raise Unavailable("Room npu, which has the tool, does not answer.")
        self.begun.set()
        if self.hangs:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        return await self._tools.run(call)


class Platform:
    """Room main's endpoint, with keys of some scopes."""

    def __init__(self) -> None:
        self.npu = Room(ToolSet(embedding_tools(Embedder(FakeModels(FakeEmbeddingModel("gte"))))))
        pages = page_tools(FakeBrowser(Connector(Policy())))
        outside = outside_tools(Settings(egress_allow="127.0.0.1"))
        self.browser = Room(ToolSet([*pages, *outside]))
        self.keys: dict[str, str] = {}
        self.records: list[KeyRecord] = []
        for name, scopes in (
            ("npu", ["npu"]),
            ("all", ["npu", "browser"]),
            ("read", ["read"]),
            ("outside", ["browser:outside", "browser:python"]),
        ):
            key, record = make_key(NewKey.model_validate({"name": name, "scopes": scopes}))
            self.keys[name] = key
            self.records.append(record)
        self.ring = KeyRing(self._fetch)
        self.url = ""

    async def _fetch(self) -> list[KeyRecord]:
        return self.records

    def client(self, key: str, **options: Any) -> fastmcp.Client[Any]:
        return fastmcp.Client(self.url, auth=BearerAuth(self.keys[key]), **options)

    async def post(self, body: Mapping[str, Any], **headers: str) -> httpx.Response:
        accept = {"accept": "application/json, text/event-stream"}
        async with httpx.AsyncClient(timeout=20) as http:
            return await http.post(self.url, json=body, headers=accept | headers)


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[Platform]:
    made = Platform()
    await made.ring.refresh()
    tools = {"npu": made.npu, "browser": made.browser}
    registry = Registry(tools, own_names=rooms().tool_names)
    app = create_app("main", [mcp_routes(registry, 1 << 20)], made.ring)
    server = Server(uvicorn.Config(app, port=0, log_config=None))
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110  uvicorn tells nobody
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{port}/mcp"
    try:
        yield made
    finally:
        server.should_exit = True
        await serving


async def test_a_client_sees_the_tools_of_its_key(platform: Platform) -> None:
    async with platform.client("npu") as client:
        (tool,) = await client.list_tools()
    assert tool.name == "npu_embed"
    assert tool.input_schema["required"] == ["texts"]
    async with platform.client("all") as client:
        names = {tool.name for tool in await client.list_tools()}
    assert {"npu_embed", "browser_markdown", "browser_screenshot"} < names
    assert "browser_evaluate" not in names, "it needs a scope of its own"
    async with platform.client("read") as client:
        assert await client.list_tools() == []


async def test_tools_of_the_outside_have_plain_names_and_say_what_they_do(
    platform: Platform,
) -> None:
    async with platform.client("outside") as client:
        tools = {tool.name: tool.annotations for tool in await client.list_tools()}
        assert [*tools] == ["http_get", "http_request", "notify", "python"]
        outside = [one.open_world_hint for one in tools.values() if one]
        assert outside == [True, True, True, False]
        answer = await client.call_tool("python", {"code": "n + 1", "inputs": {"n": 1}})
        assert answer.structured_content == {"result": 2, "printed": ""}
        url = f"{platform.url}/nothing"
        answer = await client.call_tool("http_get", {"url": url, "fail_on_status": False})
        assert answer.structured_content is not None, "a file that there is not is no content"
        assert answer.structured_content["status"] == 404


async def test_a_call_answers_under_the_tools_own_schema(platform: Platform) -> None:
    async with platform.client("npu") as client:
        answer = await client.call_tool("npu_embed", {"texts": ["one", "two"]})
    assert answer.structured_content is not None
    assert len(answer.structured_content["embeddings"]) == 2
    assert answer.structured_content["model"] == "gte"


async def test_a_picture_comes_as_a_picture(platform: Platform) -> None:
    async with platform.client("all") as client:
        answer = await client.call_tool("browser_screenshot", {"html": PAGE, "width": 16})
    picture = answer.content[0]
    assert picture.type == "image"
    assert picture.mime_type == "image/png"
    assert base64.b64decode(picture.data).startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [{"texts": []}, {"texts": ["one"], "more": 1}, {}])
async def test_a_wrong_argument_is_told_to_the_model(
    platform: Platform, arguments: dict[str, Any]
) -> None:
    async with platform.client("npu") as client:
        with pytest.raises(ToolError, match=r"texts|more"):
            await client.call_tool("npu_embed", arguments)


async def test_a_room_that_is_away_is_an_error_of_the_call(platform: Platform) -> None:
    platform.npu.away = True
    async with platform.client("npu") as client:
        with pytest.raises(ToolError, match="Room npu, which has the tool, does not answer"):
            await client.call_tool("npu_embed", {"texts": ["one"]})
        assert await client.list_tools(), "and the connection serves on"


@pytest.mark.parametrize("name", ["npu_nothing", "browser_evaluate", "npu.embed"])
async def test_a_tool_that_the_key_may_not_use_is_not_there(platform: Platform, name: str) -> None:
    async with platform.client("all") as client:
        with pytest.raises(MCPError, match="There is no tool"):
            await client.call_tool(name, {})


async def test_without_a_key_nothing_is_told(platform: Platform) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    refused = await platform.post(body)
    assert refused.status_code == 401
    assert "npu" not in refused.text
    assert (await platform.post(body, authorization="Bearer wrong")).status_code == 401


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_version_of_the_protocol_in_use_is_spoken(
    platform: Platform, version: str
) -> None:
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {
        "authorization": f"Bearer {platform.keys['npu']}",
        "mcp-protocol-version": version,
        "mcp-method": "tools/list",
    }
    if version == VERSIONS[-1]:
        meta = "io.modelcontextprotocol"
        body["params"]["_meta"] = {
            f"{meta}/protocolVersion": version,
            f"{meta}/clientInfo": {"name": "test", "version": "1"},
            f"{meta}/clientCapabilities": {},
        }
    answer = await platform.post(body, **headers)
    assert answer.status_code == 200, answer.text
    assert "npu_embed" in answer.text


async def test_the_sdks_own_client_calls_a_tool(platform: Platform) -> None:
    headers = {"authorization": f"Bearer {platform.keys['npu']}"}
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    async with (
        create_mcp_http_client(headers=headers) as http,
        Client(streamable_http_client(platform.url, http_client=http)) as client,
    ):
        answer = await client.call_tool("npu_embed", {"texts": ["one"]})
    assert not answer.is_error


async def test_a_client_that_hangs_up_ends_the_call(platform: Platform) -> None:
    platform.npu.hangs = True
    async with asyncio.timeout(20):
        async with platform.client("npu") as client:
            calling = asyncio.create_task(client.call_tool("npu_embed", {"texts": ["one"]}))
            await platform.npu.begun.wait()
            calling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await calling
        await platform.npu.left.wait()


async def test_a_body_of_too_many_values_is_refused_before_it_is_read(platform: Platform) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"x": [[]] * 250_000}}
    refused = await platform.post(body, authorization=f"Bearer {platform.keys['npu']}")
    assert refused.status_code == 413
    assert "values" in refused.text


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_server_that_keeps_nothing_has_no_stream_and_no_session(
    platform: Platform, method: str
) -> None:
    """A stream that never says anything would hold a place of room main's."""
    headers = {
        "authorization": f"Bearer {platform.keys['npu']}",
        "accept": "text/event-stream",
    }
    async with httpx.AsyncClient(timeout=20) as http:
        assert (await http.request(method, platform.url, headers=headers)).status_code == 405


async def test_arguments_nested_too_deep_are_told_to_the_model(platform: Platform) -> None:
    deep: Any = "one"
    for _ in range(100):
        deep = [deep]
    async with platform.client("npu") as client:
        with pytest.raises(ToolError, match="nested more than 64 deep"):
            await client.call_tool("npu_embed", {"texts": deep})


async def test_a_revoked_key_ends_its_call(platform: Platform) -> None:
    platform.npu.hangs = True
    async with asyncio.timeout(20), platform.client("npu") as client:
        calling = asyncio.create_task(client.call_tool("npu_embed", {"texts": ["one"]}))
        await platform.npu.begun.wait()
        del platform.records[0]
        await platform.ring.refresh()
        await platform.npu.left.wait()
        calling.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await calling


async def test_one_key_cannot_have_every_place(platform: Platform) -> None:
    """Each call that waits for a room holds a place of room main's."""
    platform.npu.hangs = True
    async with asyncio.timeout(20), platform.client("npu") as client:
        many = MOST_RUNNING_EACH + MOST_WAITING_EACH
        calls = [
            asyncio.create_task(client.call_tool("npu_embed", {"texts": ["one"]}))
            for _ in range(many + 1)
        ]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(ToolError, match="calls of tools"):
            done.pop().result()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_body_larger_than_the_bound_is_refused(platform: Platform) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"x": "a" * (1 << 21)}}
    refused = await platform.post(body, authorization=f"Bearer {platform.keys['npu']}")
    assert refused.status_code == 413
