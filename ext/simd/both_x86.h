/* The verbs that AVX2 and AVX-512 have in common. Their vec_*.h include this file. They define
 * NN_HALF, NN_QUARTER and NN_LANE, which name the intrinsics for 256 bits, 128 bits and one
 * lane. */

/* The last steps of vsum and vlargest, from 256 bits down to one lane. */
#if NN_DOUBLE
#define NN_FOLD(name, op)                                                                         \
    NN_VERB REAL name(__m256d a)                                                                  \
    {                                                                                             \
        __m128d b = NN_QUARTER(op)(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));       \
        return _mm_cvtsd_f64(NN_LANE(op)(b, _mm_unpackhi_pd(b, b)));                              \
    }
#else
#define NN_FOLD(name, op)                                                                         \
    NN_VERB REAL name(__m256 a)                                                                   \
    {                                                                                             \
        __m128 b = NN_QUARTER(op)(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));        \
        b = NN_QUARTER(op)(b, _mm_movehl_ps(b, b));                                               \
        return _mm_cvtss_f32(NN_LANE(op)(b, _mm_movehdup_ps(b)));                                 \
    }
#endif
NN_FOLD(fold_add, add)
NN_FOLD(fold_max, max)

/* The address of a byte is its row's number followed by its column's number, in bits. Interleaving
 * the upper half of the rows with the lower half rotates this address by one bit. After as many
 * rotations as a row's number has bits, the column's number comes first: the bytes are
 * transposed. */
NN_VERB void vtranspose_bytes(const char *const *from, ptrdiff_t at, uint8_t *to)
{
    __m128i rows[LANES], turned[LANES];
    NN_UNROLL(16)
    for (int r = 0; r < LANES; r++)
        rows[r] = _mm_loadu_si128((const __m128i *)(from[r] + at));
    NN_UNROLL(4)
    for (int turns = 1; turns < LANES; turns *= 2) {
        NN_UNROLL(8)
        for (int r = 0; r < LANES / 2; r++) {
            turned[2 * r] = _mm_unpacklo_epi8(rows[r], rows[r + LANES / 2]);
            turned[2 * r + 1] = _mm_unpackhi_epi8(rows[r], rows[r + LANES / 2]);
        }
        NN_UNROLL(16)
        for (int r = 0; r < LANES; r++)
            rows[r] = turned[r];
    }
    NN_UNROLL(16)
    for (int r = 0; r < LANES; r++)
        _mm_storeu_si128((__m128i *)(to + r * 16), rows[r]);
}
