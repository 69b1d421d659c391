/* The tuning of an instruction set, and the bounds that the templates rely on.
 *
 * Every vec_*.h defines:
 *   the verbs        the functions on vectors that vec_scalar.h explains
 *   NN_TARGET        the attribute that lets a function use these instructions; not defined if the
 *                    target of this compilation does not have them
 *   LANES            the elements of a vector, a power of two up to 16
 *   REGISTERS        how many vectors the registers hold
 *   TILE_VECTORS     the most vectors of samples for which the tile kernel holds sums in registers,
 *                    1 to 3: a group of vectors
 *   TILE_OUTPUTS_v   the most outputs for which it holds the sums of v vectors, v = 1 ..
 *                    TILE_VECTORS, up to 16
 *   TILE_WHOLE_1     1 if it also holds the sums of one vector for all 16 outputs of a panel of
 *                    floats. With one vector, each multiply-add loads a weight: 8 outputs take 11
 *                    loads a line, the input's and that of the list among them, 16 take 19. Loads
 *                    are the limit where a CPU begins two of them and two multiply-adds in each
 *                    cycle. The cases of 9 to 15 outputs would be code for the last panel only
 *   TILE_GROUPS      the groups of vectors in a tile
 *   WIDE_GROUPS      the same if the weights of the network exceed wide_bytes (nn_costs)
 *   BLOCK_BYTES      the bytes of a tile that the kernel works on at a time. Where the kernel
 *                    reads few bytes of the tile for each multiply-add, that is a part of the
 *                    second-level cache, else a part of the first-level cache
 *   ROW_PANELS_r     the most panels for which the row kernel holds the sums of r samples in
 *                    registers, r = 1, 2, 4, 8; 0 if there are too few registers, and then also for
 *                    all larger r. 8 samples are then twice 4
 *   WIDEN_VECTORS    up to so many vectors of samples the tile kernel widens narrow weights in
 *                    registers, each line for WIDEN_SAMPLES samples; for more, in memory
 *   SLOW_SUBNORMALS  1 if there are CPUs with these instructions that take many steps for an
 *                    operation on subnormal numbers
 *   COSTS            an initialiser of nn_costs, which contract.h explains
 *
 * The tile kernel has v * TILE_OUTPUTS_v vectors of sums, the row kernel r * ROW_PANELS_r * PANEL /
 * LANES. They must fit into the registers together with the operands. There should be at least 8 of
 * them, because a fused multiply-add takes 4 cycles, and two of them can start in each cycle. */
#if !defined(LANES) || !defined(REGISTERS) || !defined(TILE_VECTORS) ||                           \
    !defined(TILE_OUTPUTS_1) || !defined(TILE_WHOLE_1) || !defined(TILE_GROUPS) ||                \
    !defined(WIDE_GROUPS) || !defined(BLOCK_BYTES) || !defined(ROW_PANELS_1) ||                   \
    !defined(ROW_PANELS_2) || !defined(ROW_PANELS_4) || !defined(ROW_PANELS_8) ||                 \
    !defined(WIDEN_VECTORS) || !defined(WIDEN_SAMPLES) || !defined(SLOW_SUBNORMALS) ||            \
    !defined(COSTS)
#error "a vec_*.h defines what is listed at the top of tuning.tpl.h"
#endif

enum { WIDE = PANEL / LANES }; /* the vectors in a line of a panel */

/* 16, because vtranspose_bytes takes 16 columns, lists of indices have room for 16 more entries,
 * and loops over the lanes are unrolled up to 16 times. */
_Static_assert(LANES <= 16 && (LANES & (LANES - 1)) == 0, "LANES is a power of two up to 16");
_Static_assert(WIDE * LANES == PANEL, "a panel is whole vectors wide");

/* Tiles: tile.tpl.h. The sums of tile_block are in an array for TILE_OUTPUTS_1 outputs and
 * TILE_VECTORS vectors. */
#define NN_TILE_FITS(vectors, outputs)                                                            \
    _Static_assert((outputs) >= 1 && (outputs) <= 16, "there are cases for 1 to 16 outputs");     \
    _Static_assert((vectors) * (outputs) <= TILE_VECTORS * TILE_OUTPUTS_1,                        \
                   "the sums of a tile fit into their array");                                    \
    _Static_assert((vectors) * (outputs) + (vectors) + 1 <= REGISTERS,                            \
                   "sums, inputs and a weight fit into the registers");
_Static_assert(TILE_VECTORS >= 1 && TILE_VECTORS <= 3, "there are cases for 1 to 3 vectors");
NN_TILE_FITS(1, TILE_OUTPUTS_1)
#if TILE_WHOLE_1
NN_TILE_FITS(1, 16)
_Static_assert(PANEL == 16 && TILE_OUTPUTS_1 < 16, "the 16 outputs of a panel are one more case");
#endif
#if TILE_VECTORS >= 2
NN_TILE_FITS(2, TILE_OUTPUTS_2)
#else
#define TILE_OUTPUTS_2 TILE_OUTPUTS_1 /* there are no groups of two vectors */
#endif
#if TILE_VECTORS >= 3
NN_TILE_FITS(3, TILE_OUTPUTS_3)
#else
#define TILE_OUTPUTS_3 TILE_OUTPUTS_2
#endif
_Static_assert(TILE_GROUPS >= 1 && WIDE_GROUPS >= TILE_GROUPS, "a wide tile is no narrower");
_Static_assert(TILE_VECTORS * WIDE_GROUPS * LANES <= NN_MOST_SAMPLES,
               "a tile has at most NN_MOST_SAMPLES samples");
_Static_assert(BLOCK_BYTES >= NN_MOST_SAMPLES * (int)sizeof(REAL),
               "a block of a tile has at least one line");

/* Rows: row.tpl.h and sparse.tpl.h. */
enum {
    ROW_SUMS = 24,   /* the vectors in the arrays of row_block, for sums and for weights */
    SPARSE_SUMS = 16 /* the vectors in the array of sparse_block, for the sums of one sample */
};
#define NN_ROWS_FIT(rows, panels)                                                                 \
    _Static_assert((panels) >= 0 && (panels) <= 16, "there are cases for up to 16 panels");       \
    _Static_assert((rows) * (panels) * WIDE <= ROW_SUMS,                                          \
                   "the sums of rows fit into their array");                                      \
    _Static_assert((rows) == 1 || ((rows) + 1) * (panels) * WIDE + 1 <= REGISTERS,                \
                   "sums, weights and an input fit into the registers");
NN_ROWS_FIT(1, ROW_PANELS_1)
NN_ROWS_FIT(2, ROW_PANELS_2)
NN_ROWS_FIT(4, ROW_PANELS_4)
NN_ROWS_FIT(8, ROW_PANELS_8)
_Static_assert(ROW_PANELS_1 >= 1 && ROW_PANELS_1 * WIDE <= REGISTERS &&
                   ROW_PANELS_1 * WIDE <= SPARSE_SUMS,
               "the sums of one row fit into the registers and into their array");
_Static_assert((ROW_PANELS_2 || !ROW_PANELS_4) && (ROW_PANELS_4 || !ROW_PANELS_8),
               "a kernel for 8 rows needs those for 4 and 2, one for 4 that for 2");

/* Narrow weights: narrow_tile.tpl.h. */
#if !NN_DOUBLE
_Static_assert(LANES % WIDEN_SAMPLES == 0, "a vector of samples is done without a rest");
NN_ROWS_FIT(WIDEN_SAMPLES, 1)
#endif
