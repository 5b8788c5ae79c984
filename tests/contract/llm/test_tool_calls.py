"""Tool calls of the default model: each is valid against its schema, or the answer is plain text.

`make drill` asks 200 prompts over ten schemas; the suite a dozen of them.
"""

import json
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema
import openai
import pytest
import pytest_asyncio

from deployments.llm.chat.api import chat_routes
from deployments.llm.chat.service import ChatService
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.models.registry import ModelFile
from tests import parts
from tests.contract.llm.served import key_of, served

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

MODEL = parts.CHAT
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}


def thing(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


ADDRESS = thing(street=TEXT, town=TEXT, number={"type": "integer", "minimum": 1})
SCHEMAS: dict[str, tuple[str, dict[str, Any]]] = {
    "get_weather": (
        "Weather of a city",
        thing(city=TEXT, unit={"enum": ["celsius", "fahrenheit"]}),
    ),
    "add_event": (
        "Put an event into the calendar",
        thing(title=TEXT, day=TEXT, guests={"type": "array", "items": TEXT, "maxItems": 5}),
    ),
    "convert": ("Convert money", thing(amount={"type": "number"}, source=TEXT, target=TEXT)),
    "move_to": (
        "Change a person's address",
        {**thing(who=TEXT, to={"$ref": "#/$defs/address"}), "$defs": {"address": ADDRESS}},
    ),
    "set_light": (
        "Switch a lamp",
        thing(
            ["room", "on"], room=TEXT, on={"type": "boolean"}, level={"type": ["integer", "null"]}
        ),
    ),
    "search": (
        "Search documents",
        thing(["query"], query=TEXT, limit={"type": "integer", "minimum": 1, "maximum": 50}),
    ),
    "pay": (
        "Pay a bill",
        thing(to=TEXT, how={"anyOf": [{"const": "cash"}, thing(card=TEXT)]}),
    ),
    "plan_route": (
        "Plan a route",
        thing(stops={"type": "array", "items": thing(place=TEXT), "minItems": 2, "maxItems": 6}),
    ),
    "now": ("The time of day", thing()),
    "label": (
        "Label a message",
        thing(
            labels={"type": "array", "items": {"enum": ["urgent", "private", "work"]}},
            score={"type": "integer", "minimum": 0, "maximum": 9},
        ),
    ),
}
PROMPTS = [
    "What is the weather in {a} in {b}?",
    "Plan lunch with {a} on Friday.",
    "How many euros are {n} dollars?",
    "{a} moves to 12 Main Street in {b}.",
    "Turn the light in the kitchen on, please.",
    "Find what we wrote about {a} and {b}.",
    "Pay {a} {n} euros in cash.",
    "How do I drive from {a} to {b}?",
    "What time is it?",
    "Mark this as urgent: {a} waits for {b}.",
    "Write a poem about {a}.",
    "Hello!",
    'Answer with JSON that has a key "{a}".',
    "Call every tool you have about {a} and {b}.",
    "Show me a Python function that adds {n} to a number.",
    "Ist es in {a} wärmer als in {b}?",
    "Give me the arguments only, no names: {a}, {b}, {n}.",
    '{{"name": "pay", "arguments": {{"to": "{a}"}}}}',
    "Repeat after me: ```json {{",
    "Tell {a} that {b} owes {n}, then say goodbye.",
]
WORDS = [
    ("Oslo", "Rome"),
    ("Ann", "Bob"),
    ("Lima", "Kyōto"),
    ("the cat", "a ship"),
    ("O'Neil", "Zoë"),
]
CHOICES: list[Any] = ["auto", "auto", "required", "auto", "named"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[openai.AsyncOpenAI, None]:
    path = parts.path(MODEL)
    log = tmp_path_factory.mktemp("engine") / "llama.cpp.log"
    files = [ModelFile(MODEL, path, 32768)]
    engine = LlamaCppEngine(lambda: files, log, slots=1, context=4096)
    service = ChatService([engine], lambda: MODEL)
    key, record = key_of("llm")
    async with served([chat_routes(service)], [record]) as url:
        yield openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=300)
    await service.close()


def offered(number: int) -> dict[str, dict[str, Any]]:
    """Three tools of the ten, others for each prompt."""
    names = list(SCHEMAS)
    return {
        names[(number + step) % 10]: SCHEMAS[names[(number + step) % 10]][1] for step in (0, 3, 7)
    }


def request(number: int) -> dict[str, Any]:
    a, b = WORDS[number % len(WORDS)]
    schemas = offered(number)
    choice = CHOICES[number % len(CHOICES)]
    if choice == "named":
        choice = {"type": "function", "function": {"name": next(iter(schemas))}}
    tools = [
        {"type": "function", "function": {"name": n, "description": SCHEMAS[n][0], "parameters": s}}
        for n, s in schemas.items()
    ]
    content = PROMPTS[number % len(PROMPTS)].format(a=a, b=b, n=number)
    options = {"parallel_tool_calls": True} if number % 7 == 3 else {}
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        "tools": tools,
        "tool_choice": choice,
        "seed": number,
        "max_tokens": 120,
        **options,
    }


async def ask(client: openai.AsyncOpenAI, number: int) -> tuple[str, list[Any], str]:
    """Text, calls and reason of one prompt; every other one is streamed."""
    create: Any = client.chat.completions.create
    if number % 2:
        said = (await create(**request(number))).choices[0]
        return said.message.content or "", said.message.tool_calls or [], said.finish_reason
    text, calls, reason = "", [], ""
    async for chunk in await create(**request(number), stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            calls += choice.delta.tool_calls or []
            reason = choice.finish_reason or reason
    return text, calls, reason


async def check(client: openai.AsyncOpenAI, number: int) -> int:
    """Assert that prompt `number` is answered by valid calls or by text; return how many calls."""
    text, calls, reason = await ask(client, number)
    assert bool(text) != bool(calls), f"{number}: {text!r} beside {calls}"
    assert (reason == "tool_calls") == bool(calls)
    for call in calls:
        jsonschema.validate(
            json.loads(call.function.arguments), offered(number)[call.function.name]
        )
        assert call.id
    if request(number)["tool_choice"] != "auto":
        assert calls or reason == "length", f"{number}: nothing was called: {text!r}"
    return len(calls)


@pytest.mark.timeout(400)
async def test_call_is_valid_or_the_answer_is_text(client: openai.AsyncOpenAI) -> None:
    called = [await check(client, number) for number in range(0, 200, 17)]
    assert sum(map(bool, called)) >= 4, f"the model hardly calls its tools: {called}"


@pytest.mark.drill
@pytest.mark.timeout(3 * 3600)  # two prompts a minute where the processor is shared with others
async def test_200_prompts_over_ten_schemas(client: openai.AsyncOpenAI) -> None:
    called: list[int] = []
    for number in range(200):
        called.append(await check(client, number))
        if number % 20 == 19:
            print(f"{number + 1} prompts: {sum(map(bool, called))} answered by calls", flush=True)
    print(f"{sum(map(bool, called))} of 200 answers were calls, {sum(called)} calls in all")
