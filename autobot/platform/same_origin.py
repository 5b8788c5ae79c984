"""websockify's plugin that lets only the desktop's own page open the desktop.

A page of a stranger in the owner's browser could otherwise connect from there and try passwords.
It runs in Debian's Python: the standard library and websockify are all there is.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit


class SameOrigin:
    """A browser says where a page came from; other programs say nothing and need the password."""

    def __init__(self, source: str | None = None) -> None:
        pass

    def authenticate(
        self, headers: Mapping[str, str], target_host: object, target_port: object
    ) -> None:
        """Raise websockify's AuthenticationError for a page of another origin."""
        origin = headers.get("Origin")
        if origin is None or urlsplit(origin).netloc == headers.get("Host"):
            return
        from websockify.auth_plugins import (  # pyright: ignore[reportMissingImports]
            AuthenticationError,  # pyright: ignore[reportUnknownVariableType]
        )

        raise AuthenticationError(  # pyright: ignore[reportUnknownVariableType]
            log_msg=f"Origin {origin!r} is not this desktop's", response_code=403
        )
