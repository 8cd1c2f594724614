/*
 * What would break: a rotated key is not taken up, a half-written or missing
 * file takes the last good key away, a key that cannot stand in a header is
 * sent, or an error shows a secret.
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/mg_secret.h"
#include "tap.h"


static char           dir[64];
static char           path[128], source[160], other[160];
static mg_secrets_t  *secrets;


static void
spew(const char *file, const char *text)
{
    FILE  *f;

    f = fopen(file, "w");
    if (f == NULL || fputs(text, f) == EOF || fclose(f) != 0) {
        abort();
    }
}


static void
has(const char *provider, const char *want)
{
    int     rc;
    char    key[MG_SECRET_MAX];
    size_t  len;

    rc = mg_secrets_get(secrets, mg_str_z(provider), key, &len);

    if (want == NULL) {
        is_int(rc, MG_DECLINED, "%s has no key here", provider);
        return;
    }

    is_int(rc, MG_OK, "%s has a key", provider);
    is_mem(key, len, want, strlen(want), "which is this one");
}


static void
added(const char *provider, const char *from, const char *message)
{
    int         rc;
    mg_error_t  e;

    e.message[0] = '\0';
    rc = mg_secrets_add(secrets, mg_str_z(provider), mg_str_z(from), &e);

    is_int(rc, message ? MG_ERROR : MG_OK, "%s from %s", provider, from);

    if (message) {
        like(e.message, message, "the message");
        unlike(e.message, "sk-", "shows no secret");
    }
}


static void
refreshed(int want, const char *why)
{
    mg_error_t  e;

    e.message[0] = '\0';

    is_int(mg_secrets_refresh(secrets, 0, &e), want, "refresh: %s", why);

    if (want == MG_ERROR) {
        like(e.message, path, "names the file");
        unlike(e.message, "sk-", "shows no secret");
    }
}


static void
sources(void)
{
    unsigned  n, files;

    spew(path, "sk-first\r\n");
    (void) setenv("SECRET_OF_THE_TEST", "sk-environment", 1);
    (void) setenv("SECRET_WITH_BLANK", "sk a", 1);

    added("acme", source, NULL);
    added("acme", source, "already");
    added("Bad Id", source, "no id");
    added("two", "env:SECRET_OF_THE_TEST", NULL);
    added("three", "env:SECRET_THAT_IS_NOT", "no \"SECRET_THAT_IS_NOT\"");
    added("three", "env:SECRET_WITH_BLANK", "blank");
    added("three", "env:", "is no place");
    added("three", "file:", "no place");
    added("three", "sk-plain", "no place");
    added("three", "file:/", "no regular file");
    added("three", "file:/nowhere/at/all", "cannot be opened");

    (void) snprintf(other, sizeof(other), "file:%s/empty", dir);
    spew(other + 5, " \n");
    added("three", other, "is empty");

    has("acme", "sk-first");
    has("two", "sk-environment");
    has("three", NULL);

    n = mg_secrets_count(secrets, &files);
    is_int(n, 2, "two of them");
    is_int(files, 1, "one is a file");
}


static void
rotation(void)
{
    char        next[160];
    mg_error_t  e;

    refreshed(MG_DECLINED, "nothing happened");

    spew(path, "sk-second-that-is-longer\n");
    refreshed(MG_OK, "written over");
    has("acme", "sk-second-that-is-longer");

    (void) snprintf(next, sizeof(next), "%s/next", dir);
    spew(next, "sk-third-of-the-same-len\n");
    is_int(rename(next, path), 0, "replaced by name");
    refreshed(MG_OK, "another file");
    has("acme", "sk-third-of-the-same-len");

    spew(path, "");
    refreshed(MG_ERROR, "empty for a moment");
    refreshed(MG_DECLINED, "which is said once");
    has("acme", "sk-third-of-the-same-len");

    spew(path, "sk-with a blank");
    refreshed(MG_DECLINED, "still not good");

    (void) unlink(path);
    refreshed(MG_DECLINED, "gone");
    has("acme", "sk-third-of-the-same-len");

    spew(path, "sk-fourth");
    refreshed(MG_OK, "good again");
    has("acme", "sk-fourth");

    (void) unlink(path);
    refreshed(MG_ERROR, "bad again, which is said again");

    spew(path, "sk-fourth");
    refreshed(MG_DECLINED, "the same key in another file");

    is_int(mg_secrets_refresh(secrets, 1, &e), MG_DECLINED,
           "an environment stays");
}


int
main(void)
{
    (void) snprintf(dir, sizeof(dir), "/tmp/secret-XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return skip_all("no directory");
    }

    (void) snprintf(path, sizeof(path), "%s/key", dir);
    (void) snprintf(source, sizeof(source), "file:%s", path);

    secrets = mg_secrets_create();

    sources();
    rotation();

    mg_secrets_destroy(secrets);

    (void) unlink(path);
    (void) unlink(other + 5);
    (void) rmdir(dir);

    return done_testing();
}
