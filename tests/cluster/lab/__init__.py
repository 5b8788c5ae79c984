"""The lab: the six VMs of a real installation on one Linux machine, to be tried and broken."""

from .host import LabError
from .lab import ROOMS, Lab
from .vm import VM, Hardware

__all__ = ["ROOMS", "VM", "Hardware", "Lab", "LabError"]
