/*
 * mg_secret.c: keys of providers that stand in no database.
 *
 * A file is read again when its time, size or inode has changed, which holds
 * for one that was written over as well as for a name that leads elsewhere
 * now, as orchestrators do it.  A file that is caught half-written is read
 * once more, since its time changes when the rest comes.
 *
 * The mutex guards the keys alone: readers copy, the refresh swaps.
 */

#include "model/mg_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mg_crypt.h"
#include "model/mg_catalog.h"


#define MG_SECRET_PATH_MAX   1024


typedef struct {
    dev_t             dev;
    ino_t             ino;
    off_t             size;
    struct timespec   mtime;
    struct timespec   ctime;
} mg_secret_stamp_t;


typedef struct {
    char                provider[MG_PROVIDER_ID_MAX];
    size_t              provider_len;
    char                path[MG_SECRET_PATH_MAX];    /* "": no file */
    mg_secret_stamp_t   stamp;
    int                 failed;       /* that was said */
    size_t              len;
    char                key[MG_SECRET_MAX];
} mg_secret_t;


struct mg_secrets_s {
    pthread_mutex_t   mutex;
    unsigned          n;
    unsigned          files;
    mg_secret_t       rows[MG_SECRETS_MAX];
};


static int mg_secret_find(const mg_secrets_t *s, mg_str_t provider);
static int mg_secret_environment(mg_secret_t *row, mg_str_t name,
    mg_error_t *e);
static int mg_secret_file(mg_secrets_t *s, mg_secret_t *row, mg_error_t *e);
static int mg_secret_read(const char *path, mg_secret_stamp_t *stamp,
    char *key, size_t *len, mg_error_t *e);
static int mg_secret_same(const mg_secret_stamp_t *a,
    const mg_secret_stamp_t *b);
static void mg_secret_stamp(mg_secret_stamp_t *stamp, const struct stat *st);
static int mg_secret_trim(const char *what, const char *text, size_t *len,
    mg_error_t *e);


mg_secrets_t *
mg_secrets_create(void)
{
    mg_secrets_t  *s;

    s = mmap(NULL, sizeof(mg_secrets_t), PROT_READ|PROT_WRITE,
             MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (s == MAP_FAILED) {
        return NULL;
    }

    /* where the kernel does not know this the keys are in core dumps */

    (void) madvise(s, sizeof(mg_secrets_t), MADV_DONTDUMP);
    (void) pthread_mutex_init(&s->mutex, NULL);

    return s;
}


void
mg_secrets_destroy(mg_secrets_t *s)
{
    (void) pthread_mutex_destroy(&s->mutex);

    mg_wipe(s->rows, s->n * sizeof(mg_secret_t));
    (void) munmap(s, sizeof(mg_secrets_t));
}


int
mg_secrets_add(mg_secrets_t *s, mg_str_t provider, mg_str_t source,
    mg_error_t *e)
{
    int           rc;
    mg_secret_t  *row;

    if (!mg_provider_id_ok(provider)) {
        return mg_error_set(e, MG_E_INVALID, NULL, "\"" MG_STR_FMT "\" is no "
                            "id of a provider", MG_STR_ARG(provider));
    }

    if (mg_secret_find(s, provider) >= 0) {
        return mg_error_set(e, MG_E_INVALID, NULL, "provider \"" MG_STR_FMT
                            "\" has a secret already", MG_STR_ARG(provider));
    }

    if (s->n == MG_SECRETS_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL, "more than %d secrets; "
                            "store keys with the API", MG_SECRETS_MAX);
    }

    row = &s->rows[s->n];
    memset(row, 0, sizeof(mg_secret_t));
    memcpy(row->provider, provider.data, provider.len);
    row->provider_len = provider.len;

    if (source.len > 5 && source.len - 5 < MG_SECRET_PATH_MAX
        && memcmp(source.data, "file:", 5) == 0)
    {
        memcpy(row->path, source.data + 5, source.len - 5);
        rc = mg_secret_file(s, row, e);
        rc = (rc == MG_DECLINED) ? MG_OK : rc;

    } else if (source.len > 4 && source.len - 4 < MG_SECRET_PATH_MAX
               && memcmp(source.data, "env:", 4) == 0)
    {
        rc = mg_secret_environment(row, mg_str_n(source.data + 4,
                                                 source.len - 4), e);

    } else {

        /* not shown: it may be the key itself */

        rc = mg_error_set(e, MG_E_INVALID, NULL, "what stands behind \""
                          MG_STR_FMT "\" is no place of a secret; give "
                          "file:/PATH or env:NAME", MG_STR_ARG(provider));
    }

    if (rc == MG_OK) {
        s->files += (row->path[0] != '\0');
        s->n++;
    }

    return rc;
}


static int
mg_secret_find(const mg_secrets_t *s, mg_str_t provider)
{
    unsigned  i;

    for (i = 0; i < s->n; i++) {
        if (mg_str_eq(provider, mg_str_n(s->rows[i].provider,
                                         s->rows[i].provider_len)))
        {
            return (int) i;
        }
    }

    return -1;
}


static int
mg_secret_environment(mg_secret_t *row, mg_str_t name, mg_error_t *e)
{
    char         text[MG_SECRET_PATH_MAX];
    const char  *value;

    memcpy(text, name.data, name.len);
    text[name.len] = '\0';

    value = getenv(text);

    if (value == NULL) {
        return mg_error_set(e, MG_E_INVALID, NULL, "the environment has no "
                            "\"%s\"; set it where nginx is started", text);
    }

    row->len = strlen(value);

    if (mg_secret_trim(text, value, &row->len, e) != MG_OK) {
        return MG_ERROR;
    }

    memcpy(row->key, value, row->len);

    return MG_OK;
}


int
mg_secrets_refresh(mg_secrets_t *s, unsigned i, mg_error_t *e)
{
    int           rc;
    mg_secret_t  *row;

    row = &s->rows[i];

    if (row->path[0] == '\0') {
        return MG_DECLINED;
    }

    rc = mg_secret_file(s, row, e);

    if (rc == MG_ERROR && row->failed) {
        return MG_DECLINED;
    }

    row->failed = (rc == MG_ERROR);

    return rc;
}


static int
mg_secret_file(mg_secrets_t *s, mg_secret_t *row, mg_error_t *e)
{
    int                rc;
    char               key[MG_SECRET_MAX];
    size_t             len;
    struct stat        st;
    mg_secret_stamp_t  stamp;

    if (stat(row->path, &st) == 0) {
        mg_secret_stamp(&stamp, &st);

        if (row->len && mg_secret_same(&stamp, &row->stamp)) {
            return MG_DECLINED;
        }
    }

    len = 0;

    if (mg_secret_read(row->path, &stamp, key, &len, e) != MG_OK) {
        return MG_ERROR;
    }

    (void) pthread_mutex_lock(&s->mutex);

    rc = mg_str_eq(mg_str_n(key, len), mg_str_n(row->key, row->len))
         ? MG_DECLINED : MG_OK;

    memcpy(row->key, key, len);
    row->len = len;

    (void) pthread_mutex_unlock(&s->mutex);

    row->stamp = stamp;
    mg_wipe(key, sizeof(key));

    return rc;
}


static int
mg_secret_read(const char *path, mg_secret_stamp_t *stamp, char *key,
    size_t *len, mg_error_t *e)
{
    int          fd, rc;
    char         text[MG_SECRET_MAX + 16];
    ssize_t      n;
    struct stat  st;

    /* a pipe that nobody writes to would hold up whoever opens it */

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NONBLOCK);

    if (fd == -1) {
        return mg_error_set(e, MG_E_INVALID, NULL, "secret \"%s\" cannot be "
                            "opened: %s; the user of the workers must be "
                            "able to read it", path, strerror(errno));
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        (void) close(fd);
        return mg_error_set(e, MG_E_INVALID, NULL,
                            "secret \"%s\" is no regular file", path);
    }

    mg_secret_stamp(stamp, &st);

    do {
        n = read(fd, text, sizeof(text));
    } while (n == -1 && errno == EINTR);

    (void) close(fd);

    if (n == -1) {
        return mg_error_set(e, MG_E_INVALID, NULL, "secret \"%s\" cannot be "
                            "read: %s", path, strerror(errno));
    }

    *len = (size_t) n;
    rc = mg_secret_trim(path, text, len, e);

    if (rc == MG_OK) {
        memcpy(key, text, *len);
    }

    mg_wipe(text, sizeof(text));

    return rc;
}


static int
mg_secret_same(const mg_secret_stamp_t *a, const mg_secret_stamp_t *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size
           && a->mtime.tv_sec == b->mtime.tv_sec
           && a->mtime.tv_nsec == b->mtime.tv_nsec
           && a->ctime.tv_sec == b->ctime.tv_sec
           && a->ctime.tv_nsec == b->ctime.tv_nsec;
}


static void
mg_secret_stamp(mg_secret_stamp_t *stamp, const struct stat *st)
{
    stamp->dev = st->st_dev;
    stamp->ino = st->st_ino;
    stamp->size = st->st_size;
    stamp->mtime = st->st_mtim;
    stamp->ctime = st->st_ctim;
}


/* Editors end files with a line; a header takes visible characters alone. */

static int
mg_secret_trim(const char *what, const char *text, size_t *len,
    mg_error_t *e)
{
    size_t  i, n;

    for (n = *len; n && (unsigned char) text[n - 1] <= ' '; n--) {
        /* void */
    }

    if (n == 0 || n > MG_SECRET_MAX) {
        return mg_error_set(e, MG_E_INVALID, NULL, "secret \"%s\" %s", what,
                            n ? "is longer than 4000 bytes" : "is empty");
    }

    for (i = 0; i < n; i++) {
        if (text[i] <= ' ' || text[i] > '~') {
            return mg_error_set(e, MG_E_INVALID, NULL, "secret \"%s\" holds "
                                "a blank or a character that is not ASCII at "
                                "byte %zu; give the key alone", what, i);
        }
    }

    *len = n;

    return MG_OK;
}


unsigned
mg_secrets_count(const mg_secrets_t *s, unsigned *files)
{
    *files = s->files;

    return s->n;
}


int
mg_secrets_has(const mg_secrets_t *s, mg_str_t provider)
{
    return mg_secret_find(s, provider) >= 0;
}


int
mg_secrets_get(mg_secrets_t *s, mg_str_t provider, char *out, size_t *len)
{
    int  i;

    i = mg_secret_find(s, provider);

    if (i < 0) {
        return MG_DECLINED;
    }

    (void) pthread_mutex_lock(&s->mutex);

    memcpy(out, s->rows[i].key, s->rows[i].len);
    *len = s->rows[i].len;

    (void) pthread_mutex_unlock(&s->mutex);

    return MG_OK;
}
