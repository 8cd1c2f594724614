/*
 * mg_time.h: clocks, RFC 3339, UUID.
 *
 * nginx's cached time does not move inside a pool thread, so everything
 * nginx-free asks the system.  Times are microseconds since 1970 (UTC) in
 * an int64_t; 0 is "unknown".  UUIDv7 (RFC 9562) carries milliseconds and
 * 74 random bits, so inference ids sort by time and never meet.
 *
 * Any thread; never blocks.
 */

#ifndef MG_TIME_H
#define MG_TIME_H

#include "base/mg_str.h"


#define MG_TIME_LEN    27      /* 2026-06-14T12:00:00.123456Z */
#define MG_UUID_LEN    36


int64_t mg_now_us(void);        /* wall clock */
int64_t mg_mono_us(void);       /* monotonic */
int64_t mg_cpu_ns(void);        /* of the calling thread */

/* Writes RFC 3339 in UTC with milliseconds, NUL; returns the length. */
size_t mg_time_format(int64_t us, char out[MG_TIME_LEN + 1]);

/*
 * Reads RFC 3339 and PostgreSQL's timestamptz text ("2026-06-14
 * 12:00:00.5+00"); MG_OK or MG_ERROR.
 */
int mg_time_parse(mg_str_t s, int64_t *us);


typedef struct {
    uint8_t  b[16];
} mg_uuid_t;

/*
 * rnd: 10 random bytes of the caller (a worker draws them from a buffer
 * that it fills with mg_random() a few kilobytes at a time).
 */
void mg_uuid_v7(mg_uuid_t *u, int64_t us, const uint8_t rnd[10]);
void mg_uuid_format(const mg_uuid_t *u, char out[MG_UUID_LEN + 1]);
int mg_uuid_parse(mg_str_t s, mg_uuid_t *u);

/* The microseconds that a version 7 id carries (millisecond steps). */
int64_t mg_uuid_time(const mg_uuid_t *u);


#endif /* MG_TIME_H */
