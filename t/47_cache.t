#!/usr/bin/perl

# The layers of caches: the mapped file, Redis, PostgreSQL.  If this breaks,
# twenty nodes that start together read the catalog twenty times, a Redis that
# is slow, full, wrong or gone takes the gateway with it or makes it serve
# something else, an old catalog is served as if it were the database's, or an
# operator cannot have it built anew.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(alive slurp spew start_process wait_until);
use Services;
use Upstream;
use Wire;

my $dir = tempdir('model-r-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

my $socket = "$dir/redis";
my $redis;


# -- a Redis of our own --

sub redis_start {
    my (@more) = @_;

    unlink $socket;
    $redis = start_process("$dir/log", 'redis-server', '--port', 0,
        '--unixsocket', $socket, '--unixsocketperm', 777, '--save', '',
        '--appendonly', 'no', '--dir', $dir, @more);
    ok(wait_until(sub { redis('ping') eq 'PONG' }), 'Redis runs');
}


sub redis_end {
    kill 'CONT', $redis;
    kill 'KILL', $redis;
    waitpid $redis, 0;
    undef $redis;
}


sub redis {
    my (@command) = @_;

    open my $out, '-|', 'sh', '-c', 'exec redis-cli "$@" 2>&1', 'redis-cli',
         '-s', $socket, @command or die "redis-cli: $!\n";
    my $text = do { local $/; <$out> } // '';
    close $out;
    return $text =~ s/\s+$//r;
}


sub keys_of {
    my ($kind) = @_;

    return sort split /\n/, redis('--raw', 'keys', "model:$kind:*");
}


# a node with that Redis; of another node's database

sub node {
    my ($other, %more) = @_;

    my $gw = Gateway->new(redis => 0, http => "model_redis unix:$socket;",
                          ($other ? (database => $other->conninfo) : ()),
                          %more);
    $gw->{token} = $other->{token} if $other;
    return $gw;
}


sub built {
    my ($gw, $outcome) = @_;

    return $gw->metric('nginx_model_snapshot_builds_total',
                       outcome => $outcome) // 0;
}


sub cache {
    my ($gw, $what, $layer) = @_;

    return $gw->metric("nginx_model_cache_${what}_total", layer => $layer);
}


sub rename_model {
    my ($gw, $name) = @_;

    $gw->sql("update model.models_metadata set name = :'name'
              where id = 'acme/one'", name => $name);
}


sub model {
    my ($gw) = @_;

    return $gw->api(GET => '/api/v1/models/acme/one');
}


# it is served, by every node

sub served {
    my ($name, @nodes) = @_;

    return wait_until(sub {
        @nodes == grep { (model($_)->{json}{name} // '') eq $name } @nodes;
    });
}


# a catalog with one model in it

sub seed {
    my $gw = node(undef, @_)->start->wait_ready;

    is($gw->api(POST => '/api/v1/providers', {
        id => 'acme', name => 'Acme', protocol => 'openai',
        base_url => 'http://127.0.0.1:9/v1' })->{status}, 201, 'provider');
    is($gw->api(POST => '/api/v1/models', {
        id => 'acme/one', name => 'one', type => 'chat' })->{status}, 201,
       'model');
    ok(served('one', $gw), 'it is served');

    return $gw;
}


sub settled {
    my ($gw) = @_;

    return wait_until(sub {
        $gw->metric('nginx_model_snapshot_generation', kind => 'catalog')
            == $gw->sql_value("select generation from
                               model.catalog_generation
                               where name = 'catalog'");
    });
}


# how often the whole catalog was read from that database

sub reads {
    my $n = () = slurp(Services::base() . '/logs/postgresql.log')
        =~ /declare models/g;
    return $n;
}


subtest 'twenty cold nodes read the catalog once' => sub {
    redis_start();

    my $seed = seed();
    $seed->token('viewer');
    $seed->sql("alter database $seed->{dbname} set log_statement = 'all'");
    rename_model($seed, 'cold');
    ok(served('cold', $seed), 'a catalog');
    ok(defined $seed->quit, 'its node goes');
    redis('flushall');

    my @nodes = map { node($seed) } 1 .. 20;
    $seed->away;
    $_->start for @nodes;
    ok(!grep({ $_->get('/health')->{json}{ready} } @nodes),
       'twenty nodes wait for the database');

    my $before = reads();
    $seed->back;
    $_->wait_ready for @nodes;

    ok(served('cold', @nodes), 'all serve the catalog');
    is(reads() - $before, 1, 'PostgreSQL was asked for it once');

    my ($l2, $l3) = (0, 0);
    for my $node (@nodes) {
        $l2 += cache($node, 'hits', 'l2');
        $l3 += cache($node, 'hits', 'l3');
    }
    is($l3, 1, 'one node has built');
    is($l2, 19, 'the others found it in Redis');
    is(() = keys_of('lock'), 0, 'no lock was left');

    for my $key (keys_of('snap')) {
        my ($kind, $most) = $key =~ /^model:snap:1:/ ? ('catalog', 900)
                                                     : ('routing', 1800);
        my $seconds = redis('ttl', $key);
        cmp_ok($seconds, '<=', $most, "$kind: kept for $most s");
        cmp_ok($seconds, '>', $most - 300, 'and not much less');
    }

    $before = reads();
    rename_model($seed, 'warm');
    ok(served('warm', @nodes), 'a change reaches all of them');

    # who finds Redis slow asks for himself
    my $failed = grep { $_->metric('nginx_model_redis_errors_total') } @nodes;
    cmp_ok(reads() - $before, '<=', 1 + $failed,
           'for one more question to PostgreSQL');
    is(() = keys_of('snap'), 2, 'the old copy has gone');

    $_->end_checks for @nodes;
    $seed->end_checks;
    redis_end();
};


subtest 'Redis in every state' => sub {
    redis_start();
    my $one = seed();
    my $n = 0;

    # a change, and what a node that starts now makes of it
    my $works = sub {
        my ($what) = @_;

        rename_model($one, 'change ' . ++$n);
        ok(served("change $n", $one), "$what: a change is served");

        my $two = node($one)->start->wait_ready;
        ok(served("change $n", $two), "$what: and by a node that starts");
        ok($two->get('/health')->{json}{ready}, "$what: which is ready");
        return $two;
    };

    my $two = $works->('well');
    cmp_ok(cache($two, 'hits', 'l2'), '==', 1, 'well: a hit');
    $two->end_checks;

    my ($key) = keys_of('snap');
    redis('del', $key);
    redis('rpush', $key, 'a', 'list');
    $two = node($one)->start->wait_ready;
    ok(served("change $n", $two), 'a value of another type: no harm');
    cmp_ok(cache($two, 'misses', 'l2'), '>=', 1, 'a miss');
    is(redis('type', $key), 'string', 'it was replaced');
    $two->end_checks;

    redis('set', $key, 'garbage' x 1000);
    $two = node($one)->start->wait_ready;
    ok(served("change $n", $two), 'a wrong value: no harm');
    cmp_ok(redis('strlen', $key), '!=', 7000, 'it was replaced');
    like($two->log, qr/snapshot that Redis holds is not used/,
         'which is logged');
    $two->end_checks;

    $key = (grep { /^model:snap:1:/ } keys_of('snap'))[0];
    redis('del', $key);
    redis('set', $key =~ s/snap/lock/r, 'somebody who has died', 'px',
          3600000);
    $two = node($one)->start->wait_ready;
    ok(served("change $n", $two), 'a lock that nobody gives back: no harm');
    is($two->metric('nginx_model_redis_waits_total'), 1, 'it has waited');
    is(redis('get', $key =~ s/snap/lock/r), 'somebody who has died',
       'and leaves to others what is theirs');
    $two->end_checks;

    redis('config', 'set', 'maxmemory-policy', 'noeviction');
    redis('config', 'set', 'maxmemory', 1);
    $two = $works->('full');
    cmp_ok($two->metric('nginx_model_redis_errors_total'), '>=', 1,
           'full: errors are counted');
    $two->end_checks;
    redis('config', 'set', 'maxmemory', 0);

    kill 'STOP', $redis;
    $works->('hanging')->end_checks;
    kill 'CONT', $redis;

    redis_end();
    $works->('killed')->end_checks;

    redis_start('--maxmemory', '256mb');
    ok(wait_until(sub {
        rename_model($one, 'change ' . ++$n);
        served("change $n", $one) && @{[ keys_of('snap') ]};
    }, 120), 'restarted: it is used again');
    $works->('restarted')->end_checks;

    is(() = $one->log =~ /\[(?:error|crit|alert|emerg)\]/g, 0,
       'nothing of it was an error');
    $one->end_checks;
    redis_end();
};


subtest 'an answer says how stale it is' => sub {
    redis_start();
    my $gw = seed();
    my %headers = (Authorization => 'Bearer ' . $gw->token('viewer'));
    settled($gw);

    my @paths = ('/api/v1/models', '/api/v1/models/acme/one',
                 '/api/v1/models?limit=1', '/api/v1/providers',
                 '/api/v1/providers/acme');
    my $marked = sub {
        my $n = 0;

        for my $path (@paths) {
            my $r = $gw->get($path, \%headers);
            $n++ if $r->{status} == 200
                && defined $r->{headers}{age}
                && ($r->{headers}{warning} // '')
                   eq '110 - "Response is Stale"';
        }

        return $n;
    };

    my $r = $gw->get('/api/v1/admin/ready');
    ok(!$r->{json}{stale}, 'all is well');
    is($r->{json}{stale_seconds}, undef, 'no age');
    is($marked->(), 0, 'no answer is marked');
    is($gw->metric('nginx_model_catalog_stale'), 0, 'nor the metric');
    cmp_ok($gw->metric('nginx_model_catalog_confirmed_age_seconds'), '<', 30,
           'the catalog was confirmed just now');

    $gw->away;
    ok(wait_until(sub { $marked->() == @paths }),
       'the database is away: every answer says so');
    $r = $gw->get('/api/v1/admin/ready');
    is($r->{status}, 200, 'ready all the same');
    ok($r->{json}{stale}, 'but stale');
    is($gw->metric('nginx_model_catalog_stale'), 1, 'the metric, too');
    cmp_ok($gw->metric('nginx_model_catalog_stale_answers_total'), '>=',
           scalar @paths, 'and the answers are counted');

    my $first = $gw->get($paths[0], \%headers);
    sleep 2.2;
    my $later = $gw->get($paths[0], \%headers);
    cmp_ok($later->{headers}{age}, '>=', $first->{headers}{age} + 2,
           'the age grows');
    is($later->{body}, $first->{body}, 'what is served does not change');

    $r = $gw->get($paths[0], { %headers, 'If-None-Match' =>
                               $later->{headers}{etag} });
    is($r->{status}, 304, 'a validator still works');
    cmp_ok($r->{headers}{age}, '>=', $later->{headers}{age}, 'with its age');

    ok(defined $gw->quit, 'a restart without the database');
    $gw->start->wait_ready;
    $r = $gw->get($paths[1], \%headers);
    is($r->{json}{name}, 'one', 'the last file serves');
    cmp_ok($r->{headers}{age}, '>=', $later->{headers}{age},
           'and is no younger than before');
    ok($gw->get('/api/v1/admin/ready')->{json}{stale}, 'readiness says it');

    $gw->back;
    ok(wait_until(sub { $marked->() == 0 }), 'it is back: no mark');
    ok(!$gw->get('/api/v1/admin/ready')->{json}{stale}, 'not stale');

    # the database lives, but what it has become cannot be published

    my $state = $gw->dir . '/state';
    rename "$state/catalog.snap", "$state/kept";
    mkdir "$state/catalog.snap";
    rename_model($gw, 'blocked');
    ok(wait_until(sub { $marked->() == @paths }),
       'a change that cannot be published makes it stale');
    rmdir "$state/catalog.snap";
    ok(served('blocked', $gw), 'until it can');
    ok(wait_until(sub { $marked->() == 0 }), 'and is');

    $gw->end_checks;
    redis_end();
};


# seconds of CPU that the workers have used

sub cpu {
    my ($gw) = @_;
    my $ticks = 0;

    for my $pid ($gw->workers) {
        my @stat = split ' ', slurp("/proc/$pid/stat") =~ s/.*\) //sr;
        $ticks += $stat[11] + $stat[12];
    }

    return $ticks / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}


subtest 'a storm of changes' => sub {
    my $gw = Gateway->new(catalog => 'bundled')->start->wait_ready;
    my %headers = (Authorization => 'Bearer ' . $gw->token('viewer'));
    my $id = 'openai/gpt-4o';
    ok(wait_until(sub { settled($gw) && $gw->get("/api/v1/models/$id",
                                     \%headers)->{status} == 200 }),
       'a catalog of thousands');

    my $changes = 0;
    my $built = built($gw, 'built');
    my ($began, $used) = (time, cpu($gw));

    # three seconds of it, and more where a build takes seconds (sanitizers)

    do {
        $gw->sql(join "\n", map {
            "update model.models_metadata set name = 'storm $_'
             where id = '$id'; select pg_sleep(0.03);"
        } $changes + 1 .. $changes + 100);
        $changes += 100;
    } while (built($gw, 'built') - $built < 2 && $changes < 1000);

    ok(wait_until(sub { ($gw->get("/api/v1/models/$id", \%headers)->{json}{name}
                         // '') eq "storm $changes" }),
       'the last one is served');

    my $share = (cpu($gw) - $used) / (time - $began);
    my $builds = built($gw, 'built') - $built;

    cmp_ok($builds, '>=', 2, 'changes are served meanwhile');
    cmp_ok($builds, '<', $changes, 'and share builds');
    cmp_ok($share, '<', 0.85, sprintf 'at %.0f %% of a core', 100 * $share);
    $gw->end_checks;
};


subtest 'flush' => sub {
    redis_start();
    my $one = seed();
    my $two = node($one)->start->wait_ready;
    my $path = '/api/v1/cache/flush';
    settled($_) for $one, $two;

    is($one->api(POST => $path, undef, $one->token('operator'))->{status},
       403, 'an operator may not');
    is($one->fetch('POST', $path)->{status}, 401, 'nor may nobody');
    is($one->api(GET => $path)->{status}, 405, 'it is no question');
    is($one->api(POST => "$path?all=1")->{status}, 400, 'it takes nothing');

    # what a node serves is in Redis a moment later
    ok(wait_until(sub {
        my %g = map { @$_ } $one->sql('select name, generation
                                       from model.catalog_generation');
        join(' ', map { s/^model:snap:(\d+):\d+:/$1:/r } keys_of('snap'))
            eq "1:$g{catalog} 2:$g{routing}";
    }), 'Redis has both');

    my @before = keys_of('snap');
    my $l3 = cache($one, 'hits', 'l3') + cache($two, 'hits', 'l3');
    my $r = $one->api(POST => $path);
    is($r->{status}, 202, 'an admin may') or diag $r->{body};
    is($r->{json}{status}, 'rebuilding', 'it says what happens');
    is($r->{json}{redis}{removed}, 2, 'both copies are gone');
    is($r->{json}{redis}{error}, undef, 'without trouble');

    for my $node ($one, $two) {
        ok(wait_until(sub {
            $node->metric('nginx_model_snapshot_generation',
                          kind => 'catalog')
                == $r->{json}{generation}{catalog};
        }), 'a node serves what was built anew');
    }

    is(cache($one, 'hits', 'l3') + cache($two, 'hits', 'l3'), $l3 + 1,
       'PostgreSQL was read, once');
    ok(wait_until(sub { @{[ keys_of('snap') ]} == 2 }), 'new copies are there');
    isnt(join(' ', keys_of('snap')), join(' ', @before), 'which are others');
    is($one->metric('nginx_model_cache_flushes_total'), 1, 'it is counted');
    like($one->log, qr/\[notice\].*the caches are flushed by token/,
         'and logged');

    redis_end();
    $r = $one->api(POST => $path);
    is($r->{status}, 202, 'without Redis, too');
    like($r->{json}{redis}{error}, qr/Redis/, 'which it says');

    $one->away;
    ok(wait_until(sub { $one->api(POST => $path)->{status} == 503 }),
       'without the database it is refused: there is nothing to build from');
    $one->back;

    $two->end_checks;
    $one->end_checks;
};


END {
    redis_end() if $redis;
}


done_testing;
