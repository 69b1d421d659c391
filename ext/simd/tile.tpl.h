/* The tile kernel: a batch, with the lanes over the samples.
 *
 * The samples are transposed once, when they are packed, and stay transposed until the last layer
 * is written. So no layer is too narrow to fill the lanes, each weight is broadcast to all lanes,
 * and the activations never leave the cache. If a layer has many inputs, the kernel works on
 * BLOCK_BYTES of the tile at a time. The lines of such a block stay in the cache while the kernel
 * goes through many outputs; the sums that are not complete yet stand in y. */

/* What pack_tile reads: REALs, or bytes that become REALs in vectors. All other samples are
 * converted to REALs first, COLUMNS columns of one vector of samples at a time, in memory that
 * stays in the first-level cache. */
enum { FROM_REALS, FROM_BYTES };
enum { COLUMNS = 64 };
_Static_assert(COLUMNS % LANES == 0 && COLUMNS % 16 == 0, "columns are packed in whole vectors");

#if NN_DOUBLE
NN_MATH vec scaled(vec bytes, const nn_source *x) { return vmul(bytes, vset1(x->scale)); }
#else
NN_MATH vec scaled(vec bytes, const nn_source *x)
{
    return vfma(bytes, vset1(x->scale_high), vmul(bytes, vset1(x->scale_low)));
}
#endif

/* The elements of one row from column c on: a vector of them, or as many as are readable. */
NN_MATH vec load_elements(const int kind, const char *row, int c, int readable)
{
    if (kind == FROM_BYTES)
        return vload_bytes((const uint8_t *)row + c);
    if (readable - c >= LANES)
        return vload((const REAL *)row + c);
    return vload_first((const REAL *)row + c, readable - c, vset1(0));
}

/* COLUMNS columns of `samples` samples, of which the first `readable` may be read -> used[s]: the
 * bits of the elements of sample s that are not zero, among those columns whose bit is set in
 * `columns`. Returns all used[s] joined by `or`. */
NN_MATH uint64_t used_elements(const int kind, const char *const *from, int samples, int readable,
                               uint64_t columns, uint64_t *used)
{
    uint64_t any = 0;
    for (int s = 0; s < samples; s++) {
        uint64_t bits = 0;
        for (int c = 0; c < readable; c += LANES)
            bits |= (uint64_t)vnonzero(load_elements(kind, from[s], c, readable)) << c;
        any |= used[s] = bits & columns;
    }
    return any;
}

/* The same for all samples at once. Where most numbers are not zero, few samples tell. */
NN_MATH uint64_t used_columns(const int kind, const char *const *from, int samples, int readable)
{
    uint64_t used = 0;
    if (kind == FROM_BYTES) {
        uint64_t word, words[COLUMNS / 8] = {0};
        uint8_t any[COLUMNS];
        for (int s = 0; s < samples; s++)
            NN_UNROLL(8)
            for (int i = 0; i < COLUMNS / 8; i++) {
                memcpy(&word, from[s] + i * 8, 8);
                words[i] |= word;
            }
        memcpy(any, words, sizeof any);
        for (int c = 0; c < COLUMNS; c += LANES)
            used |= (uint64_t)vnonzero(vload_bytes(any + c)) << c;
    } else {
        const uint64_t all = (UINT64_C(1) << LANES) - 1;
        for (int c = 0; c < readable; c += LANES) {
            uint64_t bits = 0;
            for (int s = 0; s < samples && bits != all; s += 8) {
                const int end = s + 8 < samples ? s + 8 : samples;
                vec any = vset1(0);
                for (int i = s; i < end; i++)
                    any = vor(any, load_elements(kind, from[i], c, readable));
                bits |= vnonzero(any);
            }
            used |= bits << c;
        }
    }
    return used;
}

/* One vector of samples, from element `at` of their rows on -> 16 lines (pack_bytes) or LANES lines
 * (pack_reals). */
NN_MATH void pack_bytes(const nn_source *x, const char *const *from, ptrdiff_t at, REAL *lines,
                        ptrdiff_t width)
{
    uint8_t columns[16 * LANES];
    vtranspose_bytes(from, at, columns);
    NN_UNROLL(16)
    for (int i = 0; i < 16; i++) {
        vec bytes = vload_bytes(columns + i * LANES);
        vstore(lines + i * width, x->preprocess ? scaled(bytes, x) : bytes);
    }
}

NN_MATH void pack_reals(const char *const *from, ptrdiff_t at, REAL *lines, ptrdiff_t width)
{
    vec square[LANES];
    vload_transposed(from, at, square);
    NN_UNROLL(16)
    for (int i = 0; i < LANES; i++)
        vstore(lines + i * width, square[i]);
}

/* The same for the last columns, of which only the first `readable` may be read. */
NN_MATH void pack_last(const char *const *from, ptrdiff_t at, int readable, REAL *lines,
                       ptrdiff_t width)
{
    REAL copies[LANES][LANES];
    const char *rows[LANES];
    for (int s = 0; s < LANES; s++) {
        rows[s] = (const char *)copies[s];
        vstore(copies[s], vload_first((const REAL *)from[s] + at, readable, vset1(0)));
    }
    pack_reals(rows, 0, lines, width);
}

/* COLUMNS columns of `vectors` vectors of samples -> lines, `width` apart. The lines of columns
 * whose bit is set in `used` are written; others may be. */
NN_MATH void pack_columns(const int kind, const nn_source *x, const char *const *from,
                          int readable, uint64_t used, int vectors, REAL *lines, ptrdiff_t width)
{
    const int together = kind == FROM_BYTES ? 16 : LANES;
    for (int v = 0; v < vectors; v++, from += LANES, lines += LANES)
        for (int c = 0; c < COLUMNS; c += together) {
            if (!(used >> c & (~UINT64_C(0) >> (64 - together))))
                continue;
            if (kind == FROM_BYTES)
                pack_bytes(x, from, c, lines + c * width, width);
            else if (readable - c < LANES)
                pack_last(from, c, readable - c, lines + c * width, width);
            else
                pack_reals(from, c, lines + c * width, width);
        }
}

/* The functions above for one kind of samples. They are called once for each block of columns: when
 * they were inlined, the compiler made 15 kB of pack_tile. */
typedef struct packing {
    ptrdiff_t size; /* of an element, in bytes */
    uint64_t (*used_elements)(const char *const *from, int samples, int readable,
                              uint64_t columns, uint64_t *used);
    uint64_t (*used_columns)(const char *const *from, int samples, int readable);
    void (*pack_columns)(const nn_source *x, const char *const *from, int readable, uint64_t used,
                         int vectors, REAL *lines, ptrdiff_t width);
} packing;

#define NN_PACKING(name, kind, bytes)                                                             \
    static NN_TARGET uint64_t used_elements_##name(const char *const *from, int samples,          \
                                                   int readable, uint64_t columns,                \
                                                   uint64_t *used)                                \
    {                                                                                             \
        return used_elements(kind, from, samples, readable, columns, used);                       \
    }                                                                                             \
    static NN_TARGET uint64_t used_columns_##name(const char *const *from, int samples,           \
                                                  int readable)                                   \
    {                                                                                             \
        return used_columns(kind, from, samples, readable);                                       \
    }                                                                                             \
    static NN_TARGET void pack_columns_##name(const nn_source *x, const char *const *from,        \
                                              int readable, uint64_t used, int vectors,           \
                                              REAL *lines, ptrdiff_t width)                       \
    {                                                                                             \
        pack_columns(kind, x, from, readable, used, vectors, lines, width);                       \
    }                                                                                             \
    static const packing name = {bytes, used_elements_##name, used_columns_##name,                \
                                 pack_columns_##name};
NN_PACKING(from_reals, FROM_REALS, sizeof(REAL))
NN_PACKING(from_bytes, FROM_BYTES, 1)

/* The row of the source that holds sample i of the call. */
NN_MATH ptrdiff_t row_of(const nn_source *x, ptrdiff_t i)
{
    return x->order ? (ptrdiff_t)x->order[i] : i;
}

/* Whether COLUMNS columns may be read at `place`, from where on the row has `columns` columns. */
NN_MATH int may_read_whole(const packing *how, const nn_source *x, const char *place,
                           ptrdiff_t columns)
{
    return columns == COLUMNS ||
           (x->gapless_end && x->gapless_end - place >= COLUMNS * how->size);
}

/* Up to COLUMNS columns of all samples -> their lines, one vector of samples after the other. This
 * is for samples that cannot all be read without a copy. Returns the columns in which any sample is
 * not zero, like used_columns. If `used` is not NULL, it is filled as by used_elements. */
static NN_TARGET uint64_t pack_converted(const packing *how, int in_place, const nn_source *x,
                                         ptrdiff_t first, int samples, ptrdiff_t start,
                                         ptrdiff_t columns, int vectors, REAL *lines,
                                         ptrdiff_t width, uint64_t *used)
{
    REAL converted[LANES][COLUMNS] __attribute__((aligned(64)));
    const char *from[LANES];
    const uint64_t all = ~UINT64_C(0) >> (COLUMNS - columns);
    uint64_t any = 0;
    for (int v = 0; v < vectors; v++) {
        const int here = samples - v * LANES < LANES ? samples - v * LANES : LANES;
        for (int s = 0; s < LANES; s++) {
            from[s] = (const char *)converted[s];
            if (columns < COLUMNS || s >= here)
                memset(converted[s], 0, sizeof converted[s]);
            if (s >= here)
                continue;
            const ptrdiff_t row = row_of(x, first + v * LANES + s);
            const char *place = x->data + row * x->row_stride + start * x->column_stride;
            if (!in_place)
                load_columns(x, row, start, columns, converted[s]);
            else if (may_read_whole(how, x, place, columns))
                from[s] = place;
            else
                memcpy(converted[s], place, (size_t)(columns * x->column_stride));
        }
        if (used)
            any |= how->used_elements(from, here, COLUMNS, all, used + v * LANES);
        else
            any |= how->used_columns(from, here, COLUMNS) & all;
        how->pack_columns(x, from, COLUMNS, all, 1, lines + v * LANES, width);
    }
    return any;
}

static NN_TARGET ptrdiff_t pack_tile(const nn_source *x, ptrdiff_t first, int samples, ptrdiff_t k,
                                     int skip, int vectors, void *tile_, ptrdiff_t width,
                                     int32_t *index, nn_elements *elements)
{
    static const REAL nothing[COLUMNS]; /* the zeros of lanes without a sample */
    const int bytes = is_bytes(x), no_copies = bytes || is_real(x);
    const packing *how = bytes ? &from_bytes : &from_reals;
    const char *from[NN_MOST_SAMPLES];
    REAL *tile = tile_;
    ptrdiff_t count = 0;
    for (int s = samples; s < vectors * LANES; s++)
        from[s] = (const char *)nothing;
    for (ptrdiff_t start = 0; start < k; start += COLUMNS) {
        const ptrdiff_t columns = k - start < COLUMNS ? k - start : COLUMNS;
        const uint64_t all = ~UINT64_C(0) >> (COLUMNS - columns);
        uint64_t *elements_used = elements ? *elements++ : NULL, used = all;
        const char *highest = x->data;
        for (int s = 0; s < samples && no_copies; s++) {
            from[s] = x->data + row_of(x, first + s) * x->row_stride + start * x->column_stride;
            highest = s == 0 || from[s] > highest ? from[s] : highest;
        }
        const int readable = may_read_whole(how, x, highest, columns) ? COLUMNS : (int)columns;
        if (!no_copies || (bytes && readable < COLUMNS)) {
            const uint64_t any = pack_converted(how, no_copies, x, first, samples, start, columns,
                                                vectors, tile + start * width, width,
                                                elements_used);
            used = skip ? any : all;
        } else {
            if (elements_used) {
                const uint64_t any = how->used_elements(from, samples, readable, all,
                                                        elements_used);
                used = skip ? any : all;
            } else if (skip)
                used &= how->used_columns(from, samples, readable);
            if (used)
                how->pack_columns(x, from, readable, used, vectors, tile + start * width, width);
        }
        for (int c = 0; c < COLUMNS && used; c += LANES) {
            const unsigned bits = (unsigned)(used >> c) & ((1u << LANES) - 1);
            if (bits)
                count += vstore_indices(index + count, bits, (int32_t)(start + c));
        }
    }
    return count;
}

/* The three steps of a block: sums of `outputs` outputs for `vectors` vectors, from the biases or
 * from what y holds; the products of one line of inputs and one of weights; the sums to y, where
 * `last` says that they are complete. relu is one instruction, so it is done in the register. */
NN_MATH void begin_sums(const int outputs, const int vectors, const REAL *bias, const REAL *y,
                        ptrdiff_t width, int first, vec *sum)
{
    NN_UNROLL(16)
    for (int o = 0; o < outputs; o++)
        NN_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[o * vectors + v] = first ? vset1(bias[o]) : vload(y + o * width + v * LANES);
}

NN_MATH void add_products(const int outputs, const int vectors, const REAL *weights,
                          const REAL *inputs, vec *sum)
{
    vec input[TILE_VECTORS];
    NN_UNROLL(4)
    for (int v = 0; v < vectors; v++)
        input[v] = vload(inputs + v * LANES);
    NN_UNROLL(16)
    for (int o = 0; o < outputs; o++) {
        vec weight = vset1(weights[o]);
        NN_UNROLL(4)
        for (int v = 0; v < vectors; v++)
            sum[o * vectors + v] = vfma(input[v], weight, sum[o * vectors + v]);
    }
}

NN_MATH void end_sums(const int outputs, const int vectors, const nn_layer *layer, const vec *sum,
                      REAL *y, ptrdiff_t width, int last)
{
    const int relu = layer->activation == NN_relu;
    NN_UNROLL(16)
    for (int o = 0; o < outputs; o++)
        NN_UNROLL(4)
        for (int v = 0; v < vectors; v++) {
            vec s = sum[o * vectors + v];
            if (last) {
                s = vadd(s, vset1(0));
                s = relu ? relu_of(s) : s;
            }
            vstore(y + o * width + v * LANES, s);
        }
}

/* Lines x (k, x_width), of which the `count` in index are used, and the weights of `outputs`
 * neighbouring outputs -> `vectors` vectors of the lines y (outputs, width).
 * first: the sums start at the biases, else at what y holds. last: the sums are complete. With each
 * line of weights, the memory `fetched` bytes further is fetched into the second-level cache. */
NN_MATH void tile_block(const int outputs, const int vectors, const nn_layer *layer,
                        const REAL *bias, const REAL *w, const REAL *x, ptrdiff_t x_width,
                        const int32_t *index, ptrdiff_t count, REAL *y, ptrdiff_t width, int first,
                        int last, ptrdiff_t fetched)
{
    vec sum[TILE_OUTPUTS_1 * TILE_VECTORS];
    begin_sums(outputs, vectors, bias, y, width, first, sum);
    for (ptrdiff_t i = 0; i < count; i++) {
        const ptrdiff_t k = index[i];
        const REAL *line = w + k * PANEL;
        __builtin_prefetch((const char *)line + fetched, 0, 2);
        add_products(outputs, vectors, line, x + k * x_width, sum);
    }
    end_sums(outputs, vectors, layer, sum, y, width, last);
}

/* What tile_block fetches: the same lines of the next panel, or samples of the next tile. Samples
 * are fetched by so many blocks that they come evenly: many fetches at once would keep the loads of
 * the next sums waiting. */
typedef struct fetching {
    ptrdiff_t next_panel; /* the bytes from a line to the same line of the next panel */
    const char *samples;  /* those not fetched yet */
    ptrdiff_t share, due; /* the bytes of samples for each block, and those that are due by now */
} fetching;

/* Return how many bytes further than each of the `count` lines of weights w in index the memory
 * stands that is to be fetched with it. */
NN_MATH ptrdiff_t place_to_fetch(fetching *next, const REAL *w, const int32_t *index,
                                 ptrdiff_t count)
{
    next->due += next->share;
    if (next->due <= 0 || count == 0)
        return next->next_panel;
    const char *samples = next->samples;
    next->samples += count * NN_LINE_BYTES;
    next->due -= count * NN_LINE_BYTES;
    return (ptrdiff_t)((uintptr_t)samples - (uintptr_t)(w + index[0] * PANEL));
}

/* How many blocks of at most `most` outputs there are of `outputs` outputs of a panel. */
NN_MATH int tile_blocks(int outputs, int most, int whole)
{
    return whole && outputs == PANEL ? 1 : (outputs + most - 1) / most;
}

#define NN_TILE_CASE(vectors, outputs)                                                            \
    case outputs:                                                                                 \
        tile_block(outputs, vectors, layer, bias, w, x, x_width, index, count, y, width, first,   \
                   last, fetched);                                                                \
        break;
#define NN_NO_CASE(vectors, outputs)
#if TILE_WHOLE_1
#define NN_WHOLE_CASE NN_TILE_CASE
#else
#define NN_WHOLE_CASE NN_NO_CASE
#endif
/* The outputs of one panel, in blocks of almost equal sizes: 10 outputs are 5 + 5, not 8 + 2. With
 * `whole`, all 16 outputs are one block, by the case WHOLE. */
#define NN_TILE_PANEL(vectors, most, whole, WHOLE)                                                \
    static NN_TARGET __attribute__((noinline)) void tile_panel_##vectors(                         \
        int left, const nn_layer *layer, const REAL *bias, const REAL *w, const REAL *x,          \
        ptrdiff_t x_width, const int32_t *index, ptrdiff_t count, REAL *y, ptrdiff_t width,       \
        int first, int last, fetching *next)                                                      \
    {                                                                                             \
        for (int blocks = tile_blocks(left, most, whole); blocks > 0; blocks--) {                 \
            const int outputs = (left + blocks - 1) / blocks;                                     \
            const ptrdiff_t fetched = place_to_fetch(next, w, index, count);                      \
            switch (outputs) {                                                                    \
                NN_CASES_UP_TO(NN_TILE_CASE, vectors, most)                                       \
                WHOLE(vectors, 16)                                                                \
            }                                                                                     \
            bias += outputs;                                                                      \
            w += outputs;                                                                         \
            y += outputs * width;                                                                 \
            left -= outputs;                                                                      \
        }                                                                                         \
    }
NN_TILE_PANEL(1, TILE_OUTPUTS_1, TILE_WHOLE_1, NN_WHOLE_CASE)
#if TILE_VECTORS >= 2
NN_TILE_PANEL(2, TILE_OUTPUTS_2, 0, NN_NO_CASE)
#endif
#if TILE_VECTORS >= 3
NN_TILE_PANEL(3, TILE_OUTPUTS_3, 0, NN_NO_CASE)
#endif

/* The same for all vectors of a tile, in groups of almost equal sizes: 4 vectors are 2 + 2. */
NN_MATH void tile_panel(int outputs, const nn_layer *layer, const REAL *bias, const REAL *w,
                        const REAL *x, ptrdiff_t x_width, int vectors, const int32_t *index,
                        ptrdiff_t count, REAL *y, int first, int last, fetching *next)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    int groups = (vectors + TILE_VECTORS - 1) / TILE_VECTORS;
    for (int left = vectors, now; left > 0; left -= now, groups--) {
        now = (left + groups - 1) / groups;
        switch (now) {
        case 1:
            tile_panel_1(outputs, layer, bias, w, x, x_width, index, count, y, width, first, last,
                         next);
            break;
#if TILE_VECTORS >= 2
        case 2:
            tile_panel_2(outputs, layer, bias, w, x, x_width, index, count, y, width, first, last,
                         next);
            break;
#endif
#if TILE_VECTORS >= 3
        case 3:
            tile_panel_3(outputs, layer, bias, w, x, x_width, index, count, y, width, first, last,
                         next);
            break;
#endif
        }
        x += now * LANES;
        y += now * LANES;
    }
}

#include "narrow_tile.tpl.h"

/* How many blocks of outputs and of vectors tile_panel makes of m outputs. */
NN_MATH ptrdiff_t blocks_of_a_layer(ptrdiff_t m, int vectors)
{
    int groups = (vectors + TILE_VECTORS - 1) / TILE_VECTORS;
    ptrdiff_t blocks = 0;
    for (int left = vectors, now; left > 0; left -= now, groups--) {
        now = (left + groups - 1) / groups;
        const int most = now == 1 ? TILE_OUTPUTS_1 : now == 2 ? TILE_OUTPUTS_2 : TILE_OUTPUTS_3;
        const int whole = now == 1 && TILE_WHOLE_1;
        blocks += m / PANEL * tile_blocks(PANEL, most, whole)
                  + tile_blocks((int)(m % PANEL), most, whole);
    }
    return blocks;
}

/* Fetch the next `lines` cache lines of the samples that come next, into the second-level cache. */
static void fetch(nn_ahead *ahead, ptrdiff_t lines)
{
    for (; lines > 0 && ahead->row < ahead->rows; lines--) {
        const ptrdiff_t row = ahead->order ? (ptrdiff_t)ahead->order[ahead->row] : ahead->row;
        __builtin_prefetch(ahead->data + row * ahead->row_stride + ahead->at, 0, 2);
        ahead->at += NN_LINE_BYTES;
        if (ahead->at >= ahead->bytes) {
            ahead->at = 0;
            ahead->row++;
        }
    }
}

/* Whether the samples that come next adjoin, or almost, so that their lines are neighbours. */
NN_MATH int adjoin(const nn_ahead *ahead)
{
    const ptrdiff_t gap = ahead->row_stride - ahead->bytes;
    return !ahead->order && gap >= 0 && gap < NN_LINE_BYTES;
}

/* The sums of so many panels stay in the second-level cache while the kernel goes through all
 * blocks of lines. */
enum { PANELS_TOGETHER = 16 };

static NN_TARGET void tile_layer(const nn_layer *layer, const void *x, ptrdiff_t x_width,
                                 const int32_t *index, ptrdiff_t count, int vectors, void *y_,
                                 nn_ahead *ahead)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES, stride = panels_apart(layer);
    const ptrdiff_t panels = panel_count(layer->m);
    /* So many turns does tile_block take, and each can fetch a line. */
    const ptrdiff_t turns = count * blocks_of_a_layer(layer->m, vectors);
    const int narrow = is_narrow(layer), in_registers = narrow && vectors <= WIDEN_VECTORS;
    const int widen = narrow && !in_registers;
    const int evenly = ahead && count == layer->k && adjoin(ahead) && !narrow &&
                       ahead->rows * ahead->row_stride <= turns * NN_LINE_BYTES;
    const ptrdiff_t line_bytes = width * (ptrdiff_t)sizeof(REAL);
    ptrdiff_t depth = (in_registers ? NARROW_BLOCK_BYTES : BLOCK_BYTES) / line_bytes;
    if (ahead && !evenly && !in_registers && depth > 96) /* more blocks: smaller portions */
        depth = 96;
    if (widen && depth > WIDENED)
        depth = WIDENED;
    const ptrdiff_t blocks = count ? (count + depth - 1) / depth : 1;
    depth = (count + blocks - 1) / blocks;
    fetching next = {.next_panel = stride * (ptrdiff_t)sizeof(REAL)};
    REAL wide[WIDENED * PANEL] __attribute__((aligned(64)));
    ptrdiff_t fetched = 0; /* the lines of samples that are fetched after each panel */
    if (evenly) {
        next.samples = ahead->data;
        next.share = ahead->rows * ahead->row_stride * depth / turns + 1;
        ahead->row = ahead->rows;
    } else if (ahead) {
        fetched = ahead->rows * (ahead->bytes / NN_LINE_BYTES + 1) / (blocks * panels) + 1;
    }
    for (ptrdiff_t from = 0, to; from < panels; from = to) {
        to = from + PANELS_TOGETHER < panels ? from + PANELS_TOGETHER : panels;
        ptrdiff_t start = 0, lines;
        do {
            lines = count - start < depth ? count - start : depth;
            while (widen && lines > 0 && index[start + lines - 1] - index[start] >= WIDENED)
                lines--;
            const int last = start + lines == count;
            for (ptrdiff_t panel = from; panel < to; panel++) {
                const ptrdiff_t left = layer->m - panel * PANEL;
                const int outputs = left < PANEL ? (int)left : PANEL;
                REAL *y = (REAL *)y_ + panel * PANEL * width;
                const REAL *bias = (const REAL *)layer->panels + panel * stride, *w = bias + PANEL;
                if (widen && lines > 0) {
                    const REAL *next_lines = line_at(1, w, index[start]) + stride;
                    next.next_panel = (ptrdiff_t)((uintptr_t)next_lines - (uintptr_t)wide);
                    widen_lines(w, index + start, lines, wide);
                    w = wide - (ptrdiff_t)index[start] * PANEL;
                }
                if (in_registers)
                    narrow_panel(layer, bias, w, x, x_width, index + start, lines, y, width,
                                 start == 0, last);
                else
                    tile_panel(outputs, layer, bias, w, x, x_width, vectors, index + start, lines,
                               y, start == 0, last, &next);
                if (last && layer->activation != NN_relu && layer->activation != NN_identity)
                    activate(layer->activation, layer->alpha, layer->beta, y, y, outputs * width);
                if (fetched)
                    fetch(ahead, fetched);
            }
            start += lines;
        } while (start < count);
    }
}

static NN_TARGET ptrdiff_t find_lines(const void *tile, ptrdiff_t m, int vectors, int32_t *index)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    const REAL *line = tile;
    ptrdiff_t count = 0;
    for (ptrdiff_t j = 0; j < m; j++, line += width) {
        vec any = vload(line);
        for (int v = 1; v < vectors; v++)
            any = vor(any, vload(line + v * LANES));
        index[count] = (int32_t)j;
        count += vnonzero(any) != 0;
    }
    return count;
}

static NN_TARGET int finite_lines(const void *tile, ptrdiff_t width, const int32_t *index,
                                  ptrdiff_t count, int vectors)
{
    vec any = vset1(0);
    for (ptrdiff_t i = 0; i < count; i++)
        for (int v = 0; v < vectors; v++) {
            const vec x = vload((const REAL *)tile + index[i] * width + v * LANES);
            any = vor(any, vsub(x, x)); /* NaN if x is not finite, else +0.0 */
        }
    return vnonzero(any) == 0;
}

static NN_TARGET void unpack_tile(const void *tile_, int vectors, int samples, ptrdiff_t m,
                                  void *out_, ptrdiff_t row_stride, ptrdiff_t column_stride)
{
    const ptrdiff_t width = (ptrdiff_t)vectors * LANES;
    const REAL *tile = tile_;
    REAL *out = out_;
    for (int v = 0; v * LANES < samples; v++) {
        const int rows = samples - v * LANES < LANES ? samples - v * LANES : LANES;
        for (ptrdiff_t j = 0; j < m; j += LANES) {
            const int columns = m - j < LANES ? (int)(m - j) : LANES;
            vec square[LANES];
            NN_UNROLL(16)
            for (int i = 0; i < LANES; i++)
                square[i] = vload(tile + (j + (i < columns ? i : 0)) * width + v * LANES);
            vtranspose(square);
            for (int s = 0; s < rows; s++) {
                REAL line[LANES];
                REAL *to = out + (v * LANES + s) * row_stride + j * column_stride;
                if (column_stride == 1) {
                    if (columns == LANES)
                        vstore(to, square[s]);
                    else
                        vstore_first(to, columns, square[s]);
                    continue;
                }
                vstore(line, square[s]);
                for (int i = 0; i < columns; i++)
                    to[i * column_stride] = line[i];
            }
        }
    }
}
