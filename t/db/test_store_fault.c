/*
 * Syncs that meet trouble: if this breaks, one bad value spoils a list, two
 * syncs at once lose what one of them says, or a database that ends in the
 * middle leaves half a catalog.
 */

#include <pthread.h>
#include <unistd.h>

#include "sync.h"


typedef struct {
    mg_store_sync_t   *sync;
    mg_sync_counts_t   counts;
    mg_error_t         error;
    int                rc;
} commit_t;


static void
test_hostile(void)
{
    mg_model_t        m;
    mg_provider_t     p;
    mg_error_t        e;
    mg_sync_scope_t   bad;
    mg_store_sync_t  *s;
    unsigned          i;

    static const char * const  texts[] = {
        "'; drop table model.models_metadata; --", "\\N", "\\.", "a\tb\nc\\",
        "\"}{", "$1", "%s%n", "\xf0\x9f\xa6\x99", "\xc2\x85"
    };

    static const char * const  wrong[] = {
        "{}", "7", "null", "", " [1]"
    };

    s = begin(&dev);
    dev_says(&m);
    add(s, &m);

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        db_model_init(&m, "acme", mg_arena_printf(db_arena, "h%u", i).data);
        m.name = mg_str_z(texts[i]);
        m.description = mg_str_z(texts[i]);
        m.source_model_id = mg_str_z(texts[i]);
        m.version = mg_str_z(texts[i]);
        add(s, &m);
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        db_model_init(&m, "acme", "wrong");
        m.tags = mg_str_z(wrong[i]);
        add(s, &m);
        db_model_init(&m, "acme", "wrong");
        m.price_tiers = mg_str_z(wrong[i]);
        add(s, &m);
    }

    db_model_init(&m, "acme", "wrong");
    m.benchmark_score = 100001;
    add(s, &m);
    m.benchmark_score = MG_UNKNOWN;
    m.version = mg_str("\xff");
    add(s, &m);
    mg_provider_init(&p);
    p.id = mg_str("wrong");
    p.env = mg_str("{}");
    (void) mg_store_sync_provider(s, &p, &db_error);

    is_str(end(s, 0), "10 0 0 0 13 0", "values that look like something else");

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        m = stored(mg_arena_printf(db_arena, "acme/h%u", i).data);
        is_str(db_z(m.name), texts[i], "come back as they were");
        is_str(db_z(m.description), texts[i], "in each column");
    }

    /* a list of one provider says nothing about others */

    s = begin(&own);
    db_model_init(&m, "router", "big");
    add(s, &m);
    is_str(end(s, 0), "0 0 0 0 1 0", "a foreign entry is refused");

    /* and no list is the word of an operator */

    bad = dev;
    bad.source = mg_str("manual");
    ok(mg_store_sync_begin(db, &bad, &e) == NULL && e.kind == MG_E_INVALID,
       "a source named manual");
    bad.source = mg_str("x");
    bad.rank = MG_RANK_MANUAL;
    ok(mg_store_sync_begin(db, &bad, &e) == NULL && e.kind == MG_E_INVALID,
       "a rank of 0");
    bad = by_lab;
    bad.creates = 1;
    ok(mg_store_sync_begin(db, &bad, &e) == NULL && e.kind == MG_E_INVALID,
       "names of labs that would be added");
}


static void *
commit_thread(void *data)
{
    commit_t  *c = data;

    c->rc = mg_store_sync_commit(c->sync, 1, mg_now_us(), &c->counts,
                                 &c->error);

    return NULL;
}


/* a list of one model with this much context, staged on a connection */

static void
stage(commit_t *c, mg_pg_t *pg, const mg_sync_scope_t *scope, int64_t context)
{
    mg_model_t  m;

    memset(c, 0, sizeof(commit_t));
    c->sync = mg_store_sync_begin(pg, scope, &c->error);

    if (c->sync == NULL) {
        fail("begin: %s", c->error.message);
        return;
    }

    dev_says(&m);
    m.context = context;
    add(c->sync, &m);
}


/* Two sources at once: neither undoes what the other says. */

static void
test_two(void)
{
    mg_pg_t    *other;
    commit_t    a, b;
    pthread_t   t[2];

    other = mg_pg_checkout(db_pool, &db_error);
    stage(&a, db, &own, 100);
    stage(&b, other, &dev, 200);
    ok(mg_store_sync_begin(other, &own, &db_error) == NULL
       && db_error.kind == MG_E_CONFLICT, "one list, one sync");

    (void) pthread_create(&t[0], NULL, commit_thread, &a);
    (void) pthread_create(&t[1], NULL, commit_thread, &b);
    (void) pthread_join(t[0], NULL);
    (void) pthread_join(t[1], NULL);

    ok(a.rc == MG_OK && b.rc == MG_OK, "both are done: %s%s",
       a.error.message, b.error.message);
    is_str(column("context_length"), "100", "the higher rank shows");
    is_str(db_text("select string_agg(source || ' ' || context_length, ', ' "
                   "order by source) from model.model_sources "
                   "where id = '" ONE "' and source <> 'manual'"),
           "models.dev 200, openai 100", "both are kept");
    mg_pg_release(other);
}


/* the pool takes a lost connection for a lost server, and waits a second */

static mg_pg_t *
checkout(void)
{
    mg_pg_t     *c;
    mg_error_t   e;

    while ((c = mg_pg_checkout(db_pool, &e)) == NULL) {
        (void) usleep(20000);
    }

    return c;
}


/* The server ends the session, while staging and while committing. */

static void
test_killed(void)
{
    int          i;
    mg_pg_t     *victim, *holder;
    int64_t      raised;
    commit_t     c;
    pthread_t    t;
    mg_error_t   e;

    for (i = 0; i < 2; i++) {
        raised = db_raised("catalog");
        victim = checkout();
        holder = checkout();
        stage(&c, victim, &dev, 300 + i);

        if (i == 0) {
            db_run("select pg_terminate_backend(l.pid) from pg_locks l "
                   "where l.locktype = 'advisory' and l.pid "
                   "<> pg_backend_pid()");
            (void) commit_thread(&c);

        } else {
            ok(mg_store_begin(holder, &e) == MG_OK, "somebody else writes");
            (void) pthread_create(&t, NULL, commit_thread, &c);

            while (db_int("select count(*) from pg_locks where not granted "
                          "and locktype in ('tuple', 'transactionid')") == 0)
            {
                continue;
            }

            db_run("select pg_terminate_backend(pid) from pg_locks "
                   "where not granted "
                   "and locktype in ('tuple', 'transactionid')");
            (void) pthread_join(t, NULL);
            (void) mg_store_end(holder, MG_ERROR, &e);
        }

        ok(c.rc == MG_ERROR && c.error.kind == MG_E_UNAVAILABLE,
           "killed: %s", c.error.message);
        mg_pg_release(victim);
        mg_pg_release(holder);
        is_str(column("context_length"), "100", "the old catalog stays");
        is_str(db_text("select context_length from model.model_sources "
                       "where id = '" ONE "' and source = 'models.dev'"),
               "200", "and what was said before");
        is_int(db_raised("catalog"), raised, "no generation");
    }

    /* the client hears of its end before the server has put all away */

    while (db_int("select count(*) from pg_locks where locktype = 'advisory'"))
    {
        continue;
    }

    stage(&c, db, &dev, 400);
    (void) commit_thread(&c);
    ok(c.rc == MG_OK, "the next sync is not in its way: %s",
       c.error.message);
}


int
main(void)
{
    db_start();
    test_hostile();
    test_two();
    test_killed();

    return db_done();
}
