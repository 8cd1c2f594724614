/*
 * What would break: a worker tells a topic's watchers an old state, another
 * topic's, or half of one; a writer that was killed in the middle holds all
 * readers up; a reader that was overtaken believes that it has heard all.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/mg_event.h"
#include "tap.h"


static mg_events_t  ring;
static int          stop;


static void
test_order(void)
{
    char        text[64];
    unsigned    i;
    mg_event_t  e;

    memset(&ring, 0, sizeof(ring));

    ok(mg_event_read(&ring, 1, &e) == MG_AGAIN, "nothing has happened");
    ok(mg_event_last(&ring, mg_str("o a"), &e) == MG_DECLINED, "nor here");

    mg_event_hear(&ring, mg_str("7 o a\n{\"n\":1}"));
    mg_event_hear(&ring, mg_str("18446744073709551615 o b\n{}"));
    mg_event_hear(&ring, mg_str("9 o a\n{\"n\":2}"));

    ok(mg_event_read(&ring, 1, &e) == MG_OK && e.id == 7
       && mg_str_eq(e.topic, mg_str("o a"))
       && mg_str_eq(e.text, mg_str("{\"n\":1}")), "the first");
    ok(mg_event_read(&ring, 2, &e) == MG_OK && e.id == UINT64_MAX,
       "the largest id");
    ok(mg_event_last(&ring, mg_str("o a"), &e) == MG_OK && e.id == 9,
       "the last of a topic");
    ok(mg_event_last(&ring, mg_str("o"), &e) == MG_DECLINED,
       "a topic is the whole name");
    ok(mg_event_read(&ring, 4, &e) == MG_AGAIN, "no more");

    for (i = 0; i < MG_EVENT_SLOTS; i++) {
        (void) snprintf(text, sizeof(text), "%u o c\n%u", 100 + i, i);
        mg_event_hear(&ring, mg_str_z(text));
    }

    ok(mg_event_read(&ring, 1, &e) == MG_DECLINED, "overwritten");
    ok(mg_event_last(&ring, mg_str("o a"), &e) == MG_DECLINED, "as well");
    ok(mg_event_read(&ring, 4, &e) == MG_OK && e.id == 100, "the oldest");
}


static void
test_gaps(void)
{
    char        *large;
    size_t       i;
    mg_event_t   e;

    static const char  *bad[] = {
        "", "7", "7 ", "x o a\n{}", " o a\n{}", "7 o a {}", "7o a\n{}",
        "999999999999999999999 o a\n{}"
    };

    memset(&ring, 0, sizeof(ring));
    mg_event_hear(&ring, mg_str("7 o a\n{}"));
    ok(mg_event_last(&ring, mg_str("o a"), &e) == MG_OK, "there");

    mg_event_gap(&ring);
    ok(mg_event_last(&ring, mg_str("o a"), &e) == MG_DECLINED,
       "after a gap nobody knows whether it is the last");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        mg_event_hear(&ring, mg_str_z(bad[i]));
        ok(ring.next == 1 && ring.gaps == 2 + i, "a bad payload is a gap: %u",
           (unsigned) i);
    }

    large = malloc(MG_EVENT_BYTES + 1);
    memset(large, 'x', MG_EVENT_BYTES + 1);

    ok(mg_event_write(&ring, 8, mg_str("o a"), mg_str_n(large,
                                                        MG_EVENT_BYTES - 2))
       == MG_DECLINED && ring.gaps == 10, "too large is a gap");
    ok(mg_event_write(&ring, 8, mg_str("o a"), mg_str_n(large,
                                                        MG_EVENT_BYTES - 3))
       == MG_OK && mg_event_last(&ring, mg_str("o a"), &e) == MG_OK
       && e.text.len == MG_EVENT_BYTES - 3, "the largest is none");

    free(large);
}


static void
test_killed(void)
{
    mg_event_t        e;
    mg_event_slot_t  *s;

    memset(&ring, 0, sizeof(ring));
    mg_event_hear(&ring, mg_str("7 o a\n{}"));
    mg_event_hear(&ring, mg_str("8 o a\n{\"n\":8}"));

    /* a writer that died when it had taken a number */

    ring.next++;
    ok(mg_event_read(&ring, 3, &e) == MG_AGAIN, "being written");
    ok(mg_event_last(&ring, mg_str("o a"), &e) == MG_DECLINED,
       "what it was to be may have been later than the last");
    mg_event_hear(&ring, mg_str("9 o a\n{}"));
    ok(mg_event_read(&ring, 4, &e) == MG_OK && e.id == 9, "the next is whole");

    s = &ring.slots[2];
    s->words[0] ^= 1;
    ok(mg_event_read(&ring, 2, &e) == MG_DECLINED, "a changed bit");
    s->words[0] ^= 1;
    ok(mg_event_read(&ring, 2, &e) == MG_OK, "and back");
    s->topic_len = UINT64_MAX;
    ok(mg_event_read(&ring, 2, &e) == MG_DECLINED, "a length of nonsense");
    s->topic_len = 1;
    ok(mg_event_read(&ring, 2, &e) == MG_DECLINED, "another length");
}


static void *
test_writer(void *data)
{
    char      text[1024];
    uint64_t  id;

    (void) data;

    for (id = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); id++) {
        memset(text, 'a' + (int) (id % 26), sizeof(text));
        (void) mg_event_write(&ring, id, mg_str("o a"),
                              mg_str_n(text, 1 + id * 7 % sizeof(text)));
    }

    return NULL;
}


/* Two writers, as in a reload, and a reader that is overtaken. */

static void
test_race(void)
{
    size_t      i, torn;
    uint64_t    number, seen;
    pthread_t   a, b;
    mg_event_t  e;

    memset(&ring, 0, sizeof(ring));
    torn = 0;
    seen = 0;

    (void) pthread_create(&a, NULL, test_writer, NULL);
    (void) pthread_create(&b, NULL, test_writer, NULL);

    for (number = 1; seen < 20000; number++) {
        if (mg_event_read(&ring, number, &e) != MG_OK) {
            number = __atomic_load_n(&ring.next, __ATOMIC_RELAXED);
            continue;
        }

        seen++;
        torn += (e.text.len != 1 + e.id * 7 % 1024);

        for (i = 0; i < e.text.len; i++) {
            torn += (e.text.data[i] != 'a' + (int) (e.id % 26));
        }
    }

    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    (void) pthread_join(a, NULL);
    (void) pthread_join(b, NULL);

    ok(torn == 0, "nobody reads half an event");
}


int
main(void)
{
    test_order();
    test_gaps();
    test_killed();
    test_race();

    return done_testing();
}
