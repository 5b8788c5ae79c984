"""Callers of the room over HTTP, as tests write them: a key, and a session of it."""

from typing import Any

import httpx

from autobot.keys import KeyRecord, KeyRing, NewKey, make_key

KEY, RECORD = make_key(NewKey(name="a", scopes=("browser", "browser:evaluate")))
PLAIN_KEY, PLAIN = make_key(NewKey(name="b", scopes=("browser",)))
ROOT = "/api/browser"


async def ring(*records: KeyRecord) -> KeyRing:
    """The keys a room knows."""

    async def known() -> list[KeyRecord]:
        return list(records)

    keys = KeyRing(known)
    await keys.refresh()
    return keys


class Caller:
    """One key's view of the room."""

    def __init__(self, http: httpx.AsyncClient, home: str, key: str) -> None:
        self.http, self.home = http, home
        self.headers = {"authorization": f"Bearer {key}"}

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.http.request(method, ROOT + path, headers=self.headers, **options)

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.ask("POST", path, json=body)

    async def open(self, **body: Any) -> "Sitting":
        answer = await self.post("/sessions", **body)
        assert answer.status_code == 201, answer.text
        return Sitting(self, answer.json()["id"])


class Sitting:
    """One session as its owner uses it."""

    def __init__(self, caller: Caller, id_: str) -> None:
        self.caller, self.id = caller, id_
        self.path = f"/sessions/{id_}"

    async def answer(self, action: str, **body: Any) -> httpx.Response:
        return await self.caller.post(f"{self.path}/{action}", **body)

    async def do(self, action: str, **body: Any) -> Any:
        answer = await self.answer(action, **body)
        assert answer.status_code == 200, answer.text
        kind = answer.headers["content-type"]
        return answer.json() if kind == "application/json" else answer.content

    async def goto(self, path: str) -> Any:
        return await self.do("goto", url=self.caller.home + path)

    async def text(self, selector: str) -> str:
        data = await self.do("extract", fields={"it": {"selector": selector}})
        return data["data"]["it"]

    async def state(self) -> dict[str, Any]:
        return (await self.caller.ask("GET", self.path)).json()

    async def close(self) -> None:
        assert (await self.caller.ask("DELETE", self.path)).status_code == 204
