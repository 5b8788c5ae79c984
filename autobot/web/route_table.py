"""Which route will answer a request, and the scopes it asks for, known before its body is read."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from autobot.keys import Scope

LONG = 256


@dataclass(frozen=True)
class KnownRoute:
    """``path`` is the template, whole; ``scopes`` are those of its `require` dependencies.

    ``reads_json``: its body is JSON, which FastAPI reads, or an endpoint that says so of itself;
    else it is a form, or the route reads it by itself.
    """

    path: str
    methods: frozenset[str]
    scopes: tuple[Scope, ...]
    pattern: re.Pattern[str]
    reads_json: bool = False


class RouteTable:
    """The HTTP routes of an application, in the order in which its router tries them."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self.routes = [*_known(routes)]
        self._remembered = lru_cache(maxsize=1024)(self._find)

    def find(self, method: str, path: str) -> KnownRoute | None:
        """The route that answers; None when that is 404 or 405."""
        # Anybody may send any path: long ones are not remembered.
        find = self._remembered if len(path) <= LONG else self._find
        return find(method, path)

    def _find(self, method: str, path: str) -> KnownRoute | None:
        for route in self.routes:
            if method in route.methods and route.pattern.match(path):
                return route
        return None


def _known(routes: Sequence[BaseRoute]) -> Iterator[KnownRoute]:
    for context in iter_route_contexts(routes):
        if context.path is None or not context.methods:
            continue  # a WebSocket's
        dependant: Dependant | None = getattr(context, "dependant", None)
        scopes = tuple(dict.fromkeys(_scopes(dependant)))
        methods = frozenset(context.methods)
        reads_json = _reads_json(dependant) or getattr(context.endpoint, "reads_json", False)
        yield KnownRoute(context.path, methods, scopes, context.path_regex, reads_json)


def _scopes(dependant: Dependant | None) -> Iterator[Any]:
    if dependant is None:
        return
    scope = getattr(dependant.call, "key_scope", None)
    if scope is not None:
        yield scope
    for inner in dependant.dependencies:
        yield from _scopes(inner)


def _reads_json(dependant: Dependant | None) -> bool:
    if dependant is None:
        return False
    own = any(not isinstance(field.field_info, Form) for field in dependant.body_params)
    return own or any(map(_reads_json, dependant.dependencies))
