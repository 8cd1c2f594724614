/*
 * What would break: a gateway that says it is ready although a model server
 * is not, one whose progress or time to come is nonsense, a cell that is
 * taken twice, or one that forgets that its server was ready.
 */

#include "base/mg_jw.h"
#include "model/mg_load.h"
#include "tap.h"


#define SECOND  INT64_C(1000000)
#define NOW     (1000000 * SECOND)
#define WALL    (1800000000 * SECOND)


static mg_loads_t  loads;


static void
cells(void)
{
    char        name[MG_GATE_NAME_MAX + 1], other[16];
    unsigned    i;
    mg_load_t  *a, *b;

    a = mg_load_find(&loads, mg_str("vllm"), 1, NOW);
    ok(a != NULL, "a cell");
    ok(mg_load_find(&loads, mg_str("vllm"), 1, NOW + SECOND) == a,
       "the same one");
    is_int(a->since_us, NOW, "since the first time");

    b = mg_load_find(&loads, mg_str("vllm"), 2, NOW);
    ok(b != NULL && b != a, "another server of that name has another one");

    ok(mg_load_name(a, name), "in use");
    is_str(name, "vllm", "its name");

    for (i = 2; i < MG_LOAD_CELLS; i++) {
        (void) snprintf(other, sizeof(other), "n%u", i);
        if (mg_load_find(&loads, mg_str_z(other), 1, NOW) == NULL) {
            break;
        }
    }

    is_int(i, MG_LOAD_CELLS, "all cells can be taken");
    ok(mg_load_find(&loads, mg_str("more"), 1, NOW) == NULL, "and no more");
    ok(mg_load_find(&loads, mg_str("vllm"), 2, NOW) == b,
       "those that are taken are found");

    /* an address that was changed a hundred times takes one cell */

    a->expected_us = SECOND;
    mg_load_list(&loads, &b, 1);
    ok(mg_load_name(b, name), "one is waited for");
    ok(!mg_load_name(a, name), "that of the old address is not");
    ok(mg_load_find(&loads, mg_str("vllm"), 1, NOW) == a,
       "but is remembered");

    for (i = 0; i < MG_LOAD_CELLS; i++) {
        (void) snprintf(other, sizeof(other), "m%u", i);
        if (mg_load_find(&loads, mg_str_z(other), 1, NOW) == NULL) {
            break;
        }
    }

    is_int(i, MG_LOAD_CELLS - 1, "until others need its place");
    is_int(a->expected_us, 0, "with nothing of the one before");
    ok(mg_load_find(&loads, mg_str("vllm"), 2, NOW) == b,
       "who is waited for keeps it");
}


static void
phases(void)
{
    mg_load_t  *l;

    memset(&loads, 0, sizeof(loads));
    l = mg_load_find(&loads, mg_str("a"), 1, NOW);

    is_int(mg_load_progress(l, NOW), 0, "nothing is known");
    is_int(mg_load_left(l, NOW), -1, "nor how long it takes");

    l->expected_us = 100 * SECOND;
    is_int(mg_load_progress(l, NOW + 25 * SECOND), 24, "by an earlier time");
    is_int(mg_load_left(l, NOW + 25 * SECOND), 75 * SECOND, "the rest of it");
    is_int(mg_load_progress(l, NOW + 500 * SECOND), 99, "overdue");
    ok(mg_load_left(l, NOW + 500 * SECOND) > 10 * SECOND,
       "overdue: more than nothing is left");
    is_int(mg_load_progress(l, NOW - SECOND), 0, "a clock that was set back");

    is_int(mg_load_seen(l, MG_PHASE_LOADING, 40, NOW), 0, "not ready");
    is_int(mg_load_progress(l, NOW + 60 * SECOND), 40, "as it says");
    is_int(mg_load_left(l, NOW + 60 * SECOND), 90 * SECOND, "by what it says");
    (void) mg_load_seen(l, MG_PHASE_LOADING, 100, NOW);
    is_int(mg_load_progress(l, NOW), 99, "100 is for those that are ready");
    (void) mg_load_seen(l, MG_PHASE_LOADING, 900, NOW);
    is_int(l->progress, MG_LOAD_UNTOLD, "nonsense is nothing");

    is_int(mg_load_seen(l, MG_PHASE_READY, 100, NOW + 7 * SECOND), 1,
           "ready");
    is_int(mg_load_seen(l, MG_PHASE_READY, 100, NOW + 9 * SECOND), 0, "once");
    is_int(l->took_us, 7 * SECOND, "after so long");
    (void) mg_load_seen(l, MG_PHASE_CONNECTING, -1, NOW);
    is_int(l->phase, MG_PHASE_READY, "and it stays so");
    is_int(mg_load_progress(l, NOW), 100, "100");
    is_int(mg_load_left(l, NOW), 0, "nothing is left");
}


static void
sum(void)
{
    mg_load_t   *list[3];
    mg_state_t   s;

    memset(&loads, 0, sizeof(loads));
    memset(&s, 0, sizeof(s));

    list[0] = mg_load_find(&loads, mg_str("a"), 1, NOW);
    list[1] = mg_load_find(&loads, mg_str("b"), 1, NOW);
    list[2] = NULL;

    ok(mg_load_sum(list, 0, &s, NOW, WALL), "none is all");
    is_int(s.servers_progress, 100, "of nothing");

    (void) mg_load_seen(list[0], MG_PHASE_FINALIZING, 80, NOW);
    list[1]->expected_us = 30 * SECOND;
    ok(!mg_load_sum(list, 2, &s, NOW + 20 * SECOND, WALL + 20 * SECOND),
       "not ready");
    is_int(s.servers, 2, "two");
    is_int(s.servers_ready, 0, "none of them ready");
    is_int(s.servers_phase, MG_PHASE_CONNECTING, "the slower phase");
    is_int(s.servers_progress, (80 + 66) / 2, "the mean progress");
    is_int(s.servers_until_us, WALL + 30 * SECOND, "the longer time");

    (void) mg_load_seen(list[0], MG_PHASE_READY, 100, NOW);
    (void) mg_load_seen(list[1], MG_PHASE_READY, 100, NOW);
    ok(mg_load_sum(list, 2, &s, NOW, WALL), "both are ready");
    ok(!mg_load_sum(list, 3, &s, NOW, WALL), "one that nobody knows is not");
    is_int(s.servers_until_us, 0, "and nobody knows when");
}


static void
is_object(const mg_state_t *s, const char *want, const char *name)
{
    mg_jw_t     w;
    mg_buf_t    b;
    mg_ready_t  r;

    mg_buf_init(&b, 0);
    mg_jw_init(&w, &b);
    mg_ready_write(&w, s, NOW, &r);
    mg_buf_char(&b, '\0');
    is_str(b.data, want, "%s", name);
    mg_buf_free(&b);
}


static void
object(void)
{
    mg_ready_t  r;
    mg_state_t  s;

    memset(&s, 0, sizeof(s));
    s.phase = MG_PHASE_LOADING;
    s.progress = 65;
    s.started_us = NOW - 65 * SECOND;
    s.database_up = 1;

    is_object(&s, "{\"status\":\"initializing\",\"message\":\"AI models are "
              "still loading\",\"ready\":false,\"progress\":65,"
              "\"estimated_seconds\":36,\"phase\":\"loading\",\"type\":"
              "\"initialization\",\"database\":\"up\"}", "loading");

    s.servers_wanted = 1;
    mg_ready_look(&s, NOW, &r);
    is_int(r.progress, 13, "with servers the gateway's part is a fifth");

    s.phase = MG_PHASE_FINALIZING;
    mg_ready_look(&s, NOW, &r);
    is_int(r.phase, MG_PHASE_LOADING, "nor is it done before they are");

    s.phase = MG_PHASE_READY;
    s.servers = 2;
    s.servers_progress = 50;
    s.servers_until_us = NOW + 20 * SECOND + 1;
    ok(!mg_ready(&s), "servers are waited for");
    is_object(&s, "{\"status\":\"initializing\",\"message\":\"AI models are "
              "still loading\",\"ready\":false,\"progress\":59,"
              "\"estimated_seconds\":21,\"phase\":\"loading\",\"type\":"
              "\"initialization\",\"database\":\"up\",\"backends\":2,"
              "\"backends_ready\":0}", "servers load");

    s.servers_phase = MG_PHASE_FINALIZING;
    s.servers_until_us = 0;
    mg_ready_look(&s, NOW, &r);
    is_int(r.phase, MG_PHASE_FINALIZING, "they are tried");
    is_int(r.seconds, 10, "a guess where nobody knows");
    s.servers_until_us = NOW - SECOND;
    mg_ready_look(&s, NOW, &r);
    is_int(r.seconds, 1, "overdue");
    s.servers_until_us = NOW + 100000 * SECOND;
    mg_ready_look(&s, NOW, &r);
    is_int(r.seconds, 3600, "an hour at most");

    s.servers_done = 1;
    ok(mg_ready(&s), "ready");
    mg_ready_look(&s, NOW, &r);
    is_int(r.seconds, 0, "at once");
    is_object(&s, "{\"status\":\"ready\",\"message\":\"All systems ready\","
              "\"ready\":true,\"models_loaded\":false,\"models\":0,"
              "\"catalog_age_seconds\":null,\"routing_age_seconds\":null,"
              "\"stale\":false,\"database\":\"up\",\"backends\":2,"
              "\"backends_ready\":0}", "the object");

    mg_ready_phase(&s, MG_PHASE_FINALIZING);
    is_int(s.phase, MG_PHASE_READY, "a thread that is late takes nothing back");
    s.phase = MG_PHASE_LOADING;
    mg_ready_phase(&s, MG_PHASE_CONNECTING);
    is_int(s.phase, MG_PHASE_CONNECTING, "before that it may go back");

    s.phase = 77;
    mg_ready_look(&s, NOW, &r);
    is_int(r.phase, MG_PHASE_CONNECTING, "a phase that there is not");
}


int
main(void)
{
    cells();
    phases();
    sum();
    object();

    return done_testing();
}
