"""AutoBot: six rooms, one Ray cluster."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("autobot")
except PackageNotFoundError:  # a VM runs the synced checkout without installing it
    __version__ = "0.1.0"
