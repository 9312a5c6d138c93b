"""Compiled loops (numba). Nothing here imports the rest of the project, so that an image layer can hold just this.

`python -m flows.kernels` compiles all of them into the cache (flows.kernels.cache).
"""

from flows.kernels.cache import prepare_cache

# numba reads its environment when it is first imported: every way to a kernel leads through here.
prepare_cache()
