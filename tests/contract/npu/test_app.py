"""The room's Serve applications: what they serve lies below the prefix they are routed by."""

import importlib
import inspect
import time
from typing import Any

import pytest
from fastapi import FastAPI

from autobot.manifests import rooms
from autobot.serving.room import RoomReplica
from autobot.settings import Settings

APPLICATIONS = {each.name: each for each in rooms()["npu"].applications}


def replica_of(name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The replica's object as Serve would make it, without Ray around it."""

    def start(self: Any) -> None:
        self.settings = settings

    monkeypatch.setattr(RoomReplica, "__init__", start)
    module, variable = APPLICATIONS[name].import_path.split(":")
    bound = getattr(importlib.import_module(module), variable)
    wrapped = bound._bound_deployment.func_or_class
    # Serve's own subclasses around ours have asynchronous constructors.
    original = next(c for c in wrapped.__mro__ if not inspect.iscoroutinefunction(c.__init__))
    return original()


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_route_lies_below_the_applications_prefix(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = FastAPI()
    api.include_router(replica_of(name, settings, monkeypatch).router())
    paths = list(api.openapi()["paths"])
    assert paths
    prefix = APPLICATIONS[name].route_prefix
    assert all(path == prefix or path.startswith(f"{prefix}/") for path in paths)


@pytest.mark.parametrize("name", [name for name in APPLICATIONS if name != "npu"])
async def test_only_embeddings_are_loaded_at_start(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    facts = await replica_of(name, settings, monkeypatch).facts()
    assert facts["loaded"] in ([], False)
    assert facts["device"] is None
    assert time.monotonic() - started < 5


def test_only_the_first_application_has_the_rooms_port() -> None:
    module = importlib.import_module("deployments.npu.app")
    owners = [
        name
        for name, value in vars(module).items()
        if hasattr(value, "func_or_class") and value.func_or_class.own_port
    ]
    assert owners == ["Npu"]
