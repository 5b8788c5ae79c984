"""Strings of an RDB file made blank, each in its place: no length in the file changes."""

from collections.abc import Collection

from autobot.errors import Unavailable

CHECKSUM_BYTES = 8
"""The last ones; where they are zero Redis checks none. A backup has its own SHA-256."""


def blanked(snapshot: bytes, values: Collection[bytes]) -> bytes:
    """Return the file with zeros in place of ``values``.

    Sealed values are random to whoever looks, so Redis does not compress them and nothing else is
    equal to one. Raises `Unavailable` if one of them is not found.
    """
    if not values:
        return snapshot
    body = bytearray(snapshot)
    for value in values:
        at = body.find(value)
        if at < 0:
            raise Unavailable("A sealed secret was not found in the snapshot to be left out.")
        while at >= 0:
            body[at : at + len(value)] = bytes(len(value))
            at = body.find(value, at + len(value))
    body[-CHECKSUM_BYTES:] = bytes(CHECKSUM_BYTES)
    return bytes(body)
