"""Every route of the room."""

from fastapi import APIRouter

from deployments.llm.room import ChatRoom
from deployments.llm.routes import chat_routes
from deployments.llm.routes_completions import completion_routes
from deployments.llm.routes_ollama import ollama_routes
from deployments.llm.routes_responses import response_routes


def room_routes(room: ChatRoom) -> APIRouter:
    router = APIRouter()
    router.include_router(chat_routes(room.service))
    router.include_router(completion_routes(room.service))
    router.include_router(response_routes(room.service, room.responses))
    router.include_router(ollama_routes(room.service, room.shop, room.embeddings))
    return router
