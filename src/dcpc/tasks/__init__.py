"""Tasks besides labels: see `dcpc.tasks.write`."""
