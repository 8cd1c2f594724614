
/*
 * A helper for unit tests: each check prints one line of TAP, which prove
 * reads.  A test is one process with one thread that checks; the state is two
 * counters in this translation unit.  Diagnostics go to stdout as comments,
 * next to the line that they explain.  A failed check never ends the test:
 * use "if (!ok(...)) return ..." where what follows depends on it.
 *
 *     int
 *     main(void)
 *     {
 *         ok(1 + 1 == 2, "sum of %d and %d", 1, 1);
 *         is_str(name, "chat", "name");
 *         return done_testing();
 *     }
 */

#ifndef TAP_H
#define TAP_H


#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>


/* every check returns 1 if it held and 0 if not */

#define ok(cond, ...)                                                         \
    tap_ok((cond) != 0, __FILE__, __LINE__, __VA_ARGS__)

#define pass(...)                                                             \
    tap_ok(1, __FILE__, __LINE__, __VA_ARGS__)

#define fail(...)                                                             \
    tap_ok(0, __FILE__, __LINE__, __VA_ARGS__)

/* integers, up to 64 bits; is_uint() for values above INT64_MAX */

#define is_int(got, want, ...)                                                \
    tap_is_int((int64_t) (got), (int64_t) (want), __FILE__, __LINE__,         \
               __VA_ARGS__)

#define is_uint(got, want, ...)                                               \
    tap_is_uint((uint64_t) (got), (uint64_t) (want), __FILE__, __LINE__,      \
                __VA_ARGS__)

/* strings that end with a zero byte; NULL is equal to NULL only */

#define is_str(got, want, ...)                                                \
    tap_is_str((const char *) (got), (const char *) (want), __FILE__,         \
               __LINE__, __VA_ARGS__)

/* bytes with their lengths */

#define is_mem(got, glen, want, wlen, ...)                                    \
    tap_is_mem((const void *) (got), (size_t) (glen), (const void *) (want),  \
               (size_t) (wlen), __FILE__, __LINE__, __VA_ARGS__)

/* a string that ends with a zero byte contains, or does not, another */

#define like(got, part, ...)                                                  \
    tap_like((const char *) (got), (const char *) (part), 1, __FILE__,        \
             __LINE__, __VA_ARGS__)

#define unlike(got, part, ...)                                                \
    tap_like((const char *) (got), (const char *) (part), 0, __FILE__,        \
             __LINE__, __VA_ARGS__)


#define TAP_UNUSED  __attribute__((unused))
#define TAP_FORMAT(f, a)  __attribute__((unused, format(printf, f, a)))


static int  tap_count;
static int  tap_failed;
static int  tap_planned = -1;


/* the number of checks; instead of done_testing()'s own count */

static TAP_UNUSED void
plan(int n)
{
    tap_planned = n;
    printf("1..%d\n", n);
}


/* the whole file is skipped, with the reason; return its value from main() */

static TAP_UNUSED int
skip_all(const char *reason)
{
    printf("1..0 # SKIP %s\n", reason);
    return 0;
}


static TAP_FORMAT(1, 2) void
diag(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    printf("# ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
}


static TAP_UNUSED void
tap_line(int held, const char *file, int line, const char *fmt, va_list args)
{
    tap_count++;

    printf("%sok %d - ", held ? "" : "not ", tap_count);
    vprintf(fmt, args);
    printf("\n");

    if (!held) {
        tap_failed++;
        printf("#   failed at %s line %d\n", file, line);
    }

    fflush(stdout);
}


static TAP_UNUSED void
tap_bytes(const char *what, const void *data, size_t len)
{
    size_t                i;
    const unsigned char  *p;

    if (data == NULL) {
        printf("#   %s: NULL\n", what);
        return;
    }

    printf("#   %s: %zu bytes \"", what, len);

    for (p = data, i = 0; i < len && i < 200; i++) {
        if (p[i] < 0x20 || p[i] > 0x7e || p[i] == '\\') {
            printf("\\x%02x", p[i]);

        } else {
            printf("%c", p[i]);
        }
    }

    printf("\"%s\n", (i < len) ? " and more" : "");
}


static TAP_FORMAT(4, 5) int
tap_ok(int held, const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    tap_line(held, file, line, fmt, args);
    va_end(args);

    return held;
}


static TAP_FORMAT(5, 6) int
tap_is_int(int64_t got, int64_t want, const char *file, int line,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    tap_line(got == want, file, line, fmt, args);
    va_end(args);

    if (got != want) {
        printf("#   got:  %lld\n#   want: %lld\n", (long long) got,
               (long long) want);
    }

    return got == want;
}


static TAP_FORMAT(5, 6) int
tap_is_uint(uint64_t got, uint64_t want, const char *file, int line,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    tap_line(got == want, file, line, fmt, args);
    va_end(args);

    if (got != want) {
        printf("#   got:  %llu\n#   want: %llu\n", (unsigned long long) got,
               (unsigned long long) want);
    }

    return got == want;
}


static TAP_FORMAT(7, 8) int
tap_is_mem(const void *got, size_t glen, const void *want, size_t wlen,
    const char *file, int line, const char *fmt, ...)
{
    int      held;
    va_list  args;

    if (got == NULL || want == NULL) {
        held = (got == want);

    } else {
        held = (glen == wlen && memcmp(got, want, glen) == 0);
    }

    va_start(args, fmt);
    tap_line(held, file, line, fmt, args);
    va_end(args);

    if (!held) {
        tap_bytes("got ", got, glen);
        tap_bytes("want", want, wlen);
    }

    return held;
}


static TAP_FORMAT(5, 6) int
tap_is_str(const char *got, const char *want, const char *file, int line,
    const char *fmt, ...)
{
    int      held;
    va_list  args;

    if (got == NULL || want == NULL) {
        held = (got == want);

    } else {
        held = (strcmp(got, want) == 0);
    }

    va_start(args, fmt);
    tap_line(held, file, line, fmt, args);
    va_end(args);

    if (!held) {
        tap_bytes("got ", got, got ? strlen(got) : 0);
        tap_bytes("want", want, want ? strlen(want) : 0);
    }

    return held;
}


static TAP_FORMAT(6, 7) int
tap_like(const char *got, const char *part, int wanted, const char *file,
    int line, const char *fmt, ...)
{
    int      held;
    va_list  args;

    held = (got != NULL && (strstr(got, part) != NULL) == wanted);

    va_start(args, fmt);
    tap_line(held, file, line, fmt, args);
    va_end(args);

    if (!held) {
        tap_bytes("got ", got, got ? strlen(got) : 0);
        tap_bytes(wanted ? "want within" : "want without", part, strlen(part));
    }

    return held;
}


/* prints the plan; return its value from main() */

static TAP_UNUSED int
done_testing(void)
{
    if (tap_planned < 0) {
        printf("1..%d\n", tap_count);

    } else if (tap_planned != tap_count) {
        printf("# planned %d checks, ran %d\n", tap_planned, tap_count);
        return 1;
    }

    if (tap_failed) {
        printf("# %d of %d checks failed\n", tap_failed, tap_count);
    }

    return tap_failed ? 1 : 0;
}


#endif /* TAP_H */
