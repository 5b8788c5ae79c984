"""The platform's own models through pydantic-ai, asked as their caller: with the caller's key.

pydantic-ai and OpenAI's client take a second and a half and 48 MiB to import, so they are imported
by the first task and in a thread of its own.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr

from autobot.errors import (
    AutoBotError,
    BadRequest,
    Busy,
    ContextLengthExceeded,
    Forbidden,
    ModelNotFound,
    Unauthenticated,
    Unavailable,
)
from deployments.browser.chat_model.model import Answered, ModelFailed, Question

BUSY_RETRIES = 4
"""OpenAI's client waits as `Retry-After` says, and at most so often."""
REQUEST_TIMEOUT_S = 300.0
BY_STATUS: dict[int, type[AutoBotError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: ModelNotFound,
    429: Busy,
}


class PlatformModel:
    """One model of the platform at ``base_url``. Serves the `Model` contract."""

    def __init__(self, base_url: str, name: str, key: SecretStr) -> None:
        self._base_url = base_url
        self._name = name
        self._key = key
        self._client: Any = None
        self._model: Any = None

    async def answer(self, question: Question) -> Answered:
        """See `Model`. An answer that does not fit the schema is asked for again, once.

        The tokens of both answers count. The first call also imports the client, in a thread.
        """
        if self._model is None:
            await asyncio.to_thread(self._connect)
        from pydantic_ai import Agent, NativeOutput, StructuredDict

        agent = Agent(self._model, instructions=question.rules, retries=1)
        shape = NativeOutput(StructuredDict(question.schema, name=question.name))
        with translated():
            run = await agent.run(
                question.text,
                output_type=shape,
                model_settings={
                    "temperature": question.temperature,
                    "max_tokens": question.max_tokens,
                },
            )
        return Answered(run.output, run.usage.total_tokens)

    def _connect(self) -> None:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        # No proxy of the environment: the key goes to the platform and nowhere else.
        http = DefaultAsyncHttpxClient(trust_env=False, timeout=REQUEST_TIMEOUT_S)
        self._client = AsyncOpenAI(
            base_url=f"{self._base_url}/v1",
            api_key=self._key.get_secret_value(),
            max_retries=BUSY_RETRIES,
            http_client=http,
        )
        provider = OpenAIProvider(openai_client=self._client)
        self._model = OpenAIChatModel(self._name, provider=provider)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn pydantic-ai's errors into ours."""
    from pydantic_ai.exceptions import AgentRunError, ModelAPIError, ModelHTTPError

    try:
        yield
    except ModelHTTPError as error:
        raise _refused(error.status_code, error.body) from error
    except ModelAPIError as error:
        raise Unavailable(f"The model cannot be reached: {_first_line(error)}") from error
    except AgentRunError as error:
        raise ModelFailed(f"The model's answer is no use: {_first_line(error)}") from error


def _refused(status: int, body: object) -> AutoBotError:
    """What the API answered, in its own words."""
    said = body.get("error", body) if isinstance(body, dict) else {}
    said = said if isinstance(said, dict) else {}
    detail = f"The model refused: {said.get('message') or f'status {status}'}"[:500]
    if said.get("code") == "context_length_exceeded":
        return ContextLengthExceeded(detail)
    default = Unavailable if status >= 500 else BadRequest
    return BY_STATUS.get(status, default)(detail)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0][:300]
