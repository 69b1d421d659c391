/* From the user's array to REALs. An element is converted with one rounding. If the network begins
 * with a Rescaling or a Normalization, its arithmetic is done in double and rounded once
 * (contract.h). */

/* binary16 -> float is exact. The exponent gets its new bias by a multiplication, so that
 * subnormals become normal numbers. Infinity and NaN keep an exponent with all bits set. */
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

#define NN_CONVERT(i, ctype, convert)                                                             \
    {                                                                                             \
        ctype element;                                                                            \
        memcpy(&element, p + i * (ptrdiff_t)sizeof(ctype), sizeof element);                       \
        y[i] = (CONVERTED)convert(element);                                                       \
    }
/* Types that samples often have, and others, whose code is half as long, and slower only if the
 * length of a row is not a multiple of GROUP. */
#define NN_OFTEN(name, ctype, convert)                                                            \
    case NN_##name:                                                                               \
        for (ptrdiff_t i = 0; i < count; i++)                                                     \
            NN_CONVERT(i, ctype, convert)                                                         \
        break;
#define NN_RARELY(name, ctype, convert)                                                           \
    case NN_##name:                                                                               \
        NN_FOR_EACH(i, count, NN_CONVERT(i, ctype, convert));                                     \
        break;

/* count neighbouring elements -> y (count,). An unknown type gives NaN, so that the former contents
 * of y never become an output. */
#define NN_CONVERT_CASES                                                                          \
    switch (type) {                                                                               \
        NN_OFTEN(float32, float, )                                                                \
        NN_OFTEN(float64, double, )                                                               \
        NN_RARELY(float16, uint16_t, half_to_float)                                               \
        NN_OFTEN(uint8, uint8_t, )                                                                \
        NN_RARELY(bool, uint8_t, !!) /* NumPy takes any byte but 0 for true */                    \
        NN_RARELY(int8, int8_t, )                                                                 \
        NN_RARELY(uint16, uint16_t, )                                                             \
        NN_RARELY(int16, int16_t, )                                                               \
        NN_RARELY(uint32, uint32_t, )                                                             \
        NN_OFTEN(int32, int32_t, )                                                                \
        NN_RARELY(uint64, uint64_t, )                                                             \
        NN_OFTEN(int64, int64_t, )                                                                \
    default:                                                                                      \
        NN_FOR_EACH(i, count, y[i] = (CONVERTED)__builtin_nan(""););                              \
    }

#define CONVERTED REAL
static NN_TARGET void convert_to_reals(int type, const char *restrict p, ptrdiff_t count,
                                       REAL *restrict y)
{
    NN_CONVERT_CASES
}
#undef CONVERTED

/* `cold` asks the compiler for small code. Speed does not matter here, because the division that
 * follows takes longer. */
#if NN_DOUBLE
#define convert_to_doubles convert_to_reals
#else
#define CONVERTED double
__attribute__((cold)) static NN_TARGET void convert_to_doubles(int type, const char *restrict p,
                                                               ptrdiff_t count, double *restrict y)
{
    NN_CONVERT_CASES
}
#undef CONVERTED
#endif

static ptrdiff_t element_size(int type)
{
    switch (type) {
    case NN_float64: case NN_int64: case NN_uint64: return 8;
    case NN_float32: case NN_int32: case NN_uint32: return 4;
    case NN_float16: case NN_int16: case NN_uint16: return 2;
    default: return 1;
    }
}

#define NN_GATHER(ctype)                                                                          \
    for (ptrdiff_t i = 0; i < count; i++)                                                         \
        memcpy(to + i * (ptrdiff_t)sizeof(ctype), p + i * stride, sizeof(ctype));                 \
    break;

/* count elements of `size` bytes, `stride` bytes apart -> the same elements without gaps */
static NN_TARGET void gather(const char *restrict p, ptrdiff_t stride, ptrdiff_t size,
                             ptrdiff_t count, char *restrict to)
{
    switch (size) {
    case 1: NN_GATHER(uint8_t)
    case 2: NN_GATHER(uint16_t)
    case 4: NN_GATHER(uint32_t)
    default: NN_GATHER(uint64_t)
    }
}

enum { GATHERED = 64 }; /* how many elements are gathered before they are converted */

/* count elements, `stride` bytes apart -> y (count,) */
static NN_TARGET void load_strided(int type, const char *restrict p, ptrdiff_t stride,
                                   ptrdiff_t count, REAL *restrict y)
{
    const ptrdiff_t size = element_size(type);
    char together[GATHERED * 8];
    if (stride == size) {
        convert_to_reals(type, p, count, y);
        return;
    }
    for (ptrdiff_t start = 0; start < count; start += GATHERED) {
        const ptrdiff_t here = count - start < GATHERED ? count - start : GATHERED;
        gather(p + start * stride, stride, size, here, together);
        convert_to_reals(type, together, here, y + start);
    }
}

/* Elements column .. column + count - 1 of one row, normalised -> y (count,) */
static NN_TARGET void normalize_columns(const nn_source *x, const char *restrict p,
                                        ptrdiff_t column, ptrdiff_t count, REAL *restrict y)
{
    char together[GATHERED * 8];
    double exact[GATHERED];
    const ptrdiff_t stride = x->column_stride, size = element_size(x->type);
    for (ptrdiff_t start = 0; start < count; start += GATHERED, p += GATHERED * stride) {
        const ptrdiff_t here = count - start < GATHERED ? count - start : GATHERED;
        const double *restrict mean = x->mean + column + start;
        const double *restrict deviation = x->deviation + column + start;
        const char *from = p;
        if (stride != size) {
            gather(p, stride, size, here, together);
            from = together;
        }
        convert_to_doubles(x->type, from, here, exact);
        for (ptrdiff_t i = 0; i < here; i++)
            y[start + i] = (REAL)((exact[i] - mean[i]) / deviation[i]);
    }
}

/* Elements column .. column + count - 1 of one row -> y (count,) */
static NN_TARGET void load_columns(const nn_source *x, ptrdiff_t row, ptrdiff_t column,
                                   ptrdiff_t count, REAL *restrict y)
{
    const ptrdiff_t stride = x->column_stride;
    const char *restrict p = x->data + row * x->row_stride + column * stride;
#if !NN_DOUBLE
    if (x->split && x->type == NN_uint8 && stride == 1) {
        const float high = x->scale_high, low = x->scale_low;
        const uint8_t *restrict bytes = (const uint8_t *)p;
        for (ptrdiff_t k = 0; k < count; k++)
            y[k] = __builtin_fmaf((float)bytes[k], high, (float)bytes[k] * low);
        return;
    }
#endif
    if (x->preprocess == NN_normalize) {
        normalize_columns(x, p, column, count, y);
        return;
    }
    load_strided(x->type, p, stride, count, y);
    if (x->preprocess == NN_unchanged)
        return;
    const double scale = x->scale, offset = x->offset;
    if (offset == 0)
        for (ptrdiff_t k = 0; k < count; k++)
            y[k] = (REAL)((double)y[k] * scale);
    else
        for (ptrdiff_t k = 0; k < count; k++)
            y[k] = (REAL)__builtin_fma((double)y[k], scale, offset);
}

/* Whether rows are contiguous REALs already. Kernels then read them without a copy. */
NN_MATH int is_real(const nn_source *x)
{
    return x->type == (NN_DOUBLE ? NN_float64 : NN_float32) && x->preprocess == NN_unchanged &&
           x->column_stride == (ptrdiff_t)sizeof(REAL);
}

/* Whether rows are contiguous bytes that kernels can read without a copy, because arithmetic on
 * vectors of REALs scales them. Zero must stay zero, because zeros are looked for in the bytes. */
NN_MATH int is_bytes(const nn_source *x)
{
    return x->type == NN_uint8 && x->column_stride == 1 &&
           (x->preprocess == NN_unchanged ||
            (x->preprocess == NN_rescale && x->offset == 0 && (NN_DOUBLE || x->split)));
}

static NN_TARGET void load_row(const nn_source *x, ptrdiff_t row, ptrdiff_t k, void *y)
{
    load_columns(x, row, 0, k, y);
}
