"""Secrets in runs: opened when a step begins, and taken out of what is written down."""
