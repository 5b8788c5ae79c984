"""The whole platform on one machine: the same applications, all six rooms on one Ray node."""
