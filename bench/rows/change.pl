# bench/rows/change.pl: how long it takes until a change is served.

use strict;
use warnings;

use Bench;
use HTTP::Tiny;
use JSON::PP;
use List::Util qw(max);
use Time::HiRes qw(time sleep);

row('sync', \&sync);
row('change', \&change);
row('rebuild', \&rebuild);
row('cold', \&cold);


sub sync {
    my $begun = time;
    my ($base, $token, $conninfo) = catalog_gateway();

    wait_for('first catalog', 60, sub {
        my $list = eval { api($base, $token, GET => '/api/v1/models') };
        $list && $list->{pagination}{total} > 5000
    });

    my $all = time - $begun;
    my $history = api($base, $token,
                      GET => '/api/v1/models/refresh/status');
    printf "sync of the bundled document, from the start of nginx with an"
        . " empty database to the page served: %.2f s, bar 3 s: %s\n",
        $all, $all < 3 ? 'met' : 'MISSED';
    print '  history: ', JSON::PP->new->canonical->encode(
        ($history->{history} // $history->{refreshes} // [])->[0] // {}), "\n";
}


# 200 changes by psql; each is waited for on 16 connections, which the workers
# share.

sub change {
    my ($base, $token, $conninfo, undef, $port) = catalog_gateway(workers => 2);
    my @times;

    wait_for('catalog', 60, sub {
        my $list = eval { api($base, $token, GET => '/api/v1/models') };
        $list && $list->{pagination}{total} > 5000
    });

    my @clients = map { HTTP::Tiny->new(keep_alive => 1) } 1 .. 16;
    my $url = "$base/api/v1/models/openai/gpt-4o";

    for my $i (1 .. $ENV{BENCH_CHANGES} || 200) {
        system('psql', '-qX', '-d', $conninfo, '-c',
               "update model.models_metadata set name = 'change $i'"
               . " where provider_id = 'openai'"
               . " and provider_model_id = 'gpt-4o'") == 0
            or die "bench: psql failed\n";

        my $begun = time;

        for my $client (@clients) {
            while (1) {
                my $r = $client->get($url, { headers =>
                    { Authorization => "Bearer $token" } });
                last if $r->{content} =~ /"change $i"/;
                die "bench: change $i is not served after 10 s\n"
                    if time > $begun + 10;
                sleep 0.005;
            }
        }

        push @times, time - $begun;
    }

    my @sorted = sort { $a <=> $b } @times;
    printf "change by psql until every worker serves it, %d changes: median"
        . " %.0f ms, p99 %.0f ms, bar 300 ms: %s\n", scalar @sorted,
        1000 * median(@sorted), 1000 * $sorted[0.99 * $#sorted],
        $sorted[0.99 * $#sorted] < 0.3 ? 'met' : 'MISSED';
}


sub metric {
    my ($base, $name) = @_;
    my $text = HTTP::Tiny->new->get("$base/metrics")->{content};

    return $text =~ /^\Q$name\E ([\d.e+-]+)$/m ? $1 : 0;
}


# What one changed row costs, at two sizes of the catalog: time of the rebuild,
# which runs on a thread of its own next to requests, and what it leaves
# behind in a worker that had built nothing before.

sub rebuild {
    my ($base, $token, $conninfo, $pid) = catalog_gateway();

    wait_for('catalog', 60, sub {
        metric($base, 'nginx_model_catalog_models') > 5000
    });

    for my $size ([ 5269, 0.15, 2048 ], [ 100_000, 3, 2048 ]) {
        my ($models, $bar, $bar_kb) = @$size;
        my $seconds = 'nginx_model_rebuild_duration_seconds_%s'
            . '{kind="catalog",source="database"}';

        generate($conninfo, $models);
        wait_for("$models models", 120, sub {
            metric($base, 'nginx_model_catalog_models') >= $models
        });
        fresh_worker($pid);

        my @before = map { metric($base, sprintf $seconds, $_) }
            qw(sum count);
        my $url = "$base/api/v1/models/openai/gpt-4o";
        my $memory = settled_kb($pid);
        my $peak = 0;

        for my $i (1 .. 20) {
            sql($conninfo, "update model.models_metadata set name ="
                . " 'rebuild $models $i' where id = 'openai/gpt-4o'");
            wait_for('change', 60, sub {
                $peak = max($peak, worker_kb($pid));
                HTTP::Tiny->new->get($url, {
                    headers => { Authorization => "Bearer $token" },
                })->{content} =~ /"rebuild $models $i"/
            });
        }

        my @after = map { metric($base, sprintf $seconds, $_) }
            qw(sum count);
        my $n = $after[1] - $before[1];
        my $mean = $n ? ($after[0] - $before[0]) / $n : 0;
        my $grown = settled_kb($pid) - $memory;

        printf "rebuild after a one-row change, %d models: %d rebuilds of"
            . " %.0f ms each, bar %.0f ms: %s\n", $models, $n, 1000 * $mean,
            1000 * $bar, $n && $mean < $bar ? 'met' : 'MISSED';
        printf "  private memory of the worker: %d KB before, %d KB more"
            . " after, bar %d KB: %s; %d KB at the peak of a build\n",
            $memory, $grown, $bar_kb, $grown <= $bar_kb ? 'met' : 'MISSED',
            $peak;
    }
}


# A reload: the new worker maps the file and has built nothing.

sub fresh_worker {
    my ($pid) = @_;
    my ($old) = children($pid);

    kill 'HUP', $pid;
    wait_for('new worker', 60, sub {
        my @workers = children($pid);
        @workers == 1 && $workers[0] != $old
    });
    return;
}


# When a second has passed in which it did not change: a file is served before
# its builder has cleaned up.

sub settled_kb {
    my ($pid) = @_;
    my ($kb, $since) = (-1, 0);

    return wait_for('memory to settle', 60, sub {
        my $now = worker_kb($pid);

        ($kb, $since) = ($now, time) if abs($now - $kb) > 64;
        time > $since + 1 ? $kb : 0
    });
}


sub sql {
    my ($conninfo, $sql) = @_;

    system('psql', '-qX', '-d', $conninfo, '-c', $sql) == 0
        or die "bench: psql failed\n";
    return;
}


# Fills the catalog up to so many models with copies of real ones.

sub generate {
    my ($conninfo, $models) = @_;

    sql($conninfo, <<"END");
insert into model.providers (id, name, source)
    values ('generated', 'Generated', 'manual') on conflict do nothing;
insert into model.models_metadata (id, provider_id, provider_model_id, name,
    family, model_type, context_length, price_input, price_output,
    modalities_input, modalities_output, details, source)
select 'generated/' || n, 'generated', n::text, m.name || ' ' || n, m.family,
    m.model_type, m.context_length, m.price_input, m.price_output,
    m.modalities_input, m.modalities_output, m.details, 'manual'
from (select *, row_number() over (order by id) as place
      from model.models_metadata where provider_id <> 'generated') m,
    generate_series(0, 30) copy,
    lateral (select copy * 5269 + m.place as n) numbered
where n <= $models - (select count(*) from model.models_metadata where active)
END
    return;
}


# Memory of the only worker that is its own, not the mapped files'.

sub worker_kb {
    my ($pid) = @_;
    my $kb = 0;

    for my $worker (children($pid)) {
        open my $fh, '<', "/proc/$worker/smaps_rollup" or next;

        while (<$fh>) {
            $kb += $1 if /^Private_Dirty:\s+(\d+)/;
        }
    }

    return $kb;
}


# Nodes that begin at once on one Redis and one database: who builds?

sub cold {
    my $nodes = 20;
    my ($base, $token, $conninfo, $pid) = catalog_gateway();

    wait_for('catalog', 60, sub {
        metric($base, 'nginx_model_catalog_models') > 5000
    });

    # a generation that nobody has built: raised while no node runs

    stop($pid);
    sql($conninfo, "update model.models_metadata set name = 'cold'"
        . " where id = 'openai/gpt-4o'");

    my @ports = map { free_port() } 1 .. $nodes;

    nginx("cold$_", '0,1', gateway_conf($conninfo, <<"END")) for @ports;
    server {
        listen 127.0.0.1:$_;
        location /api/ { model_api; }
        location = /metrics { model_api; model_auth off; }
    }
END
    my $built = 0;

    for my $port (@ports) {
        my $node = "http://127.0.0.1:$port";

        wait_for('node', 60, sub {
            metric($node, 'nginx_model_catalog_models') > 5000
        });
        $built += metric($node, 'nginx_model_cache_hits_total{layer="l3"}');
    }

    printf "%d nodes begin at once: %d read the catalog from PostgreSQL, bar"
        . " 1: %s\n", $nodes, $built, $built == 1 ? 'met' : 'MISSED';
}


1;
