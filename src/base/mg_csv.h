/*
 * mg_csv.h: rows of comma-separated values (RFC 4180).
 *
 *     mg_csv_str(b, 1, s), mg_csv_raw(b, 0, s), ..., mg_csv_end(b)
 *
 * What comes from outside may be opened in a spreadsheet, which takes a
 * field that begins with = + - @ or a control character for a formula: such
 * a field gets an apostrophe in front, which spreadsheets do not show.
 *
 * Writes into a buffer of the caller; any thread; never blocks.
 */

#ifndef MG_CSV_H
#define MG_CSV_H

#include "base/mg_buf.h"


/*
 * A field of text.  first: no comma before it.  {NULL, 0} is an empty field;
 * an empty string is one with quotes.
 */
void mg_csv_str(mg_buf_t *b, int first, mg_str_t s);

/* A number, a time, a word of the gateway's own: written as it is. */
void mg_csv_raw(mg_buf_t *b, int first, mg_str_t s);

/* The end of a row. */
void mg_csv_end(mg_buf_t *b);


#endif /* MG_CSV_H */
