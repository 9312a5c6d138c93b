"""Compiled loops (numba). Nothing here imports the rest of the project, so that an image layer can hold just this."""
