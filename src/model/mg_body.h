/*
 * mg_body.h: a JSON object of an API body read into a C struct by a table.
 *
 * Each row names a member, the offset it fills, and its bounds; the reader
 * refuses what is unknown, missing, of a wrong type or out of bounds with an
 * error that names the member.  So all bodies of the API are checked the
 * same way, and a new member is a new row.
 *
 *     static const mg_body_field_t  fields[] = {
 *         { "name", mg_body_string, offsetof(mg_group_t, name),
 *           MG_BODY_REQUIRED, 1, MG_GROUP_NAME_MAX, NULL, 0 }, ...
 *
 * Strings and JSON text are copied into the caller's arena.  Any thread;
 * never blocks.
 */

#ifndef MG_BODY_H
#define MG_BODY_H

#include "base/mg_arena.h"
#include "base/mg_error.h"
#include "base/mg_json.h"


#define MG_BODY_REQUIRED    1     /* must be sent, unless it is a patch */
#define MG_BODY_NULLABLE    2     /* null makes it unknown */
#define MG_BODY_LINES       4     /* line breaks and tabs are allowed */
#define MG_BODY_CREATE      8     /* refused in a patch: cannot change */

#define MG_BODY_JSON_MAX    65536 /* bytes of one free-form JSON member */

/* At most this many bytes of a value are quoted in a message. */
#define MG_BODY_CUT(s)      (int) ((s).len > 80 ? 80 : (s).len), (s).data


typedef struct mg_body_field_s  mg_body_field_t;

/*
 * Checks v and stores it at (char *) to + f->offset.  v is never NULL; it is
 * JSON null only where the field is nullable.
 */
typedef int (*mg_body_read_pt)(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

struct mg_body_field_s {
    const char         *name;
    mg_body_read_pt     read;
    size_t              offset;
    unsigned            flags;
    int64_t             min;       /* bytes, elements or value */
    int64_t             max;
    const void         *table;     /* mg_str_t names, or nested fields */
    unsigned            n;
};


/*
 * Reads json into the struct at "to".  fields end with name == NULL.  patch
 * != 0: required members may be missing, what is absent stays as it is.
 * MG_OK, or MG_ERROR with param naming the member.
 */
int mg_body_parse(const mg_json_t *json, const mg_body_field_t *fields,
    int patch, mg_arena_t *a, void *to, mg_error_t *e);


/* -- readers; the type at the offset in brackets -- */

/* [mg_str_t] min..max bytes, no control characters, no NUL. */
int mg_body_string(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

/* [int, an enum] one of the n names in table. */
int mg_body_name(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

/* [int64_t] a whole number within min..max; null: MG_UNKNOWN. */
int mg_body_int(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

/* [int8_t] true or false; null: -1. */
int mg_body_tri(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

/* [int64_t] RFC 3339; us since 1970; null: 0. */
int mg_body_time(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

/* [mg_str_t] the text of any JSON object; null: absent. */
int mg_body_object(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

/* [mg_str_t] the text of an array of at most max short strings. */
int mg_body_strings(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);

/* An object whose members are the fields in table, in the same struct. */
int mg_body_nested(const mg_body_field_t *f, const mg_json_t *v,
    mg_arena_t *a, void *to, mg_error_t *e);


/* For readers of other files. */

/* The usual words for a wrong type: `"x" must be a string`. */
int mg_body_type_error(const mg_body_field_t *f, const char *want,
    mg_error_t *e);

/* Text of a node in the arena, bounded; MG_ERROR if it is too large. */
int mg_body_text(const mg_body_field_t *f, const mg_json_t *v, mg_arena_t *a,
    mg_str_t *text, mg_error_t *e);


#endif /* MG_BODY_H */
