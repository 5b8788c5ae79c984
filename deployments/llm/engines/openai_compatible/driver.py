"""Chats from somebody else's OpenAI-compatible server, when the owner declares one.

What is said to it leaves the owner's machines: it is off unless a URL is set, and it is asked only
for the models that a declared list of fallbacks names as ``external/...``.
"""

import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import (
    AutoBotError,
    BadRequest,
    Busy,
    ContextLengthExceeded,
    ModelNotFound,
    Unavailable,
)
from deployments.llm.engine import (
    Chat,
    ChatEvent,
    ChatMessage,
    ChatRequest,
    ModelCard,
    Start,
    picture_type,
)
from deployments.llm.engines.openai_events import read_events

SILENCE_S = 120.0


class ExternalEngine:
    """Runs whatever the server at `url` knows; its models are those the declared lists name.

    It is asked for `concurrency` chats at once; as many more wait, of one API key half of that.
    """

    name = "external"

    def __init__(
        self,
        url: str | None,
        key: SecretStr | None,
        fallbacks: Mapping[str, Sequence[str]],
        concurrency: int = 128,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        timeout = httpx.Timeout(SILENCE_S, connect=5.0)
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            transport=transport,
            # A server outside may be behind the house's proxy, which sees nothing of TLS; without
            # TLS it would be given the key.
            trust_env=url is not None and url.startswith("https://"),
        )
        self._url = url.rstrip("/") if url else None
        places = [place for places in fallbacks.values() for place in places]
        mine = [
            place.removeprefix("external/") for place in places if place.startswith("external/")
        ]
        self._models = tuple(dict.fromkeys(mine))
        self.limiter = ConcurrencyLimiter(
            concurrency, concurrency, waiting_each=(concurrency + 1) // 2, what="chats"
        )

    async def models(self) -> Sequence[ModelCard]:
        """The models that the declared lists name; the server is not asked. Empty without a URL."""
        names = self._models if self._url else ()
        return [ModelCard(name, self.name, 0, vision=True) for name in names]

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        if self._url is None:
            raise Unavailable("no external server is declared (AUTOBOT_EXTERNAL_CHAT_URL).")
        target = "/chat/completions" if request.prompt is None else "/completions"
        sent = self._client.stream("POST", f"{self._url}{target}", json=_body(request))
        async with AsyncExitStack() as held:
            await held.enter_async_context(_translated())
            await held.enter_async_context(self.limiter.slot(request.caller))
            answer = await held.enter_async_context(sent)
            if answer.status_code != 200:
                raise _refusal(answer.status_code, await answer.aread(), request.model)
            events = read_events(answer.aiter_bytes(), self.name)
            return Chat(Start(request.model, self.name, "remote"), events, held.pop_all())

    async def close(self) -> None:
        await self._client.aclose()


@asynccontextmanager
async def _translated() -> AsyncGenerator[None, None]:
    try:
        yield
    except httpx.TransportError as error:  # its words may hold the address: not for callers
        raise Unavailable(f"the external server failed: {type(error).__name__}") from error


def _body(request: ChatRequest) -> dict[str, Any]:
    for name in ("top_k", "min_p", "repeat_penalty", "repeat_last_n"):
        if getattr(request, name) is not None:
            raise BadRequest(f"{name}: the external server does not take it.")
    body: dict[str, Any] = {
        "model": request.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "logit_bias": {str(token): bias for token, bias in request.logit_bias} or None,
    }
    if request.prompt is None:
        body["messages"] = [_message(message) for message in request.messages]
    else:
        body["prompt"] = request.prompt
    if request.schema is not None:
        named = {"name": "answer", "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.logprobs is not None and request.prompt is None:
        body |= {"logprobs": True, "top_logprobs": request.logprobs}
    elif request.logprobs is not None:  # of a raw completion it is the number of alternatives
        body["logprobs"] = request.logprobs
    return {key: value for key, value in body.items() if value is not None}


def _message(message: ChatMessage) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.content}
    pictures = [
        {"type": "image_url", "image_url": {"url": _data_url(image)}} for image in message.images
    ]
    return {"role": message.role, "content": [{"type": "text", "text": message.content}, *pictures]}


def _data_url(image: bytes) -> str:
    kind = picture_type(image)
    if kind is None:
        raise BadRequest("An image is none of PNG, JPEG, WebP and GIF.")
    return f"data:{kind};base64,{b64encode(image).decode()}"


def _refusal(status: int, content: bytes, model: str) -> AutoBotError:
    try:
        error: dict[str, Any] = json.loads(content)["error"]
        reason = str(error.get("message"))[:300]
    except (ValueError, KeyError, AttributeError):
        error, reason = {}, content[:200].decode("utf-8", "replace")
    if error.get("code") == "context_length_exceeded":
        return ContextLengthExceeded(reason)
    if status == 404:
        return ModelNotFound(f"The external server has no model '{model}'.")
    if status == 429:
        return Busy(f"the external server is busy: {reason}")
    if status in (401, 403) or status >= 500:
        return Unavailable(f"the external server answered {status}.")
    return BadRequest(reason)
