"""Hugging Face over HTTP, resumed where an earlier attempt stopped."""

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import stamina

from autobot.catalogue.archives import CarrierError, NotAsPromised

HUGGING_FACE = "https://huggingface.co"
_TIMEOUT = httpx.Timeout(10.0, read=60.0)
_ATTEMPTS = 4
# A name that does not resolve or a refused connection will not mend within seconds.
_BROKEN_OFF = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError)


class HuggingFaceHub:
    """Downloads files of public repositories. `endpoint` may name a mirror."""

    def __init__(self, endpoint: str = HUGGING_FACE, attempts: int = _ATTEMPTS) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._attempts = attempts

    async def download(
        self,
        place: tuple[str, str, str],
        part: Path,
        size: int,
        received: Callable[[int], None],
    ) -> None:
        """Complete `part` to `size` bytes from `place` (repository, revision, path).

        `received` is told how many bytes are there. Raises NotAsPromised when the file is longer
        than `size`, CarrierError when the hub cannot be reached or refuses.
        """
        repo, revision, path = place
        url = f"{self._endpoint}/{repo}/resolve/{revision}/{path}"
        part.parent.mkdir(parents=True, exist_ok=True)
        try:
            async with httpx.AsyncClient(follow_redirects=True, timeout=_TIMEOUT) as client:
                async for attempt in stamina.retry_context(
                    on=_BROKEN_OFF, attempts=self._attempts, timeout=None
                ):
                    with attempt:
                        await _resume(client, url, part, size, received)
        except httpx.HTTPStatusError as exc:
            raise CarrierError(f"{repo}/{path}: status {exc.response.status_code}") from exc
        except httpx.HTTPError as exc:
            raise CarrierError(f"{repo}/{path}: {type(exc).__name__} {exc}".strip()) from exc


async def _resume(
    client: httpx.AsyncClient, url: str, part: Path, size: int, received: Callable[[int], None]
) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        have = 0
    if have == size:
        return
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    async with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        if response.status_code != httpx.codes.PARTIAL_CONTENT:
            have = 0  # a server without ranges sends the whole file again
        with part.open("r+b" if have else "wb") as target:
            target.seek(have)
            async for chunk in response.aiter_bytes():
                have += len(chunk)
                if have > size:
                    raise NotAsPromised(f"{part.stem} is longer than {size} bytes")
                target.write(chunk)
                received(have)
            target.flush()
            os.fsync(target.fileno())
    if have < size:
        raise httpx.RemoteProtocolError(f"ended after {have} of {size} bytes")
