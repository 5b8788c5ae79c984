"""The part of the platform's OpenAPI document that the web interface calls, and the format of
automations, as the page's build reads them.

`python -m tests.contract.web_document` writes both files anew after a route has changed.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autobot.automation.reading import schema
from autobot.web.documents import merge_openapi
from tests.contract.every_room import Keys, every_app

WEB = Path(__file__).parents[2] / "deployments" / "frontend" / "web"
DOCUMENT = WEB / "openapi.json"
FORMAT = WEB / "src" / "features" / "automations" / "editor" / "format.json"

USED = {
    "/api/automations": ("get", "post"),
    "/api/automations/{name}": ("get", "put", "delete"),
    "/api/automations/{name}/enable": ("post",),
    "/api/automations/{name}/publish": ("post",),
    "/api/automations/{name}/runs": ("get", "post"),
    "/api/browser/screenshot": ("post",),
    "/api/browser/sessions": ("get", "post"),
    "/api/browser/sessions/{session}": ("get", "delete"),
    "/api/browser/sessions/{session}/goto": ("post",),
    "/api/health": ("get",),
    "/api/runs": ("get",),
    "/api/runs/{run}": ("get",),
    "/api/runs/{run}/approvals/{step}": ("post",),
    "/api/runs/{run}/events": ("get",),
    "/api/runs/{run}/retry": ("post",),
    "/api/runs/{run}/{what}": ("post",),
    "/v1/chat/completions": ("post",),
}
"""What the page calls: its client has these and no others."""


async def web_document() -> dict[str, Any]:
    """Return the document of what the page calls; failures are left out, all come as one error."""
    with tempfile.TemporaryDirectory() as home:
        apps = await every_app(Keys(), Path(home))
        whole = merge_openapi([app.openapi() for app in apps.values()])
    paths = {
        path: {method: _operation(path, method, whole["paths"][path][method]) for method in methods}
        for path, methods in USED.items()
    }
    return {
        "openapi": whole["openapi"],
        "info": {"title": "AutoBot", "version": "1"},  # a new release changes no client
        "paths": paths,
        "components": {"schemas": dict(sorted(_reached(paths, whole["components"]["schemas"])))},
    }


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    """With its function's name alone, which the client's function has too."""
    suffix = re.sub(r"\W", "_", path) + "_" + method
    answers = {code: it for code, it in operation["responses"].items() if code.startswith("2")}
    name = operation["operationId"].removesuffix(suffix)
    return {**operation, "operationId": name, "responses": answers}


def _reached(part: Any, schemas: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    unread = [part]
    while unread:
        for name in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(unread.pop())):
            if name not in seen:
                seen.add(name)
                unread.append(schemas[name])
                yield name, schemas[name]


def written(value: Any) -> str:
    """As it stands in the file."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(asyncio.run(web_document())))
    FORMAT.parent.mkdir(parents=True, exist_ok=True)
    FORMAT.write_text(written(schema()))
