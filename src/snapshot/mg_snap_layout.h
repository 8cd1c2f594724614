/*
 * mg_snap_layout.h: the frame that both kinds of snapshot share, in bytes.
 *
 *     mg_snap_header_t | sections, each at the next multiple of 64 | end
 *
 * Numbers are in the byte order of the machine that built the file; the
 * magic is a number, too, so a file of the other order is refused as no
 * snapshot.  Which sections a kind has, how wide their elements are and what
 * must hold between them is said in one mg_snap_kind_t; the sections lie in
 * the order of its table, without gaps but for the alignment.
 *
 * Private to the room.
 */

#ifndef MG_SNAP_LAYOUT_H
#define MG_SNAP_LAYOUT_H

#include "snapshot/mg_snap.h"


#define MG_SNAP_MAGIC          0x0a0d50414e53474dULL   /* "MGSNAP\r\n" */
#define MG_SNAP_ALIGN          64
#define MG_SNAP_SECTIONS_MAX   32

/* Offsets inside sections are 32 bits wide. */
#define MG_SNAP_SIZE_MAX       0x7fffffffULL

#define MG_SNAP_ABSENT         UINT32_MAX


typedef struct {
    uint64_t                 offset;       /* from the start of the file */
    uint64_t                 len;          /* bytes */
    uint32_t                 element;      /* bytes; len is a multiple */
    uint32_t                 reserved;
} mg_snap_section_t;


typedef struct {
    uint64_t                 magic;
    uint64_t                 checksum;     /* of all bytes behind it */
    uint32_t                 kind;
    uint32_t                 version;
    uint32_t                 header_len;
    uint32_t                 n_sections;
    uint64_t                 file_len;
    uint64_t                 generation;
    int64_t                  built_at;
    uint64_t                 reserved;
    mg_snap_section_t        sections[MG_SNAP_SECTIONS_MAX];
} mg_snap_header_t;


/* A string inside a string section; off MG_SNAP_ABSENT: {NULL, 0}. */
typedef struct {
    uint32_t                 off;
    uint32_t                 len;
} mg_snap_ref_t;


struct mg_snap_s {
    const char              *base;
    size_t                   size;
    const mg_snap_header_t  *header;
    int                      fd;           /* of the file, if mapped */
    unsigned                 mapped:1;     /* munmap() at the end */
};


/*
 * What a kind must look like inside.  check: the frame is sound already;
 * MG_ERROR with *e on the first thing that is not.
 */
typedef struct {
    unsigned                 kind;
    const char              *file;
    unsigned                 n_sections;
    const uint32_t          *elements;     /* width of each section's */
    int                    (*check)(const mg_snap_t *s, mg_error_t *e);
} mg_snap_kind_t;

extern const mg_snap_kind_t  mg_snap_catalog_kind;
extern const mg_snap_kind_t  mg_snap_routing_kind;

/* NULL for a number that is no kind. */
const mg_snap_kind_t *mg_snap_kind_find(unsigned kind);


/* -- reading; section: index in the kind's table -- */

static inline const void *
mg_snap_section(const mg_snap_t *s, unsigned section)
{
    return s->base + s->header->sections[section].offset;
}


static inline size_t
mg_snap_section_len(const mg_snap_t *s, unsigned section)
{
    return s->header->sections[section].len;
}


static inline uint32_t
mg_snap_section_n(const mg_snap_t *s, unsigned section)
{
    return (uint32_t) (s->header->sections[section].len
                       / s->header->sections[section].element);
}


static inline mg_str_t
mg_snap_section_str(const mg_snap_t *s, unsigned section)
{
    return mg_str_n(mg_snap_section(s, section),
                    mg_snap_section_len(s, section));
}


static inline mg_str_t
mg_snap_ref_str(const mg_snap_t *s, unsigned section, mg_snap_ref_t ref)
{
    if (ref.off == MG_SNAP_ABSENT) {
        return mg_str_null;
    }

    return mg_str_n((const char *) mg_snap_section(s, section) + ref.off,
                    ref.len);
}


/* 1 if the bytes lie within len bytes. */

static inline int
mg_snap_span_ok(uint32_t off, uint32_t n, size_t len)
{
    return off <= len && n <= len - off;
}


static inline int
mg_snap_ref_ok(mg_snap_ref_t ref, size_t len)
{
    if (ref.off == MG_SNAP_ABSENT) {
        return ref.len == 0;
    }

    return mg_snap_span_ok(ref.off, ref.len, len);
}


/* MG_ERROR with "the <kind> snapshot is damaged: ...". */
int mg_snap_damaged(const mg_snap_t *s, const char *what, uint64_t where,
    mg_error_t *e);


/* -- writing -- */

/* Appends bytes to a string section; the reference to them. */
mg_snap_ref_t mg_snap_ref_add(mg_buf_t *strings, mg_str_t s);

/*
 * Puts the sections of a kind (the contents in the table's order) behind a
 * header into image, and frees each one when it is there: so both together
 * are hardly larger than the file.  MG_ERROR: out of memory, or above
 * MG_SNAP_SIZE_MAX.
 */
int mg_snap_assemble(const mg_snap_kind_t *kind, uint64_t generation,
    mg_buf_t *sections, mg_buf_t *image, mg_error_t *e);


#endif /* MG_SNAP_LAYOUT_H */
