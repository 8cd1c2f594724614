/*
 * What would break: requests pile up on a slow or failing address, one that
 * has recovered is never asked again, a fast failure looks like a fast
 * server, two addresses share a cell, or one bad probe takes a server out.
 */

#include <arpa/inet.h>
#include <stdlib.h>

#include "model/mg_peak.h"
#include "tap.h"


#define T0   UINT64_C(5000000000)      /* beyond 32 bits */


static mg_peaks_t  peaks;


static mg_peak_t *
fresh(uint64_t key)
{
    memset(&peaks, 0, sizeof(mg_peaks_t));

    return mg_peak_find(&peaks, key, T0);
}


static void
estimate(void)
{
    unsigned    i, rose;
    uint32_t    before;
    mg_peak_t  *p;

    rose = 0;
    p = fresh(7);

    is_int(mg_peak_now(p, T0), 0, "nothing is known");
    mg_peak_answered(p, 1000, T0);
    is_int(mg_peak_now(p, T0), 1000, "the first answer");
    mg_peak_answered(p, 90000, T0 + 10);
    is_int(mg_peak_now(p, T0 + 10), 90000, "a slower one counts at once");

    for (i = 0; i < 1000; i++) {
        mg_peak_answered(p, 1000, T0 + 10);
    }

    is_int(mg_peak_now(p, T0 + 10), 90000,
           "a thousand fast ones within a moment do not");

    before = mg_peak_now(p, T0 + 10);

    for (i = 1; i <= MG_PEAK_HALF_MS; i++) {
        mg_peak_answered(p, 1000, T0 + 10 + i);
        rose += (mg_peak_now(p, T0 + 10 + i) > before);
        before = mg_peak_now(p, T0 + 10 + i);
    }

    is_int(rose, 0, "it does not rise again");
    ok(before > 30000 && before < 60000, "about half way after a half-life: "
       "%u", (unsigned) before);

    for ( /* void */ ; i <= 60000; i++) {
        mg_peak_answered(p, 1000, T0 + 10 + i);
    }

    before = mg_peak_now(p, T0 + 10 + i);
    ok(before >= 900 && before < 3000, "and there after a minute: %u",
       (unsigned) before);

    mg_peak_answered(p, 80000, T0 + 100000);
    ok(mg_peak_now(p, T0 + 100000 + MG_PEAK_HALF_MS) == 40000
       && mg_peak_now(p, T0 + 100000 + 3 * MG_PEAK_HALF_MS / 2) == 30000
       && mg_peak_now(p, T0 + 100000 + 40 * MG_PEAK_HALF_MS) == 0,
       "one that nobody asks is forgotten by halves");

    mg_peak_answered(p, UINT64_C(1) << 60, T0 + 400000);
    is_int(mg_peak_now(p, T0 + 400000), MG_PEAK_MOST_US, "the most there is");
}


static void
cost(void)
{
    mg_peak_t  *p;

    p = fresh(7);

    is_uint(mg_peak_cost(p, 0, T0), 0, "an unknown one is tried first");
    ok(mg_peak_cost(p, 1, T0) > MG_PEAK_MOST_US, "with one request alone");

    mg_peak_answered(p, 1000, T0);
    is_uint(mg_peak_cost(p, 0, T0), 1000, "an idle one");
    is_uint(mg_peak_cost(p, 4, T0), 5000, "and one with four under way");
}


static void
failures(void)
{
    mg_peak_t  *p;

    p = fresh(7);

    mg_peak_answered(p, 1000, T0);
    mg_peak_failed(p, 10, T0 + 1);
    is_int(mg_peak_now(p, T0 + 1), MG_PEAK_FAILED_US,
           "what fails at once is not fast");

    p = fresh(7);
    mg_peak_answered(p, 3000000, T0);
    mg_peak_failed(p, 10, T0);
    is_int(mg_peak_now(p, T0), 6000000, "and slower than what it was");

    ok(!mg_peak_avoided(p, T0), "it is not avoided yet");
    mg_peak_avoid(p, 3000, T0);
    ok(mg_peak_avoided(p, T0 + 2999), "now it is");
    ok(!mg_peak_avoided(p, T0 + 3000), "for so long");
    mg_peak_avoid(p, 3000, T0);
    mg_peak_avoid(p, 0, T0);
    ok(!mg_peak_avoided(p, T0), "or until it answers");
}


static void
cells(void)
{
    unsigned             i, lost, shared;
    uint64_t             key;
    mg_peak_t           *p;
    struct sockaddr_in   sa;

    memset(&peaks, 0, sizeof(mg_peaks_t));
    memset(&sa, 0, sizeof(struct sockaddr_in));
    sa.sin_family = AF_INET;
    lost = 0;
    shared = 0;

    for (i = 0; i < MG_PEAK_CELLS / 2; i++) {
        sa.sin_addr.s_addr = htonl(0x0a000000 + i);
        key = mg_peak_key(1, &sa, sizeof(sa));
        p = mg_peak_find(&peaks, key, T0);

        if (p == NULL) {
            lost++;

        } else {
            shared += (p->key != key || p->avoid != 0);
            p->avoid = 1;
            mg_peak_answered(p, 1000, T0);
        }
    }

    ok(lost < 4, "half of the cells are found: %u not", lost);
    is_int(shared, 0, "none by two");

    sa.sin_addr.s_addr = htonl(0x0a000001);
    ok(mg_peak_key(1, &sa, sizeof(sa)) != mg_peak_key(2, &sa, sizeof(sa)),
       "two hosts behind one address have two cells");

    memset(&peaks, 0, sizeof(mg_peaks_t));

    for (i = 0; i < 17; i++) {
        p = mg_peak_find(&peaks, 5 + (uint64_t) i * MG_PEAK_CELLS, T0);

        if (p && i == 3) {
            mg_peak_avoid(p, 9000000, T0);
        }
    }

    ok(p == NULL, "the seventeenth of one place finds none");
    ok(mg_peak_look(&peaks, 5 + 3 * MG_PEAK_CELLS) != NULL, "others stay");

    mg_peak_answered(mg_peak_look(&peaks, 5), 1000, T0 + MG_PEAK_OLD_MS - 1);
    p = mg_peak_find(&peaks, 5 + (uint64_t) 20 * MG_PEAK_CELLS,
                     T0 + MG_PEAK_OLD_MS);
    ok(p != NULL && mg_peak_look(&peaks, 5) != NULL,
       "an old one makes room, a young one does not");
    is_int(p ? mg_peak_now(p, T0 + MG_PEAK_OLD_MS) : 1, 0,
           "and nothing is left of it");
}


static int
probed(mg_peak_t *p, int well, unsigned at)
{
    return mg_peak_probed(p, well, 2, 3, 10000, T0 + at);
}


static void
probes(void)
{
    mg_peak_t  *p;

    p = fresh(7);

    is_int(mg_peak_state(p, T0), MG_PEAK_UNPROBED, "not probed");
    is_int(probed(p, 1, 0), 0, "well");
    is_int(mg_peak_state(p, T0), MG_PEAK_UP, "is up");
    is_int(probed(p, 0, 1) + probed(p, 0, 2), 0, "two failures");
    is_int(probed(p, 1, 3), 0, "and one success");
    is_int(probed(p, 0, 4) + probed(p, 0, 5), 0, "two more are no three");
    is_int(mg_peak_state(p, T0 + 5), MG_PEAK_UP, "still up");
    is_int(probed(p, 0, 6), 1, "the third in a row moves it");
    is_int(mg_peak_state(p, T0 + 6), MG_PEAK_DOWN, "down");
    ok(mg_peak_avoided(p, T0 + 6), "so it is avoided");
    is_int(probed(p, 0, 7), 0, "it stays so");
    is_int(probed(p, 1, 8), 0, "one success");
    is_int(probed(p, 1, 9), 1, "two");
    is_int(mg_peak_state(p, T0 + 9), MG_PEAK_UP, "up again");

    p = fresh(7);
    (void) probed(p, 0, 0);
    (void) probed(p, 0, 1);
    is_int(mg_peak_state(p, T0 + 1), MG_PEAK_UNPROBED, "not down from one");
    is_int(probed(p, 0, 2), 1, "but from three");
    is_int(mg_peak_state(p, T0 + 10001), MG_PEAK_DOWN, "which holds");
    is_int(mg_peak_state(p, T0 + 10002), MG_PEAK_UNPROBED,
           "until nobody probes any more");
}


int
main(void)
{
    estimate();
    cost();
    failures();
    cells();
    probes();

    return done_testing();
}
