"""What is open to everybody: liveness, and what the rooms' manifests call public."""

from autobot.manifests import rooms

EVERYWHERE = frozenset({"/health"})
"""A replica's liveness: one word, for load balancers and monitors."""


def is_public(room: str, method: str, path: str) -> bool:
    if method not in ("GET", "HEAD"):
        return False
    public = rooms()[room].public
    if path in EVERYWHERE or path in public.paths:
        return True
    return public.below is not None and path.startswith(public.below)
