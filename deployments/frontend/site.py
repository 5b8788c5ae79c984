"""The built page on disk: which file answers a path, and how long a client may keep it."""

import asyncio
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from autobot.errors import NotFound, Unavailable
from autobot.manifests import rooms

INDEX: Final = "index.html"
NOT_BUILT: Final = "the web interface is not built; run `make web` in the checkout"

# Vite puts a hash of the content into every name under assets/, so those never change.
FOREVER: Final = "public, max-age=31536000, immutable"
REVALIDATE: Final = "no-cache"

# Paths of the platform's API, which lives on another port: a client that asks here has the wrong
# one and must hear that, instead of a page with status 200.
API: Final = ("api/", "docs", "openapi.json")


class Site:
    """Files under ``dist``, read at each request: a new build shows without a restart.

    StaticFiles resolves names, refuses what leaves ``dist`` (symbolic links too), and does entity
    tags and ranges; reads happen in threads.
    """

    def __init__(self, dist: Path) -> None:
        self._dist = dist
        self._files = StaticFiles(directory=dist, check_dir=False)

    @property
    def built(self) -> bool:
        """Whether there is a page on the disk now; each call looks again."""
        return (self._dist / INDEX).is_file()

    async def check(self) -> int:
        """Return the number of files of the page; raises Unavailable when it is not built."""
        if not self.built:
            raise Unavailable(NOT_BUILT)
        files = await asyncio.to_thread(lambda: [f for f in self._dist.rglob("*") if f.is_file()])
        return len(files)

    async def respond(self, path: str, scope: Scope) -> Response:
        """Answer ``path`` (no leading slash) with its file, else with the page's entry.

        Raises NotFound for a missing file and for the paths of the API.
        """
        found = await self._file(path or INDEX, scope)
        if found is None:
            if path.startswith(API) or rooms().serves(f"/{path}"):
                raise NotFound(
                    f"/{path} is part of the API, which room main serves on its own port."
                )
            if "." in path.rpartition("/")[2] or path.startswith("assets/"):
                raise NotFound(f"The web interface has no file /{path}.")
            found = await self._file(INDEX, scope)
        if found is None:
            raise Unavailable(NOT_BUILT)
        immutable = path.startswith("assets/")
        found.headers["cache-control"] = FOREVER if immutable else REVALIDATE
        return found

    async def _file(self, path: str, scope: Scope) -> Response | None:
        try:
            return await self._files.get_response(path, scope)
        except HTTPException as error:
            # 404: no such file. 401: the file may not be read, which is nobody's business outside.
            if error.status_code in (401, 404):
                return None
            raise
