"""No list or object of a request is longer than is said, or told of mistake by mistake."""

import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from pydantic import TypeAdapter

from autobot.web.bodies import MOST_VALUES
from tests.contract.every_room import Keys, every_app

LISTS = ("list", "set", "frozenset", "tuple", "dict")
ITEMS = ("items_schema", "values_schema")
LONGEST = 4096
SHORT = 16
"""Of so few each may have its own mistake."""


def lists(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every list and object of a core schema, and where it is."""
    if isinstance(node, dict):
        if node.get("type") in LISTS:
            yield path, node
        for name, below in node.items():
            if name not in ("serialization", "metadata", "config", "cls"):
                yield from lists(below, f"{path}.{name}")
    elif isinstance(node, list | tuple):
        for below in node:
            yield from lists(below, path)


def unbounded(node: Any) -> bool:
    items = [node[name] for name in ITEMS if name in node]
    of = [one.get("type") for each in items for one in (each if isinstance(each, list) else [each])]
    if all(kind == "any" for kind in of):  # nothing is asked of them
        return False
    longest = node.get("max_length")
    return longest is None or longest > LONGEST or (longest > SHORT and not node.get("fail_fast"))


async def test_no_list_of_a_request_is_told_of_mistake_by_mistake(tmp_path: Path) -> None:
    seen, wrong = 0, set[str]()
    for name, app in (await every_app(Keys(), tmp_path)).items():
        for context in iter_route_contexts(app.routes):
            dependant: Any = getattr(context, "dependant", None)
            for field in dependant.body_params if dependant else ():
                schema = TypeAdapter(field.field_info.annotation).core_schema
                for path, node in lists(schema):
                    seen += 1
                    if unbounded(node):
                        wrong.add(f"{name} {context.path}: {path.split('.fields')[-1]}")
    assert seen > 30
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", '{"model":"m","messages":[{"role":"user","content":[%s]}]}'),
        ("/v1/responses", '{"model":"m","input":[{"role":"user","content":[%s]}]}'),
        ("/ollama/api/chat", '{"model":"m","messages":[{"role":"user","images":[%s]}]}'),
        ("/ollama/api/generate", '{"model":"m","prompt":"a","images":[%s]}'),
        ("/v1/embeddings", '{"input":[%s]}'),
        ("/v1/rerank", '{"query":"a","documents":[%s]}'),
    ],
)
async def test_many_mistakes_cost_little(path: str, body: str, tmp_path: Path) -> None:
    keys = Keys()
    apps = await every_app(keys, tmp_path)
    app = apps["npu-rerank" if "rerank" in path else "npu" if "embed" in path else "llm"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://r") as http:
        headers = {
            "authorization": f"Bearer {keys.key['admin']}",
            "content-type": "application/json",
        }
        began = time.process_time()
        tracemalloc.start()
        content = body % ",".join(["null"] * (MOST_VALUES - 10))
        answer = await http.post(path, content=content, headers=headers)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert answer.status_code == 400, answer.text
    assert most < 32 << 20
    assert time.process_time() - began < 2
