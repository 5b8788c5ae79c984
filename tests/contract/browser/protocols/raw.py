"""A protocol client that says what no official client would, message by message."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.contract.browser.clients import KEY, Served, until

PATIENCE_S = 60.0
Message = dict[str, Any]


class Raw:
    """One connection: ``ask`` a command, ``wait`` for an event. Answers are whole messages."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._last = 0
        self.heard: list[Message] = []

    async def _until(self, matches: Callable[[Message], bool]) -> Message:
        for message in self.heard:
            if matches(message):
                return message
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = json.loads(await self._connection.recv())
                self.heard.append(message)
                if matches(message):
                    return message

    async def say(self, method: str, params: Message, **more: Any) -> int:
        self._last += 1
        said = {"id": self._last, "method": method, "params": params, **more}
        await self._connection.send(json.dumps(said))
        return self._last

    async def ask(self, method: str, params: Message | None = None, **more: Any) -> Message:
        number = await self.say(method, params or {}, **more)
        return await self.heard_of(number)

    async def heard_of(self, number: int) -> Message:
        """Return the answer to the command ``number``, whoever gave it."""
        return await self._until(lambda message: message.get("id") == number)

    async def event(self, method: str, **params: Any) -> Message:
        """Return the first event ``method`` with these ``params``, even if it came already."""

        def matches(message: Message) -> bool:
            said = message.get("params", {})
            return message.get("method") == method and params.items() <= said.items()

        return await self._until(matches)


@contextlib.asynccontextmanager
async def raw(served: Served, kind: str, key: str = KEY) -> AsyncIterator[Raw]:
    inside = served.room.sessions.admission.inside
    connecting = connect(
        served.url(kind),
        additional_headers={"Authorization": f"Bearer {key}"},
        max_size=64 << 20,
        open_timeout=PATIENCE_S,
        proxy=None,
    )
    async with connecting as connection:
        yield Raw(connection)
    await until(lambda: served.room.sessions.admission.inside <= inside)


class Tab:
    """A page as CDP has it."""

    def __init__(self, client: Raw, session: str) -> None:
        self.client, self.session = client, session

    @classmethod
    async def open(cls, client: Raw, url: str) -> "Tab":
        made = await client.ask("Target.createTarget", {"url": "about:blank"})
        where = {"targetId": made["result"]["targetId"], "flatten": True}
        attached = await client.ask("Target.attachToTarget", where)
        tab = cls(client, attached["result"]["sessionId"])
        await tab.ask("Page.enable")
        await tab.ask("Page.navigate", url=url)
        await client.event("Page.loadEventFired")
        return tab

    async def ask(self, method: str, **params: Any) -> Message:
        return await self.client.ask(method, params, sessionId=self.session)

    async def value(self, expression: str) -> Any:
        options = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        return (await self.ask("Runtime.evaluate", **options))["result"]["result"].get("value")


class Context:
    """A browser context as Playwright's own protocol has it."""

    def __init__(self, client: Raw, guid: str) -> None:
        self.client, self.guid = client, guid

    @classmethod
    async def open(cls, client: Raw) -> "Context":
        begun = await client.ask("initialize", {"sdkLanguage": "python"}, guid="", metadata={})
        assert "error" not in begun, begun
        browser = (await client.event("__create__", type="Browser"))["params"]["guid"]
        made = await client.ask("newContext", {}, guid=browser, metadata={})
        return cls(client, made["result"]["context"]["guid"])

    async def ask(self, method: str, **params: Any) -> Message:
        return await self.client.ask(method, params, guid=self.guid, metadata={})

    def tracing(self) -> str:
        made = (m["params"] for m in self.client.heard if m.get("method") == "__create__")
        mine = next(each for each in made if each["guid"] == self.guid)
        return mine["initializer"]["tracing"]["guid"]
