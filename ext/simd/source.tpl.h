/* From the user's array to REALs: one conversion with one rounding, then, where a Rescaling stands
 * first, one multiplication in double and one rounding more. */

/* binary16 -> float is exact: the exponent is re-biased by a multiplication, so that subnormals
 * come out right; infinity and NaN keep their exponent of ones. */
static float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13, bits;
    float value;
    memcpy(&value, &rest, sizeof value);
    value *= 0x1p112f;
    memcpy(&bits, &value, sizeof bits);
    if ((half & 0x7c00) == 0x7c00)
        bits = rest | 0x7f800000;
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define NN_LOAD(ctype, convert)                                                                   \
    for (ptrdiff_t k = 0; k < count; k++) {                                                       \
        ctype element;                                                                            \
        memcpy(&element, p + k * step, sizeof element);                                           \
        y[k] = (REAL)convert(element);                                                            \
    }                                                                                             \
    break;

/* A step known at compile time lets the compiler make vectors of these loops. */
#define NN_LOAD_CASE(name, ctype, convert)                                                        \
    case NN_##name:                                                                               \
        if (step == (ptrdiff_t)sizeof(ctype)) {                                                   \
            const ptrdiff_t step = (ptrdiff_t)sizeof(ctype);                                      \
            NN_LOAD(ctype, convert)                                                               \
        }                                                                                         \
        NN_LOAD(ctype, convert)

/* Elements column .. column + count - 1 of one row -> y (count,) */
static NN_TARGET void load_columns(const nn_source *x, ptrdiff_t row, ptrdiff_t column,
                                   ptrdiff_t count, REAL *restrict y)
{
    const ptrdiff_t step = x->column_stride;
    const char *restrict p = x->data + row * x->row_stride + column * step;
#if !NN_DOUBLE
    if (x->rescale && x->split && x->type == NN_uint8 && step == 1) {
        const float high = x->scale_high, low = x->scale_low;
        const uint8_t *restrict bytes = (const uint8_t *)p;
        for (ptrdiff_t k = 0; k < count; k++)
            y[k] = __builtin_fmaf((float)bytes[k], high, (float)bytes[k] * low);
        return;
    }
#endif
    switch (x->type) {
        NN_LOAD_CASE(float32, float, )
        NN_LOAD_CASE(float64, double, )
        NN_LOAD_CASE(float16, uint16_t, half_to_float)
        NN_LOAD_CASE(uint8, uint8_t, )
        NN_LOAD_CASE(bool, uint8_t, !!) /* NumPy takes any byte but 0 for true */
        NN_LOAD_CASE(int8, int8_t, )
        NN_LOAD_CASE(uint16, uint16_t, )
        NN_LOAD_CASE(int16, int16_t, )
        NN_LOAD_CASE(uint32, uint32_t, )
        NN_LOAD_CASE(int32, int32_t, )
        NN_LOAD_CASE(uint64, uint64_t, )
        NN_LOAD_CASE(int64, int64_t, )
    }
    if (x->rescale)
        for (ptrdiff_t k = 0; k < count; k++)
            y[k] = (REAL)((double)y[k] * x->scale);
}

/* Rows that already are contiguous REALs are used where they lie. */
NN_MATH int is_real(const nn_source *x)
{
    return x->type == (NN_DOUBLE ? NN_float64 : NN_float32) && !x->rescale &&
           x->column_stride == (ptrdiff_t)sizeof(REAL);
}

static NN_TARGET void load_row(const nn_source *x, ptrdiff_t row, ptrdiff_t k, void *y)
{
    load_columns(x, row, 0, k, y);
}
