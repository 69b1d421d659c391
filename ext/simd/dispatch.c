/* The instruction sets of this build, and which of them this CPU and operating system can run; and
 * the arrays of registries.h.
 *
 * An instruction set is one vec_*.h and one row here: X(name, can_run), best first. The function
 * can_run, below, returns whether the CPU and the operating system can run it. */
#if defined(__linux__)
#define _GNU_SOURCE /* for syscall */
#endif
#include <string.h>

#include "../contract.h"
#include "compiler.h"

#if defined(__x86_64__)
#define NN_INSTRUCTION_SETS(X) X(avx512, has_avx512) X(avx2, has_avx2) X(scalar, always)
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
#define NN_INSTRUCTION_SETS(X) X(neon, always) X(scalar, always)
#else
#define NN_INSTRUCTION_SETS(X) X(scalar, always)
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#include <sys/types.h>
#elif defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* XCR0: the registers that the operating system saves. A CPU that has AVX is not enough: without
 * saving, another thread would overwrite the registers. */
static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int all_set(unsigned word, unsigned bits) { return (word & bits) == bits; }

/* Bits of XCR0. YMM_SAVED: the XMM and YMM registers. ZMM_SAVED: also the mask registers, the upper
 * halves of ZMM0 to ZMM15, and ZMM16 to ZMM31. */
#define YMM_SAVED 0x6u
#define ZMM_SAVED 0xe6u

static int has_avx2(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)
        || !all_set(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_POPCNT))
        return 0;
    if (!all_set(saved_registers(), YMM_SAVED))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && all_set(b, bit_AVX2);
}

#if defined(__APPLE__)
/* macOS saves the registers of AVX-512 only after a thread has first used them, and XCR0 does not
 * show them before. So only the system can say whether they may be used. */
static int system_has(const char *name)
{
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value != 0;
}

static int zmm_saved(void)
{
    return system_has("hw.optional.avx512f") && system_has("hw.optional.avx512dq")
           && system_has("hw.optional.avx512bw") && system_has("hw.optional.avx512vl");
}
#else
static int zmm_saved(void) { return all_set(saved_registers(), ZMM_SAVED); }
#endif

static int has_avx512(void)
{
    unsigned a, b, c, d;
    return has_avx2() && zmm_saved() && __get_cpuid_count(7, 0, &a, &b, &c, &d)
           && all_set(b, bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL);
}
#endif

static int always(void) { return 1; }

/* ---- eight bits ---- */

#if defined(__x86_64__)
static int has_avx512vnni(void)
{
    unsigned a, b, c, d;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && all_set(c, 1u << 11);
}

#if NN_KNOWS_AMX
static int has_avxvnni(void)
{
    unsigned a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && all_set(a, 1u << 4);
}

/* AMX-TILE and AMX-INT8. Linux saves their registers (bits 17 and 18 of XCR0) for a process only
 * after it has asked for that. */
static int has_amx(void)
{
#if defined(__linux__)
    enum { WHAT_THERE_IS = 0x1021, TILE_DATA = 18 };
    unsigned a, b, c, d;
    unsigned long long known = 0;
    return has_avx512vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && all_set(d, 3u << 24)
           && all_set(saved_registers(), 3u << 17)
           && syscall(SYS_arch_prctl, WHAT_THERE_IS, &known) == 0 && known >> TILE_DATA & 1;
#else
    return 0;
#endif
}

static int may_use_amx(void)
{
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return 0;
#endif
}
#define NN_AMX_SETS(X, ...) X(__VA_ARGS__)
#else
#define NN_AMX_SETS(X, ...)
#endif
#if NN_KNOWS_VNNI
#define NN_VNNI_SETS(X, ...) X(__VA_ARGS__)
#else
#define NN_VNNI_SETS(X, ...)
#endif
#define NN_INT8_SETS(X)                                                                           \
    NN_AMX_SETS(X, amx, "avx512", has_amx, may_use_amx)                                           \
    NN_VNNI_SETS(X, avx512vnni, "avx512", has_avx512vnni, always)                                 \
    NN_AMX_SETS(X, avxvnni, "avx2", has_avxvnni, always)                                          \
    X(avx2, "avx2", has_avx2, always)                                                             \
    X(scalar, "scalar", always, always)
#elif defined(__aarch64__) && !defined(__AARCH64EB__)
#define NN_INT8_SETS(X) X(neon, "neon", always, always) X(scalar, "scalar", always, always)
#else
#define NN_INT8_SETS(X) X(scalar, "scalar", always, always)
#endif

#define NN_INT8_TABLE(name, ...) extern const nn_int8_kernels nn_int8__##name;
NN_INT8_SETS(NN_INT8_TABLE)
#define NN_INT8_ROW(name, with, can_run, may_use)                                                 \
    {#name, with, &nn_int8__##name, can_run, may_use},
const nn_int8_isa nn_int8_isas[] = {NN_INT8_SETS(NN_INT8_ROW) {NULL, NULL, NULL, NULL, NULL}};

#define NN_TABLES(name, can_run) extern const nn_kernels nn_f32__##name, nn_f64__##name;
NN_INSTRUCTION_SETS(NN_TABLES)

#define NN_ROW(name, can_run) {#name, &nn_f32__##name, &nn_f64__##name},
const nn_isa nn_isas[] = {NN_INSTRUCTION_SETS(NN_ROW) {NULL, NULL, NULL}};

int nn_supported(const char *name)
{
#define NN_ASK(known, can_run)                                                                    \
    if (!strcmp(name, #known))                                                                    \
        return can_run();
    NN_INSTRUCTION_SETS(NN_ASK)
    return 0;
}

#define NN_TEXT(name, ...) #name,
#define NN_ACTIVATION_ROW(name, ...) {#name, __VA_ARGS__},
const nn_activation_row nn_activations[] = {NN_ACTIVATIONS(NN_ACTIVATION_ROW)
                                             NN_ROWWISE_ACTIVATIONS(NN_ACTIVATION_ROW)};
const char *const nn_loss_names[] = {NN_LOSSES(NN_TEXT) NULL};
const char *const nn_optimizer_names[] = {NN_OPTIMIZERS(NN_TEXT) NULL};
const char *const nn_operation_names[] = {NN_OPERATIONS(NN_TEXT) "dense", "dropout", NULL};
#define NN_SETTING(name) #name,
#define NN_SETTINGS(name, states, momentum, settings) {settings NULL},
const char *const nn_optimizer_settings[][NN_MOST_SETTINGS + 1] = {NN_OPTIMIZERS(NN_SETTINGS)};
#define NN_STATES(name, states, momentum, settings) states,
#define NN_MOMENTUM_STATES(name, states, momentum, settings) momentum,
const int nn_optimizer_states[] = {NN_OPTIMIZERS(NN_STATES)};
const int nn_optimizer_momentum_states[] = {NN_OPTIMIZERS(NN_MOMENTUM_STATES)};
