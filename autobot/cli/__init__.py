"""The `autobot` command."""

from autobot.cli.main import main

__all__ = ["main"]
