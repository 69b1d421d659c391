/* The sums of eight bits by tiles: 16 samples by 16 outputs. A step of the groups of 16 samples is a
 * tile as it lies in memory, and so are the weights of a panel for a step. */

enum { TILE_ROWS = 16, MOST_ROWS_TOGETHER = 128, GROUP_BYTES = NN_INT8_GROUP_INPUTS };

/* What does not fill tiles is left to AVX-512. */
extern const nn_int8_kernels nn_int8__avx512vnni;

/* The shape of a tile is part of the state of a thread. The tiles are released before the kernel
 * returns, so other code in the process finds them as if nobody had used them. */
typedef struct tile_settings {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_of_row[16];
    uint8_t rows[16];
} tile_settings;

static NN_TARGET void shape_tiles(ptrdiff_t step_groups)
{
    tile_settings settings = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        settings.rows[tile] = (uint8_t)(tile < 6 ? TILE_ROWS : step_groups);
        settings.bytes_of_row[tile] = (uint16_t)(tile / 2 == 2 ? 4 * step_groups : 64);
    }
    tile_configure(&settings);
}

/* Sums of whole numbers -> z, for one tile. */
static NN_TARGET void finish_tile(const int32_t *sums, const char *panel, float *z, ptrdiff_t ldz)
{
    const isum start = load_sums(panel);
    for (int r = 0; r < TILE_ROWS; r++)
        store_scaled(add_sums(start, load_sums((const char *)(sums + r * 16))),
                     panel + NN_LINE_BYTES, panel + 2 * NN_LINE_BYTES, z + r * ldz);
}

/* What all blocks of a layer have in common. The last step of the groups may be longer than what is
 * left of a row: it is then taken from `rest`, where rows are 64 bytes long. */
typedef struct tile_layer {
    ptrdiff_t steps, step_groups, apart, ldx, ldz;
    const uint8_t *rest; /* or NULL */
} tile_layer;

/* 16 or 32 samples from number `first` on by one or two panels; both sizes are constants. */
NN_VERB void tile_block(const tile_layer *layer, const char *panel, const uint8_t *x,
                        ptrdiff_t first, float *z, const int row_tiles, const int panel_tiles)
{
    int32_t sums[4][TILE_ROWS * 16];
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (ptrdiff_t step = 0; step < layer->steps; step++) {
        const char *weights
            = panel + NN_INT8_HEAD_BYTES + step * layer->step_groups * NN_LINE_BYTES;
        const uint8_t *from = x + first * layer->ldx + step * layer->step_groups * GROUP_BYTES;
        ptrdiff_t rows_apart = layer->ldx;
        if (layer->rest && step == layer->steps - 1) {
            from = layer->rest + first * 64;
            rows_apart = 64;
        }
        tile_load(6, weights, NN_LINE_BYTES);
        if (panel_tiles == 2)
            tile_load(7, weights + layer->apart, NN_LINE_BYTES);
        tile_load(4, from, rows_apart);
        tile_multiply(0, 4, 6);
        if (panel_tiles == 2)
            tile_multiply(1, 4, 7);
        if (row_tiles == 2) {
            tile_load(5, from + TILE_ROWS * rows_apart, rows_apart);
            tile_multiply(2, 5, 6);
            if (panel_tiles == 2)
                tile_multiply(3, 5, 7);
        }
    }
    tile_store(0, sums[0], 64);
    tile_store(1, sums[1], 64);
    tile_store(2, sums[2], 64);
    tile_store(3, sums[3], 64);
    for (int r = 0; r < row_tiles; r++)
        for (int p = 0; p < panel_tiles; p++)
            finish_tile(sums[2 * r + p], panel + p * layer->apart,
                        z + (first + r * TILE_ROWS) * layer->ldz + p * 16, layer->ldz);
}

NN_VERB void tile_rows(const tile_layer *layer, const char *panel, const uint8_t *x,
                       ptrdiff_t rows, float *z, const int panel_tiles)
{
    ptrdiff_t first = 0;
    for (; first + 2 * TILE_ROWS <= rows; first += 2 * TILE_ROWS)
        tile_block(layer, panel, x, first, z, 2, panel_tiles);
    if (first < rows)
        tile_block(layer, panel, x, first, z, 1, panel_tiles);
}

/* Up to MOST_ROWS_TOGETHER samples, which fill tiles. Panels outside, samples inside: the weights
 * of two panels serve all of them from the cache. */
static NN_TARGET void together(const nn_int8_layer *layer, tile_layer *tiles, const uint8_t *x,
                               ptrdiff_t rows, float *z)
{
    const ptrdiff_t panels = nn_int8_panel_count(layer->m);
    const ptrdiff_t before = (tiles->steps - 1) * tiles->step_groups * GROUP_BYTES;
    const ptrdiff_t left = nn_int8_groups(layer->k) * GROUP_BYTES - before;
    uint8_t rest[MOST_ROWS_TOGETHER * 64]; /* what stands after the groups meets weights of 0 */
    tiles->rest = NULL;
    if (left < tiles->step_groups * GROUP_BYTES) {
        for (ptrdiff_t r = 0; r < rows; r++)
            memcpy(rest + r * 64, x + r * tiles->ldx + before, (size_t)left);
        tiles->rest = rest;
    }
    for (ptrdiff_t p = 0; p + 2 <= panels; p += 2)
        tile_rows(tiles, layer->panels + p * tiles->apart, x, rows, z + p * 16, 2);
    if (panels % 2)
        tile_rows(tiles, layer->panels + (panels - 1) * tiles->apart, x, rows,
                  z + (panels - 1) * 16, 1);
}

static NN_TARGET void int8_sums(const nn_int8_layer *layer, const uint8_t *x, ptrdiff_t ldx,
                                ptrdiff_t rows, const int32_t *index, ptrdiff_t count, float *z,
                                ptrdiff_t ldz)
{
    tile_layer tiles = {.steps = nn_int8_steps(layer->k),
                        .step_groups = nn_int8_step_groups(layer->k),
                        .apart = nn_int8_panel_bytes(layer->k),
                        .ldx = ldx,
                        .ldz = ldz};
    if (rows >= TILE_ROWS) {
        shape_tiles(tiles.step_groups);
        while (rows >= TILE_ROWS) {
            const ptrdiff_t most = rows < MOST_ROWS_TOGETHER ? rows : MOST_ROWS_TOGETHER;
            const ptrdiff_t taken = most / TILE_ROWS * TILE_ROWS;
            together(layer, &tiles, x, taken, z);
            x += taken * ldx;
            z += taken * ldz;
            rows -= taken;
        }
        tile_release();
    }
    if (rows > 0)
        nn_int8__avx512vnni.sums(layer, x, ldx, rows, index, count, z, ldz);
}

static NN_TARGET ptrdiff_t find_groups(const uint8_t *x, ptrdiff_t groups, int32_t *index)
{
    return nn_int8__avx512vnni.find_groups(x, groups, index);
}

static NN_TARGET int to_codes(const float *x, ptrdiff_t n, float inverse, float zero,
                              uint8_t *codes)
{
    return nn_int8__avx512vnni.to_codes(x, n, inverse, zero, codes);
}

static NN_TARGET double int8_probe(ptrdiff_t rounds, void *result)
{
    int32_t sums[TILE_ROWS * 16];
    static const uint8_t numbers[64 * TILE_ROWS] = {1, 2, 3};
    shape_tiles(NN_INT8_STEP_GROUPS);
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    tile_load(4, numbers, 64);
    tile_load(6, numbers, 64);
    for (ptrdiff_t i = 0; i < rounds; i++) {
        tile_multiply(0, 4, 6);
        tile_multiply(1, 4, 6);
        tile_multiply(2, 4, 6);
        tile_multiply(3, 4, 6);
    }
    tile_store(0, sums, 64);
    tile_release();
    memcpy(result, sums, sizeof(float));
    return (double)rounds * 4 * TILE_ROWS * 16 * 64;
}

extern const nn_int8_kernels nn_int8__amx; /* dispatch.c declares it as well */
const nn_int8_kernels nn_int8__amx = {
    .name = "amx",
    .dense_from = TILE_ROWS,
    .sums = int8_sums,
    .find_groups = find_groups,
    .to_codes = to_codes,
    .probe = int8_probe,
};
