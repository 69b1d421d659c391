from libc.stdint cimport int8_t

# The layout of packed weights, as panels.h explains it. Offsets and strides are in bytes.
cdef extern from "panels.h" nogil:
    enum: NN_LINE_BYTES
    ctypedef enum nn_weights:
        NN_float32_weights
        NN_float64_weights
        NN_bfloat16_weights
    nn_weights nn_plain_weights(int is_double)

    ptrdiff_t nn_panel_outputs(nn_weights kind)
    ptrdiff_t nn_line_bytes(nn_weights kind)
    ptrdiff_t nn_panel_count(nn_weights kind, ptrdiff_t m)
    ptrdiff_t nn_whole_panels(nn_weights kind, ptrdiff_t m)
    ptrdiff_t nn_panel_bytes(nn_weights kind, ptrdiff_t k)
    ptrdiff_t nn_packed_bytes(nn_weights kind, ptrdiff_t k, ptrdiff_t m)
    bint nn_packed_fits(nn_weights kind, ptrdiff_t k, ptrdiff_t m)
    ptrdiff_t nn_panel_at(nn_weights kind, ptrdiff_t k, ptrdiff_t panel)
    ptrdiff_t nn_weights_at(nn_weights kind, ptrdiff_t k, ptrdiff_t panel, ptrdiff_t input)

    ctypedef struct nn_plain:
        char *w
        char *b
        ptrdiff_t w_row
        ptrdiff_t w_column
        ptrdiff_t b_column
    bint nn_pack(nn_weights kind, const nn_plain *plain, ptrdiff_t k, ptrdiff_t m, void *panels)
    void nn_unpack_bfloat16(const char *panels, ptrdiff_t k, ptrdiff_t m, const nn_plain *plain)
    void nn_unpack(nn_weights kind, const void *panels, ptrdiff_t k, ptrdiff_t m,
                   const nn_plain *plain)

    enum: NN_INT8_OUTPUTS
    enum: NN_INT8_SPARE_ROWS
    enum: NN_INT8_MOST_INPUTS
    ptrdiff_t nn_int8_groups(ptrdiff_t k)
    ptrdiff_t nn_int8_panel_count(ptrdiff_t m)
    ptrdiff_t nn_int8_panel_bytes(ptrdiff_t k)
    ptrdiff_t nn_int8_row_bytes(ptrdiff_t k)
    void nn_int8_pack(const int8_t *w, const float *scale, const float *bias, int zero,
                      ptrdiff_t k, ptrdiff_t m, char *panels)
