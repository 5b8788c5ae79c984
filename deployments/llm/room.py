"""What room llm is made of: its library, its engines, and what they say of themselves."""

import asyncio
from typing import Any

from autobot.contracts.embeddings import Embeddings
from autobot.contracts.responses import Responses
from autobot.errors import Unavailable
from autobot.settings import Settings
from deployments.llm.chat.service import ChatService
from deployments.llm.engines.fallback import FallbackEngine
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.engines.ollama.driver import OllamaEngine
from deployments.llm.engines.openai_compatible.driver import ExternalEngine
from deployments.llm.models.manager import ModelManager
from deployments.llm.models.registry import ModelRegistry
from deployments.llm.ollama_api.embeddings import OllamaOrNpu
from deployments.llm.responses.store import ResponseStore


class ChatRoom:
    """llama.cpp first, then Ollama: a model both have runs without a second server."""

    def __init__(
        self,
        settings: Settings,
        embeddings: Embeddings,
        responses: Responses,
        registry: ModelRegistry | None = None,
    ) -> None:
        """``embeddings`` are room npu's, ``responses`` are kept by room redis."""
        self.registry = registry or ModelRegistry(settings)
        self.llamacpp = LlamaCppEngine(
            self.registry.files,
            settings.log_dir / "llama.cpp.log",
            pinned=self.registry.default,
            keep_alive_s=settings.llm_keep_alive_s,
        )
        self.ollama = OllamaEngine(settings.ollama_url)
        self.external = ExternalEngine(
            settings.external_chat_url,
            settings.external_chat_key,
            settings.chat_fallbacks,
            settings.external_chat_concurrency,
        )
        engines = [self.llamacpp, self.ollama, self.external]
        lists = FallbackEngine(engines, settings.chat_fallbacks)
        self.service = ChatService(engines, self.registry.default, lists)
        self.manager = ModelManager(
            self.registry.catalogue, self.llamacpp, self.ollama, self.service.model
        )
        self.responses = ResponseStore(responses)
        self.embeddings = OllamaOrNpu(self.ollama, embeddings)
        self._reload: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Load the default model when it is a file of this machine. Blocks for seconds."""
        name = self.registry.default()
        if name and self._is_file(name):
            self.llamacpp.preload(name)

    async def facts(self) -> dict[str, Any]:
        """What runs. Raises `Unavailable` while the default model's engine is down, and starts it
        again: a killed engine is back without waiting for the next chat."""
        cards = await self.service.models()
        default = self.registry.default()
        limiters = [engine.limiter for engine in (self.llamacpp, self.ollama, self.external)]
        facts: dict[str, Any] = {
            "models": [card.name for card in cards],
            "default": default,
            "ollama": self.ollama.reason or "ok",
            "running": sum(limiter.running for limiter in limiters),
            "waiting": sum(limiter.queued for limiter in limiters),
        }
        if default is None:
            raise Unavailable("No chat model is installed: `autobot models pull` gets one.")
        if not self._is_file(default):
            if default not in facts["models"]:
                facts["degraded"] = f"The default model '{default}' is not installed."
            return facts | {"engine": self.ollama.name}
        process = self.llamacpp.loaded(default)
        if process is None:
            await self._bring_back(default)
            raise Unavailable(f"llama.cpp is loading '{default}'.")
        if not await process.watchdog.look():
            facts["degraded"] = f"llama.cpp has not moved for {process.watchdog.still_s:.0f} s."
        plan = process.plan
        return facts | {
            "device": process.device,
            "engine": self.llamacpp.name,
            "context": plan.context,
            "slots": plan.slots,
            "threads": plan.threads,
            "engine_pid": process.pid,
        }

    async def close(self) -> None:
        await self.service.close()

    async def _bring_back(self, name: str) -> None:
        """Start one load; raise what the last one said when it has failed since the last probe."""
        task, self._reload = self._reload, None
        if task is not None and not task.done():
            self._reload = task
            return
        self._reload = asyncio.create_task(self.llamacpp.ensure(name))
        if task is not None:
            task.result()

    def _is_file(self, name: str) -> bool:
        return any(file.name == name for file in self.registry.files())
