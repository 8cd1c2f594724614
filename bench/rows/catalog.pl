# bench/rows/catalog.pl: what is read from the catalog, next to the same bytes as
# files.

use strict;
use warnings;

use Bench;
use HTTP::Tiny;

row('catalog', \&catalog);
row('whole', \&whole);
row('mixed', \&mixed);
row('search', \&search);


# A gateway that serves the bundled catalog to everybody: (base, pid).

sub open_catalog {
    my ($core, %o) = @_;
    my $port = free_port();
    my $conninfo = database();
    my $token = token($conninfo);
    my $base = "http://127.0.0.1:$port";

    my $pid = nginx("catalog$port", $core,
                    gateway_conf($conninfo, <<"END", source => 1, %o), %o);
    server {
        listen 127.0.0.1:$port;
        location /api/ { model_api; model_auth off; }
        location = /api.json { model_api; model_auth off; }
    }
END
    ready($base, $token);
    wait_for('catalog', 60, sub {
        my $list = eval { api($base, $token, GET => '/api/v1/models') };
        $list && $list->{pagination}{total} > 5000
    });

    return ($base, $pid);
}


sub catalog {
    my ($base, $pid) = open_catalog(0);

    page($base, '/api/v1/models', $pid, 1.5);
    page($base, '/api/v1/models?provider=openrouter&page=2', $pid, 1.5);
    page($base, '/api/v1/models?provider=openrouter&capability=reasoning',
         $pid, 1.15);
}


# The whole catalog, as it is and compressed.

sub whole {
    my ($base, $pid) = open_catalog(0);

    page($base, '/api.json', $pid, 1);
    page($base, '/api.json', $pid, 1.1, 'gzip');
}


sub page {
    my ($base, $path, $pid, $bar, $encoding) = @_;
    my $port = free_port();
    my %accept = (BENCH_ENCODING => $encoding // '');
    my $bytes = HTTP::Tiny->new->get("$base$path", {
        headers => { 'Accept-Encoding' => $encoding // 'identity' },
    })->{content};

    mkdir "$dir/html$port";
    chmod 0755, "$dir/html$port";
    spit("$dir/html$port/page.json" . ($encoding ? '.gz' : ''), $bytes);

    my $static = nginx("static$port", 0, <<"END");
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    sendfile on;
    gzip_static on;
    open_file_cache max=100;
    server {
        listen 127.0.0.1:$port;
        root $dir/html$port;
        types { application/json json; }
    }
}
END
    my @contenders = (
        { name => 'cached static file', pids => [$static], run => sub {
            wrk("http://127.0.0.1:$port", 'get.lua', $seconds, 32,
                BENCH_PATH => '/page.json', %accept);
        } },
        { name => 'gateway', pids => [$pid], run => sub {
            wrk($base, 'get.lua', $seconds, 32, BENCH_PATH => $path,
                %accept);
        } },
    );

    my $thrown = rounds($rounds, @contenders);
    printf "GET %s%s, %d bytes (%d rounds thrown away)\n", $path,
           $encoding ? " ($encoding)" : '', length $bytes, $thrown;
    compare($contenders[0], \@contenders, { gateway => $bar });
}


# A thousand clients at once; two workers and the clients share both cores.

sub mixed {
    my ($base) = open_catalog('0,1', workers => 2, connections => 2048);

    for my $round (1 .. $rounds) {
        my $out = `wrk -t1 -c1000 -d${seconds}s -s $top/bench/mixed.lua $base`;
        my ($n, $errors, $status, $p50, $p95, $p99)
            = $out =~ /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)/m
            or die "bench: wrk said: $out\n";

        printf "mixed catalog calls, 1000 clients: %d answers, %d errors,"
            . " median %.1f ms, p95 %.1f ms, p99 %.1f ms; bar: no error, p95"
            . " 100 ms: %s\n", $n, $errors + $status, $p50 / 1000,
            $p95 / 1000, $p99 / 1000,
            $errors + $status == 0 && $p95 < 100_000 ? 'met' : 'MISSED';
    }
}


# The search by itself, in CPU time of the thread that answers: no client could
# tell tens of microseconds from the way to it.

sub search {
    my %bar = ('search-5k' => 300, 'search-1m' => 5000);
    my $out = "$dir/micro_search";
    my $build = "cc -O2 -I$top/src -o $out $top/bench/micro_search.c"
        . " $top/src/base/[a-z]*.c $top/src/model/[a-z]*.c"
        . " $top/src/snapshot/[a-z]*.c -lyajl -lwslay -lcrypto -lz -lm";

    system($build) == 0 or die "bench: micro_search does not compile\n";

    for my $line (`taskset -c 0 $out`) {
        my ($row, $p99) = $line =~ /^(\S+) p50 \S+ us p99 (\S+) us/;

        chomp $line;
        print $line, defined $p99 && $bar{$row}
            ? sprintf(", bar %d us: %s\n", $bar{$row},
                      $p99 <= $bar{$row} ? 'met' : 'MISSED')
            : "\n";
    }
    return;
}


1;
