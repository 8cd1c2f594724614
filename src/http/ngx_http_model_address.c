/*
 * ngx_http_model_address.c: a worker's book of upstream addresses.
 *
 * As many buckets as entries, so chains are short; an entry is found with
 * one checksum and one comparison.  The text of an address is made when it
 * is entered, not at each request.
 *
 * Event loop only.
 */

#include "http/ngx_http_model_address.h"

#include "base/mg_hash.h"


#define NGX_HTTP_MODEL_BOOK_SIZE   1024


struct ngx_http_model_book_s {
    ngx_queue_t                lru;          /* last used first */
    void                     (*leave)(ngx_http_model_address_t *a);
    ngx_http_model_address_t  *buckets[NGX_HTTP_MODEL_BOOK_SIZE];
    ngx_http_model_address_t   entries[NGX_HTTP_MODEL_BOOK_SIZE];
};


static ngx_http_model_address_t **ngx_http_model_book_bucket(
    ngx_http_model_book_t *b, uint64_t identity, const void *sa,
    socklen_t len);
static ngx_http_model_address_t *ngx_http_model_book_evict(
    ngx_http_model_book_t *b);
#if (NGX_HTTP_SSL)
static void ngx_http_model_book_forget(ngx_http_model_address_t *a);
static void ngx_http_model_book_cleanup(void *data);
#endif


ngx_http_model_book_t *
ngx_http_model_book_create(ngx_pool_t *pool,
    void (*leave)(ngx_http_model_address_t *a))
{
    ngx_uint_t              i;
    ngx_http_model_book_t  *b;
#if (NGX_HTTP_SSL)
    ngx_pool_cleanup_t     *cln;
#endif

    b = ngx_pcalloc(pool, sizeof(ngx_http_model_book_t));
    if (b == NULL) {
        return NULL;
    }

#if (NGX_HTTP_SSL)

    /* sessions are OpenSSL's memory, not the pool's */

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_model_book_cleanup;
    cln->data = b;

#endif

    b->leave = leave;
    ngx_queue_init(&b->lru);

    for (i = 0; i < NGX_HTTP_MODEL_BOOK_SIZE; i++) {
        ngx_queue_init(&b->entries[i].idle);
        ngx_queue_insert_tail(&b->lru, &b->entries[i].lru);
    }

    return b;
}


ngx_http_model_address_t *
ngx_http_model_book_find(ngx_http_model_book_t *b, uint64_t identity,
    const struct sockaddr_storage *sa, socklen_t len)
{
    ngx_http_model_address_t  *a, **bucket;

    bucket = ngx_http_model_book_bucket(b, identity, sa, len);

    for (a = *bucket; a; a = a->next) {
        if (a->identity == identity && a->socklen == len
            && ngx_memcmp(&a->sockaddr, sa, len) == 0)
        {
            break;
        }
    }

    if (a == NULL) {
        a = ngx_http_model_book_evict(b);
        if (a == NULL) {
            return NULL;
        }

        a->identity = identity;
        a->peak = NULL;
        a->socklen = len;
        ngx_memcpy(&a->sockaddr, sa, len);

        a->name_len = ngx_sock_ntop((struct sockaddr *) &a->sockaddr, len,
                                    a->name, NGX_SOCKADDR_STRLEN, 1);

        a->next = *bucket;
        *bucket = a;
    }

    ngx_queue_remove(&a->lru);
    ngx_queue_insert_head(&b->lru, &a->lru);

    return a;
}


static ngx_http_model_address_t **
ngx_http_model_book_bucket(ngx_http_model_book_t *b, uint64_t identity,
    const void *sa, socklen_t len)
{
    uint64_t  hash;

    hash = mg_sum64(sa, len) ^ identity;

    return &b->buckets[hash % NGX_HTTP_MODEL_BOOK_SIZE];
}


/* The entry that nobody has used for the longest time, emptied. */

static ngx_http_model_address_t *
ngx_http_model_book_evict(ngx_http_model_book_t *b)
{
    ngx_queue_t               *q;
    ngx_http_model_address_t  *a, **p;

    for (q = ngx_queue_last(&b->lru);
         q != ngx_queue_sentinel(&b->lru);
         q = ngx_queue_prev(q))
    {
        a = ngx_queue_data(q, ngx_http_model_address_t, lru);

        if (a->refs) {
            continue;
        }

        if (a->socklen == 0) {
            return a;
        }

        b->leave(a);

#if (NGX_HTTP_SSL)
        ngx_http_model_book_forget(a);
#endif

        p = ngx_http_model_book_bucket(b, a->identity, &a->sockaddr,
                                       a->socklen);

        while (*p != a) {
            p = &(*p)->next;
        }

        *p = a->next;

        return a;
    }

    return NULL;
}


#if (NGX_HTTP_SSL)

static void
ngx_http_model_book_forget(ngx_http_model_address_t *a)
{
    if (a->session) {
        ngx_ssl_free_session(a->session);
        a->session = NULL;
    }
}


static void
ngx_http_model_book_cleanup(void *data)
{
    ngx_uint_t              i;
    ngx_http_model_book_t  *b = data;

    for (i = 0; i < NGX_HTTP_MODEL_BOOK_SIZE; i++) {
        ngx_http_model_book_forget(&b->entries[i]);
    }
}

#endif
