"""`python -m autobot` is the `autobot` command."""

from autobot.cli import main

main()
