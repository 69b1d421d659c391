/* Which instruction sets this build has, and which of them this CPU and system can run. */
#include <string.h>

#include "../contract.h"

extern const nn_kernels nn_f32__scalar, nn_f64__scalar;
#if defined(__x86_64__)
#include <cpuid.h>
extern const nn_kernels nn_f32__avx2, nn_f64__avx2, nn_f32__avx512, nn_f64__avx512;
#endif

const nn_isa nn_isas[] = {
#if defined(__x86_64__)
    {"avx512", &nn_f32__avx512, &nn_f64__avx512},
    {"avx2", &nn_f32__avx2, &nn_f64__avx2},
#endif
    {"scalar", &nn_f32__scalar, &nn_f64__scalar},
    {NULL, NULL, NULL},
};

#define NN_TEXT(name, ...) #name,
#define NN_ROW(name, ...) {#name, __VA_ARGS__},
const nn_activation_row nn_activations[] = {NN_ACTIVATIONS(NN_ROW) NN_ROWWISE_ACTIVATIONS(NN_ROW)};
const char *const nn_loss_names[] = {NN_LOSSES(NN_TEXT) NULL};
const char *const nn_optimizer_names[] = {NN_OPTIMIZERS(NN_TEXT) NULL};
#define NN_STATES(name, states, momentum) states,
#define NN_MOMENTUM_STATES(name, states, momentum) momentum,
const int nn_optimizer_states[] = {NN_OPTIMIZERS(NN_STATES)};
const int nn_optimizer_momentum_states[] = {NN_OPTIMIZERS(NN_MOMENTUM_STATES)};

#if defined(__x86_64__)

/* The registers that the operating system saves: a CPU's own word for AVX is not enough. */
static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int all_set(unsigned word, unsigned bits) { return (word & bits) == bits; }

int nn_supported(const char *name)
{
    unsigned a, b1, c1, d1, b7 = 0, c7 = 0, d7 = 0;
    if (!strcmp(name, "scalar"))
        return 1;
    if (!__get_cpuid(1, &a, &b1, &c1, &d1) || !all_set(c1, bit_OSXSAVE | bit_AVX | bit_FMA | bit_POPCNT))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
        return 0;
    const unsigned saved = saved_registers();
    const unsigned ymm = 0x6, zmm = 0xe6; /* XMM and YMM; and the masks, the upper halves, ZMM16-31 */
    const int avx2 = all_set(saved, ymm) && all_set(b7, bit_AVX2 | bit_BMI | bit_BMI2);
    if (!strcmp(name, "avx2"))
        return avx2;
    if (!strcmp(name, "avx512"))
        return avx2 && all_set(saved, zmm)
               && all_set(b7, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL);
    return 0;
}

#else

int nn_supported(const char *name) { return !strcmp(name, "scalar"); }

#endif
