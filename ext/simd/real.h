/* What float and double differ in, for one instance of the templates.
 *
 * Parameters an isa_*.c sets before it includes this file:
 *   NN_DOUBLE        0: REAL is float, 1: REAL is double
 *   NN_TABLE         name of the nn_kernels table this instance fills
 *   NN_ISA           its instruction set's name, a string
 *   TILE_VECTORS     vectors of samples the tile kernel holds in registers, 1 to 3
 *   TILE_OUTPUTS_v   outputs it holds for v of them, falling with v, 1 to 16
 *   TILE_GROUPS      such groups of vectors in a tile; WIDE_GROUPS in one for very wide layers
 *   BLOCK_BYTES      of a tile worked on at a time: a good part of the second-level cache
 *   ROW_PANELS_r     panels the row kernel holds in registers for r samples (r = 1, 2, 4, 8);
 *                    0: not for this many samples
 * v * TILE_OUTPUTS_v and r * ROW_PANELS_r * PANEL / LANES accumulators must fit into the
 * registers beside the operands, and should be at least 8: a fused multiply-add takes 4 cycles, and
 * two may start in each.
 */
#include <stdint.h>
#include <string.h>

#include "../contract.h"

#if !defined(NN_DOUBLE) || !defined(NN_TABLE) || !defined(NN_ISA) || !defined(TILE_VECTORS) || \
    !defined(TILE_OUTPUTS_1) || !defined(TILE_GROUPS) || !defined(WIDE_GROUPS) ||             \
    !defined(BLOCK_BYTES) || !defined(ROW_PANELS_1) || !defined(ROW_PANELS_8)
#error "an instance defines the parameters listed at the top of real.h"
#endif

#if NN_DOUBLE
typedef double REAL;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#define SQRT_HALF 0x1.6a09e667f3bcdp-1
#else
typedef float REAL;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#define SQRT_HALF 0x1.6a09e6p-1f
#endif

#define PANEL (NN_LINE_BYTES / (int)sizeof(REAL))
#define NN_INLINE static inline __attribute__((always_inline))
#define NN_VERB NN_INLINE NN_TARGET
