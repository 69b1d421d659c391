/* Tests of the kernels of eight bits: each number is compared with the rule of contract.h, computed
 * in integers of 64 bits. */
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ptrdiff_t SIZES[] = {1, 2, 3, 4, 5, 15, 16, 17, 31, 33, 60, 63, 64, 65, 68, 100, 127,
                                  128, 129, 255, 257, 784, 1030};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

/* One layer on n samples, whose codes are anything, with many zeros; or `extreme`: all of them as far
 * from `zero`, which is 0 or 255, as can be, and all weights 127. */
static void sums_case(nn_test *t, const nn_int8_kernels *kernels, nn_random *random, ptrdiff_t k,
                      ptrdiff_t m, ptrdiff_t n, int extreme, int zero)
{
    const ptrdiff_t groups = nn_int8_groups(k), ldx = 4 * groups + 4 * nn_below(random, 3);
    const ptrdiff_t width = nn_int8_panel_count(m) * NN_INT8_OUTPUTS;
    uint8_t *x = nn_memory((size_t)((n - 1) * ldx + 4 * groups));
    int8_t *w = nn_memory((size_t)(k * m));
    float *scale = nn_memory((size_t)m * 4), *bias = nn_memory((size_t)m * 4);
    float *z = nn_memory((size_t)((n + NN_INT8_SPARE_ROWS) * width) * 4);
    int32_t *index = nn_memory((size_t)(groups + 16) * 4);
    char *panels = nn_memory((size_t)(nn_int8_panel_count(m) * nn_int8_panel_bytes(k)));
    for (ptrdiff_t i = 0; i < (n - 1) * ldx + 4 * groups; i++)
        x[i] = (uint8_t)(extreme ? 255 - zero : nn_below(random, 4) ? 0 : nn_below(random, 256));
    for (ptrdiff_t i = 0; i < k * m; i++)
        w[i] = (int8_t)(extreme ? 127 : nn_below(random, 255) - 127);
    for (ptrdiff_t j = 0; j < m; j++) {
        scale[j] = (float)nn_between(random, 1e-6, 1e-2);
        bias[j] = (float)nn_between(random, -2, 2);
    }
    nn_int8_pack(w, scale, bias, zero, k, m, panels);
    const nn_int8_layer layer = {.panels = panels, .k = k, .m = m};
    for (int alone = 0; alone < 2; alone++) {
        nn_shape(t, "k %td, m %td, n %td, zero %d%s%s", k, m, n, zero,
                 extreme ? ", extreme" : "", alone ? ", one by one" : "");
        memset(z, 255, (size_t)(n * width) * 4);
        for (ptrdiff_t s = 0; s < n && alone; s++) {
            const ptrdiff_t count = kernels->find_groups(x + s * ldx, groups, index);
            ptrdiff_t at = 0;
            for (ptrdiff_t g = 0; g < groups; g++) {
                uint32_t codes;
                memcpy(&codes, x + s * ldx + 4 * g, 4);
                if (codes && !nn_expect_integer(t, "index", at, index[at], g))
                    break;
                at += codes != 0;
            }
            nn_expect_integer(t, "groups", s, count, at);
            kernels->sums(&layer, x + s * ldx, ldx, 1, index, count, z + s * width, width);
        }
        if (!alone)
            kernels->sums(&layer, x, ldx, n, NULL, 0, z, width);
        for (ptrdiff_t s = 0; s < n; s++) {
            for (ptrdiff_t j = 0; j < m; j++) {
                int64_t sum = 0;
                for (ptrdiff_t i = 0; i < k; i++)
                    sum += (x[s * ldx + i] - zero) * w[i * m + j];
                if (!nn_expect_f32(t, "z", s * m + j, z[s * width + j],
                                   fmaf((float)sum, scale[j], bias[j])))
                    break;
            }
            nn_emit_f32(t, z + s * width, m);
        }
    }
    void *all[] = {x, w, scale, bias, z, index, panels};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void codes_case(nn_test *t, const nn_int8_kernels *kernels, nn_random *random, ptrdiff_t n)
{
    static const float special[] = {0.0f, -0.0f, 0.5f, 1.5f, 2.5f, 254.5f, 255.5f, -0.5f, 1e30f,
                                    -1e30f, INFINITY, -INFINITY, NAN, 1e-45f, 0x1.fffffep-2f};
    const float inverse = nn_below(random, 2) ? 1.0f : (float)nn_between(random, 0.01, 100);
    const float zero = (float)nn_below(random, 256);
    float *x = nn_memory((size_t)n * 4);
    uint8_t *codes = nn_memory((size_t)n);
    int has_nan = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        const int which = nn_below(random, 40);
        x[i] = which < 15 ? special[which] : (float)nn_between(random, -300, 300);
        if (n % 2 && x[i] != x[i])
            x[i] = 1;
        has_nan |= x[i] != x[i];
    }
    nn_shape(t, "codes of %td numbers, inverse %a, zero %g", n, (double)inverse, (double)zero);
    nn_expect_integer(t, "NaN", 0, kernels->to_codes(x, n, inverse, zero, codes) != 0, has_nan);
    for (ptrdiff_t i = 0; i < n; i++) {
        const float code = rintf(fmaf(x[i], inverse, zero));
        nn_expect_integer(t, "codes", i, codes[i], code >= 255 ? 255 : code > 0 ? (int)code : 0);
        nn_emit_integer(t, codes[i]);
    }
    free(x);
    free(codes);
}

void nn_int8_case(nn_test *t, const nn_int8_kernels *kernels)
{
    nn_random random = {8};
    for (int i = 0; i < SIZE_COUNT; i++)
        for (int j = 0; j < SIZE_COUNT - 3; j++) {
            const int small = SIZES[i] * SIZES[j] < 20000;
            const ptrdiff_t n = 1 + nn_below(&random, small ? 70 : 20);
            sums_case(t, kernels, &random, SIZES[i], SIZES[j], n, 0, nn_below(&random, 256));
        }
    /* The largest sum there can be, and the least. */
    for (int zero = 0; zero < 256; zero += 255) {
        sums_case(t, kernels, &random, NN_INT8_MOST_INPUTS, 3, 17, 1, zero);
        sums_case(t, kernels, &random, 130, 20, 9, 1, zero);
    }
    for (ptrdiff_t n = 1; n < 200; n++)
        codes_case(t, kernels, &random, n);
}
