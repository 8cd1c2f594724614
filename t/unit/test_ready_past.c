/*
 * What would break: how long a model server took is forgotten or grows
 * without bound, a file that somebody damaged stops the gateway, or one that
 * was up when it was asked first is expected to take no time.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "job/mg_ready_local.h"
#include "tap.h"


#define SECOND  UINT64_C(1000000)


static char               dir[] = "/tmp/mg-past-XXXXXX";
static char               path[64];
static mg_loads_t         loads;
static mg_ready_server_t  servers[2];
static mg_ready_list_t    list = { NULL, servers, 2, 0 };


static void
begin(void)
{
    unsigned     i;
    const char  *names[] = { "vllm", "llama" };

    memset(&loads, 0, sizeof(loads));

    for (i = 0; i < 2; i++) {
        (void) snprintf(servers[i].name, sizeof(servers[i].name), "%s",
                        names[i]);
        servers[i].load = mg_load_find(&loads, mg_str_z(names[i]), 7, 1);
    }

    mg_ready_past_read(dir, &list);
}


static unsigned
lines(void)
{
    int        c;
    FILE      *f;
    unsigned   n;

    f = fopen(path, "r");

    for (n = 0; f && (c = fgetc(f)) != EOF; n += (c == '\n')) { /* void */ }

    if (f) {
        (void) fclose(f);
    }

    return n;
}


static void
fill(const char *format, unsigned n)
{
    FILE      *f;
    unsigned   i;

    f = fopen(path, "w");

    for (i = 1; f && i <= n; i++) {
        (void) fprintf(f, format, i);
    }

    if (f) {
        (void) fclose(f);
    }
}


int
main(void)
{
    mg_error_t  e;

    if (!ok(mkdtemp(dir) != NULL, "a folder")) {
        return done_testing();
    }

    (void) snprintf(path, sizeof(path), "%s/loads", dir);

    begin();
    is_int(servers[0].load->expected_us, 0, "no file: nothing is known");

    servers[0].load->took_us = 90 * SECOND;
    servers[1].load->took_us = SECOND / 2;
    is_int(mg_ready_past_write(dir, &list, &e), MG_OK, "written");
    is_int(lines(), 1, "but for the one that was up");

    begin();
    is_int(servers[0].load->expected_us, 90 * SECOND, "it is known");
    is_int(servers[1].load->expected_us, 0, "of the other nothing is");

    servers[0].load->took_us = 80 * SECOND;
    servers[1].load->took_us = 2 * SECOND;
    is_int(mg_ready_past_write(dir, &list, &e), MG_OK, "again");
    is_int(lines(), 2, "one line a server");
    begin();
    is_int(servers[0].load->expected_us, 80 * SECOND, "the last time counts");

    fill("%016x 5000000 other\n", 256);
    servers[0].load->took_us = 70 * SECOND;
    is_int(mg_ready_past_write(dir, &list, &e), MG_OK, "into a full file");
    is_int(lines(), 256, "which does not grow");
    begin();
    is_int(servers[0].load->expected_us, 70 * SECOND, "and has it");

    fill("\x01nonsense %u\n\n   \nzz zz zz zz\n", 50);
    begin();
    is_int(servers[0].load->expected_us, 0, "nonsense is passed over");

    servers[0].load->took_us = 70 * SECOND;
    is_int(mg_ready_past_write("/nonexistent", &list, &e), MG_ERROR,
           "no such folder");
    ok(strstr(e.message, "/nonexistent") != NULL, "which is named");

    (void) unlink(path);
    (void) rmdir(dir);

    return done_testing();
}
