"""Every route of the room."""

from fastapi import APIRouter

from deployments.llm.chat.api import chat_routes
from deployments.llm.completions.api import completion_routes
from deployments.llm.ollama_api.api import ollama_routes
from deployments.llm.responses.api import response_routes
from deployments.llm.room import ChatRoom


def room_routes(room: ChatRoom) -> APIRouter:
    """The routes with their full paths. Each group says itself which scope its key needs."""
    router = APIRouter()
    router.include_router(chat_routes(room.service))
    router.include_router(completion_routes(room.service))
    router.include_router(response_routes(room.service, room.responses))
    router.include_router(ollama_routes(room.service, room.manager, room.embeddings))
    return router
