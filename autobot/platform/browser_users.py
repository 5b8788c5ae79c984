"""Who browsers run as on a VM of room browser: the room makes them so, the firewall holds them."""

BROWSER_USER = "autobot-browser"
BROWSER_UIDS = range(1_900_000_000, 1_900_065_536)
"""User ids of protocol connections: no account's, above what containers are given."""
