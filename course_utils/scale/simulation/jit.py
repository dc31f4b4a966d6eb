"""How this package's functions are compiled: divisions as numpy does them, and no copy of theirs on disk.

Only the entry is cached, with all that it calls inside (`compiled`).
"""

import numba

jit = numba.njit(error_model="numpy")
