/* The last steps of vsum and vlargest on x86, from 256 bits down to one lane: included by the vec_*.h
 * that define NN_HALF, NN_QUARTER and NN_LANE, the names of intrinsics for 256 bits, 128 and one. */
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
