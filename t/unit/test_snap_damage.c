/*
 * What would break: a catalog snapshot in which a single byte was changed or
 * that was cut anywhere is served, or one with a wrong offset and a right
 * checksum makes a worker read outside of it.
 */

#include "base/mg_hash.h"
#include "snap_ask.h"
#include "snap_sample.h"
#include "tap.h"


/*
 * With a right checksum, as a builder with a fault would write it: refused,
 * or safe to ask.  Returns how many were refused.
 */

static unsigned
flip_and_ask(mg_str_t image)
{
    char              *copy;
    size_t             i, skip;
    unsigned           refused;
    mg_snap_t          s;
    mg_error_t         e;
    mg_snap_header_t  *h;

    skip = offsetof(mg_snap_header_t, checksum) + sizeof(uint64_t);
    copy = malloc(image.len);
    h = (void *) copy;
    refused = 0;

    memcpy(copy, image.data, image.len);

    for (i = skip; i < image.len; i++) {
        copy[i] = (char) (copy[i] ^ (1 << (i % 8)));

        h->checksum = mg_sum64(copy + skip, image.len - skip);

        if (mg_snap_verify(mg_str_n(copy, image.len), MG_SNAP_CATALOG, &e)
            == MG_OK)
        {
            s = ask_view(mg_str_n(copy, image.len));
            ask_catalog(&s);

        } else {
            refused++;
        }

        copy[i] = image.data[i];
    }

    free(copy);

    return refused;
}


static void
damage(mg_str_t image)
{
    int          held;
    char        *odd;
    size_t       at;
    unsigned     refused;
    mg_error_t   e;

    is_int(mg_snap_verify(image, MG_SNAP_CATALOG, &e), MG_OK, "as built");
    is_int(mg_snap_verify(image, MG_SNAP_ROUTING, &e), MG_ERROR,
           "not of the other kind");
    is_int(mg_snap_verify(image, 77, &e), MG_ERROR, "no such kind");

    odd = malloc(image.len + 1);
    memcpy(odd + 1, image.data, image.len);
    is_int(mg_snap_verify(mg_str_n(odd + 1, image.len), MG_SNAP_CATALOG, &e),
           MG_OK, "at an odd address");
    free(odd);

    held = sample_refuses_all_flips(image, MG_SNAP_CATALOG, &at);
    ok(held, "a flipped bit at each of %zu bytes is refused (%zu)",
       image.len, at);
    held = sample_refuses_all_cuts(image, MG_SNAP_CATALOG, &at);
    ok(held, "each shorter length is refused (%zu)", at);

    refused = flip_and_ask(image);
    ok(refused > 1000, "with a right checksum %u are refused, the others "
       "are safe to ask", refused);
}


int
main(void)
{
    mg_str_t  image;

    image = sample_catalog(1);
    damage(image);
    free((void *) image.data);

    return done_testing();
}
