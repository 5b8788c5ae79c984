"""Models brought, shown, removed: in AutoBot's catalogue, else in an Ollama server."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol

from autobot.catalogue import Catalogue, Progress
from autobot.errors import ModelNotFound
from deployments.llm.engine import ModelCard, untagged


class Server(Protocol):
    """What is needed of an Ollama server; each raises `ModelNotFound` or `Unavailable`."""

    @property
    def reason(self) -> str | None:
        """Why it could not be used at the last look; None when it could."""
        ...

    async def models(self) -> Any:
        """What it can run. A look at the server for this sets `reason`."""
        ...

    async def show(self, name: str) -> dict[str, Any]:
        """The server's own description of a model, in the form of its ``/api/show``."""
        ...

    async def running(self) -> list[ModelCard]:
        """The models in its memory. Empty when it does not answer."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a model and its files from the server."""
        ...

    async def unload(self, name: str) -> None:
        """Ask it to free a model's memory."""
        ...

    async def load(self, name: str, keep_alive_s: float | None) -> None:
        """Bring a model into memory, for ever if `keep_alive_s` is negative.

        None leaves it to the server how long the model stays.
        """
        ...

    def pull(self, name: str) -> AsyncGenerator[dict[str, Any], None]:
        """Its progress objects as they come. The model is there when they end."""
        ...


class Engine(Protocol):
    """What is needed of the embedded engine."""

    async def models(self) -> Any:
        """All that have a file on this machine; `loaded` says which are in memory."""
        ...

    async def unload(self, name: str) -> None:
        """Free its memory now. Raises `Busy` while it answers."""
        ...

    async def load(self, name: str, keep_alive_s: float | None) -> None:
        """Bring a model into memory, for ever if `keep_alive_s` is negative.

        None leaves it to the engine how long the model stays.
        """
        ...


class ModelManager:
    """Names are those of the room's models; an Ollama name may lack its tag ``:latest``."""

    def __init__(
        self,
        catalogue: Catalogue,
        engine: Engine,
        server: Server,
        find: Callable[[str], Awaitable[ModelCard]],
    ) -> None:
        self._catalogue = catalogue
        self._engine = engine
        self._server = server
        self._find = find

    async def load(self, name: str, keep_alive_s: float | None) -> ModelCard:
        """Bring a model into memory, or with 0 seconds out of it."""
        card = await self._find(name)
        place = self._engine if self._is_file(card.name) else self._server
        if keep_alive_s == 0:
            await place.unload(card.name)
        else:
            await place.load(card.name, keep_alive_s)
        return card

    async def show(self, name: str) -> dict[str, Any]:
        """Ollama's description; every model here can call tools, whatever its template can."""
        card = await self._find(name)
        if not self._is_file(card.name):
            shown = await self._server.show(card.name)
            shown["capabilities"] = sorted({*shown.get("capabilities", ()), "tools"})
            return shown
        entry = self._catalogue.entry(card.name)
        family = card.details.get("family", "")
        return {
            "license": entry.licence,
            "modelfile": f"FROM {entry.files[0].path}",
            "parameters": "",
            "template": "",
            "details": {"format": "gguf", "families": None, "parent_model": "", **card.details},
            "model_info": {
                "general.architecture": family,
                f"{family}.context_length": card.context,
            },
            "capabilities": ["completion", "tools"],
        }

    async def running(self) -> list[ModelCard]:
        """The models in memory: the embedded engine's, then the server's."""
        ours = [card for card in await self._engine.models() if card.loaded]
        return ours + await self._server.running()

    async def delete(self, name: str) -> None:
        """Remove the model from this machine's catalogue, or from the server if that has it.

        Raises `ModelNotFound`, `Busy` while it answers, `Conflict` while it is being fetched.
        """
        card = await self._find(name)
        if not self._is_file(card.name):
            await self._server.delete(card.name)
            return
        await self._engine.unload(card.name)
        await asyncio.to_thread(self._catalogue.remove, card.name)

    async def pull(self, name: str) -> AsyncGenerator[dict[str, Any], None]:
        """Ollama's progress objects, ``success`` last. Raises `ModelNotFound` before the first when
        neither the catalogue nor a server could have it."""
        if untagged(name) in self._catalogue.names("chat"):
            async for step in self._fetch(untagged(name)):
                yield step
            return
        await self._server.models()
        if self._server.reason:
            known = ", ".join(self._catalogue.names("chat"))
            raise ModelNotFound(
                f"'{name}' is not in the catalogue ({known}), and {self._server.reason}."
            )
        async for step in self._server.pull(name):
            yield step

    async def _fetch(self, name: str) -> AsyncGenerator[dict[str, Any], None]:
        steps: asyncio.Queue[Progress | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def report(progress: Progress) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, progress)

        digest = f"sha256:{self._catalogue.entry(name).files[0].sha256}"
        task = asyncio.create_task(self._catalogue.fetch(name, report))
        task.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            yield {"status": "pulling manifest"}
            while (step := await steps.get()) is not None:
                size = {"total": step.total, "completed": step.done}
                yield {"status": f"pulling {step.step}", "digest": digest} | size
            await task
            yield {"status": "success"}
        finally:
            task.cancel()

    def _is_file(self, name: str) -> bool:
        return any(entry.name == name for entry in self._catalogue.installed("chat"))
