/*
 * mg_call_inference.c: the audit trail over the API.
 *
 *     group, filter -> a few hundred rows -> JSON, CSV or NDJSON -> again
 *
 * A page is read in pieces of one snapshot, so that its memory is that of
 * the answer and of one piece, and ends early when the answer is large: the
 * next one begins where it ended.  Addresses and bodies are read for
 * operators and admins only; a viewer's statement does not name them.
 *
 * Pool threads; blocks on the database.
 */

#include "base/mg_csv.h"
#include "base/mg_time.h"
#include "job/mg_call_inference.h"
#include "store/mg_store_column.h"


#define MG_INFERENCE_PIECE      500

/* An answer ends after the row with which it passes this ... */
#define MG_INFERENCE_OUT        (24 * 1024 * 1024)

/* ... or after the piece with which it has taken so long. */
#define MG_INFERENCE_LONG_US    (10LL * 1000000)

/* Long questions of this process at a time. */
#define MG_INFERENCE_LONG       2


typedef struct {
    mg_call_t                *call;
    mg_inference_source_t     source;
    mg_inference_filter_t     filter;
    mg_format_e               format;
    int                       private_too;
    unsigned                  limit;
    unsigned                  left;       /* of it */
    mg_str_t                  last;       /* id of the last row */
    unsigned                  more:1;     /* rows follow it */
    mg_jw_t                   w;
} mg_inference_page_t;


static int mg_inference_pages(mg_pg_t *db, void *data, mg_error_t *e);
static int mg_inference_piece(mg_inference_page_t *page,
    const mg_pg_rows_t *r, unsigned n, mg_error_t *e);
static void mg_inference_line(mg_inference_page_t *page,
    const mg_pg_rows_t *r, int row);
static void mg_inference_begin(mg_inference_page_t *page);
static int mg_inference_end(mg_inference_page_t *page, mg_error_t *e);
static int mg_inference_link(mg_inference_page_t *page, mg_error_t *e);
static void mg_inference_members(mg_jw_t *w, const mg_pg_rows_t *r, int row,
    unsigned set, int private_too);
static void mg_inference_cell(mg_jw_t *w, const mg_inference_column_t *col,
    mg_str_t value);
static void mg_inference_csv(mg_buf_t *b, const mg_pg_rows_t *r, int row,
    int private_too);
static mg_str_t mg_inference_time(mg_str_t value, char *text);
static int mg_inference_read(mg_pg_t *db, mg_call_t *c, const mg_uuid_t *id,
    mg_error_t *e);
static int mg_inference_answer(mg_pg_t *db, mg_call_t *c,
    const mg_uuid_t *id, mg_pg_rows_t *one, mg_pg_rows_t *shadows,
    mg_error_t *e);


static int  mg_inference_long;


int
mg_call_long_begin(mg_error_t *e)
{
    if (__atomic_add_fetch(&mg_inference_long, 1, __ATOMIC_ACQ_REL)
        <= MG_INFERENCE_LONG)
    {
        return MG_OK;
    }

    mg_call_long_end();

    return mg_error_set(e, MG_E_UNAVAILABLE, NULL,
                        "%d long questions to the audit trail are being "
                        "answered; try again in a second",
                        MG_INFERENCE_LONG);
}


void
mg_call_long_end(void)
{
    (void) __atomic_sub_fetch(&mg_inference_long, 1, __ATOMIC_ACQ_REL);
}


int
mg_call_long(mg_call_t *c, mg_call_read_pt read, void *ctx, mg_error_t *e)
{
    int       rc;
    mg_pg_t  *db;

    if (mg_call_long_begin(e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);
    rc = MG_ERROR;

    if (db) {
        rc = mg_store_inference_begin(db, e);

        if (rc == MG_OK) {
            rc = mg_store_end(db, read(db, ctx, e), e);
        }

        mg_pg_release(db);
    }

    mg_call_long_end();

    return rc;
}


/* -- pages -- */

int
mg_call_inference_list(mg_call_t *c, mg_error_t *e)
{
    mg_inference_page_t  page;

    memset(&page, 0, sizeof(mg_inference_page_t));
    page.call = c;
    page.private_too = mg_role_allows(c->role, MG_ROLE_OPERATOR);

    if (mg_call_filter(c, mg_now_us(), &page.filter, &page.format, e)
        != MG_OK
        || mg_call_long(c, mg_inference_pages, &page, e) != MG_OK)
    {
        return MG_ERROR;
    }

    return mg_inference_end(&page, e);
}


static int
mg_inference_pages(mg_pg_t *db, void *data, mg_error_t *e)
{
    int                   rc;
    int64_t               until;
    unsigned              want, n;
    mg_call_t            *c;
    mg_pg_rows_t         *r;
    mg_inference_page_t  *page;

    page = data;
    c = page->call;
    until = mg_mono_us() + MG_INFERENCE_LONG_US;

    if (mg_store_inference_source(db, c->who.org_id, mg_call_path(c, "group"),
                                  c->arena, &page->source, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    page->limit = page->filter.limit;
    page->left = page->limit;
    mg_inference_begin(page);

    do {

        if (c->cancel && __atomic_load_n(c->cancel, __ATOMIC_RELAXED)) {
            return mg_error_set(e, MG_E_CANCELLED, NULL,
                                "the client has gone");
        }

        /* one more than is wanted tells whether there is a next page */

        want = page->left < MG_INFERENCE_PIECE ? page->left + 1
                                               : MG_INFERENCE_PIECE;
        page->filter.limit = want;

        if (mg_store_inferences(db, c->who.org_id, &page->source,
                                &page->filter, page->private_too, c->arena,
                                &r, e)
            != MG_OK)
        {
            return MG_ERROR;
        }

        n = (unsigned) mg_pg_rows_count(r);
        rc = mg_inference_piece(page, r, n, e);
        mg_pg_rows_free(r);

        if (rc != MG_OK) {
            return MG_ERROR;
        }

        if (n == want && mg_mono_us() > until) {
            page->more = 1;
        }

    } while (n == want && !page->more);

    return MG_OK;
}


static int
mg_inference_piece(mg_inference_page_t *page, const mg_pg_rows_t *r,
    unsigned n, mg_error_t *e)
{
    unsigned  i;

    for (i = 0; i < n; i++) {

        if (page->left == 0 || page->call->out.len > MG_INFERENCE_OUT) {
            page->more = 1;
            break;
        }

        mg_inference_line(page, r, (int) i);
        page->left--;
    }

    if (i == 0) {
        return MG_OK;
    }

    page->last = mg_arena_dup(page->call->arena,
                              mg_pg_rows_str(r, (int) i - 1, 0));
    page->filter.after = page->last;

    if (page->last.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}


static void
mg_inference_begin(mg_inference_page_t *page)
{
    int                           first;
    mg_buf_t                     *b;
    const mg_inference_column_t  *col;

    switch (page->format) {

    case MG_FORMAT_CSV:

        b = &page->call->out;
        first = 1;

        for (col = mg_inference_columns; col->name; col++) {
            if (mg_inference_column_in(col, MG_INFERENCE_LISTED,
                                       page->private_too))
            {
                mg_csv_raw(b, first, mg_str_z(col->name));
                first = 0;
            }
        }

        mg_csv_end(b);
        break;

    case MG_FORMAT_NDJSON:
        break;

    default:
        mg_call_list_begin(page->call, &page->w, "inferences");
    }
}


static void
mg_inference_line(mg_inference_page_t *page, const mg_pg_rows_t *r, int row)
{
    mg_jw_t  w;

    switch (page->format) {

    case MG_FORMAT_CSV:
        mg_inference_csv(&page->call->out, r, row, page->private_too);
        break;

    case MG_FORMAT_NDJSON:
        mg_call_writer(page->call, &w);
        mg_jw_object(&w, NULL);
        mg_inference_members(&w, r, row, MG_INFERENCE_LISTED,
                             page->private_too);
        mg_jw_end_object(&w);
        mg_buf_char(&page->call->out, '\n');
        break;

    default:
        mg_jw_object(&page->w, NULL);
        mg_inference_members(&page->w, r, row, MG_INFERENCE_LISTED,
                             page->private_too);
        mg_jw_end_object(&page->w);
    }
}


static int
mg_inference_end(mg_inference_page_t *page, mg_error_t *e)
{
    mg_call_t  *c;

    c = page->call;

    if (page->more && mg_inference_link(page, e) != MG_OK) {
        return MG_ERROR;
    }

    switch (page->format) {

    case MG_FORMAT_CSV:
        c->type = "text/csv; charset=utf-8; header=present";
        c->file = mg_str("inferences.csv");
        return MG_OK;

    case MG_FORMAT_NDJSON:
        c->type = "application/x-ndjson";
        c->file = mg_str("inferences.ndjson");
        return MG_OK;

    default:
        break;
    }

    mg_jw_end_array(&page->w);
    mg_call_write_time(&page->w, "since", page->filter.since);
    mg_call_write_time(&page->w, "until", page->filter.until);
    mg_jw_object(&page->w, "pagination");
    mg_jw_int(&page->w, "limit", page->limit);
    mg_jw_str(&page->w, "next", page->more ? page->last : mg_str_null);
    mg_jw_end_object(&page->w);
    mg_jw_end_object(&page->w);

    return MG_OK;
}


/*
 * The same question after the last row, whatever was asked first, and since the
 * same time: left out it would be a week before that row.
 */

static int
mg_inference_link(mg_inference_page_t *page, mg_error_t *e)
{
    unsigned    i;
    mg_str_t    link, value;
    mg_call_t  *c;
    char        since[MG_TIME_LEN + 1];

    c = page->call;

    link = mg_call_address(c, "</api/v1/model-groups/",
                           mg_call_path(c, "group"), "/inferences?after=");
    link = mg_arena_printf(c->arena, "%.*s%.*s", MG_STR_ARG(link),
                           MG_STR_ARG(page->last));

    for (i = 0; link.data && i < c->n_query; i++) {
        if (mg_str_eq(c->query[i].name, mg_str("after"))) {
            continue;
        }

        value = mg_call_address(c, "=", c->query[i].value, "");
        link = mg_arena_printf(c->arena, "%.*s&%.*s%.*s", MG_STR_ARG(link),
                               MG_STR_ARG(c->query[i].name),
                               MG_STR_ARG(value));
    }

    if (link.data && mg_call_query(c, "since").data == NULL) {
        (void) mg_time_format(page->filter.since, since);
        link = mg_arena_printf(c->arena, "%.*s&since=%s", MG_STR_ARG(link),
                               since);
    }

    if (link.data) {
        c->link = mg_arena_printf(c->arena, "%.*s>; rel=\"next\"",
                                  MG_STR_ARG(link));
    }

    if (c->link.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}


/* -- a row -- */

static void
mg_inference_members(mg_jw_t *w, const mg_pg_rows_t *r, int row, unsigned set,
    int private_too)
{
    int                           i;
    const mg_inference_column_t  *col;

    i = 0;

    for (col = mg_inference_columns; col->name; col++) {
        if (mg_inference_column_in(col, set, private_too)) {
            mg_inference_cell(w, col, mg_pg_rows_str(r, row, i));
            i++;
        }
    }
}


static void
mg_inference_cell(mg_jw_t *w, const mg_inference_column_t *col,
    mg_str_t value)
{
    char  text[MG_TIME_LEN + 1];

    if (value.data == NULL) {
        mg_jw_null(w, col->name);
        return;
    }

    switch (col->kind) {

    case MG_CELL_NUMBER:
    case MG_CELL_JSON:
        mg_jw_raw(w, col->name, value);
        break;

    case MG_CELL_BOOL:
        mg_jw_bool(w, col->name, value.data[0] == 't');
        break;

    case MG_CELL_TIME:
        mg_jw_str(w, col->name, mg_inference_time(value, text));
        break;

    default:
        mg_jw_str(w, col->name, value);
    }
}


static void
mg_inference_csv(mg_buf_t *b, const mg_pg_rows_t *r, int row,
    int private_too)
{
    int                           i;
    char                          text[MG_TIME_LEN + 1];
    mg_str_t                      value;
    const mg_inference_column_t  *col;

    i = 0;

    for (col = mg_inference_columns; col->name; col++) {
        if (!mg_inference_column_in(col, MG_INFERENCE_LISTED, private_too)) {
            continue;
        }

        value = mg_pg_rows_str(r, row, i);

        switch (col->kind) {

        case MG_CELL_TEXT:
        case MG_CELL_JSON:
            mg_csv_str(b, i == 0, value);
            break;

        case MG_CELL_BOOL:
            mg_csv_raw(b, i == 0, value.data == NULL ? value
                                  : value.data[0] == 't' ? mg_str("true")
                                                         : mg_str("false"));
            break;

        case MG_CELL_TIME:
            mg_csv_raw(b, i == 0, mg_inference_time(value, text));
            break;

        default:
            mg_csv_raw(b, i == 0, value);
        }

        i++;
    }

    mg_csv_end(b);
}


/* From PostgreSQL's text; room for MG_TIME_LEN + 1. */

static mg_str_t
mg_inference_time(mg_str_t value, char *text)
{
    int64_t  us;

    if (mg_time_parse(value, &us) != MG_OK) {
        return mg_str_null;
    }

    return mg_str_n(text, mg_time_format(us, text));
}


/* -- one -- */

int
mg_call_inference_id(const mg_call_t *c, mg_uuid_t *id, mg_error_t *e)
{
    mg_str_t  text;

    text = mg_call_path(c, "id");

    if (mg_uuid_parse(text, id) == MG_OK && mg_call_inference_time(id)) {
        return MG_OK;
    }

    return mg_error_set(e, MG_E_NOT_FOUND, "id",
                        "there is no inference \"%.*s\"; give the "
                        "X-Inference-Id of an answer",
                        (int) (text.len > 80 ? 80 : text.len), text.data);
}


int
mg_call_inference_get(mg_call_t *c, mg_error_t *e)
{
    int         rc;
    mg_pg_t    *db;
    mg_uuid_t   id;

    if (mg_call_inference_id(c, &id, e) != MG_OK) {
        return MG_ERROR;
    }

    db = mg_call_db(c, e);

    if (db == NULL) {
        return MG_ERROR;
    }

    rc = mg_inference_read(db, c, &id, e);
    mg_pg_release(db);

    return rc;
}


static int
mg_inference_read(mg_pg_t *db, mg_call_t *c, const mg_uuid_t *id,
    mg_error_t *e)
{
    int                     rc, private_too;
    mg_str_t                org;
    mg_pg_rows_t           *one, *shadows;
    mg_inference_source_t   source;

    org = c->who.org_id;
    private_too = mg_role_allows(c->role, MG_ROLE_OPERATOR);

    if (mg_store_inference_find(db, org, id, mg_call_query(c, "group"),
                                c->cancel, c->arena, &source, e)
        != MG_OK
        || mg_store_inference_get(db, org, &source, id, private_too,
                                  c->arena, &one, e)
           != MG_OK)
    {
        return MG_ERROR;
    }

    rc = mg_store_inference_shadows(db, org, &source, id, private_too,
                                    c->arena, &shadows, e);

    if (rc == MG_OK) {
        rc = mg_inference_answer(db, c, id, one, shadows, e);
        mg_pg_rows_free(shadows);
    }

    mg_pg_rows_free(one);

    return rc;
}


static int
mg_inference_answer(mg_pg_t *db, mg_call_t *c, const mg_uuid_t *id,
    mg_pg_rows_t *one, mg_pg_rows_t *shadows, mg_error_t *e)
{
    int             i, private_too;
    mg_jw_t         w;
    unsigned        k, n;
    mg_feedback_t  *feedback;

    private_too = mg_role_allows(c->role, MG_ROLE_OPERATOR);

    if (mg_store_feedback_list(db, c->who.org_id, id, c->arena, &feedback,
                               &n, e)
        != MG_OK)
    {
        return MG_ERROR;
    }

    mg_call_writer(c, &w);
    mg_jw_object(&w, NULL);
    mg_inference_members(&w, one, 0, MG_INFERENCE_WHOLE, private_too);

    mg_jw_array(&w, "shadows");

    for (i = 0; i < mg_pg_rows_count(shadows); i++) {
        mg_jw_object(&w, NULL);
        mg_inference_members(&w, shadows, i, MG_INFERENCE_WHOLE, private_too);
        mg_jw_end_object(&w);
    }

    mg_jw_end_array(&w);

    mg_jw_array(&w, "feedback");

    for (k = 0; k < n; k++) {
        mg_call_write_feedback(&w, &feedback[k]);
    }

    mg_jw_end_array(&w);
    mg_jw_end_object(&w);

    return MG_OK;
}
