"""The part of NumPy's C interface that the compiled modules use.

NumPy's own declarations would make every module look up fifteen types as it is imported, most of
them never used: a tenth of a small module's size.
"""
cdef extern from "numpy/arrayobject.h":
    ctypedef ssize_t npy_intp
    ctypedef class numpy.dtype [object PyArray_Descr, check_size ignore]:
        pass
    ctypedef class numpy.ndarray [object PyArrayObject, check_size ignore]:
        pass

    enum:
        NPY_BOOL, NPY_BYTE, NPY_UBYTE, NPY_SHORT, NPY_USHORT, NPY_INT, NPY_UINT, NPY_LONG
        NPY_ULONG, NPY_LONGLONG, NPY_ULONGLONG, NPY_FLOAT16, NPY_FLOAT, NPY_DOUBLE
        NPY_UINT8, NPY_INT32, NPY_INT64, NPY_UINT64, NPY_INTP

    ctypedef struct description "PyArray_Descr":
        char kind

    int import_array "_import_array"() except -1

    bint PyArray_Check(object)
    bint PyArray_CheckExact(object)
    object PyArray_EMPTY(int nd, npy_intp *dims, int type, int fortran)
    object PyArray_ZEROS(int nd, npy_intp *dims, int type, int fortran)

    bint PyArray_ISCARRAY(ndarray) nogil
    bint PyArray_ISCARRAY_RO(ndarray) nogil
    bint PyArray_ISNOTSWAPPED(ndarray) nogil
    bint PyArray_IS_C_CONTIGUOUS(ndarray) nogil
    char *PyArray_BYTES(ndarray) nogil
    void *PyArray_DATA(ndarray) nogil
    int PyArray_NDIM(ndarray) nogil
    description *PyArray_DESCR(ndarray) nogil
    int PyArray_TYPE(ndarray) nogil
    npy_intp *PyArray_DIMS(ndarray) nogil
    npy_intp PyArray_DIM(ndarray, size_t) nogil
    npy_intp PyArray_STRIDE(ndarray, size_t) nogil
    npy_intp PyArray_ITEMSIZE(ndarray) nogil
    npy_intp PyArray_NBYTES(ndarray) nogil
    npy_intp PyArray_SIZE(ndarray) nogil
