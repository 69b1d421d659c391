/* What an instruction set says about itself beside its verbs, and the bounds that the templates
 * rely on.
 *
 * Every vec_*.h defines:
 *   NN_TARGET        the attribute that gives a function these instructions; not defined where the
 *                    target of this compilation has none of them
 *   LANES            elements of a vector, a power of two up to 16
 *   REGISTERS        vectors that the registers hold
 *   TILE_VECTORS     vectors of samples that the tile kernel holds in registers, 1 to 3
 *   TILE_OUTPUTS_v   outputs that it holds for v of them, v = 1 .. TILE_VECTORS, up to 16
 *   TILE_GROUPS      such groups of vectors in a tile
 *   WIDE_GROUPS      the same where the weights of the network exceed wide_bytes (nn_costs)
 *   BLOCK_BYTES      bytes of a tile that are worked on at a time: a good part of the second-level
 *                    cache
 *   ROW_PANELS_r     panels that the row kernel holds in registers for r samples, r = 1, 2, 4, 8;
 *                    0 where it does not take so many samples, and then for all larger r too
 *   COSTS            an initialiser of nn_costs, which contract.h explains
 *
 * The sums of the tile kernel are v * TILE_OUTPUTS_v vectors, those of the row kernel r *
 * ROW_PANELS_r * PANEL / LANES. They must fit into the registers beside the operands, and should be
 * at least 8: a fused multiply-add takes 4 cycles, and two can start in each cycle. */
#if !defined(LANES) || !defined(REGISTERS) || !defined(TILE_VECTORS) ||                           \
    !defined(TILE_OUTPUTS_1) || !defined(TILE_GROUPS) || !defined(WIDE_GROUPS) ||                 \
    !defined(BLOCK_BYTES) || !defined(ROW_PANELS_1) || !defined(ROW_PANELS_2) ||                  \
    !defined(ROW_PANELS_4) || !defined(ROW_PANELS_8) || !defined(COSTS)
#error "a vec_*.h defines what is listed at the top of tuning.tpl.h"
#endif

enum { WIDE = PANEL / LANES }; /* vectors in a line of a panel */

/* vtranspose_bytes takes 16 columns, a list of indices has room for 16 more, loops over the lanes are
 * unrolled 16 times. */
_Static_assert(LANES <= 16 && (LANES & (LANES - 1)) == 0, "LANES is a power of two up to 16");
_Static_assert(WIDE * LANES == PANEL, "a panel is whole vectors wide");

/* A tile: tile.tpl.h. Its sums are in an array for TILE_OUTPUTS_1 outputs and TILE_VECTORS vectors. */
#define NN_TILE_FITS(vectors, outputs)                                                            \
    _Static_assert((outputs) >= 1 && (outputs) <= 16, "there are cases for 1 to 16 outputs");     \
    _Static_assert((vectors) * (outputs) <= TILE_VECTORS * TILE_OUTPUTS_1,                        \
                   "the sums of a tile fit into their array");                                    \
    _Static_assert((vectors) * (outputs) + (vectors) + 1 <= REGISTERS,                            \
                   "sums, inputs and a weight fit into the registers");
_Static_assert(TILE_VECTORS >= 1 && TILE_VECTORS <= 3, "there are cases for 1 to 3 vectors");
NN_TILE_FITS(1, TILE_OUTPUTS_1)
#if TILE_VECTORS >= 2
NN_TILE_FITS(2, TILE_OUTPUTS_2)
#endif
#if TILE_VECTORS >= 3
NN_TILE_FITS(3, TILE_OUTPUTS_3)
#endif
_Static_assert(TILE_GROUPS >= 1 && WIDE_GROUPS >= TILE_GROUPS, "a wide tile is no narrower");
_Static_assert(TILE_VECTORS * WIDE_GROUPS * LANES <= NN_MOST_SAMPLES,
               "a tile has at most NN_MOST_SAMPLES samples");
_Static_assert(BLOCK_BYTES >= NN_MOST_SAMPLES * (int)sizeof(REAL),
               "a block of a tile has at least one line");

/* Rows: row.tpl.h and sparse.tpl.h. */
enum {
    ROW_SUMS = 24,   /* vectors in an array of the row kernel's sums, and in one of its weights */
    SPARSE_SUMS = 16 /* in one of the sparse kernel's, which takes one sample */
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
