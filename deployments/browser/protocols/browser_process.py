"""A Chromium of its own for each protocol client: started, spoken to, and ended with it.

CDP goes through Chromium's debugging pipe: no port that another process of this machine could
find. Playwright's protocol comes from its driver's own server, which runs as Chromium's user as
well, since it makes requests and files on its client's behalf; its port is on loopback and its path
a secret.
"""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from autobot.errors import Unavailable
from deployments.browser.chromium import launch
from deployments.browser.chromium.isolation import accounts
from deployments.browser.chromium.isolation.folders import Folders, make

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 10.0
MAX_MESSAGE = 64 << 20
NO_BYPASS = "<-loopback>"


class BrowserProcess(Protocol):
    """A browser that is spoken to in messages of text."""

    async def send(self, text: str) -> None:
        """Pass a message on. It is lost when the browser has ended: `receive` tells of that."""
        ...

    async def receive(self) -> str | None:
        """Return the next message; None when the browser has ended."""
        ...


class PipedChromium:
    """Chromium's debugging pipe: messages end in a zero byte."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    async def send(self, text: str) -> None:
        with contextlib.suppress(ConnectionError):  # `receive` tells of the end
            self._in.write(text.encode() + b"\0")
            await self._in.drain()

    async def receive(self) -> str | None:
        try:
            return (await self._out.readuntil(b"\0"))[:-1].decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


class PlaywrightServer:
    """The driver's server, as a WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(text)

    async def receive(self) -> str | None:
        try:
            message = await self._connection.recv()
        except ConnectionClosed:
            return None
        return message if isinstance(message, str) else message.decode()


@contextlib.asynccontextmanager
async def chromium_by_pipe(
    chosen: launch.Launch, folders: Folders, proxy_url: str
) -> AsyncIterator[BrowserProcess]:
    """Run a Chromium whose only way out is ``proxy_url`` and whose files are in ``folders``."""
    arguments = [
        *launch.FLAGS,
        *launch.PROTOCOL_FLAGS,
        *([] if chosen.sandbox else ["--no-sandbox"]),
        "--remote-debugging-pipe",
        f"--user-data-dir={folders.tmp / 'profile'}",
        f"--proxy-server={proxy_url}",
        f"--proxy-bypass-list={NO_BYPASS}",
        # Else it begins with a page of Chromium's own, which may open all the others.
        "about:blank",
    ]
    command = [*chosen.command(folders, pipe=True), str(chosen.binary), *arguments]
    async with _running(command, folders) as process:
        yield PipedChromium(process)


@contextlib.asynccontextmanager
async def playwright_server(
    chosen: launch.Launch, folders: Folders, proxy_url: str, driver: tuple[str, str]
) -> AsyncIterator[BrowserProcess]:
    """Run ``driver``'s server around a Chromium whose only way out is ``proxy_url``."""
    options = {
        "executablePath": str(await asyncio.to_thread(launch.plain_wrapper, chosen, folders)),
        "chromiumSandbox": chosen.sandbox,
        "args": list(launch.FLAGS),
        "ignoreDefaultArgs": list(launch.DROPPED_FLAGS),
        "proxy": {"server": proxy_url, "bypass": NO_BYPASS},
        "env": launch.environment(folders),
        "artifactsDir": str(folders.files),
        "host": "127.0.0.1",
        "wsPath": f"/{secrets.token_hex(16)}",
    }
    config = await asyncio.to_thread(folders.write, "server.json", json.dumps(options))
    node, script = map(Path, driver)
    shut_in = chosen.command(folders, readable=(node, script.parent))
    server = [str(node), str(script), "launch-server", "--browser", "chromium"]
    command = [*shut_in, *server, "--config", str(config)]
    async with _running(command, folders) as process:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                url = (await process.stdout.readline()).decode().strip()
            if not url.startswith("ws://"):
                raise Unavailable("The browser of this connection did not start.")
            async with connect(url, max_size=MAX_MESSAGE, proxy=None) as connection:
                yield PlaywrightServer(connection)
        except (OSError, TimeoutError) as error:
            raise Unavailable("The browser of this connection did not start.") from error


@contextlib.asynccontextmanager
async def _running(
    command: list[str], folders: Folders
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``command``; kill it at the end, and with it, by their death signals, all it started."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=MAX_MESSAGE,
        env=launch.environment(folders),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                await process.wait()


@contextlib.asynccontextmanager
async def folders_for_one() -> AsyncIterator[Folders]:
    """Folders of a user of their own, where that is possible; removed at the end."""
    folders = await asyncio.to_thread(make, "connection", accounts.fresh())
    try:
        yield folders
    finally:
        await asyncio.to_thread(folders.remove)
