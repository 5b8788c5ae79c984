"""What is open to everybody: all there is without an API key, on one page."""

EVERYWHERE = frozenset({"/health"})
"""A replica's liveness: one word, for load balancers and monitors."""

PATHS = {
    "main": frozenset({"/", "/api/health", "/openapi.json", "/docs"}),
    "npu": frozenset({"/v2/health/live"}),
    "llm": frozenset({"/ollama", "/ollama/"}),  # "Ollama is running"
}
"""By room. ``/api/health`` says one word to a caller without a key and checks one that is sent."""

BELOW = {
    "main": "/docs/",
    # The page's files: it holds no secret and asks for the user's own key.
    "frontend": "/",
}
"""By room: everything below this path."""


def is_public(room: str, method: str, path: str) -> bool:
    if method not in ("GET", "HEAD"):
        return False
    if path in EVERYWHERE or path in PATHS.get(room, ()):
        return True
    below = BELOW.get(room)
    return below is not None and path.startswith(below)
