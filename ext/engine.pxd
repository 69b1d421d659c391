from libc.stdint cimport int64_t

from nncore._plan cimport Plan

cdef class Engine:
    cdef readonly Plan _plan
    cdef list _slots    # the slots of the layers
    cdef list _records  # what the slots held when the plan was made
    cdef int _label_kind
    cdef int64_t _seen  # publications() when the slots were last seen to hold the same

    cdef Plan current_plan(self)
