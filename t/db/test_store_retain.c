/*
 * Retention of records: if this breaks, a day goes that a group keeps, a day
 * stays for ever, records that came late are lost with it or never go, or an
 * archive lacks records.
 */

#include "db.h"


static mg_group_t  group;
static mg_buf_t    out;


/* "inference_<8 digits>": what the names of the days begin with */

static const char *
stem(void)
{
    static char  name[64];

    if (name[0] == '\0') {
        snprintf(name, sizeof(name), "inference_%s", db_z(group.id) + 28);
    }

    return name;
}


static void
keep(const char *records)
{
    (void) db_text("update model.model_groups set traffic_config = "
                   "'{\"records\": %s}' where id = '%s'", records,
                   db_z(group.id));
}


/* so many records of that many days ago; the day has a partition or not */

static void
fill(int days, int n, int partition)
{
    if (partition) {
        (void) db_text("select model.make_inference_partition('%s', '%s', "
                       "(now() at time zone 'UTC')::date - %d)",
                       db_z(group.inference_table), stem(), days);
    }

    (void) db_text("insert into model.%s (inference_id, created_at, group_id, "
                   "path) select gen_random_uuid(), now() - interval '%d days'"
                   ", '%s', '/a,\"b' from generate_series(1, %d)",
                   db_z(group.inference_table), days, db_z(group.id), n);
}


static int64_t
rows(void)
{
    return db_int("select count(*) from model.%s",
                  db_z(group.inference_table));
}


static unsigned
due(void)
{
    unsigned          n;
    mg_retain_due_t  *list;

    ok(mg_store_retain_due(db, db_arena, &list, &n, &db_error) == MG_OK,
       "asked what is due");

    if (n) {
        is_str(db_z(list[0].group_id), db_z(group.id), "this group is");
        is_str(db_z(list[0].org_id), MG_ORG_DEFAULT, "and whose it is");
    }

    return n;
}


static mg_str_t *
detach(unsigned *n, int64_t *attached)
{
    mg_str_t  *names;

    *n = 99;
    ok(mg_store_retain_detach(db, group.id, db_arena, &names, n, attached,
                              &db_error) == MG_OK, "detached");

    return names;
}


static int
sink(void *ctx, mg_str_t data, mg_error_t *e)
{
    if (ctx) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "the disk is full");
    }

    mg_buf_add(&out, data.data, data.len);
    return MG_OK;
}


static uint64_t
copy(mg_str_t name, unsigned limit, unsigned *pieces)
{
    int       rc;
    uint64_t  n, sum;
    mg_str_t  after;

    after = mg_str_null;
    sum = 0;
    *pieces = 0;
    out.len = 0;

    do {
        rc = mg_store_retain_copy(db, name, &after, limit, sink, NULL,
                                  db_arena, &n, &db_error);
        sum += n;
        (*pieces)++;
    } while (rc == MG_OK);

    is_int(rc, MG_DECLINED, "to the end");

    return sum;
}


static void
test_policy(void)
{
    unsigned  n;
    int64_t   attached;

    fill(0, 5, 0);
    fill(1, 5, 0);
    fill(10, 4, 1);
    fill(20, 3, 1);
    fill(30, 2, 0);
    is_int(rows(), 19, "records of five days");

    is_int(due(), 0, "a group without a policy keeps all");
    (void) detach(&n, &attached);
    is_int(n, 0, "nothing goes");

    keep("{\"retention_days\": 0}");
    is_int(due(), 0, "so does 0");
    keep("{\"retention_days\": 30}");
    is_int(due(), 0, "the last day that is kept stays");
    keep("{\"retention_days\": 29}");
    is_int(due(), 1, "a day later it goes, though no partition was made");
    keep("{\"retention_days\": 15}");
    is_int(due(), 1, "two days");
    is_int(rows(), 19, "a look changes nothing");
}


static void
test_take(void)
{
    unsigned           n, pieces;
    int64_t            attached, part, count;
    uint64_t           got;
    mg_str_t          *names, after, first;
    mg_retain_file_t   file;

    names = detach(&n, &attached);
    is_int(n, 2, "two days are out");
    is_int(attached, 0, "none came back");
    is_int(rows(), 14, "and are seen no longer");
    first = names[0];
    like(db_z(first), stem(), "a day by its name");

    /* changed their mind */

    keep("{\"retention_days\": 25}");
    is_int(due(), 1, "a day that is out is due");
    names = detach(&n, &attached);
    is_int(attached, 1, "one comes back");
    is_int(n, 1, "one stays out");
    is_int(rows(), 17, "its records with it");

    keep("{\"retention_days\": 15}");
    names = detach(&n, &attached);
    is_int(n, 2, "and both are out again");

    got = copy(names[1], 2, &pieces);
    is_uint(got, 3, "all of a day are copied");
    is_int(pieces, 3, "in pieces");
    mg_buf_add(&out, "", 1);
    like(out.data, "explanation\n", "names first");
    ok(strncmp(out.data, "inference_id,created_at,", 24) == 0, "from the id");
    like(out.data, "\"/a,\"\"b\"", "quoted as CSV is");
    ok(mg_store_retain_count(db, names[1], db_arena, &count, &db_error)
       == MG_OK, "counted");
    is_int(count, 3, "three");

    got = copy(names[1], 1000, &pieces);
    is_uint(got, 3, "at once, too");

    after = mg_str_null;
    ok(mg_store_retain_copy(db, names[1], &after, 10, sink, &after, db_arena,
                            &got, &db_error) == MG_ERROR, "a full disk");
    is_str(db_error.message, "the disk is full", "is an error");
    is_int(db_int("select 1"), 1, "and the connection goes on");

    ok(mg_store_retain_part(db, group.inference_table,
                            mg_str_n(names[1].data + names[1].len - 8, 8),
                            db_arena, &part, &db_error) == MG_OK, "asked");
    is_int(part, 1, "its first archive");

    memset(&file, 0, sizeof(file));
    file.name = mg_str("day.csv.gz");
    file.rows = 3;
    file.bytes = 1234;
    file.sha256 = mg_str("0123456789abcdef0123456789abcdef"
                         "0123456789abcdef0123456789abcdef");
    file.node = mg_str("host");

    ok(mg_store_retain_drop(db, group.id, names[1], &file, db_arena,
                            &db_error) == MG_OK, "dropped, with its archive");
    is_str(db_text("select concat_ws(' ', a.group_name, a.part, a.rows, "
                   "a.file, a.bytes, a.node, length(a.sha256), "
                   "(now() at time zone 'UTC')::date - a.day) "
                   "from model.inference_archives a"),
           "one 1 3 day.csv.gz 1234 host 64 20", "which is on record");
    ok(mg_store_retain_drop(db, group.id, names[0], NULL, db_arena,
                            &db_error) == MG_OK, "dropped without one");
    is_int(db_int("select count(*) from model.inference_archives "
                  "where file is null and rows is null"), 1,
           "is on record, too");
    is_int(due(), 0, "nothing is left to do");
}


static void
test_refused(void)
{
    unsigned     i, n;
    int64_t      attached;
    mg_str_t    *names;
    const char  *name;

    static const char * const  none[] = {
        "model_groups", "inference_columns", "x\"; drop table model.jobs; --",
        "inference_00000000_p20200101", ""
    };

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        ok(mg_store_retain_drop(db, group.id, mg_str_z(none[i]), NULL,
                                db_arena, &db_error) == MG_ERROR,
           "\"%s\" is no day of the group", none[i]);
    }

    name = db_text("select model.inference_stem('%s') || '_p' || "
                   "to_char(now() at time zone 'UTC', 'YYYYMMDD')",
                   db_z(group.inference_table));
    ok(mg_store_retain_drop(db, group.id, mg_str_z(name), NULL, db_arena,
                            &db_error) == MG_ERROR, "today is not detached");

    names = detach(&n, &attached);
    is_int(n, 0, "nothing to detach");
    fill(20, 2, 0);
    names = detach(&n, &attached);
    is_int(n, 1, "records that came late go, too");
    keep("{\"retention_days\": 40}");
    ok(mg_store_retain_drop(db, group.id, names[0], NULL, db_arena,
                            &db_error) == MG_ERROR,
       "a day that the group keeps after all");
    like(db_error.message, "retention_days", "says why");

    /* some came while it was out */

    fill(20, 1, 0);
    (void) detach(&n, &attached);
    is_int(attached, 1, "is put back");
    is_int(rows(), 17, "with those that came meanwhile");
    is_int(db_int("select count(*) from only model.%s_default", stem()), 0,
           "none is left aside");
}


/* Groups whose ids end alike, names that are hard on a database. */

static void
test_names(void)
{
    unsigned  i;

    static const char * const  names[] = {
        "a", "A", "a.", "a/", "9", "9:@-", "default", "deadbeef", "columns",
        "deadbeef_p20260101", "unassigned", "feedback", "archives"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void) db_text("insert into model.model_groups (id, name, salt) "
                       "values ('00000000-0000-4000-8000-%04xdeadbeef', "
                       "'%s', decode(md5('x'), 'hex'))", i, names[i]);
        (void) db_text("select model.provision_inference_table("
                       "'00000000-0000-4000-8000-%04xdeadbeef')", i);
    }

    (void) db_text("insert into model.model_groups (name, salt) "
                   "values (repeat('X', 128), decode(md5('x'), 'hex'))");
    (void) db_text("select model.provision_inference_table(id) "
                   "from model.model_groups where name like 'XX%%'");

    is_int(db_int("select count(distinct inference_table) "
                  "from model.model_groups where right(id::text, 8) = "
                  "'deadbeef'"), sizeof(names) / sizeof(names[0]),
           "each has a table of its own");
    is_int(db_int("select count(*) from model.model_groups g where "
                  "name <> 'one' and 10 <> (select count(*) "
                  "from pg_inherits i where i.inhparent = "
                  "to_regclass('model.' || quote_ident(inference_table)))"),
           0, "and its partitions");
    is_int(db_int("select max(length(c.relname)) from pg_class c "
                  "where c.relnamespace = 'model'::regnamespace "
                  "and c.relkind in ('r', 'p')") <= 63, 1,
           "no name was cut off");
    is_int(db_int("select count(*) from model.model_groups g where "
                  "inference_table <> model.provision_inference_table(id)"),
           0, "asked again, nothing is made");
}


int
main(void)
{
    db_start();
    mg_buf_init(&out, 0);

    memset(&group, 0, sizeof(mg_group_t));
    group.name = mg_str("one");
    ok(mg_store_group_create(db, &db_actor, db_arena, &group, &db_error)
       == MG_OK, "a group");

    test_policy();
    test_take();
    test_refused();
    test_names();

    mg_buf_free(&out);

    return db_done();
}
