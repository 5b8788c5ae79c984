"""httpx over connections that are opened under the egress policy, and over no others."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast

import httpcore
import httpx

from deployments.browser.egress.connector import Connector, unreachable
from deployments.browser.egress.policy import Target, canonical_host
from deployments.browser.outside.errors import RequestFailed


class _Connections(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the connector has admitted, never to a name."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._network = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        target = Target(canonical_host(f"[{host}]" if ":" in host else host), port)
        try:
            addresses = await self._connector.admit(target)
        except (OSError, TimeoutError) as error:
            raise RequestFailed(unreachable(target, error).detail) from error
        for address in addresses:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        raise RequestFailed(f"{target} does not answer.")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in cast(AsyncIterable[bytes], self._response.stream):
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class Transport(httpx.AsyncBaseTransport):
    """One request at a time to any number of servers. Raises httpcore's errors and ours."""

    def __init__(self, connector: Connector, trusted: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted, network_backend=_Connections(connector), http2=False
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx. A connection is refused as `Connector.admit` does, or is `RequestFailed`."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                url,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), request=request
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
