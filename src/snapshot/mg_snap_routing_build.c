/*
 * mg_snap_routing_build.c: collects providers, groups and tokens.
 *
 * Rows are copied in any order; mg_snap_routing_write.c sorts them and
 * makes the image.  What cannot be served right is refused with its name (a
 * split that does not cover all buckets, an unknown role): the file that is
 * published stays the last good one.  A provider without addresses is no
 * reason to refuse: its members answer with an error, all others go on.
 *
 * Pool threads (resolving names blocks); one builder, one thread; all
 * memory is the builder's.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/mg_hash.h"
#include "base/mg_json.h"
#include "base/mg_uri.h"
#include "model/mg_path.h"
#include "snapshot/mg_snap_routing_build.h"


static void mg_routing_dup(mg_routing_builder_t *b, mg_str_t *s);
static mg_str_t mg_routing_headers(mg_routing_builder_t *b, mg_str_t json);
static int64_t mg_routing_timeout(int64_t ms);
static int mg_routing_source_resolve(mg_routing_source_t *source,
    mg_str_t base_url);
static uint64_t mg_routing_identity(const mg_url_t *url);
static int mg_routing_group_ok(const mg_group_t *g, mg_error_t *e);
static int mg_routing_ranges_ok(const mg_group_t *g);


mg_routing_builder_t *
mg_routing_builder_create(uint64_t generation)
{
    unsigned               i;
    mg_routing_builder_t  *b;

    b = calloc(1, sizeof(mg_routing_builder_t));
    if (b == NULL) {
        return NULL;
    }

    b->generation = generation;
    mg_resolve_round();

    mg_buf_init(&b->image, MG_SNAP_SIZE_MAX);

    for (i = 0; i < MG_SR_N; i++) {
        mg_buf_init(&b->sections[i], MG_SNAP_SIZE_MAX);
    }

    b->arena = mg_arena_create(0);
    if (b->arena == NULL) {
        mg_routing_builder_destroy(b);
        return NULL;
    }

    return b;
}


void
mg_routing_builder_destroy(mg_routing_builder_t *b)
{
    unsigned  i;

    if (b == NULL) {
        return;
    }

    for (i = 0; i < MG_SR_N; i++) {
        mg_buf_free(&b->sections[i]);
    }

    mg_buf_free(&b->image);

    mg_arena_destroy(b->arena);

    free(b->prices.rows);
    free(b->tokens.rows);
    free(b->groups.rows);
    free(b->sources.rows);
    free(b);
}


void *
mg_routing_row_add(mg_routing_builder_t *b, mg_routing_rows_t *rows,
    size_t size, mg_error_t *e)
{
    void      *row, **grown;
    uint32_t   wanted;

    if (rows->n == rows->size) {
        wanted = rows->size ? rows->size * 2 : 64;
        grown = realloc(rows->rows, wanted * sizeof(void *));

        if (grown == NULL) {
            mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
            return NULL;
        }

        rows->rows = grown;
        rows->size = wanted;
    }

    row = mg_arena_calloc(b->arena, size);
    if (row == NULL) {
        mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        return NULL;
    }

    rows->rows[rows->n++] = row;

    return row;
}


/* Copies a string to the arena in place; without memory it gets absent. */

static void
mg_routing_dup(mg_routing_builder_t *b, mg_str_t *s)
{
    if (s->data != NULL) {
        *s = mg_arena_dup(b->arena, *s);
    }
}


/* -- providers -- */

int
mg_routing_builder_provider(mg_routing_builder_t *b, const mg_provider_t *p,
    unsigned *unresolved, mg_error_t *e)
{
    mg_provider_t        *copy;
    mg_routing_source_t  *source;

    source = mg_routing_row_add(b, &b->sources, sizeof(mg_routing_source_t),
                                e);
    if (source == NULL) {
        return MG_ERROR;
    }

    copy = &source->provider;
    mg_provider_init(copy);

    copy->id = p->id;
    copy->org_id = p->org_id;
    copy->protocol = p->protocol;
    copy->base_url = p->base_url;
    copy->key_sealed = p->key_sealed;

    mg_routing_dup(b, &copy->id);
    mg_routing_dup(b, &copy->org_id);
    mg_routing_dup(b, &copy->protocol);
    mg_routing_dup(b, &copy->base_url);
    mg_routing_dup(b, &copy->key_sealed);

    if ((p->id.data && !copy->id.data)
        || (p->org_id.data && !copy->org_id.data)
        || (p->protocol.data && !copy->protocol.data)
        || (p->base_url.data && !copy->base_url.data)
        || (p->key_sealed.data && !copy->key_sealed.data))
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    copy->headers = mg_routing_headers(b, p->headers);
    copy->paths = mg_path_lines(b->arena, p->paths);

    if (mg_path_plain(p->probe)) {
        copy->probe = mg_arena_dup(b->arena, p->probe);
    }

    copy->stream_usage = p->stream_usage;
    copy->connect_timeout_ms = mg_routing_timeout(p->connect_timeout_ms);
    copy->read_timeout_ms = mg_routing_timeout(p->read_timeout_ms);

    if (copy->base_url.len != 0
        && mg_routing_source_resolve(source, copy->base_url) != MG_OK)
    {
        (*unresolved)++;
    }

    return MG_OK;
}


/*
 * {"Name": "value", ...} as "Name: value\n" lines.  What may not be sent
 * can only come from SQL, past the checks of the API, and is left out.
 */

static mg_str_t
mg_routing_headers(mg_routing_builder_t *b, mg_str_t json)
{
    char             *p, *line;
    size_t            len;
    unsigned          n;
    mg_error_t        e;
    const mg_json_t  *doc, *m;

    doc = json.len ? mg_json_parse(b->arena, json, NULL, &e) : NULL;

    if (doc == NULL || doc->type != MG_JSON_OBJECT) {
        return mg_str_null;
    }

    for (len = 0, m = doc->child; m; m = m->next) {
        len += m->key.len + m->str.len + sizeof(": \n") - 1;
    }

    line = mg_arena_alloc(b->arena, len + 1);
    p = line;

    for (n = 0, m = doc->child;
         line && m && n < MG_PROVIDER_HEADERS_MAX;
         m = m->next)
    {
        if (m->type != MG_JSON_STRING
            || !mg_provider_header_ok(m->key, m->str))
        {
            continue;
        }

        p += sprintf(p, "%.*s: %.*s\n", MG_STR_ARG(m->key),
                     MG_STR_ARG(m->str));
        n++;
    }

    return n ? mg_str_n(line, (size_t) (p - line)) : mg_str_null;
}


/* What a timer can hold; anything else is as if nobody had said a time. */

static int64_t
mg_routing_timeout(int64_t ms)
{
    if (ms < 1 || ms > MG_SR_TIMEOUT_MAX_MS) {
        return MG_UNKNOWN;
    }

    return ms;
}


static int
mg_routing_source_resolve(mg_routing_source_t *source, mg_str_t base_url)
{
    mg_url_t  url;

    if (mg_url_parse(base_url, &url, "base_url", NULL) != MG_OK) {
        return MG_DECLINED;
    }

    source->scheme = url.tls ? mg_str("https") : mg_str("http");
    source->host = url.host;
    source->host_port = url.host_port;
    source->path = url.path;
    source->identity = mg_routing_identity(&url);

    return mg_resolve(url.host, url.port, url.literal, &source->found);
}


/* Connections may be shared where scheme, host and port are the same. */

static uint64_t
mg_routing_identity(const mg_url_t *url)
{
    char    text[MG_URI_MAX + 4];
    size_t  i;

    static const uint8_t  key[16] = { 'b', 'a', 'c', 'k', 'e', 'n', 'd' };

    text[0] = (char) url->tls;
    text[1] = (char) (url->port >> 8);
    text[2] = (char) (url->port & 0xff);

    for (i = 0; i < url->host.len && i < MG_URI_MAX; i++) {
        text[3 + i] = url->host.data[i];

        if (text[3 + i] >= 'A' && text[3 + i] <= 'Z') {
            text[3 + i] |= 0x20;
        }
    }

    return mg_siphash(key, text, 3 + i);
}


/* -- groups -- */

int
mg_routing_builder_group(mg_routing_builder_t *b, const mg_group_t *g,
    mg_error_t *e)
{
    uint32_t     i;
    mg_group_t  *copy;

    /* nothing is served from a draft or an archived group */

    if (g->status != MG_GROUP_ACTIVE && g->status != MG_GROUP_PAUSED) {
        return MG_OK;
    }

    if (mg_routing_group_ok(g, e) != MG_OK) {
        return MG_ERROR;
    }

    copy = mg_routing_row_add(b, &b->groups, sizeof(mg_group_t), e);
    if (copy == NULL) {
        return MG_ERROR;
    }

    *copy = *g;
    copy->description = mg_str_null;
    copy->promotion_rules = mg_str_null;
    copy->test_metadata = mg_str_null;

    mg_routing_dup(b, &copy->id);
    mg_routing_dup(b, &copy->org_id);
    mg_routing_dup(b, &copy->name);
    mg_routing_dup(b, &copy->inference_table);
    mg_routing_dup(b, &copy->traffic_config);

    for (i = 0; i < copy->n_members; i++) {
        mg_routing_dup(b, &copy->members[i].model_id);

        if (copy->members[i].model_id.data == NULL) {
            return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        }
    }

    if (copy->id.data == NULL || copy->org_id.data == NULL
        || copy->name.data == NULL
        || (g->inference_table.data && !copy->inference_table.data)
        || (g->traffic_config.data && !copy->traffic_config.data))
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}


static int
mg_routing_group_ok(const mg_group_t *g, mg_error_t *e)
{
    uint32_t  i;

    if (g->name.len == 0 || g->name.len > MG_GROUP_NAME_MAX) {
        return mg_error_set(e, MG_E_INTERNAL, "name",
                            "the name of group \"%.*s\" has %zu bytes; 1 to "
                            "%d are possible", MG_STR_ARG(g->id),
                            g->name.len, MG_GROUP_NAME_MAX);
    }

    if ((unsigned) g->strategy >= MG_STRATEGY_N
        || g->n_members > MG_GROUP_MEMBERS_MAX)
    {
        return mg_error_set(e, MG_E_INTERNAL, "strategy",
                            "group \"%.*s\" has strategy %u and %u members: "
                            "one of them is impossible", MG_STR_ARG(g->name),
                            (unsigned) g->strategy, (unsigned) g->n_members);
    }

    for (i = 0; i < g->n_members; i++) {
        if ((unsigned) g->members[i].role >= MG_MEMBER_N
            || g->members[i].share > MG_SPLIT_BUCKETS
            || g->members[i].model_id.data == NULL)
        {
            return mg_error_set(e, MG_E_INTERNAL, "models",
                                "member %u of group \"%.*s\" has no model, "
                                "an unknown role or an impossible share",
                                (unsigned) i, MG_STR_ARG(g->name));
        }
    }

    if (!mg_routing_ranges_ok(g)) {
        return mg_error_set(e, MG_E_INTERNAL, "traffic_percentage",
                            "the stored split of group \"%.*s\" does not "
                            "cover each bucket once; assign its models "
                            "again", MG_STR_ARG(g->name));
    }

    return MG_OK;
}


static int
mg_routing_ranges_ok(const mg_group_t *g)
{
    uint32_t  i, next;

    if (g->n_ranges == 0) {
        return 1;
    }

    if (g->n_ranges > MG_SPLIT_RANGES_MAX) {
        return 0;
    }

    for (i = 0, next = 0; i < g->n_ranges; i++) {
        if (g->ranges[i].first != next
            || g->ranges[i].last < g->ranges[i].first
            || g->ranges[i].last >= MG_SPLIT_BUCKETS
            || g->ranges[i].variant >= g->n_members)
        {
            return 0;
        }

        next = g->ranges[i].last + 1u;
    }

    return next == MG_SPLIT_BUCKETS;
}


/* -- tokens -- */

int
mg_routing_builder_token(mg_routing_builder_t *b, const mg_token_t *t,
    mg_error_t *e)
{
    mg_token_t  *copy;

    if (t->role == MG_ROLE_NONE || (unsigned) t->role >= MG_ROLE_N) {
        return mg_error_set(e, MG_E_INTERNAL, "role",
                            "token \"%.*s\" has role %u, which is unknown",
                            MG_STR_ARG(t->id), (unsigned) t->role);
    }

    copy = mg_routing_row_add(b, &b->tokens, sizeof(mg_token_t), e);
    if (copy == NULL) {
        return MG_ERROR;
    }

    *copy = *t;
    mg_routing_dup(b, &copy->id);
    mg_routing_dup(b, &copy->org_id);

    if (copy->id.data == NULL || copy->org_id.data == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    return MG_OK;
}
