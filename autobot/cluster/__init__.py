"""Six rooms as one Ray cluster: what the rooms are, and how a machine becomes one of them."""
