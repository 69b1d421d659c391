/* What an instruction set says about itself beside its verbs, and the bounds that the templates
 * rely on.
 *
 * Every vec_*.h defines:
 *   NN_TARGET        the attribute that gives a function these instructions; not defined where the
 *                    target of this compilation has none of them
 *   LANES            elements of a vector
 *   TILE_VECTORS     vectors of samples that the tile kernel holds in registers, 1 to 3
 *   TILE_OUTPUTS_v   outputs that it holds for v of them, v = 1 .. TILE_VECTORS, falling with v
 *   TILE_GROUPS      such groups of vectors in a tile
 *   WIDE_GROUPS      the same for networks whose weights do not fit the second-level cache
 *   BLOCK_BYTES      bytes of a tile that are worked on at a time: a good part of that cache
 *   ROW_PANELS_r     panels that the row kernel holds in registers for r samples, r = 1, 2, 4, 8;
 *                    0 where it does not take so many samples, and then for all larger r too
 *
 * v * TILE_OUTPUTS_v and r * ROW_PANELS_r * PANEL / LANES accumulators must fit into the registers
 * beside the operands. They should be at least 8: a fused multiply-add takes 4 cycles, and two can
 * start in each cycle.
 */
#if !defined(LANES) || !defined(TILE_VECTORS) || !defined(TILE_OUTPUTS_1) ||                      \
    !defined(TILE_GROUPS) || !defined(WIDE_GROUPS) || !defined(BLOCK_BYTES) ||                    \
    !defined(ROW_PANELS_1) || !defined(ROW_PANELS_2) || !defined(ROW_PANELS_4) ||                 \
    !defined(ROW_PANELS_8)
#error "a vec_*.h defines what is listed at the top of tuning.tpl.h"
#endif
