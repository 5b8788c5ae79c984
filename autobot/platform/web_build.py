"""Building the web interface: only when its sources changed since the last build.

Run it as `python -m autobot.platform.web_build`; with `test` it runs the page's own tests as well.
"""

import asyncio
import contextlib
import sys
from pathlib import Path

from autobot import nodejs
from autobot.errors import SetupError
from autobot.platform.sources import sources_digest
from autobot.platform.topology import CHECKOUT

WEB = CHECKOUT / "deployments" / "frontend" / "web"
MARK = Path("dist/.sources")
BUILD_DEADLINE_S = 600


async def build_web(web: Path = WEB) -> bool:
    """Run `npm ci` and `npm run build` when needed; return whether a build ran."""
    wanted = sources_digest(web)
    if _built(web) == wanted:
        return False
    await _install(web)
    await _npm(web, "run", "build")
    (web / MARK).write_text(wanted)
    return True


async def run_page_tests(web: Path = WEB) -> None:
    """Run the page's own tests. SetupError with their words when one fails."""
    if not (web / "node_modules").is_dir():
        await _install(web)
    await _npm(web, "test")


def is_built(web: Path = WEB) -> bool:
    """Whether the page that was built last is the sources' own."""
    return _built(web) == sources_digest(web)


def _built(web: Path) -> str | None:
    """The digest of the sources that were built last."""
    mark = web / MARK
    return mark.read_text() if mark.exists() else None


async def _install(web: Path) -> None:
    await _npm(web, "ci", "--no-audit", "--no-fund")


async def _npm(folder: Path, *arguments: str) -> None:
    node = await asyncio.to_thread(nodejs.require)
    process = await asyncio.create_subprocess_exec(
        *node.npm,
        *arguments,
        cwd=folder,
        env=node.environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), BUILD_DEADLINE_S)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        said = output.decode(errors="replace").strip()[-1500:]
        raise SetupError(
            f"`npm {' '.join(arguments)}` failed in the web interface:\n{said}",
            "Check that the npm registry is reachable.",
        )


async def main(*, test: bool) -> int:
    """Build the page if its sources changed and, with ``test``, run its tests.

    Returns the exit code: 1 after a failure, which is printed.
    """
    try:
        await build_web()
        if test:
            await run_page_tests()
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(test=sys.argv[1:] == ["test"])))
