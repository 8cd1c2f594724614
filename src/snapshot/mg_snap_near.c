/*
 * mg_snap_near.c: words that a misspelt one may have been meant for.
 *
 * Compared are words with three letters or more, the most frequent first.
 * Each has a mask of its letters: an edit changes one letter at most, so two
 * words within k edits have at most k letters each that the other lacks, and
 * few pairs pass.  Those are measured (an insertion, a deletion, another
 * letter, or two neighbours changed over count one edit) in a band of the
 * table around its diagonal.  Short words may be one edit off, long ones
 * two; numbers none, since 4 is not a misspelt 3.
 *
 * Besides, "gpt4o" is taken apart where letters and digits meet.
 *
 * Event loop, one thread of a process; never allocates.  Work is bounded by
 * the list of words, which the builder has bounded.
 */

#include "snapshot/mg_snap_catalog_layout.h"


#define MG_NEAR_LEN_MAX      32
#define MG_NEAR_FOUND_MAX    1024
#define MG_NEAR_ONE_EDIT     3           /* letters at least for ... */
#define MG_NEAR_TWO_EDITS    6

#define MG_NEAR_FAR          99


static unsigned mg_near_limit(mg_str_t word);
static void mg_near_typos(const mg_snap_t *s, mg_str_t word, unsigned limit,
    uint64_t *set[2]);
static unsigned mg_near_distance(mg_str_t a, mg_str_t b, unsigned limit);
static unsigned mg_near_cell(const unsigned char *above,
    const unsigned char *row, size_t j, unsigned same);
static void mg_near_apart(const mg_snap_t *s, mg_str_t word,
    uint64_t *set[2]);
static size_t mg_near_part(mg_str_t word, size_t from);
static int mg_near_is_digit(char c);


/* A word taken apart: all parts, and one of them. */
static uint64_t  mg_near_sets[2][mg_sc_set_words(MG_SC_ACTIVE_MAX)];


void
mg_near_word(const mg_snap_t *s, mg_str_t word, uint64_t *set[2])
{
    uint32_t  i, n;
    unsigned  limit;

    (void) mg_search_piece(s, word, NULL, set[0]);
    mg_near_apart(s, word, set);

    n = mg_sc_set_words(mg_sc_meta(s)->n_active);

    for (i = 0; i < n; i++) {
        set[1][i] |= set[0][i];
    }

    limit = mg_near_limit(word);

    if (limit != 0) {
        mg_near_typos(s, word, limit, set);
    }
}


/* How many edits off a word may be. */

static unsigned
mg_near_limit(mg_str_t word)
{
    size_t    i;
    unsigned  letters;

    for (i = 0, letters = 0; i < word.len; i++) {
        letters += !mg_near_is_digit(word.data[i]);
    }

    if (letters < MG_NEAR_ONE_EDIT || word.len > MG_NEAR_LEN_MAX) {
        return 0;
    }

    return letters < MG_NEAR_TWO_EDITS ? 1 : 2;
}


static void
mg_near_typos(const mg_snap_t *s, mg_str_t word, unsigned limit,
    uint64_t *set[2])
{
    unsigned             distance, found;
    uint32_t             i, n, letters;
    mg_str_t             other;
    const mg_sc_typo_t  *typos;

    typos = mg_snap_section(s, MG_SC_TYPOS);
    n = mg_snap_section_n(s, MG_SC_TYPOS);
    letters = mg_sc_letters(word);

    for (i = 0, found = 0; i < n && found < MG_NEAR_FOUND_MAX; i++) {
        if ((unsigned) __builtin_popcount(letters & ~typos[i].letters)
            > limit
            || (unsigned) __builtin_popcount(typos[i].letters & ~letters)
               > limit)
        {
            continue;
        }

        other = mg_sc_word(s, typos[i].word);

        if (other.len > word.len + limit || word.len > other.len + limit) {
            continue;
        }

        distance = mg_near_distance(word, other, limit);

        if (distance > limit) {
            continue;
        }

        found++;
        mg_search_posting(s, typos[i].word, set[1]);

        if (distance <= 1) {
            mg_search_posting(s, typos[i].word, set[0]);
        }
    }
}


/* Edits between the two; more than limit: anything above it. */

static unsigned
mg_near_distance(mg_str_t a, mg_str_t b, unsigned limit)
{
    size_t         i, j, from, to;
    unsigned       cell, least;
    unsigned char  rows[3][MG_NEAR_LEN_MAX + 3], *before, *above, *row;

    if (a.len > MG_NEAR_LEN_MAX || b.len > MG_NEAR_LEN_MAX) {
        return MG_NEAR_FAR;
    }

    memset(rows, MG_NEAR_FAR, sizeof(rows));
    above = rows[0];

    for (j = 0; j <= b.len; j++) {
        above[j] = (unsigned char) j;
    }

    for (i = 1; i <= a.len; i++) {
        row = rows[i % 3];
        above = rows[(i + 2) % 3];
        before = rows[(i + 1) % 3];

        memset(row, MG_NEAR_FAR, sizeof(rows[0]));
        row[0] = (unsigned char) i;

        from = i > limit ? i - limit : 1;
        to = i + limit < b.len ? i + limit : b.len;
        least = row[0];

        for (j = from; j <= to; j++) {
            cell = mg_near_cell(above, row, j,
                                a.data[i - 1] == b.data[j - 1]);

            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2]
                && a.data[i - 2] == b.data[j - 1]
                && before[j - 2] + 1u < cell)
            {
                cell = before[j - 2] + 1u;
            }

            row[j] = (unsigned char) cell;
            least = cell < least ? cell : least;
        }

        if (least > limit) {
            return MG_NEAR_FAR;
        }
    }

    return rows[a.len % 3][b.len];
}


static unsigned
mg_near_cell(const unsigned char *above, const unsigned char *row, size_t j,
    unsigned same)
{
    unsigned  cell, other;

    cell = above[j - 1] + !same;

    other = above[j] + 1u;
    cell = other < cell ? other : cell;

    other = row[j - 1] + 1u;
    cell = other < cell ? other : cell;

    return cell < MG_NEAR_FAR ? cell : MG_NEAR_FAR;
}


/* "gpt4o": whoever holds "gpt" and "4o". */

static void
mg_near_apart(const mg_snap_t *s, mg_str_t word, uint64_t *set[2])
{
    size_t    at, end;
    uint32_t  i, n;

    n = mg_sc_set_words(mg_sc_meta(s)->n_active);
    end = mg_near_part(word, 0);

    if (end == word.len) {
        return;
    }

    memset(mg_near_sets[0], 0xff, n * sizeof(uint64_t));

    for (at = 0; at < word.len; at = end) {
        end = mg_near_part(word, at);

        memset(mg_near_sets[1], 0, n * sizeof(uint64_t));
        (void) mg_search_piece(s, mg_str_n(word.data + at, end - at),
                               NULL, mg_near_sets[1]);

        for (i = 0; i < n; i++) {
            mg_near_sets[0][i] &= mg_near_sets[1][i];
        }
    }

    for (i = 0; i < n; i++) {
        set[0][i] |= mg_near_sets[0][i];
    }
}


/*
 * The end of the part that begins at from: letters, or digits with what
 * follows them to the end ("4o" and "70b" are not taken apart).
 */

static size_t
mg_near_part(mg_str_t word, size_t from)
{
    size_t  i;

    if (mg_near_is_digit(word.data[from])) {
        return word.len;
    }

    for (i = from; i < word.len && !mg_near_is_digit(word.data[i]); i++) {
        /* void */
    }

    return i;
}


static int
mg_near_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
