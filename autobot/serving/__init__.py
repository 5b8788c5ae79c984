"""Rooms on Ray Serve: what every replica has, and how the applications are deployed."""
