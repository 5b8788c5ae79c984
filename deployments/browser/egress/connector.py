"""Opens every connection a page makes: resolve, check, connect to the checked address."""

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path

import psutil

from autobot.platform.topology import TopologyFile
from deployments.browser.egress.policy import Address, Domains, Policy, Target, literal, target_of
from deployments.browser.errors import PageFailed

Resolve = Callable[[str, int], Awaitable[list[Address]]]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

CONNECT_TIMEOUT_S = 10.0
RESOLVE_TIMEOUT_S = 10.0
HEAD_LIMIT = 256 << 10


NAMES = ThreadPoolExecutor(64, thread_name_prefix="names")
"""The resolver waits in a thread, for a name server a page may have chosen. These do only that."""
MOST_NAMES = 8
"""Names that one page, session or connection has looked up at once; the others wait."""


async def resolve(host: str, port: int) -> list[Address]:
    """Return every address the system's resolver knows for ``host``; OSError when none."""
    ask = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(NAMES, ask)
    # dict keeps the resolver's order of preference while dropping repeats.
    return list(dict.fromkeys(ip_address(str(entry[4][0]).split("%")[0]) for entry in found))


def own_addresses() -> frozenset[Address]:
    """Return this machine's addresses: a public one must not lead back to its private services."""

    def every() -> Iterator[Address]:
        for addresses in psutil.net_if_addrs().values():
            for entry in addresses:
                if entry.family in (socket.AF_INET, socket.AF_INET6):
                    yield ip_address(entry.address.split("%")[0])

    return frozenset(every())


class ClusterAddresses:
    """Gives the addresses of the cluster's VMs, as ``file``, its topology, has them now.

    Whether this machine is one of them does not matter: behind a cloud's address translation a VM
    does not know the address that others have for it.
    """

    def __init__(self, file: Path) -> None:
        self._topology = TopologyFile(file)

    def __call__(self) -> frozenset[Address]:
        topology = self._topology.read()
        return frozenset(map(ip_address, topology.addresses)) if topology else frozenset()


def unreachable(target: Target, error: Exception) -> PageFailed:
    """Return the caller's error for a target that resolves to nothing or answers nothing."""
    if isinstance(error, socket.gaierror):
        return PageFailed(f"{target.host} does not resolve: {error.strerror}.")
    return PageFailed(f"{target} cannot be reached: {error or 'no answer in time'}.")


async def _connected(address: Address, port: int) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


class Connector:
    """Connects pages to the world under a `Policy`, and under every one of ``lists``."""

    def __init__(
        self, policy: Policy, resolver: Resolve = resolve, lists: tuple[Domains, ...] = ()
    ) -> None:
        self._policy = policy
        self._resolve = resolver
        self._lists = lists
        self._names = asyncio.Semaphore(MOST_NAMES)

    def within(self, *lists: Domains) -> "Connector":
        """Return a connector that keeps to ``lists`` as well as to its own."""
        return Connector(self._policy, self._resolve, (*self._lists, *lists))

    async def admit(self, target: Target) -> list[Address]:
        """Return the addresses of ``target`` after checking all of them.

        Raises `BlockedAddress` with the reason, OSError when the name does not resolve, or
        TimeoutError.
        """
        for domains in self._lists:  # before its name is told to any name server
            domains.check(target)
        spelled = literal(target.host)
        addresses = [spelled] if spelled else await self._looked_up(target)
        if not addresses:
            raise OSError(f"{target.host} has no address")
        self._policy.check(target, addresses)
        return addresses

    async def _looked_up(self, target: Target) -> list[Address]:
        """Ask the resolver; whoever gives up leaves it its place until it has answered."""
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            await self._names.acquire()
            asking = asyncio.ensure_future(self._resolve(target.host, target.port))
            asking.add_done_callback(self._answered)
            return await asyncio.shield(asking)

    def _answered(self, asked: "asyncio.Future[list[Address]]") -> None:
        self._names.release()
        if not asked.cancelled():
            asked.exception()  # nobody may be left who hears of it

    async def connect(self, target: Target) -> socket.socket:
        """Connect to ``target``: to an address `admit` has seen, never to the name again.

        That pin is what defeats DNS rebinding. Raises as `admit` does, and OSError when no
        address answers.
        """
        refused: list[str] = []
        for address in await self.admit(target):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await _connected(address, target.port)
            except (OSError, TimeoutError) as error:
                refused.append(f"{address}: {error.__class__.__name__}")
        raise OSError(f"no address of {target} answers ({', '.join(refused)})")

    async def open(self, target: Target) -> Stream:
        """A stream over what `connect` returns; raises as it does."""
        connection = await self.connect(target)
        try:
            return await asyncio.open_connection(sock=connection, limit=HEAD_LIMIT)
        except BaseException:
            connection.close()
            raise

    async def admit_url(self, url: str) -> None:
        """Refuse a hopeless URL before a page is spent on it; the proxy checks it again.

        Raises `BlockedAddress`, `Invalid`, or `PageFailed` for a name that does not resolve.
        """
        target = target_of(url)
        try:
            await self.admit(target)
        except (OSError, TimeoutError) as error:
            raise unreachable(target, error) from error
