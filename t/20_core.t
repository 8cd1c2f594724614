#!/usr/bin/perl

# The core of the gateway: configuration, state folder, shared zone, snapshots
# and their keeper, readiness, job engine.  If this breaks, a wrong
# configuration starts, a change in the database is not served (or only by
# some workers), a restart without a database serves nothing, a damaged file is
# trusted, or a reload or quit loses a job or hangs.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(alive slurp spew start_process wait_until);
use Services;
use Upstream;
use Wire;


# nginx -t of the configuration after an edit of its text

sub refused {
    my ($gw, $edit) = @_;

    $gw->write_conf;

    my $file = $gw->dir . '/nginx.conf';
    local $_ = slurp($file);
    $edit->();
    spew($file, $_);
    $gw->own;

    my $out = $gw->dir . '/test.out';
    unlink $out;
    waitpid start_process($out, $gw->command('-t')), 0;
    return ($? == 0 ? '' : 'failed') . "\n" . slurp($out);
}


sub generation {
    my ($gw, $kind) = @_;

    return $gw->metric('nginx_model_snapshot_generation', kind => $kind) // 0;
}


# what the database says it is

sub wanted {
    my ($gw, $kind) = @_;

    return $gw->sql_value("select generation from model.catalog_generation
                           where name = :'kind'", kind => $kind);
}


sub settled {
    my ($gw) = @_;

    return wait_until(sub {
        generation($gw, 'catalog') == wanted($gw, 'catalog')
            && generation($gw, 'routing') == wanted($gw, 'routing');
    });
}


# and Redis has both files, which are put there after they are served

sub shared {
    my ($gw, $seconds) = @_;

    my $socket = Services::redis() =~ s/^unix://r;

    return wait_until(sub {
        2 == grep {
            my $pattern = 'model:snap:*:' . generation($gw, $_);
            open my $keys, '-|', 'redis-cli', '-s', $socket, '--raw', 'keys',
                $pattern or die "redis-cli: $!\n";
            grep { /\S/ } <$keys>;
        } qw(catalog routing);
    }, $seconds);
}


sub count_log {
    my ($gw, $pattern) = @_;

    my $n = () = $gw->log =~ /$pattern/g;
    return $n;
}


# a change of the catalog by hand

sub add_provider {
    my ($gw, $id) = @_;

    $gw->sql("insert into model.providers (id, name, source)
              values (:'id', :'id', 'manual')", id => $id);
}


# how many of 20 requests, each on its own connection, know the provider

sub known_by {
    my ($gw, $id) = @_;

    my $header = { Authorization => 'Bearer ' . $gw->token('viewer') };

    return scalar grep { $_->{status} == 200 }
           map { $gw->get("/api/v1/providers/$id", $header) } 1 .. 20;
}


subtest 'a wrong configuration is refused with file and line' => sub {
    my $gw = Gateway->new;

    my @cases = (
        [ sub { s/thread_pool model_jobs.*\n// },
          qr/thread pool "model_jobs".*add "thread_pool model_jobs threads/ ],
        [ sub { s/model_zone .*\n// },
          qr/"model_\w+" is used without "model_zone".*add "model_zone/ ],
        [ sub { s/model_state_path .*\n// },
          qr/"model_zone" is used without "model_state_path"/ ],
        [ sub { s/model:64m/model:7m/ }, qr/"model:7m" is below 8m/ ],
        [ sub { s/model:64m/model/ }, qr/invalid zone "model"; write NAME:S/ ],
        [ sub { s/model:64m/:64m/ }, qr/invalid zone ":64m"/ ],
        [ sub { s/(model_zone .*\n)/$1$1/ }, qr/"model_zone".*duplicate/ ],
        [ sub { s/(model_database ".*?")/$1 connections=0/ },
          qr/invalid parameter "connections=0"/ ],
        [ sub { s/(model_database ".*?")/$1 timeout=soon/ },
          qr/invalid parameter "timeout=soon"/ ],
        [ sub { s/(model_database ".*?")/$1 retries=2/ },
          qr/invalid parameter "retries=2"/ ],
        [ sub { s/secret\.key/absent.key/ }, qr/absent\.key/ ],
        [ sub { s/model_auth inference/model_auth boss/ },
          qr/invalid value "boss"/ ],
        [ sub { s/(model_zone)/model_validate_concurrency 0; $1/ },
          qr/must be between 1 and 1024/ ],
        [ sub { s/(model_zone)/model_jobs_concurrency 65; $1/ },
          qr/must be between 1 and 64/ ],
    );

    for my $case (@cases) {
        my ($edit, $message) = @$case;
        my $output = refused($gw, $edit);

        like($output, qr/^failed\n(?s:.*)\[emerg\].*$message/, $message);
        like($output, qr/nginx\.conf:\d+/, '  and it says where');
    }

    unlike(refused($gw, sub { }), qr/failed/, 'and without the fault it is fine');
    $gw->remove;
};


subtest 'without a directive of ours the module does nothing' => sub {
    my $gw = Gateway->new(database => 0, redis => 0,
                          conf => 'server { listen 127.0.0.1:%port%;
                                   location / { return 200 "plain"; } }');
    my $port = $gw->port;
    $gw->{conf} =~ s/%port%/$port/;
    $gw->start;

    my $r;
    wait_until(sub { ($r = Wire::fetch($port, 'GET', '/'))->{status} });
    is($r->{body}, 'plain', 'nginx serves');

    my ($worker) = $gw->workers;
    my @threads = glob "/proc/$worker/task/*";
    is(grep({ slurp("$_/comm") !~ /nginx/ } @threads), 0,
       'no thread of another name');
    unlike($gw->log, qr/model: /, 'nothing was logged');
    $gw->end_checks;
};


subtest 'files, readiness and the worker that looks after them' => sub {
    my $gw = Gateway->new(workers => 2)->start->wait_ready;
    my $state = $gw->dir . '/state';

    ok(-f "$state/$_", "$_ was published") for qw(catalog.snap routing.snap);
    ok(-d "$state/spool", 'the spool folder was made');
    is((stat "$state/catalog.snap")[2] & 077, 0, 'only the worker reads them');
    ok(settled($gw), 'the files are what the database is');

    subtest 'a change by psql is in effect on all workers within a second'
        => sub
    {
        $gw->token('viewer');
        my $began = time;

        add_provider($gw, 'by-hand');
        ok(wait_until(sub { known_by($gw, 'by-hand') == 20 }, 10),
           'all workers serve it');
        cmp_ok(time - $began, '<', 5 * $Host::patience, 'soon');
    };

    subtest 'many changes in a row end with the last one' => sub {
        add_provider($gw, "many-$_") for 1 .. 20;
        ok(wait_until(sub { known_by($gw, 'many-20') == 20 }, 10), 'it is there');
        ok(settled($gw), 'the generations agree');
    };

    subtest 'reload adopts the zone' => sub {
        my $requests = $gw->metric('nginx_model_catalog_requests_total');
        my $started = $gw->metric('nginx_model_start_time_seconds');

        $gw->reload(wait_old => 1);
        is($gw->get('/health')->{json}{ready}, JSON::PP::true(),
           'ready from the first moment');
        cmp_ok($gw->metric('nginx_model_catalog_requests_total'), '>=',
               $requests, 'counters go on');
        is($gw->metric('nginx_model_start_time_seconds'), $started,
           'so does the time of the start');

        add_provider($gw, 'after-reload');
        ok(wait_until(sub { known_by($gw, 'after-reload') == 20 }, 10),
           'the new keeper works');
    };

    subtest 'a reload with a larger zone starts anew, and works' => sub {
        my $block = $gw->http_block =~ s/model:64m/model:65m/r;

        $gw->reload(wait_old => 1, conf => $block);
        $gw->wait_ready;
        ok(settled($gw), 'the generations agree');
    };

    subtest 'kill -9 of every worker' => sub {
        for my $pid ($gw->workers) {
            $gw->kill_worker($pid);
        }

        $gw->wait_ready;
        add_provider($gw, 'after-kill');
        ok(wait_until(sub { known_by($gw, 'after-kill') == 20 }, 10),
           'the successors serve what changes');
    };

    my $seconds = $gw->quit;
    ok(defined $seconds, 'it quits');
    is(count_log($gw, qr/open socket/), 0, 'no connection was left open');
    $gw->end_checks;
};


subtest 'another node takes the files from Redis' => sub {
    my $one = Gateway->new->start->wait_ready;

    add_provider($one, 'shared');
    ok(wait_until(sub { known_by($one, 'shared') == 20 }), 'the first has it');
    settled($one);

    # who does not answer in 300 ms is left alone for 5 s, this file with it
    my $has = shared($one, 6);

    for my $n (1 .. 3) {
        last if $has;
        add_provider($one, "again-$n");
        settled($one);
        $has = shared($one, 6);
    }

    ok($has, 'and so has Redis');

    my $two = Gateway->new(database => $one->conninfo);
    $two->{token} = $one->{token};
    $two->start->wait_ready;

    is(known_by($two, 'shared'), 20, 'the second has it');
    cmp_ok($two->metric('nginx_model_snapshot_builds_total',
                        outcome => 'redis') // 0, '>=', 2,
           'both files came from Redis');
    is($two->metric('nginx_model_snapshot_builds_total',
                    outcome => 'built') // 0, 0, 'none was built');
    is(slurp($two->dir . '/state/catalog.snap'),
       slurp($one->dir . '/state/catalog.snap'), 'they are the same bytes');

    $two->end_checks;
    $one->end_checks;
};


subtest 'the database away: one line, files stay, restart, damaged file' => sub {
    my $gw = Gateway->new(workers => 2)->start->wait_ready;
    my $state = $gw->dir . '/state';

    $gw->token('viewer');
    add_provider($gw, 'before');
    ok(wait_until(sub { known_by($gw, 'before') == 20 }), 'published');
    settled($gw);

    $gw->away;
    ok(wait_until(sub { $gw->get('/health')->{json}{database} eq 'away' }),
       'it is noticed');
    sleep 2.5;
    is(count_log($gw, qr/\[warn\].*the database is away/), 1,
       'and logged once');
    is(known_by($gw, 'before'), 20, 'reads go on');

    ok(defined $gw->quit, 'it quits while the database is away');
    $gw->start->wait_ready;
    is(known_by($gw, 'before'), 20, 'a restart serves from the files');
    ok(defined $gw->quit, 'it quits');

    my $bytes = slurp("$state/catalog.snap");
    substr($bytes, length($bytes) / 2, 1) ^.= "\x40";
    spew("$state/catalog.snap", $bytes);
    $gw->own;
    $gw->start;

    ok(wait_until(sub { $gw->log =~ /catalog snapshot in .* is not used/ }),
       'a damaged file is told of');
    is(known_by($gw, 'before'), 0, 'and not served');
    is($gw->get('/health')->{json}{ready}, JSON::PP::false(), 'not ready');

    $gw->back;
    $gw->wait_ready;
    is(known_by($gw, 'before'), 20, 'it is built anew when the database is back');
    is(count_log($gw, qr/\[notice\].*the database answers/), 2,
       'which is logged once a time');
    $gw->end_checks;
};


subtest 'a database that accepts and says nothing' => sub {
    my $gw = Gateway->new(database => 'none');
    my $silent = IO::Socket::UNIX->new(Listen => 64,
                                       Local => $gw->dir . '/.s.PGSQL.5432')
        or die "socket: $!\n";
    chmod 0777, $gw->dir . '/.s.PGSQL.5432';
    $gw->start(database => 'host=' . $gw->dir . ' dbname=model');

    ok(wait_until(sub { $gw->log =~ /the database is away/ }),
       'its silence is logged');
    is($gw->get('/health')->{status}, 200, 'it answers meanwhile');

    # the keeper rests for a second after that; the listener tries again at
    # once, and nothing ends its attempt but a time-out longer than that rest
    sleep 0.5;
    ok(defined $gw->quit, 'quit with a thread that waits for an answer');
    $gw->end_checks;
};


subtest 'a folder that cannot be written to' => sub {
    my $gw = Gateway->new->start->wait_ready;
    my $state = $gw->dir . '/state';

    rename "$state/catalog.snap", "$state/kept";
    mkdir "$state/catalog.snap";
    add_provider($gw, 'blocked');
    ok(wait_until(sub { $gw->log =~ /\[error\].*cannot build generation/ }),
       'the failure is logged');
    cmp_ok($gw->metric('nginx_model_snapshot_builds_total',
                       outcome => 'failed'), '>=', 1, 'and counted');
    is(known_by($gw, 'blocked'), 0, 'the old file stays in effect');

    rmdir "$state/catalog.snap";
    ok(wait_until(sub { known_by($gw, 'blocked') == 20 }, 15), 'it recovers');
    $gw->end_checks;
};


subtest 'the first sync, and jobs over reload and quit' => sub {
    my $pause = Services::base() . "/pause.$$";
    spew($pause, 2);

    my $slow = Upstream->new(sub {
        my $seconds = slurp($pause);

        return {
            headers => [ 'Content-Type', 'application/json' ],
            chunks => [ '{"acme": {"id": "acme", "name": "Acme", "models": {',
                        (map { (qq("m$_": {"id": "m$_", "name": "Model $_"},),
                                \$seconds) } 1 .. 40),
                        '"last": {"id": "last", "name": "Last"}}}}' ],
        };
    });

    my $gw = Gateway->new(workers => 2, catalog => $slow->url . '/api.json')->start;

    ok(wait_until(sub { $gw->get('/health')->{status} == 200 }), 'it answers');

    my $r = $gw->get('/api/v1/admin/ready');
    is($r->{status}, 425, 'not ready while the first sync runs');
    like($r->{json}{phase}, qr/^(?:connecting|loading)$/, 'and says why');
    cmp_ok($r->{headers}{'retry-after'} // 0, '>=', 1, 'and when to come again');

    my $running = sub {
        $gw->sql_value("select count(*) from model.jobs
                        where state = 'in_progress'");
    };
    ok(wait_until(sub { $running->() == 1 }), 'the sync runs');

    my $began = time;
    $gw->reload(wait_old => 1);
    cmp_ok(time - $began, '<', 40, 'old workers do not wait for its 80 s');
    ok(wait_until(sub { $running->() == 1 }), 'a new worker goes on');
    is($gw->sql_value('select count(*) from model.jobs'), 1, 'with that job');

    my $seconds = $gw->quit(40);
    cmp_ok($seconds // 80, '<', 40, 'quit does not wait for it');
    is($gw->sql_value('select state from model.jobs'), 'pending',
       'it was handed back');

    spew($pause, 0);
    $gw->start->wait_ready;
    ok(wait_until(sub {
        $gw->sql_value('select state from model.jobs') eq 'completed';
    }), 'and done after the next start');
    is($gw->sql_value("select count(*) from model.models_metadata
                       where provider_id = 'acme' and active"), 41,
       'all models are there');
    is($gw->get('/api/v1/models?provider=acme', { Authorization =>
           'Bearer ' . $gw->token('viewer') })->{json}{pagination}{total}, 41,
       'and served');
    $gw->end_checks;
};


like `readelf -d '$ENV{TEST_NGINX_MODULE}'`, qr/NODELETE/,
    'the module is there until the last thread has gone';


done_testing;
