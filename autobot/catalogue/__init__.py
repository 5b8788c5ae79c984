"""Which models and parts exist, where they come from, and which are on this machine."""

from autobot.catalogue.catalogue import Catalogue
from autobot.catalogue.entries import Entry, Kind
from autobot.catalogue.progress import Progress
from autobot.catalogue.sources import File

__all__ = ["Catalogue", "Entry", "File", "Kind", "Progress"]
