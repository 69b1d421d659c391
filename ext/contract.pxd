# The declarations of the C headers for Cython. The headers explain them.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "contract.h" nogil:
    enum: NN_MOST_SAMPLES
    ctypedef enum nn_activation:
        NN_identity
        NN_step
        NN_sigmoid
        NN_relu
        NN_softplus
        NN_softmax
        NN_log_softmax
    enum: NN_ACTIVATION_COUNT
    enum: NN_ZEROS_LIKELY
    enum: NN_SLOPE_OF_OUTPUT
    ctypedef struct nn_activation_row:
        const char *name
        double alpha
        double beta
        int traits
        const char *init
        const char *formula
        const char *slope
        const char *note
    const nn_activation_row nn_activations[]
    const char *const nn_loss_names[]
    const char *const nn_operation_names[]
    ctypedef enum nn_operation_kind:
        NN_operation_activate
        NN_operation_softmax
        NN_operation_log_softmax
        NN_operation_dense
        NN_operation_dropout
    enum: NN_OPERATION_COUNT
    const char *const nn_optimizer_names[]
    const int nn_optimizer_states[]
    const int nn_optimizer_momentum_states[]
    ctypedef enum nn_type:
        NN_float32
        NN_float64
        NN_float16
        NN_uint8
        NN_int8
        NN_uint16
        NN_int16
        NN_uint32
        NN_int32
        NN_uint64
        NN_int64
        NN_bool
    ctypedef enum nn_preprocess:
        NN_unchanged
        NN_rescale
        NN_normalize
    ctypedef struct nn_source:
        const char *data
        const char *gapless_end
        const int64_t *order
        ptrdiff_t row_stride
        ptrdiff_t column_stride
        int type
        int preprocess
        int split
        float scale_high
        float scale_low
        double scale
        double offset
        const double *mean
        const double *deviation
    ctypedef struct nn_ahead:
        const char *data
        const int64_t *order
        ptrdiff_t row_stride
        ptrdiff_t bytes
        ptrdiff_t rows
        ptrdiff_t row
        ptrdiff_t at
    ctypedef struct nn_layer:
        const void *panels
        ptrdiff_t k
        ptrdiff_t m
        int activation
        int skip_zeros
        int weights
        double alpha
        double beta
    ctypedef struct nn_operation:
        int kind
        int zeros_likely
        ptrdiff_t input_apart
        ptrdiff_t output_apart
        nn_layer layer
    ctypedef struct nn_apply:
        void (*tile)(const nn_layer *layer, const void *x, void *y, int vectors) noexcept nogil
        void (*row)(const nn_layer *layer, const void *x, void *y) noexcept nogil
        void (*backward)(const nn_layer *layer, const void *x, void *d,
                         ptrdiff_t width) noexcept nogil
    ctypedef enum nn_loss:
        NN_cross_entropy
        NN_binary_cross_entropy
        NN_mse
        NN_mae
        NN_huber
        NN_poisson
    ctypedef struct nn_targets:
        int kind
        const int32_t *labels
        const void *rows
        const void *weights
        const int64_t *order
        double smoothing
    ctypedef enum nn_optimizer:
        NN_sgd
        NN_adagrad
        NN_rmsprop
        NN_adam
        NN_adamw
    enum: NN_MOST_SETTINGS
    const char *const nn_optimizer_settings[][NN_MOST_SETTINGS + 1]
    ctypedef struct nn_update:
        int kind
        int64_t step
        double rate
        double scale
        double settings[NN_MOST_SETTINGS]
    ctypedef struct nn_pending:
        nn_update update
        void *weights
        void *first_state
        void *second_state
        int spares_zeros
    int nn_spares_zeros(const nn_pending *pending) noexcept nogil
    ctypedef struct nn_chunk:
        const void *x
        const void *delta
        ptrdiff_t width
        ptrdiff_t samples
    ctypedef uint64_t nn_elements[NN_MOST_SAMPLES]
    ctypedef struct nn_costs:
        double tile_multiply_add
        double lone_multiply_add
        double tile_value
        double row_multiply_add
        double row_input
        double row_output
        double row_load
        ptrdiff_t row_bytes
        ptrdiff_t wide_bytes
        ptrdiff_t near_bytes
        ptrdiff_t narrow_bytes
        int narrow_samples
        int memory_rows
    ctypedef struct nn_kernels:
        const char *isa
        nn_costs costs
        int lanes
        int tile_vectors
        int wide_vectors
        int row_samples
        int row_block
        void (*activate)(int activation, double alpha, double beta, const void *x, void *y,
                         ptrdiff_t n) noexcept nogil
        void (*derive)(int activation, double alpha, double beta, const void *x, void *y,
                       ptrdiff_t n) noexcept nogil
        void (*softmax)(int logarithm, const void *x, void *y, ptrdiff_t m) noexcept nogil
        void (*load_row)(const nn_source *x, ptrdiff_t row, ptrdiff_t k, void *y) noexcept nogil
        ptrdiff_t (*find_nonzero)(const void *x, ptrdiff_t ldx, int rows, ptrdiff_t k,
                                  int32_t *index) noexcept nogil
        void (*row_layer)(const nn_layer *layer, const void *x, ptrdiff_t ldx, int rows,
                          const int32_t *index, ptrdiff_t count, void *y,
                          ptrdiff_t ldy) noexcept nogil
        ptrdiff_t (*pack_tile)(const nn_source *x, ptrdiff_t first, int samples, ptrdiff_t k,
                               int skip, int vectors, void *tile, ptrdiff_t width,
                               int32_t *index, nn_elements *elements) noexcept nogil
        ptrdiff_t (*find_lines)(const void *tile, ptrdiff_t m, int vectors,
                                int32_t *index) noexcept nogil
        int (*finite_lines)(const void *tile, ptrdiff_t width, const int32_t *index,
                            ptrdiff_t count, int vectors) noexcept nogil
        void (*tile_layer)(const nn_layer *layer, const void *x, ptrdiff_t x_width,
                           const int32_t *index, ptrdiff_t count, int vectors, void *y,
                           nn_ahead *ahead) noexcept nogil
        void (*tile_softmax)(int logarithm, void *tile, ptrdiff_t m, int vectors) noexcept nogil
        void (*unpack_tile)(const void *tile, int vectors, int samples, ptrdiff_t m, void *out,
                            ptrdiff_t row_stride, ptrdiff_t column_stride) noexcept nogil
        void (*first_layer)(const nn_layer *layer, const void *x, ptrdiff_t x_width,
                            const int32_t *index, ptrdiff_t count, int samples, int vectors,
                            const nn_elements *elements, void *rows, void *y,
                            nn_ahead *ahead) noexcept nogil
        bint (*sparse_layer)(const nn_layer *layer, const nn_source *x, ptrdiff_t first,
                             int samples, int vectors, void *rows, void *y,
                             nn_ahead *ahead) noexcept nogil
        nn_apply apply[NN_OPERATION_COUNT]
        double (*total_weight)(const nn_targets *t, ptrdiff_t first,
                               ptrdiff_t samples) noexcept nogil
        ptrdiff_t (*loss)(const nn_targets *t, ptrdiff_t first, int samples, int vectors,
                          ptrdiff_t m, double total, const void *z, void *d, void *more,
                          double *losses) noexcept nogil
        void (*drop)(void *a, void *kept, ptrdiff_t m, ptrdiff_t width, double rate, uint64_t key,
                     ptrdiff_t first) noexcept nogil
        void (*multiply)(void *a, const void *b, ptrdiff_t n) noexcept nogil
        double (*sum_of_squares)(const void *x, ptrdiff_t n) noexcept nogil
        void (*clip)(void *x, ptrdiff_t n, double most) noexcept nogil
        void (*backward)(int activation, double alpha, double beta, const void *z, void *d,
                         ptrdiff_t n) noexcept nogil
        void (*weight_gradient)(const nn_layer *layer, const nn_chunk *chunk, ptrdiff_t start,
                                ptrdiff_t end, const int32_t *inputs, ptrdiff_t count,
                                int32_t *index, void *gradient,
                                const nn_pending *pending) noexcept nogil
        void (*bias_gradient)(const nn_layer *layer, const nn_chunk *chunk, void *gradient,
                              const nn_pending *pending) noexcept nogil
        void (*update)(const nn_update *u, void *weights, const void *gradient,
                       void *first_state, void *second_state, ptrdiff_t n) noexcept nogil
        double (*fma_probe)(ptrdiff_t rounds, void *result) noexcept nogil
    ctypedef struct nn_isa:
        const char *name
        const nn_kernels *f32
        const nn_kernels *f64
    const nn_isa nn_isas[]
    int nn_supported(const char *name)

cdef extern from "pool.h" nogil:
    enum: NN_MOST_THREADS
    ctypedef void nn_work(void *job, int thread) noexcept nogil
    void nn_share(nn_work *work, void *job, int helpers, int urgent)
    int nn_watch_forks()
    int nn_pool_threads()
    ctypedef struct nn_count:
        ptrdiff_t taken
        ptrdiff_t done
    ptrdiff_t nn_take(ptrdiff_t *counter)
    bint nn_claim(unsigned char *claimed)
    void nn_finish(ptrdiff_t *counter)
    int64_t nn_now()
    int64_t nn_wait(ptrdiff_t *counter, ptrdiff_t all)

cdef extern from "choice.h" nogil:
    ctypedef struct nn_choice:
        pass
    bint nn_choose(nn_choice *choice, ptrdiff_t threads, ptrdiff_t samples, int64_t *began)
    void nn_chosen(nn_choice *choice, bint alone, int64_t began)

cdef extern from "memory.h" nogil:
    void *nn_aligned_memory(size_t size, void **block)
    void nn_fetch(const void *source, size_t size)

cdef extern from "simd/fp_environment.h" nogil:
    unsigned long long nn_enter_fp()
    void nn_leave_fp(unsigned long long found)

cdef extern from "simd/mixing.h" nogil:
    uint64_t nn_mix(uint64_t z)

cdef extern from "contract.h" nogil:
    ctypedef struct nn_int8_layer:
        const char *panels
        ptrdiff_t k
        ptrdiff_t m
        float inverse
        float zero
        int zeros_likely
        int activation
        double alpha
        double beta
    ctypedef struct nn_int8_kernels:
        const char *name
        ptrdiff_t dense_from
        void (*sums)(const nn_int8_layer *layer, const uint8_t *x, ptrdiff_t ldx, ptrdiff_t rows,
                     const int32_t *index, ptrdiff_t count, float *z,
                     ptrdiff_t ldz) noexcept nogil
        ptrdiff_t (*find_groups)(const uint8_t *x, ptrdiff_t groups,
                                 int32_t *index) noexcept nogil
        bint (*to_codes)(const float *x, ptrdiff_t n, float inverse, float zero,
                         uint8_t *codes) noexcept nogil
        double (*probe)(ptrdiff_t rounds, void *result) noexcept nogil
    ctypedef struct nn_int8_isa:
        const char *name
        const char *with_isa "with"
        const nn_int8_kernels *kernels
        bint (*supported)() noexcept nogil
        bint (*may_use)() noexcept nogil
    const nn_int8_isa nn_int8_isas[]
