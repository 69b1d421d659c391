from libc.stdint cimport int64_t

from nncore._plan cimport Compiled

cdef class Engine:
    cdef readonly Compiled _plan
    cdef list _slots    # the slots of the layers
    cdef list _records  # what the slots held when the plan was made
    cdef int _label_kind
    cdef int64_t _seen  # publications() when the slots were last seen to hold the same

    cdef Compiled current_plan(self)
