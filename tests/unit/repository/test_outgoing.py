"""Nothing that talks to the platform's own addresses goes by a proxy of the environment."""

import ast
import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from autobot.client import Client
from autobot.errors import AutoBotError
from autobot.serving.deploy import ServeApi
from autobot.settings import Settings
from deployments.browser.affinity.peer_client import peers_client
from deployments.llm.engine import ChatMessage, ChatRequest
from deployments.llm.engines.ollama.driver import OllamaEngine
from deployments.llm.engines.openai_compatible.driver import ExternalEngine
from deployments.llm.ollama_api.relay import own_port_client

CHECKOUT = Path(__file__).parents[3]
TRUSTING = {
    "AsyncClient", "Client", "DefaultAsyncHttpxClient", "DefaultHttpxClient", "ClientSession",
    "AsyncOpenAI", "OpenAI", "Session", "urlopen", "urlretrieve", "build_opener", "connect",
}  # fmt: skip
"""What opens connections by way of the environment's proxy unless it is told not to."""
LIBRARIES = {"httpx", "httpx2", "ollama", "openai", "aiohttp", "requests", "urllib", "websockets"}
OUTSIDE = {
    "autobot/catalogue/http.py": "fetches public files, and holds no secret",
    "deployments/llm/engines/openai_compatible/driver.py": "decided by the address: see below",
}


def imported(tree: ast.AST) -> dict[str, str]:
    """Local name -> the library it comes from."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {(n.asname or n.name).split(".")[0]: n.name.split(".")[0] for n in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {n.asname or n.name: node.module.split(".")[0] for n in node.names}
    return found


def openings(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each call that trusts the environment."""
    tree = ast.parse(source)
    names = imported(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        parts: list[str] = []
        function = node.func
        while isinstance(function, ast.Attribute):
            parts.insert(0, function.attr)
            function = function.value
        root = function.id if isinstance(function, ast.Name) else ""
        called = parts[-1] if parts else root
        if names.get(root) not in LIBRARIES or called not in TRUSTING | {"get", "post", "stream"}:
            continue
        said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        safe = said.get("trust_env") == "False" or ("proxy" in said and said["proxy"] == "None")
        if not safe and not (called in ("AsyncOpenAI", "OpenAI") and "http_client" in said):
            yield node.lineno, ".".join([root, *parts])


def test_every_connection_of_ours_is_opened_without_the_environment() -> None:
    tops = (CHECKOUT / "autobot", CHECKOUT / "deployments")
    sources = [file for top in tops for file in top.rglob("*.py")]
    assert len(sources) > 100
    found = [
        f"{name}:{line} {call}"
        for file in sources
        if "node_modules" not in file.parts
        and (name := str(file.relative_to(CHECKOUT))) not in OUTSIDE
        for line, call in openings(file.read_text())
    ]
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import httpx\nhttpx.AsyncClient(timeout=3)",
        "import httpx\nhttpx.get('http://x')",
        "from ollama import AsyncClient as C\nC2 = 1\nimport ollama\nollama.AsyncClient('x')",
        "from websockets.asyncio.client import connect\nconnect('ws://x')",
        "import urllib.request\nurllib.request.urlopen('http://x')",
    ],
)
def test_the_scan_finds_what_trusts_the_environment(source: str) -> None:
    assert list(openings(source))


class Hostile:
    """A proxy that notes what it is given."""

    def __init__(self) -> None:
        self.given = b""
        self.url = ""

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.given += await reader.read(65536)
        writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator["Hostile", None]:
        async with await asyncio.start_server(self._take, "127.0.0.1", 0) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self


async def peer(path: Path, client: httpx.AsyncClient) -> None:
    async with client:
        await client.get("http://127.0.0.2:9/x", headers={"authorization": "Bearer secret-token"})


async def everybody(settings: Settings) -> None:
    """Each of our clients asks for something with a secret at an address where nobody answers."""
    calls: list[Any] = []
    async with ServeApi(settings) as api:
        calls.append(await outcome(api.applications()))
    async with Client("http://127.0.0.2:9", "secret-token") as client:
        calls.append(await outcome(client.request("GET", "/")))
    for made in (peers_client(), own_port_client(settings)):
        calls.append(await outcome(peer(settings.home, made)))
    engine = OllamaEngine("http://127.0.0.2:9")
    assert await engine.models() == []
    external = ExternalEngine("http://127.0.0.2:9", SecretStr("secret-token"), {})
    asked = ChatRequest("x", (ChatMessage("user", "secret-token"),))
    calls.append(await outcome(external.chat(asked)))
    await engine.close()
    await external.close()
    assert len(calls) == 5
    assert all(isinstance(one, AutoBotError | httpx.TransportError) for one in calls), calls


async def outcome(work: Any) -> BaseException | None:
    try:
        await work
    except Exception as error:
        return error
    return None


async def test_a_hostile_proxy_in_the_environment_is_given_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ray_token").write_text("secret-token")
    settings = Settings(home=tmp_path, dashboard_port=9, llm_port=9, bind="127.0.0.2")
    async with Hostile().listening() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with httpx.AsyncClient() as trusting:
            await outcome(trusting.get("http://127.0.0.2:9/", headers={"x": "seen"}))
        assert b"seen" in proxy.given, "the proxy of the environment works"
        proxy.given = b""
        await everybody(settings)
        assert proxy.given == b""


async def test_only_an_external_server_with_tls_is_reached_through_the_houses_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Hostile().listening() as proxy:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for url, reached in (("https://127.0.0.2:9/v1", True), ("http://127.0.0.2:9/v1", False)):
            proxy.given = b""
            engine = ExternalEngine(url, SecretStr("secret-token"), {"a": ["external/x"]})
            asked = ChatRequest("x", (ChatMessage("user", "hello"),))
            assert await outcome(engine.chat(asked))
            await engine.close()
            assert bool(proxy.given) is reached
            assert b"secret-token" not in proxy.given
