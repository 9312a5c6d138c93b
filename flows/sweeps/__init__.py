"""Sweeps and comparisons: their chunks, and running them here or as flow runs of their own."""
