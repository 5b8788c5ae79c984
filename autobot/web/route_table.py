"""Which route will answer a request, and the scopes it asks for, known before its body is read."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from autobot.keys import Scope


@dataclass(frozen=True)
class KnownRoute:
    """``path`` is the template, whole; ``scopes`` are those of its `require` dependencies."""

    path: str
    methods: frozenset[str]
    scopes: tuple[Scope, ...]
    pattern: re.Pattern[str]


class RouteTable:
    """The HTTP routes of an application, in the order in which its router tries them."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self.routes = [*_known(routes)]
        self.find = lru_cache(maxsize=1024)(self._find)

    def _find(self, method: str, path: str) -> KnownRoute | None:
        """The route that answers; None when that is 404 or 405."""
        for route in self.routes:
            if method in route.methods and route.pattern.match(path):
                return route
        return None


def _known(routes: Sequence[BaseRoute]) -> Iterator[KnownRoute]:
    for context in iter_route_contexts(routes):
        if context.path is None or not context.methods:
            continue  # a WebSocket's
        scopes = dict.fromkeys(_scopes(getattr(context, "dependant", None)))
        yield KnownRoute(
            context.path, frozenset(context.methods), tuple(scopes), context.path_regex
        )


def _scopes(dependant: Dependant | None) -> Iterator[Any]:
    if dependant is None:
        return
    scope = getattr(dependant.call, "key_scope", None)
    if scope is not None:
        yield scope
    for inner in dependant.dependencies:
        yield from _scopes(inner)
