"""Room llm: chats from llama.cpp and, when one answers, an Ollama server."""

from typing import Any

import structlog
from fastapi import APIRouter, FastAPI
from ray import serve

from autobot.contracts.embeddings import Embeddings
from autobot.contracts.responses import Responses
from autobot.contracts.tools import Tools
from autobot.errors import AutoBotError, Unavailable
from autobot.serving.calls import client, serves
from autobot.serving.room import RoomReplica
from autobot.tools.tool import ToolSet

NO_RESPONSES = "Room redis, which keeps responses, does not answer ({}); `store: false` needs none."

NO_EMBEDDINGS = "Room npu, which makes embeddings, does not answer ({})."
EMBED_DEADLINE_S = 90.0
"""A full queue of room npu takes two cores about 80 s. That a VM is lost is known sooner."""

log = structlog.get_logger()


@serve.deployment
@serve.ingress()
@serves(Tools)
class Llm(RoomReplica):
    """OpenAI's and Ollama's API; the default model is in memory before the first request."""

    room = "llm"

    def __init__(self) -> None:
        super().__init__()
        # Serve imports this module on the head, where the engines need not be installed.
        from deployments.llm.room import ChatRoom
        from deployments.llm.tools import chat_tools

        embeddings = client(Embeddings, "npu", NO_EMBEDDINGS, EMBED_DEADLINE_S)
        self.chats = ChatRoom(self.settings, embeddings, client(Responses, "redis", NO_RESPONSES))
        self.tools = ToolSet(chat_tools(self.chats.service))
        try:
            self.chats.warm()
        except AutoBotError as error:
            # The room still serves its other models, and each probe tries this one again.
            log.warning("llm.default_not_loaded", reason=error.detail)

    def router(self) -> APIRouter:
        from deployments.llm.api import room_routes

        return room_routes(self.chats)

    def __serve_build_asgi_app__(self) -> FastAPI:
        from deployments.llm.ollama_api.api import OllamaPaths

        app = super().__serve_build_asgi_app__()
        app.add_middleware(OllamaPaths)
        return app

    async def facts(self) -> dict[str, Any]:
        return await self.chats.facts()


@serve.deployment
@serve.ingress()
class LlmOllama(RoomReplica):
    """`/ollama` at the ingress, passed on to the room's own port: see `forward`."""

    room = "llm"
    own_port = False  # it belongs to `Llm`

    def __init__(self) -> None:
        super().__init__()
        from deployments.llm.ollama_api.relay import own_port_client

        self.client = own_port_client(self.settings)

    def router(self) -> APIRouter:
        from deployments.llm.ollama_api.relay import forward_routes

        return forward_routes(self.client)

    async def facts(self) -> dict[str, Any]:
        """Ask the room's own port. Raises when it says `down`, and when it is silent for 0.7 s."""
        answer = await self.client.get("/health", timeout=0.7)
        if answer.json()["state"] == "down":
            raise Unavailable("The room's engines are down.")
        return {}


app = Llm.bind()
ollama_app = LlmOllama.bind()
