/*
 * mg_pages.c: from one page of a list to the next.
 *
 * Pages that were read are known by a sum of their paths: two paths of one
 * sum would end a list early, with an error.
 *
 * Called by the jobs that read lists; touches nothing but its struct.
 */

#include "job/mg_pages.h"

#include "base/mg_hash.h"


static int mg_pages_seen(const mg_pages_t *p, mg_str_t path);


void
mg_pages_init(mg_pages_t *p, const mg_protocol_t *protocol,
    mg_str_t provider)
{
    memset(p, 0, sizeof(mg_pages_t));

    p->protocol = protocol;
    p->provider = provider;

    mg_buf_init(&p->path, MG_PAGES_PATH_MAX);
    mg_buf_z(&p->path, protocol->list_path);
}


void
mg_pages_free(mg_pages_t *p)
{
    mg_buf_free(&p->path);
}


int
mg_pages_next(mg_pages_t *p, const mg_http_response_t *res, mg_arena_t *a,
    mg_error_t *e)
{
    int       rc;
    mg_str_t  path;

    if (p->n < MG_PAGES_MAX) {
        p->seen[p->n++] = mg_sum64(p->path.data, p->path.len);
    }

    if (p->protocol->next == NULL) {
        return MG_OK;
    }

    rc = p->protocol->next(res->body, res->link, a, &path, e);

    if (rc != MG_OK) {
        return (rc == MG_DECLINED) ? MG_OK : MG_ERROR;
    }

    if (path.len == 0 || path.len > MG_PAGES_PATH_MAX || path.data[0] != '/'
        || p->n == MG_PAGES_MAX || mg_pages_seen(p, path))
    {
        return mg_error_set(e, MG_E_UPSTREAM, NULL, "the list of provider \""
                            MG_STR_FMT "\" leads nowhere after page %u: in a "
                            "circle, or beyond %d pages",
                            MG_STR_ARG(p->provider), p->n, MG_PAGES_MAX);
    }

    p->path.len = 0;
    mg_buf_str(&p->path, path);

    return MG_AGAIN;
}


static int
mg_pages_seen(const mg_pages_t *p, mg_str_t path)
{
    unsigned  i;
    uint64_t  sum;

    sum = mg_sum64(path.data, path.len);

    for (i = 0; i < p->n; i++) {
        if (p->seen[i] == sum) {
            return 1;
        }
    }

    return 0;
}
