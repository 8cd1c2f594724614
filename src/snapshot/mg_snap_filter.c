/*
 * mg_snap_filter.c: which models have what a query asks for.
 *
 * Type, capabilities, weights, health and status are bits of one word a
 * model: a mask and a comparison, sixteen models at a time.  The columns of
 * other conditions are read only where those bits held.  One pass, 64 models
 * to a word of the answer.
 *
 * Event loop; never allocates; every index was checked when the file was
 * published.
 */

#include "snapshot/mg_snap_catalog_layout.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif


#define MG_FILTER_FAMILY_MAX   128


static void mg_filter_flag(mg_filter_t *f, int value, uint32_t yes,
    uint32_t no);
static int mg_filter_family(mg_filter_t *f, const mg_snap_t *s,
    mg_str_t family);
static int mg_filter_modality(mg_filter_t *f, mg_str_t modality);
static int mg_filter_modes(mg_str_t names, uint32_t *modes);
static inline uint64_t mg_filter_keys(const uint32_t *keys, unsigned n,
    uint32_t mask, uint32_t want);
static uint64_t mg_filter_columns(const mg_filter_t *f, const mg_snap_t *s,
    uint32_t first, uint64_t hits);


int
mg_filter_init(mg_filter_t *f, const mg_snap_t *s,
    const mg_catalog_query_t *q)
{
    unsigned  status;

    memset(f, 0, sizeof(mg_filter_t));

    f->family = MG_SNAP_ABSENT;
    f->min_context = q->min_context;
    f->max_input = q->max_input_price;
    f->max_output = q->max_output_price;

    if (q->type >= 0) {
        f->mask |= MG_SC_KEY_TYPE;
        f->want |= (uint32_t) q->type & MG_SC_KEY_TYPE;
    }

    if (q->capability >= 0 && q->capability < MG_CAP_N) {
        f->mask |= mg_sc_key_cap(q->capability);
        f->want |= mg_sc_key_cap(q->capability);
    }

    mg_filter_flag(f, q->open_weights, MG_SC_KEY_OPEN, MG_SC_KEY_CLOSED);
    mg_filter_flag(f, q->available, MG_SC_KEY_AVAILABLE,
                   MG_SC_KEY_UNAVAILABLE);

    if (q->status.data != NULL) {
        status = mg_sc_status_find(q->status);

        if (status == MG_SC_STATUS_OTHER) {
            return MG_DECLINED;
        }

        f->mask |= MG_SC_KEY_STATUS;
        f->want |= mg_sc_key_status(status);
    }

    if (q->family.data != NULL
        && mg_filter_family(f, s, q->family) != MG_OK)
    {
        return MG_DECLINED;
    }

    if (q->modality.data != NULL
        && mg_filter_modality(f, q->modality) != MG_OK)
    {
        return MG_DECLINED;
    }

    f->columns = f->family != MG_SNAP_ABSENT || f->mode || f->modes.in
                 || f->modes.out || f->min_context != MG_UNKNOWN
                 || f->max_input != MG_UNKNOWN
                 || f->max_output != MG_UNKNOWN;

    return MG_OK;
}


/* What nobody knows is neither: no asks for what is known not to be so. */

static void
mg_filter_flag(mg_filter_t *f, int value, uint32_t yes, uint32_t no)
{
    if (value == -1) {
        return;
    }

    f->mask |= value ? yes : no;
    f->want |= value ? yes : no;
}


static int
mg_filter_family(mg_filter_t *f, const mg_snap_t *s, mg_str_t family)
{
    int              rc;
    char             folded[MG_FILTER_FAMILY_MAX];
    uint32_t         low, high, middle;
    mg_str_t         name;
    const uint32_t  *families;

    if (family.len > sizeof(folded)) {
        return MG_DECLINED;
    }

    mg_sc_fold(folded, family);
    name = mg_str_n(folded, family.len);
    families = mg_snap_section(s, MG_SC_FAMILIES);

    low = 0;
    high = mg_snap_section_n(s, MG_SC_FAMILIES) - 1;

    while (low < high) {
        middle = low + (high - low) / 2;
        rc = mg_str_cmp(mg_sc_span(s, MG_SC_FAMILY_TEXT, families[middle],
                                   families[middle + 1]), name);

        if (rc == 0) {
            f->family = middle;
            return MG_OK;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return MG_DECLINED;
}


/*
 * "image": on either side.  "text+image->text": those among the inputs, that
 * among the outputs, and maybe others; a side without a name asks nothing.
 */

static int
mg_filter_modality(mg_filter_t *f, mg_str_t modality)
{
    size_t  i;

    for (i = 0; i + 1 < modality.len; i++) {
        if (modality.data[i] == '-' && modality.data[i + 1] == '>') {
            if (mg_filter_modes(mg_str_n(modality.data, i), &f->modes.in)
                != MG_OK)
            {
                return MG_DECLINED;
            }

            return mg_filter_modes(mg_str_n(modality.data + i + 2,
                                            modality.len - i - 2),
                                   &f->modes.out);
        }
    }

    return mg_filter_modes(modality, &f->mode);
}


int
mg_catalog_modality(mg_str_t modality)
{
    mg_filter_t  f;

    memset(&f, 0, sizeof(mg_filter_t));

    return mg_filter_modality(&f, modality);
}


/* Names joined by plus signs. */

static int
mg_filter_modes(mg_str_t names, uint32_t *modes)
{
    size_t    i, start;
    uint32_t  mode;

    for (i = 0, start = 0; i <= names.len && names.len != 0; i++) {
        if (i < names.len && names.data[i] != '+') {
            continue;
        }

        mode = mg_sc_mode_find(mg_str_n(names.data + start, i - start));

        if (mode == 0) {
            return MG_DECLINED;
        }

        *modes |= mode;
        start = i + 1;
    }

    return MG_OK;
}


void
mg_filter_run(const mg_filter_t *f, const mg_snap_t *s, uint32_t first,
    uint32_t n, uint64_t *set)
{
    unsigned         shift, width;
    uint32_t         i;
    uint64_t         hits;
    const uint32_t  *keys;

    keys = mg_snap_section(s, MG_SC_KEYS);

    for (i = first; i < first + n; i += width) {
        shift = i % 64;
        width = first + n - i < 64 - shift ? first + n - i : 64 - shift;

        hits = mg_filter_keys(keys + i, width, f->mask, f->want);

        if (f->columns && hits != 0) {
            hits = mg_filter_columns(f, s, i, hits);
        }

        set[i / 64] |= hits << shift;
    }
}


/* Bit j: of n keys, 64 at most, number j has what is wanted. */

static inline uint64_t
mg_filter_keys(const uint32_t *keys, unsigned n, uint32_t mask,
    uint32_t want)
{
    unsigned  j;
    uint64_t  hits;

    j = 0;
    hits = 0;

#if defined(__SSE2__)

    __m128i         m, w, a[4];
    unsigned        k;
    const __m128i  *p;

    m = _mm_set1_epi32((int) mask);
    w = _mm_set1_epi32((int) want);

    for ( /* void */ ; j + 16 <= n; j += 16) {
        p = (const __m128i *) (const void *) (keys + j);

        for (k = 0; k < 4; k++) {
            a[k] = _mm_loadu_si128(p + k);
            a[k] = _mm_cmpeq_epi32(_mm_and_si128(a[k], m), w);
        }

        a[0] = _mm_packs_epi16(_mm_packs_epi32(a[0], a[1]),
                               _mm_packs_epi32(a[2], a[3]));
        hits |= (uint64_t) (unsigned) _mm_movemask_epi8(a[0]) << j;
    }

#endif

    for ( /* void */ ; j < n; j++) {
        hits |= (uint64_t) ((keys[j] & mask) == want) << j;
    }

    return hits;
}


/* Unknown is the lowest number there is: never enough, never within. */

static uint64_t
mg_filter_columns(const mg_filter_t *f, const mg_snap_t *s, uint32_t first,
    uint64_t hits)
{
    uint32_t              i;
    uint64_t              left, bit;
    const int64_t        *context, *input, *output;
    const uint32_t       *family;
    const mg_sc_modes_t  *modes;

    context = mg_snap_section(s, MG_SC_CONTEXT);
    input = mg_snap_section(s, MG_SC_INPUT_PRICE);
    output = mg_snap_section(s, MG_SC_OUTPUT_PRICE);
    family = mg_snap_section(s, MG_SC_FAMILY);
    modes = mg_snap_section(s, MG_SC_MODES);

    for (left = hits; left != 0; left &= left - 1) {
        bit = left & (~left + 1);
        i = first + (uint32_t) __builtin_ctzll(left);

        if ((f->family != MG_SNAP_ABSENT && family[i] != f->family)
            || ((modes[i].in | modes[i].out) & f->mode) != f->mode
            || (modes[i].in & f->modes.in) != f->modes.in
            || (modes[i].out & f->modes.out) != f->modes.out
            || (f->min_context != MG_UNKNOWN
                && (context[i] == MG_UNKNOWN
                    || context[i] < f->min_context))
            || (f->max_input != MG_UNKNOWN
                && (input[i] == MG_UNKNOWN || input[i] > f->max_input))
            || (f->max_output != MG_UNKNOWN
                && (output[i] == MG_UNKNOWN || output[i] > f->max_output)))
        {
            hits &= ~bit;
        }
    }

    return hits;
}
