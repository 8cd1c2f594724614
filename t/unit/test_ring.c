/*
 * What would break: inference records that a killed worker has half
 * written reach the database, a wrap of the ring loses or repeats records,
 * or a full ring overwrites what nobody has read.
 */

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mg_hash.h"
#include "model/mg_ring.h"
#include "tap.h"


#define ROUNDS   60


static mg_ring_t *
ring(size_t room)
{
    size_t      size;
    mg_ring_t  *r;

    size = mg_ring_fit(room);
    r = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);
    mg_ring_init(r, size);

    return r;
}


static void
sizes(void)
{
    is_int(mg_ring_fit(0), 0, "no room, no ring");
    is_int(mg_ring_fit(4095), 0, "less than a page is no ring");
    is_int(mg_ring_fit(4096), 64 + 4096, "smallest ring");
    is_int(mg_ring_fit(8191), 64 + 4096, "rounded down to a power of two");
    is_int(mg_ring_fit(8192), 64 + 8192, "exactly a power of two");
}


static void
full(void)
{
    int         i, n;
    char       *p;
    uint64_t    c;
    mg_str_t    s;
    mg_ring_t  *r;

    r = ring(4096);

    for (n = 0; n < 1000; n++) {
        p = mg_ring_reserve(r, 100);

        if (p == NULL) {
            break;
        }

        memset(p, n, 100);
        mg_ring_commit(r, 100);
    }

    is_int(n, 4096 / 112, "records of 100 bytes that 4096 bytes take");
    is_int(r->dropped, 1, "the one that found no room is counted");
    is_int(r->written, n, "written is counted");
    ok(mg_ring_reserve(r, 5000) == NULL, "larger than the ring");

    c = mg_ring_begin(r);

    for (i = 0; mg_ring_next(r, &c, &s); i++) {
        if (s.len != 100 || (unsigned char) s.data[0] != i
            || (unsigned char) s.data[99] != i)
        {
            break;
        }
    }

    is_int(i, n, "all of them are read, in order");

    mg_ring_consume(r, c);
    is_int(mg_ring_used(r), 0, "empty after consume");

    mg_ring_consume(r, c - 112);
    is_int(mg_ring_used(r), 0, "a late reader brings nothing back");
}


/* Lengths that make every kind of wrap, against a simple model. */

static void
wraps(void)
{
    int         bad;
    char       *p;
    size_t      len;
    uint64_t    c, wrote, read, i;
    mg_str_t    s;
    mg_ring_t  *r;

    r = ring(4096);
    wrote = 0;
    read = 0;
    bad = 0;
    srandom(7);

    for (i = 0; i < 200000; i++) {

        if (random() % 2) {
            len = 1 + random() % 700;
            p = mg_ring_reserve(r, len);

            if (p == NULL) {
                continue;
            }

            memset(p, (int) (wrote & 0xff), len);
            mg_ring_commit(r, len);
            wrote++;
            continue;
        }

        c = mg_ring_begin(r);

        if (mg_ring_next(r, &c, &s)) {
            bad += ((uint8_t) s.data[0] != (read & 0xff)
                    || (uint8_t) s.data[s.len - 1] != (read & 0xff));
            read++;
            mg_ring_consume(r, c);
        }
    }

    c = mg_ring_begin(r);

    while (mg_ring_next(r, &c, &s)) {
        read++;
    }

    is_int(bad, 0, "no record is damaged by a wrap");
    is_int(read, wrote, "every record is read once");
    is_int(r->written, wrote, "written agrees");
}


static void
garbage(void)
{
    uint64_t    c;
    mg_str_t    s;
    mg_ring_t  *r;

    r = ring(4096);
    memset((char *) r + 64, 0xa5, 4096);
    r->head = 800;

    c = mg_ring_begin(r);
    ok(!mg_ring_next(r, &c, &s), "bytes that are no frame end the reading");
    is_int(c, 800, "and are given up as a whole");
}


/* Writes until it is killed; every record carries its number and a sum. */

static void
writer(mg_ring_t *r, uint64_t from)
{
    char      *p;
    size_t     len, k;
    uint64_t   n, sum;

    static const uint8_t  key[16];

    for (n = from; /* void */ ; n++) {
        len = 24 + (n * 2654435761u) % 600;

        do {
            p = mg_ring_reserve(r, len);
        } while (p == NULL);

        memcpy(p + 8, &n, 8);

        for (k = 16; k < len; k++) {
            p[k] = (char) (n + k);
        }

        sum = mg_siphash(key, p + 8, len - 8);
        memcpy(p, &sum, 8);

        mg_ring_commit(r, len);
    }
}


/* kill -9 at random moments: what is read is whole, in order, without gaps. */

static void
killed(void)
{
    int         bad, gaps, i, rounds;
    pid_t       pid;
    uint64_t    c, n, sum, next, total;
    mg_str_t    s;
    mg_ring_t  *r;

    static const uint8_t  key[16];

    r = ring(16384);
    next = 0;
    total = 0;
    bad = 0;
    gaps = 0;
    srandom(11);

    for (rounds = 0; rounds < ROUNDS; rounds++) {

        pid = fork();

        if (pid == 0) {
            writer(r, next);
            _exit(0);
        }

        for (i = 0; i < 40; i++) {

            if (i == 20) {
                usleep(random() % 1500);
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
            }

            c = mg_ring_begin(r);

            while (mg_ring_next(r, &c, &s)) {
                memcpy(&sum, s.data, 8);
                memcpy(&n, s.data + 8, 8);

                bad += (mg_siphash(key, s.data + 8, s.len - 8) != sum);
                gaps += (n != next);
                next = n + 1;
                total++;
            }

            mg_ring_consume(r, c);
        }
    }

    ok(total > ROUNDS, "writers were killed %d times over %d records", ROUNDS,
       (int) total);
    is_int(bad, 0, "no half-written record is read");
    is_int(gaps, 0, "none is lost, none is read twice");
    is_int(mg_ring_used(r), 0, "nothing is left behind");
}


int
main(void)
{
    sizes();
    full();
    wraps();
    garbage();
    killed();

    return done_testing();
}
