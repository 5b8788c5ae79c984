"""What every HTTP surface of AutoBot shares: error shapes, keys, limits, metrics."""
