# The part of NumPy's C interface that nncore uses. With Cython's own numpy.pxd, each module would
# import sixteen of NumPy's types, which takes 0.5 to 1.5 kB of the wheel each time.
cdef extern from "numpy/arrayobject.h":
    enum:
        NPY_BOOL, NPY_BYTE, NPY_UBYTE, NPY_SHORT, NPY_USHORT, NPY_INT, NPY_UINT, NPY_LONG
        NPY_ULONG, NPY_LONGLONG, NPY_ULONGLONG, NPY_FLOAT, NPY_DOUBLE, NPY_FLOAT16, NPY_INT64

    ctypedef Py_ssize_t npy_intp

    ctypedef class numpy.ndarray [object PyArrayObject, check_size ignore]:
        pass

    int import_array "_import_array"() except -1

    bint PyArray_CheckExact(object)
    bint PyArray_ISNOTSWAPPED(ndarray) nogil
    bint PyArray_ISCARRAY(ndarray) nogil
    bint PyArray_ISCARRAY_RO(ndarray) nogil
    bint PyArray_IS_C_CONTIGUOUS(ndarray) nogil
    int PyArray_TYPE(ndarray) nogil
    int PyArray_NDIM(ndarray) nogil
    npy_intp *PyArray_DIMS(ndarray) nogil
    npy_intp PyArray_DIM(ndarray, size_t) nogil
    npy_intp PyArray_STRIDE(ndarray, size_t) nogil
    npy_intp PyArray_ITEMSIZE(ndarray) nogil
    npy_intp PyArray_NBYTES(ndarray) nogil
    npy_intp PyArray_SIZE(ndarray) nogil
    void *PyArray_DATA(ndarray) nogil
    char *PyArray_BYTES(ndarray) nogil
    object PyArray_EMPTY(int dimensions, npy_intp *shape, int type, int fortran)
