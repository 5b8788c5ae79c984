"""The run side: what a run is, what it does next, and who does it."""
