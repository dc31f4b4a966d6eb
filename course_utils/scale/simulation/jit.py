"""How this package's functions are compiled: to be called by each other only, so without a way in from Python.

Divisions are as numpy does them. The one way in is in `compiled`, and only that is kept on disk.
"""

import numba

jit = numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
