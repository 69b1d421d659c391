# The kernel table as nncore's own modules see it, with its type: kernels.pxd, which is installed,
# cannot name that type.
from contract cimport nn_kernels
from nncore.kernels cimport kernel_table


cdef inline const nn_kernels *table(bint is_double) except NULL:
    """The kernels for double or float of the instruction set in use."""
    return <const nn_kernels *>kernel_table(is_double)
