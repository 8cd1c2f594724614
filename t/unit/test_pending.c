/*
 * What would break: the record of an answer that a killed worker had just
 * written is lost or damaged, one that is half written is taken for whole, or
 * a late mover takes what belongs to the slot's next worker.
 */

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mg_error.h"
#include "model/mg_pending.h"
#include "tap.h"


#define SIZE     (MG_PENDING_UNITS * (MG_PENDING_UNIT + 8) + 128)
#define ROUNDS   60


static void *
shared(size_t size)
{
    return mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS,
                -1, 0);
}


static mg_ring_t *
ring(size_t room)
{
    size_t      size;
    mg_ring_t  *r;

    size = mg_ring_fit(room);
    r = shared(size);
    mg_ring_init(r, size);

    return r;
}


static mg_pending_t *
pending(size_t size)
{
    mg_pending_t  *p;

    p = shared(SIZE);
    mg_pending_init(p, size);

    return p;
}


static int
dead_7(uint64_t pid)
{
    return pid == 7;
}


static void
sizes(void)
{
    mg_pending_t         *p;
    mg_pending_writer_t   w;

    is_int(pending(SIZE)->units, MG_PENDING_UNITS, "room for all");
    is_int(pending(1024 * 1024)->units, MG_PENDING_UNITS, "and no more");
    is_int(pending(64 + 64 + 1023)->units, 0, "a byte less than a unit takes");
    is_int(pending(64 + 64 + 1024)->units, 1, "exactly a unit");
    is_int(pending(64 + 64 + 8 * 1024 + 1023)->units, 8, "eight");
    is_int(pending(64 + 128 + 9 * 1024)->units, 9, "nine need more words");
    is_int(pending(0)->units, 0, "no room");

    p = pending(64 + 64 + 1024);
    mg_pending_open(&w, p, 7);
    ok(mg_pending_take(&w, 1025) == NULL, "two units are not there");
    ok(mg_pending_take(&w, 1024) != NULL, "one is");
    ok(mg_pending_take(&w, 1) == NULL, "once");

    memset(&w, 0, sizeof(w));
    ok(mg_pending_take(&w, 1) == NULL, "not open: nothing");
}


static void
runs(void)
{
    int                   i, bad;
    char                 *at[MG_PENDING_UNITS];
    char                 *p, *q;
    mg_pending_t         *m;
    mg_pending_writer_t   w;

    m = pending(SIZE);
    mg_pending_open(&w, m, 7);

    bad = 0;

    for (i = 0; i < MG_PENDING_UNITS; i++) {
        at[i] = mg_pending_take(&w, 1000);
        bad += (at[i] == NULL || (i && at[i] != at[i - 1] + 1024));
        mg_pending_publish(&w, at[i], 1000);
    }

    is_int(bad, 0, "units are taken in a row");
    ok(mg_pending_take(&w, 1) == NULL, "until none is left");
    is_int(mg_pending_used(m), 1000 * MG_PENDING_UNITS, "bytes in it");

    mg_pending_free(&w, at[10], 1000);
    mg_pending_free(&w, at[12], 1000);
    ok(mg_pending_take(&w, 2000) == NULL, "two that are no neighbours");

    mg_pending_free(&w, at[11], 1000);
    p = mg_pending_take(&w, 1025);
    ok(p == at[10], "two neighbours");
    q = mg_pending_take(&w, 1024);
    ok(q == at[12], "and the third");

    mg_pending_free(&w, at[63], 1000);
    mg_pending_free(&w, at[64], 1000);
    ok(mg_pending_take(&w, 2000) == NULL, "no run over the end of a word");

    for (i = 100; i < 108; i++) {
        mg_pending_free(&w, at[i], 1000);
    }

    ok(mg_pending_take(&w, 8193) == NULL, "longer than any record");
    ok(mg_pending_take(&w, 8192) == at[100], "the longest");
    ok(mg_pending_take(&w, 0) == NULL, "nothing is no record");
}


static void
moves(void)
{
    char                 *a, *b, *c;
    uint64_t              cursor;
    mg_str_t              s;
    mg_ring_t            *r;
    mg_pending_t         *m;
    mg_pending_writer_t   w;

    r = ring(16384);
    m = pending(SIZE);

    mg_pending_open(&w, m, 7);

    a = mg_pending_take(&w, 3000);
    memset(a, 'a', 3000);
    mg_pending_publish(&w, a, 3000);

    /* never published */
    b = mg_pending_take(&w, 100);
    memset(b, 'b', 100);

    w.pid = 8;
    c = mg_pending_take(&w, 500);
    memset(c, 'c', 500);
    mg_pending_publish(&w, c, 500);

    is_int(mg_pending_move(m, r, dead_7), MG_OK, "those of the dead");
    is_int(mg_pending_used(m), 500, "the others stay");

    cursor = mg_ring_begin(r);
    ok(mg_ring_next(r, &cursor, &s), "one has come");
    is_int(s.len, 3000, "with its length");
    ok(s.data[0] == 'a' && s.data[2999] == 'a', "and bytes");
    ok(!mg_ring_next(r, &cursor, &s), "no other");
    mg_ring_consume(r, cursor);

    is_int(mg_pending_move(m, r, NULL), MG_OK, "all");
    cursor = mg_ring_begin(r);
    ok(mg_ring_next(r, &cursor, &s) && s.len == 500 && s.data[0] == 'c',
       "the last");
    is_int(mg_pending_used(m), 0, "nothing is left");

    /* a ring without room */
    mg_pending_open(&w, m, 7);
    r = ring(4096);
    a = mg_pending_take(&w, 3000);
    mg_pending_publish(&w, a, 3000);
    b = mg_pending_take(&w, 3000);
    mg_pending_publish(&w, b, 3000);

    is_int(mg_pending_move(m, r, NULL), MG_AGAIN, "the ring is full");
    is_int(mg_pending_used(m), 3000, "what found no room stays");

    cursor = mg_ring_begin(r);
    ok(mg_ring_next(r, &cursor, &s) && s.len == 3000, "the first has moved");
    mg_ring_consume(r, cursor);
    is_int(mg_pending_move(m, r, NULL), MG_OK, "and then the other");

    /* words that nobody has written */
    m->words[255] = (uint64_t) 7 << 32 | 8192;
    is_int(mg_pending_move(m, r, NULL), MG_OK, "rubbish is no record");
    is_int(mg_pending_used(m), 0, "and goes");
}


/*
 * Answers until it is killed: the record is pending, "sent" counts, the final
 * record goes into the ring, the pending one is freed.
 */

static void
writer(mg_pending_t *m, mg_ring_t *r, uint64_t *sent)
{
    char                 *p, *q;
    size_t                len;
    uint64_t              n;
    mg_pending_writer_t   w;

    while (mg_pending_move(m, r, NULL) != MG_OK) {
        usleep(100);
    }

    mg_pending_open(&w, m, (uint32_t) getpid());

    for (n = *sent; /* void */ ; n++) {
        len = 16 + (n * 2654435761u) % 2000;

        p = mg_pending_take(&w, len);
        memset(p, (int) (n & 0xff), len);
        memcpy(p, &n, 8);
        mg_pending_publish(&w, p, len);

        __atomic_store_n(sent, n + 1, __ATOMIC_SEQ_CST);

        do {
            q = mg_ring_reserve(r, len);
        } while (q == NULL);

        memcpy(q, p, len);
        mg_ring_commit(r, len);
        mg_pending_free(&w, p, len);
    }
}


static void
killed(void)
{
    int            bad, gaps, i, rounds;
    pid_t          pid;
    uint64_t       c, n, next, *sent;
    mg_str_t       s;
    mg_ring_t     *r;
    mg_pending_t  *m;

    r = ring(65536);
    m = pending(SIZE);
    sent = shared(4096);
    next = 0;
    bad = 0;
    gaps = 0;
    srandom(11);

    for (rounds = 0; rounds <= ROUNDS; rounds++) {

        pid = fork();

        if (pid == 0) {
            writer(m, r, sent);
            _exit(0);
        }

        for (i = 0; i < 40; i++) {

            if (i == 20) {
                usleep(random() % 1500);
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
            }

            if (i >= 20 && rounds == ROUNDS) {
                (void) mg_pending_move(m, r, NULL);
            }

            c = mg_ring_begin(r);

            while (mg_ring_next(r, &c, &s)) {
                memcpy(&n, s.data, 8);

                bad += (s.len != 16 + (n * 2654435761u) % 2000
                        || (uint8_t) s.data[s.len - 1] != (n & 0xff));

                /* a killed one may stand there twice */
                gaps += (n > next);
                next = n + 1 > next ? n + 1 : next;
            }

            mg_ring_consume(r, c);
        }
    }

    ok(*sent > ROUNDS, "writers were killed %d times over %d answers", ROUNDS,
       (int) *sent);
    is_int(bad, 0, "no half-written record is read");
    is_int(gaps, 0, "none is lost");
    ok(next >= *sent, "not the last, either");
}


int
main(void)
{
    sizes();
    runs();
    moves();
    killed();

    return done_testing();
}
