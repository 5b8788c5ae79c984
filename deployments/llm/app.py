"""Room llm: chats from llama.cpp and, when one answers, an Ollama server."""

from typing import Any

import structlog
from fastapi import APIRouter
from ray import serve

from autobot.errors import AutoBotError
from autobot.serving.room import RoomReplica

log = structlog.get_logger()


@serve.deployment
@serve.ingress()
class Llm(RoomReplica):
    """OpenAI chat completions; the default model is in memory before the first request."""

    room = "llm"

    def __init__(self) -> None:
        super().__init__()
        # Serve imports this module on the head, where the engines need not be installed.
        from deployments.llm.room import ChatRoom

        self.chats = ChatRoom(self.settings)
        try:
            self.chats.warm()
        except AutoBotError as error:
            # The room still serves its other models, and each probe tries this one again.
            log.warning("llm.default_not_loaded", reason=error.detail)

    def router(self) -> APIRouter:
        from deployments.llm.routes import chat_routes

        return chat_routes(self.chats.service)

    async def facts(self) -> dict[str, Any]:
        return await self.chats.facts()


app = Llm.bind()
