"""Every route says in its docstring what `/docs` shows of it."""

import ast
from collections.abc import Iterator

import pytest

from autobot.platform.topology import CHECKOUT

METHODS = {"get", "post", "put", "patch", "delete", "websocket", "api_route"}
ROUTERS = ("router", "keyed")


def routes() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for file in [*(CHECKOUT / "autobot").rglob("*.py"), *(CHECKOUT / "deployments").rglob("*.py")]:
        if "node_modules" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if any(map(makes_a_route, node.decorator_list)):
                yield f"{file.relative_to(CHECKOUT)}:{node.name}", node


def makes_a_route(decorator: ast.expr) -> bool:
    match decorator:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=router), attr=method)):
            return router in ROUTERS and method in METHODS
        case _:
            return False


ROUTES = dict(routes())


def test_routes_are_found() -> None:
    assert len(ROUTES) > 60


@pytest.mark.parametrize("route", ROUTES)
def test_a_route_says_what_it_does(route: str) -> None:
    assert ast.get_docstring(ROUTES[route])


def public_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Those of a module and of its classes, but for names that begin with an underscore."""
    for node in body:
        if getattr(node, "name", "_").startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_most_public_functions_say_what_their_signature_cannot() -> None:
    files = [
        file
        for top in ("autobot", "deployments")
        for file in (CHECKOUT / top).rglob("*.py")
        if "node_modules" not in file.parts
    ]
    found = [f for file in files for f in public_functions(ast.parse(file.read_text()).body)]
    assert len(found) > 1000
    said = sum(ast.get_docstring(function) is not None for function in found)
    assert said / len(found) >= 0.8
