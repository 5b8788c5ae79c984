"""What is open to everybody: liveness, and what the rooms' manifests call public."""

from autobot.manifests import Public

EVERYWHERE = frozenset({"/health"})
"""A replica's liveness: one word, for load balancers and monitors."""


def is_public(public: Public, method: str, path: str) -> bool:
    """Whether this is a request that needs no key, in a room that says ``public`` of itself."""
    if method == "POST":
        return public.signed_below is not None and path.startswith(public.signed_below)
    if method not in ("GET", "HEAD"):
        return False
    if path in EVERYWHERE or path in public.paths:
        return True
    return public.below is not None and path.startswith(public.below)
