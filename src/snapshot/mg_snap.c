/*
 * mg_snap.c: the frame of a snapshot: assembled, checked, mapped.
 *
 * The checks come in two strengths.  The frame (magic, kind, version,
 * lengths, table of sections) is a few words and is looked at by everybody
 * who maps a file.  The whole (checksum, and each offset, length and index
 * by the kind's own check) is for the one who publishes it or who finds a
 * file of unknown history at start.
 *
 * A frame that passed leaves no section outside the file, so a kind's check
 * may index its sections; a kind's check that passed leaves no reference
 * outside a section, so queries need none.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* F_SETLEASE */
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mg_hash.h"
#include "base/mg_priority.h"
#include "base/mg_time.h"
#include "snapshot/mg_snap_layout.h"


#define MG_SNAP_POPULATE_MAX   (32 * 1024 * 1024)

/* Of a file that nobody needs any more, taken out of memory at once. */
#define MG_SNAP_FORGET         (1024 * 1024)

#define mg_snap_align(n)                                                      \
    (((n) + MG_SNAP_ALIGN - 1) & ~((uint64_t) MG_SNAP_ALIGN - 1))


static int mg_snap_map(mg_snap_t *s, int fd, mg_error_t *e);
static void mg_snap_forget(const mg_snap_t *s);
static int mg_snap_frame(const mg_snap_t *s, const mg_snap_kind_t *kind,
    mg_error_t *e);
static int mg_snap_sections(const mg_snap_t *s, const mg_snap_kind_t *kind,
    mg_error_t *e);
static int mg_snap_check(const mg_snap_t *s, const mg_snap_kind_t *kind,
    mg_error_t *e);
static uint64_t mg_snap_sum(const char *image, size_t len);


static const mg_snap_kind_t  *mg_snap_kinds[] = {
    &mg_snap_catalog_kind,
    &mg_snap_routing_kind
};


const mg_snap_kind_t *
mg_snap_kind_find(unsigned kind)
{
    unsigned  i;

    for (i = 0; i < sizeof(mg_snap_kinds) / sizeof(mg_snap_kinds[0]); i++) {
        if (mg_snap_kinds[i]->kind == kind) {
            return mg_snap_kinds[i];
        }
    }

    return NULL;
}


/* -- mapping -- */

int
mg_snap_open(mg_snap_t **out, const char *dir, unsigned kind, int verify,
    mg_error_t *e)
{
    int                    fd, n, rc;
    char                   path[4096];
    mg_snap_t             *s;
    const mg_snap_kind_t  *k;

    *out = NULL;

    k = mg_snap_kind_find(kind);
    if (k == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "there is no snapshot of kind %u", kind);
    }

    n = snprintf(path, sizeof(path), "%s/%s", dir, k->file);
    if (n < 0 || (size_t) n >= sizeof(path)) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the path of the state folder is too long");
    }

    fd = open(path, O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK);

    if (fd == -1) {
        if (errno == ENOENT) {
            return MG_DECLINED;
        }

        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "cannot open snapshot \"%s\": %s", path,
                            strerror(errno));
    }

    s = calloc(1, sizeof(mg_snap_t));
    if (s == NULL) {
        close(fd);
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    rc = mg_snap_map(s, fd, e);

    if (rc != MG_OK) {
        close(fd);
        free(s);
        return MG_ERROR;
    }

    rc = mg_snap_frame(s, k, e);

    if (rc == MG_OK && verify) {
        rc = mg_snap_check(s, k, e);
    }

    if (rc != MG_OK) {
        mg_snap_close(s);
        return MG_ERROR;
    }

    *out = s;

    return MG_OK;
}


/*
 * The pages are in the page cache since the file was written; populating
 * maps them all in one call, so that no reader takes a fault later.  Of a
 * large file that would hold up the event loop: its pages are mapped, some
 * at a time, when they are read.
 */

static int
mg_snap_map(mg_snap_t *s, int fd, mg_error_t *e)
{
    void         *base;
    struct stat   st;

    if (fstat(fd, &st) == -1) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "cannot stat the snapshot: %s", strerror(errno));
    }

    if (!S_ISREG(st.st_mode)
        || (uint64_t) st.st_size < sizeof(mg_snap_header_t)
        || (uint64_t) st.st_size > MG_SNAP_SIZE_MAX)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the snapshot is no file of a possible size: "
                            "%lld bytes; delete it to have it built anew",
                            (long long) st.st_size);
    }

    base = mmap(NULL, (size_t) st.st_size, PROT_READ,
                MAP_SHARED | (st.st_size <= MG_SNAP_POPULATE_MAX
                              ? MAP_POPULATE : 0),
                fd, 0);

    if (base == MAP_FAILED) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "cannot map the snapshot: %s", strerror(errno));
    }

    s->base = base;
    s->size = (size_t) st.st_size;
    s->header = base;
    s->fd = fd;
    s->mapped = 1;

    return MG_OK;
}


void
mg_snap_close(mg_snap_t *s)
{
    if (s == NULL) {
        return;
    }

    if (s->mapped) {
        munmap((void *) s->base, s->size);
        mg_snap_forget(s);
        close(s->fd);
    }

    free(s);
}


/*
 * Who closes the last descriptor of a file without a name has its pages freed,
 * all of them at once, and a kernel that is not preemptible gives the core to
 * nobody meanwhile.  So they go before, piece by piece.  That nobody else has
 * the file is what a lease is given for; what is still being sent to a client
 * has its own hold on its pages.  Where there is no lease, close() does it.
 */

static void
mg_snap_forget(const mg_snap_t *s)
{
    off_t        end;
    struct stat  st;

    if (s->size <= MG_SNAP_FORGET
        || fstat(s->fd, &st) == -1
        || st.st_nlink != 0
        || fcntl(s->fd, F_SETLEASE, F_WRLCK) == -1)
    {
        return;
    }

    /* from the start each time: a page may be larger than a piece */

    for (end = MG_SNAP_FORGET; end < st.st_size; end += MG_SNAP_FORGET) {
        mg_priority_breathe();
        (void) posix_fadvise(s->fd, 0, end, POSIX_FADV_DONTNEED);
    }
}


uint64_t
mg_snap_generation(const mg_snap_t *s)
{
    return s->header->generation;
}


int64_t
mg_snap_built_at(const mg_snap_t *s)
{
    return s->header->built_at;
}


size_t
mg_snap_size(const mg_snap_t *s)
{
    return s->size;
}


mg_str_t
mg_snap_bytes(const mg_snap_t *s)
{
    return mg_str_n(s->base, s->size);
}


int
mg_snap_fd(const mg_snap_t *s)
{
    return s->fd;
}


uint64_t
mg_snap_offset(const mg_snap_t *s, mg_str_t bytes)
{
    return (uint64_t) (bytes.data - s->base);
}


/* -- checking -- */

int
mg_snap_verify(mg_str_t image, unsigned kind, mg_error_t *e)
{
    int                    rc;
    void                  *copy;
    mg_snap_t              s;
    const mg_snap_kind_t  *k;

    k = mg_snap_kind_find(kind);
    if (k == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "there is no snapshot of kind %u", kind);
    }

    if (image.len < sizeof(mg_snap_header_t)
        || image.len > MG_SNAP_SIZE_MAX)
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "a snapshot cannot have %zu bytes", image.len);
    }

    copy = NULL;

    /* bytes that came by the network may lie at any address */

    if ((uintptr_t) image.data % _Alignof(max_align_t) != 0) {
        copy = aligned_alloc(MG_SNAP_ALIGN, mg_snap_align(image.len));
        if (copy == NULL) {
            return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        }

        memcpy(copy, image.data, image.len);
        image.data = copy;
    }

    memset(&s, 0, sizeof(mg_snap_t));
    s.base = image.data;
    s.size = image.len;
    s.header = (const void *) image.data;
    s.fd = -1;

    rc = mg_snap_frame(&s, k, e);

    if (rc == MG_OK) {
        rc = mg_snap_check(&s, k, e);
    }

    free(copy);

    return rc;
}


static int
mg_snap_frame(const mg_snap_t *s, const mg_snap_kind_t *kind, mg_error_t *e)
{
    const mg_snap_header_t  *h;

    h = s->header;

    if (h->magic != MG_SNAP_MAGIC) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "this is no snapshot: it begins with other bytes");
    }

    if (h->version != MG_SNAP_VERSION
        || h->header_len != sizeof(mg_snap_header_t))
    {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the snapshot is of version %u, this is version "
                            "%u", h->version, MG_SNAP_VERSION);
    }

    if (h->kind != kind->kind || h->n_sections != kind->n_sections) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the snapshot is of kind %u, wanted is %u",
                            h->kind, kind->kind);
    }

    if (h->file_len != s->size) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the snapshot has %zu bytes of %llu: it was cut "
                            "or added to", s->size,
                            (unsigned long long) h->file_len);
    }

    return mg_snap_sections(s, kind, e);
}


/* Sections lie one behind the other, so one running offset checks all. */

static int
mg_snap_sections(const mg_snap_t *s, const mg_snap_kind_t *kind,
    mg_error_t *e)
{
    unsigned                  i;
    uint64_t                  next;
    const mg_snap_section_t  *section;

    next = mg_snap_align(sizeof(mg_snap_header_t));

    for (i = 0; i < MG_SNAP_SECTIONS_MAX; i++) {
        section = &s->header->sections[i];

        if (i >= kind->n_sections) {
            if (section->offset || section->len || section->element) {
                return mg_snap_damaged(s, "unused section", i, e);
            }

            continue;
        }

        if (section->offset != next
            || section->offset > s->size
            || section->len > s->size - section->offset
            || section->element != kind->elements[i]
            || section->len % section->element != 0)
        {
            return mg_snap_damaged(s, "section", i, e);
        }

        next = mg_snap_align(section->offset + section->len);
    }

    if (next != s->size) {
        return mg_snap_damaged(s, "length", next, e);
    }

    return MG_OK;
}


static int
mg_snap_check(const mg_snap_t *s, const mg_snap_kind_t *kind, mg_error_t *e)
{
    if (mg_snap_sum(s->base, s->size) != s->header->checksum) {
        return mg_error_set(e, MG_E_INTERNAL, NULL,
                            "the snapshot is damaged: its checksum does not "
                            "match its bytes");
    }

    return kind->check(s, e);
}


int
mg_snap_damaged(const mg_snap_t *s, const char *what, uint64_t where,
    mg_error_t *e)
{
    const mg_snap_kind_t  *kind;

    kind = mg_snap_kind_find(s->header->kind);

    return mg_error_set(e, MG_E_INTERNAL, NULL,
                        "the snapshot %s is damaged: %s %llu is wrong",
                        kind ? kind->file : "", what,
                        (unsigned long long) where);
}


static uint64_t
mg_snap_sum(const char *image, size_t len)
{
    size_t  skip;

    skip = offsetof(mg_snap_header_t, checksum) + sizeof(uint64_t);

    return mg_sum64(image + skip, len - skip);
}


uint64_t
mg_snap_image_generation(mg_str_t image)
{
    mg_snap_header_t  h;

    memcpy(&h, image.data, sizeof(mg_snap_header_t));

    return h.generation;
}


int
mg_snap_same(mg_str_t a, mg_str_t b)
{
    size_t            n;
    mg_snap_header_t  ha, hb;

    n = sizeof(mg_snap_header_t);

    if (a.len != b.len || a.len < n) {
        return 0;
    }

    memcpy(&ha, a.data, n);
    memcpy(&hb, b.data, n);

    hb.checksum = ha.checksum;
    hb.generation = ha.generation;
    hb.built_at = ha.built_at;

    return memcmp(&ha, &hb, n) == 0
           && memcmp(a.data + n, b.data + n, a.len - n) == 0;
}


/* -- writing -- */

mg_snap_ref_t
mg_snap_ref_add(mg_buf_t *strings, mg_str_t s)
{
    mg_snap_ref_t  ref;

    ref.off = MG_SNAP_ABSENT;
    ref.len = 0;

    if (s.data != NULL) {
        ref.off = (uint32_t) strings->len;
        ref.len = (uint32_t) s.len;
        mg_buf_str(strings, s);
    }

    return ref;
}


int
mg_snap_assemble(const mg_snap_kind_t *kind, uint64_t generation,
    mg_buf_t *sections, mg_buf_t *image, mg_error_t *e)
{
    char              *base;
    uint64_t           next, end;
    unsigned           i;
    mg_snap_header_t   h;

    memset(&h, 0, sizeof(mg_snap_header_t));

    h.magic = MG_SNAP_MAGIC;
    h.kind = kind->kind;
    h.version = MG_SNAP_VERSION;
    h.header_len = sizeof(mg_snap_header_t);
    h.n_sections = kind->n_sections;
    h.generation = generation;
    h.built_at = mg_now_us();

    next = mg_snap_align(sizeof(mg_snap_header_t));

    for (i = 0; i < kind->n_sections; i++) {
        if (sections[i].failed) {
            return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
        }

        h.sections[i].offset = next;
        h.sections[i].len = sections[i].len;
        h.sections[i].element = kind->elements[i];

        next = mg_snap_align(next + sections[i].len);
    }

    if (next > MG_SNAP_SIZE_MAX) {
        return mg_error_set(e, MG_E_TOO_LARGE, NULL,
                            "the snapshot would have %llu bytes; at most "
                            "%llu are possible", (unsigned long long) next,
                            (unsigned long long) MG_SNAP_SIZE_MAX);
    }

    h.file_len = next;

    image->len = 0;
    base = mg_buf_reserve(image, next);
    if (base == NULL) {
        return mg_error_set(e, MG_E_INTERNAL, NULL, "out of memory");
    }

    end = sizeof(mg_snap_header_t);

    for (i = 0; i < kind->n_sections; i++) {
        memset(base + end, 0, h.sections[i].offset - end);

        if (sections[i].len) {
            memcpy(base + h.sections[i].offset, sections[i].data,
                   sections[i].len);
        }

        end = h.sections[i].offset + h.sections[i].len;
        mg_buf_free(&sections[i]);
    }

    memset(base + end, 0, next - end);
    memcpy(base, &h, sizeof(mg_snap_header_t));

    image->len = next;

    h.checksum = mg_snap_sum(base, next);
    memcpy(base, &h, sizeof(mg_snap_header_t));

    return MG_OK;
}
