"""Bringing one machine up: every step does nothing when its work is already done."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

from autobot.catalogue import Catalogue
from autobot.errors import SetupError
from autobot.files import private_folder
from autobot.local.checks import default_files, problems
from autobot.local.supervisor import Supervisor
from autobot.platform.programs import one_machine_programs, prepare_programs
from autobot.platform.ray_env import prepare_run_dir
from autobot.platform.secrets import Secrets, ensure_secrets
from autobot.platform.web_build import build_web
from autobot.serving.deploy import deploy
from autobot.serving.ready import Say, wait_until_healthy, wait_until_running
from autobot.settings import Settings

# A chat needs these two. Where all rooms' replicas import at once on a few cores, each comes last.
CHAT_APPLICATIONS = ("redis", "llm")


async def ensure_files(settings: Settings, say: Say) -> None:
    """Fetch the default models and Redis Stack, and meanwhile build the web interface."""
    page = asyncio.create_task(build_web())
    catalogue = Catalogue(settings.cache)
    try:
        for name in default_files(settings):

            def progress(event: Any, name: str = name) -> None:
                share = event.done / event.total if event.total else 0.0
                say(f"fetching {name}: {event.done >> 20} of {event.total >> 20} MiB ({share:.0%})")

            await catalogue.fetch(name, progress)
        say("building the web interface")
        await page
    finally:
        page.cancel()


async def up(
    settings: Settings, say: Say, when_chat_answers: Callable[[], Awaitable[None]] | None = None
) -> Secrets:
    """Start or update the platform and wait until every room is ok. Returns the secrets.

    ``when_chat_answers`` runs as soon as room llm serves; at a first start that is before the
    other rooms come up. Raises SetupError with every problem of the machine at once, or with what
    Serve says of the room that does not come up.
    """
    supervisor = Supervisor(settings)
    running = supervisor.process() is not None
    if found := problems(settings, running=running):
        raise SetupError("\n".join(str(error) for error in found))
    if not running:
        forget_last_cluster(settings)
    private_folder(settings.home.resolve())
    await ensure_files(settings, say)
    first_key = settings.api_key.get_secret_value() if settings.api_key else None
    secrets = ensure_secrets(settings.secrets_dir, first_key)
    say("starting Redis, the desktop and Ray")
    programs = one_machine_programs(settings)
    prepare_run_dir(settings)
    prepare_programs(programs)
    await supervisor.apply(programs)
    say("deploying the rooms")
    if not running:
        await begin_with_chat(settings, say)
    if when_chat_answers:
        await when_chat_answers()
    config = await deploy(settings)
    await wait_until_running(settings, [app["name"] for app in config["applications"]], say)
    await wait_until_healthy(settings, say)
    return secrets


async def begin_with_chat(settings: Settings, say: Say) -> None:
    """Deploy what a chat needs, on a platform that has nothing deployed yet, and wait for it."""
    await deploy(settings, only=CHAT_APPLICATIONS)
    await wait_until_running(settings, CHAT_APPLICATIONS, say)


def forget_last_cluster(settings: Settings) -> None:
    """Begin with an empty control store: the rooms' manifests are what the last one was made from.

    Its state is for a node that crashed and comes back, not for a platform that was stopped. Ray
    leaves a folder of logs for each session; the last one is kept.
    """
    shutil.rmtree(settings.home / "state" / "gcs", ignore_errors=True)
    for session in sorted((settings.run_dir / "ray").glob("session_2*"))[:-1]:
        shutil.rmtree(session, ignore_errors=True)
