"""Compiled loops (numba). Nothing here imports the rest of the project, so that an image layer can hold just this.

`python -m flows.kernels` compiles all of them into the cache (flows.kernels.cache).

A parallel kernel allocates nothing, neither in its loops nor in what they call: numba loses an error that is raised
inside a parallel loop, so where memory is refused the loop's work would be missing without a word. The plain function
around a kernel allocates, and raises MemoryError.
"""

from flows.kernels.cache import prepare_cache

# numba reads its environment when it is first imported: every way to a kernel leads through here.
prepare_cache()
