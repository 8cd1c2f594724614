#!/usr/bin/perl

# The gateway is broken on purpose: reloads and kill -9 under load, TERM and
# the death of the whole nginx, a full disk, damaged files, a folder that is
# not its own, rubbish in Redis, a database that is slow.  If this breaks, a
# request fails that need not, a record is lost or stored twice, a bad file is
# served or stops the start, or a slow database is felt where none is needed.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(alive slurp spew start_process wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;


# answers like a model server, at once or after "delay" of the body

my $up = Upstream->new(sub {
    my ($req) = @_;
    my $body = eval { $json->decode($req->{body}) } // {};

    return { delay => $body->{delay},
             json => { model => $body->{model}, length => length $req->{body},
                       usage => { prompt_tokens => 3, completion_tokens => 2,
                                  total_tokens => 5 } } };
});

my $format = 'log_format ids "$model_inference_id";';
my $open = <<'END';
        location /open/ {
            model_auth off;
            model_split on;
            rewrite ^/open(/.*)$ $1 break;
            include model_proxy.conf;
            access_log logs/ids.log ids;
        }
END


# a gateway with one group, "chat", in effect

sub gateway {
    my (%options) = @_;

    my $gw = Gateway->new(server => $Gateway::locations . $open,
                          http => $format,
                          workers => 2, %options);
    $gw->token('admin');
    $gw->start->wait_ready;
    made($gw, 'providers', { id => 'demo', base_url => $up->url,
                             protocol => 'openai' });
    made($gw, 'models', { id => 'demo/model' });
    made($gw, 'model-groups', { name => 'chat' });
    made($gw, 'model-groups/chat/models',
         [ { model_id => 'demo/model', role => 'champion',
             traffic_percentage => 100 } ]);

    ok wait_until(sub { served($gw) == 10 }), 'the group is in effect';
    return $gw;
}


sub made {
    my ($gw, $what, $data) = @_;

    my $r = $gw->api(POST => "/api/v1/$what", $data);
    BAIL_OUT("$what: $r->{status} $r->{body}") if $r->{status} > 201;
    return $r->{json};
}


sub infer {
    my ($gw, $body) = @_;

    return $gw->fetch(POST => '/open/v1/chat/completions', {},
                      { model => 'chat', %{ $body || {} } });
}


# how many of ten requests are answered 200

sub served {
    my ($gw) = @_;

    return scalar grep { infer($gw)->{status} == 200 } 1 .. 10;
}


sub table {
    my ($gw) = @_;

    return $gw->{table} //= $gw->sql_value("select inference_table
        from model.model_groups where name = 'chat'");
}


sub rows {
    my ($gw) = @_;

    return $gw->sql_value('select count(*) from model.' . table($gw));
}


# clients in processes of their own, each request on a new connection; what the
# returned function gives: the ids of all answers, and what went wrong

sub load {
    my ($gw, $clients, $body) = @_;

    state $count = 0;
    my $base = $gw->dir . '/load.' . ++$count;
    my $owner = $$;
    my @pids;

    for my $n (1 .. $clients) {
        my $pid = fork // die "fork: $!\n";
        push @pids, $pid;
        next if $pid;

        open my $out, '>', "$base.$n" or POSIX::_exit(1);
        my $end = time + 60 * $Host::patience;

        while (!-e "$base.stop" && time < $end) {
            my $r = infer($gw, $body);
            my $id = $r->{headers}{'x-inference-id'} // '-';
            my $good = $r->{status} == 200 && $r->{complete};
            syswrite $out, $good ? "good $id\n"
                                 : "bad $r->{status} $id $r->{reason}\n";
            sleep 0.002;
        }

        POSIX::_exit(0);
    }

    return sub {
        spew("$base.stop", '');
        waitpid $_, 0 for @pids;
        my @lines = map { split /\n/, slurp("$base.$_") } 1 .. $clients;
        my @ids = map { /^good (\S+)/ ? $1 : () } @lines;
        return \@ids, [ grep { !/^good / } @lines ];
    };
}


# waits until so many more requests have found their model

sub more {
    my ($gw, $n) = @_;

    my $count = sub { $gw->metric('nginx_model_split_requests_total') // 0 };
    my $begin = $count->();

    return wait_until(sub { $count->() >= $begin + $n });
}


# ids that are not in the table exactly once, after a while

sub missing {
    my ($gw, $ids, $seconds) = @_;

    my @missing;

    wait_until(sub {
        my %count = map { @$_ } $gw->sql('select inference_id, count(*) from '
            . 'model.' . table($gw) . ' group by 1');
        @missing = grep { ($count{$_} // 0) != 1 } @$ids;
        return !@missing;
    }, $seconds // 20);

    return \@missing;
}


# Every answer that a client has got is in the database or the spool.

sub kept {
    my ($gw) = @_;

    return $gw->metric('nginx_model_records_waiting') == 0;
}


sub twice {
    my ($gw) = @_;

    return $gw->sql_value('select count(*) - count(distinct inference_id) from '
                          . 'model.' . table($gw));
}


sub away {
    my ($gw) = @_;

    Services::query(Services::conninfo('postgres'),
        "alter database $gw->{dbname} with allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '$gw->{dbname}'");
}


sub back {
    my ($gw) = @_;

    Services::query(Services::conninfo('postgres'),
        "alter database $gw->{dbname} with allow_connections true");
}


# a provider made by hand, which both files of a node have to learn of

sub add_provider {
    my ($gw, $id) = @_;

    $gw->sql("insert into model.providers (id, name, source)
              values (:'id', :'id', 'manual')", id => $id);
}


sub knows {
    my ($gw, $id) = @_;

    return 10 == grep { $_->{status} == 200 }
           map { $gw->api(GET => "/api/v1/providers/$id") } 1 .. 10;
}


# -- reload --

subtest 'reload under load' => sub {
    my $gw = gateway();
    my $before = rows($gw);
    my $stop = load($gw, 4);

    for (1 .. 5) {
        more($gw, 30);
        $gw->reload(wait_old => 1);
    }

    my ($ids, $bad) = $stop->();
    cmp_ok scalar(@$ids), '>', 100, @$ids . ' requests over five reloads';
    is_deeply $bad, [], 'none failed';
    is_deeply missing($gw, $ids), [], 'each is recorded once';
    is twice($gw), 0, 'none twice';

    # requests that are under way when three reloads come one upon the other
    my @wires = map {
        my $w = $gw->wire;
        $w->request(POST => '/open/v1/x', {}, { model => 'chat', delay => 1 });
        $w;
    } 1 .. 20;

    $gw->reload for 1 .. 3;
    my @answers = map { $_->response } @wires;
    is scalar(grep { $_->{status} == 200 } @answers), 20,
       'what was under way is answered';
    is_deeply missing($gw, [ map { $_->{headers}{'x-inference-id'} }
                             @answers ]), [], 'and recorded';
};


# -- kill -9 of workers --

subtest 'kill -9 of workers under load' => sub {
    my $gw = gateway();
    my $stop = load($gw, 4);
    my $seen = 0;
    my @falls;

    for my $n (1 .. 6) {
        more($gw, 30);
        $gw->kill_worker(($gw->workers)[$n % 2]);

        my $now = $gw->metric('nginx_model_split_requests_total');
        push @falls, "$seen to $now" if $now < $seen;
        $seen = $now;
    }

    more($gw, 30);
    my ($ids, $bad) = $stop->();

    cmp_ok scalar(@$ids), '>', 100, @$ids . ' requests over six kills';
    cmp_ok scalar(@$bad), '<=', 6 * 4, 'what failed was in a killed worker';

    is_deeply missing($gw, $ids), [], 'each is recorded once';
    my @logged = grep { /^[0-9a-f]/ } split /\n/,
                 slurp($gw->dir . '/logs/ids.log');
    is_deeply missing($gw, \@logged), [], 'what nginx logged, too';
    is twice($gw), 0, 'none twice';
    is_deeply \@falls, [], 'counters go on where they were';
    cmp_ok $gw->metric('nginx_model_split_requests_total'), '>=', @$ids,
           'and count every request';
    is served($gw), 10, 'all is well';

    # a client that has its answer and does not close: nginx waits for that
    # for seconds, and so for the log phase
    my @wires = map {
        my $w = $gw->wire;
        $w->request(POST => '/open/v1/x', { Connection => 'close' },
                    { model => 'chat' });
        $w;
    } 1 .. 8;

    my @ids = map { $_->response->{headers}{'x-inference-id'} } @wires;
    $gw->kill_worker($_) for $gw->workers;
    is_deeply missing($gw, \@ids), [], 'what lingers is recorded';

    my $w = $gw->wire;
    $w->request(POST => '/open/v1/x', { Connection => 'close' },
                { model => 'chat' });
    my $r = $w->response;
    sleep 1.5;
    $w->close;
    my $id = $r->{headers}{'x-inference-id'};
    is_deeply missing($gw, [ $id ]), [], 'one that closes late';
    cmp_ok $gw->sql_value('select latency_us from model.' . table($gw)
                          . " where inference_id = '$id'"),
           '<', 1e6 * ($r->{seconds} + 1), 'with the time of its answer';
};


# -- kill -9 of nginx, TERM --

subtest 'kill -9 of nginx, TERM' => sub {
    my $gw = gateway();

    away($gw);
    my @ids = map { infer($gw)->{headers}{'x-inference-id'} } 1 .. 20;

    # none is in memory alone: what is there goes down with the machine
    ok wait_until(sub { kept($gw) }), 'records are in the spool';

    $gw->kill_all;
    $gw->start;
    ok wait_until(sub { served($gw) == 10 }),
       'after kill -9 of all it serves from the file';

    back($gw);
    is_deeply missing($gw, \@ids), [], 'and replays the spool, each once';
    ok wait_until(sub { !(() = glob $gw->dir . '/state/spool/*') }),
       'which is empty then';

    # TERM with records in the ring; nginx kills a worker that does not end in
    # two seconds, which only a machine that stands still makes it do

    for my $db ('there', 'away') {
        my @answers;

        for (1 .. 3) {
            away($gw) if $db eq 'away';
            @answers = Wire::many($gw->port, [ map { [ POST => '/open/v1/x',
                {}, { model => 'chat' } ] } 1 .. 60 ], 8);
            my $killed = () = $gw->log =~ /exited on signal 9/g;
            $gw->stop;
            last if $killed == (() = $gw->log =~ /exited on signal 9/g);
            back($gw) if $db eq 'away';
            $gw->start->wait_ready;
        }

        @ids = map { $_->{headers}{'x-inference-id'} }
               grep { $_->{status} == 200 } @answers;
        back($gw) if $db eq 'away';
        $gw->start->wait_ready;
        is scalar(@ids), 60, "TERM, database $db: answered";
        is_deeply missing($gw, \@ids), [], "TERM, database $db: recorded";
    }

    is twice($gw), 0, 'none twice';
};


# -- the disk is full --

SKIP: {
    skip 'a small disk needs root, to mount one', 1 if $> != 0;

    my $made = Gateway->new(server => $Gateway::locations . $open,
                            http => $format);
    my $state = $made->dir . '/state';
    my $why = `mount -t tmpfs -o size=1m,uid=65534,gid=65534 tmpfs $state 2>&1`;

    if ($?) {
        $made->remove;
        skip "no small disk can be mounted: $why", 1;
    }

    END { system("umount -l $state") if defined $state && -d $state
              && slurp('/proc/mounts') =~ / \Q$state\E /; }

    subtest 'the disk is full' => sub { full_disk($made, $state) };
}


# a file that leaves nothing of the disk

sub fill {
    my ($state) = @_;

    open my $fh, '>', "$state/filler" or die "$state/filler: $!\n";
    my $block = 'x' x 4096;
    1 while (syswrite($fh, $block) // 0) == 4096;
    close $fh;
}


sub full_disk {
    my ($gw, $state) = @_;

    no warnings 'redefine';
    local *Gateway::new = sub { return $gw };
    gateway(workers => 1);

    my $file = slurp("$state/catalog.snap");
    fill($state);
    add_provider($gw, 'late');

    ok wait_until(sub { $gw->log =~ /cannot build generation.*No space/ }),
       'a snapshot that has no room is told of';
    like $gw->log, qr/make room in the state folder/, 'with what to do';
    ok !knows($gw, 'late'), 'the old one serves';
    is slurp("$state/catalog.snap"), $file, 'and stays as it was';
    is served($gw), 10, 'so does the split';
    is scalar(grep { /\.tmp$/ } glob "$state/.*"), 0, 'nothing half is left';

    # now the database goes, too: records have the ring, and no more
    away($gw);
    my $good = 0;
    my @ids;

    for (1 .. 20) {
        my @answers = Wire::many($gw->port, [ map { [ POST => '/open/v1/x',
            { 'X-Request-Id' => 'r' x 120 }, { model => 'chat' } ] }
            1 .. 100 ], 8);
        $good += grep { $_->{status} == 200 } @answers;
        push @ids, map { $_->{headers}{'x-inference-id'} } @answers;
    }

    is $good, 2000, 'inference goes on';
    ok wait_until(sub { $gw->log =~ /bytes of records wait in memory/ }),
       'the log says where records are';

    unlink "$state/filler";
    back($gw);

    ok wait_until(sub { knows($gw, 'late') }, 30), 'it recovers: snapshot';

    my $dropped = $gw->metric('nginx_model_records_total',
                              outcome => 'dropped');
    my $lost = missing($gw, \@ids);
    is scalar(@$lost), $dropped, "it recovers: records, but $dropped counted";
    is $dropped, 0, 'none of so few was dropped';
    is twice($gw), 0, 'none is there twice';

    # a start on a full disk
    $gw->quit;
    fill($state);
    $gw->start->wait_ready;
    is served($gw), 10, 'it starts on a full disk';

    unlink "$state/filler";
    ok defined $gw->quit, 'quit';
    system('umount', '-l', $state);
    $gw->end_checks;
}


# -- damaged files --

sub damaged {
    my ($bytes, $how) = @_;

    my $n = length $bytes;

    return substr $bytes, 0, $n / 2 if $how eq 'truncated';
    return substr $bytes, 0, 20 if $how eq 'a stump';
    return '' if $how eq 'empty';
    return 'not a snapshot' x 1000 if $how eq 'rubbish';
    return "\0" x $n if $how eq 'zeros';
    return $bytes . 'x' if $how eq 'a byte too many';
    return $bytes if $how eq 'stale';

    my ($at) = $how =~ /(\d+)/;
    substr($bytes, $at * ($n - 1) / 100, 1) ^.= "\x10";
    return $bytes;
}


subtest 'damaged files at start' => sub {
    my $gw = gateway();
    my $state = $gw->dir . '/state';
    my %good = map { $_ => slurp("$state/$_.snap") } qw(catalog routing);

    $gw->quit;

    for my $how ('truncated', 'a stump', 'empty', 'rubbish', 'zeros',
                 'a byte too many', map { "bit at $_ %" } 0, 10, 33, 77, 100)
    {
        for my $kind (qw(catalog routing)) {
            spew("$state/$kind.snap", damaged($good{$kind}, $how));
        }

        $gw->own;
        truncate $gw->dir . '/logs/error.log', 0;
        $gw->start->wait_ready;

        my @told = $gw->log =~ /(\w+) snapshot in .* is not used/g;
        is "@told", 'catalog routing', "$how: both are refused";
        is served($gw), 10, "$how: both are built anew";
        ok defined $gw->quit, "$how: quit";
        is_deeply [ $gw->bad_lines ], [], "$how: nothing bad in the log";
    }

    # files of the other kind, and of another version of the format
    spew("$state/catalog.snap", $good{routing});
    spew("$state/routing.snap", $good{catalog});
    $gw->own;
    truncate $gw->dir . '/logs/error.log', 0;
    $gw->start->wait_ready;
    is served($gw), 10, 'exchanged: built anew';
    like $gw->log, qr/is not used/, 'and told of';
    $gw->quit;

    my $bytes = $good{catalog};
    substr $bytes, 20, 4, pack 'L', 99;
    spew("$state/catalog.snap", $bytes);
    $gw->own;
    truncate $gw->dir . '/logs/error.log', 0;
    $gw->start->wait_ready;
    like $gw->log, qr/catalog snapshot in .* is not used.*version/,
         'another version: refused';
    $gw->quit;

    $gw->start->wait_ready;
};


# -- a folder that belongs to somebody else --

SKIP: {
    skip 'root is not needed to be refused, nobody is', 1 if !Host::nobody();

    subtest 'a state folder that cannot be written to' => sub {
        my $gw = gateway(workers => 1);
        my $state = $gw->dir . '/state';

        ok wait_until(sub { rows($gw) >= 10 }), 'records are stored';
        $gw->quit;

        # readable, but no more: as after a restore by root
        chown 0, 0, $state, "$state/keeper.lock";
        chmod 0755, $state;
        chmod 0644, "$state/keeper.lock";

        no warnings 'redefine';
        local *Gateway::own = sub { };

        $gw->start;
        ok wait_until(sub { served($gw) == 10 }),
           'what is there is served';
        like $gw->log, qr/keeper\.lock.*must own model_state_path/,
             'and the log says what to do';
        is $gw->get('/health')->{status}, 200, 'it lives';

        add_provider($gw, 'late');
        ok wait_until(sub { $gw->log =~ /cannot build generation/ }),
           'what cannot be written is told of';
        is served($gw), 10, 'the old file serves';

        chown 65534, 65534, $state, "$state/keeper.lock";
        ok wait_until(sub { knows($gw, 'late') }), 'it recovers by itself';
        $gw->quit;

        # nothing there, and no right to write it
        unlink glob "$state/*.snap";
        chown 0, 0, $state, "$state/keeper.lock";
        $gw->start;
        ok wait_until(sub { $gw->get('/api/v1/admin/ready', { Authorization =>
            'Bearer ' . $gw->token('admin') })->{status} == 425 }),
           'without a file it is not ready';
        is infer($gw)->{status}, 503, 'and says 503';

        chown 65534, 65534, $state, "$state/keeper.lock";
        $gw->wait_ready;
        is served($gw), 10, 'until it may write';
        $gw->end_checks;
    };
}


# -- Redis --

# a Redis of our own, and what it is asked

sub redis {
    my ($socket, @command) = @_;

    my $c = IO::Socket::UNIX->new(Peer => $socket) or return undef;
    my $bytes = '*' . @command . "\r\n"
                . join '', map { '$' . length($_) . "\r\n$_\r\n" } @command;
    syswrite $c, $bytes;
    my $answer = <$c> // '';

    if ($answer =~ /^\$(-?\d+)/ && $1 >= 0) {
        read $c, $answer, $1;
        return $answer;
    }

    if ($answer =~ /^\*(\d+)/) {
        return map { my $l = <$c>; read $c, my $v, substr($l, 1) + 0; <$c>;
                     $v } 1 .. $1;
    }

    return $answer;
}


subtest 'Redis away, hanging, full of rubbish' => sub {
    my $dir = Services::base() . "/redis.$$";
    my $socket = "$dir/socket";
    my $pid;

    my $serve = sub {
        mkdir $dir;
        chmod 0777, $dir;
        $pid = start_process("$dir/log", 'redis-server', '--port', 0,
            '--unixsocket', $socket, '--unixsocketperm', '777', '--save', '',
            '--appendonly', 'no', '--dir', $dir);
        wait_until(sub { (redis($socket, 'PING') // '') =~ /PONG/ });
    };

    my $end = sub { kill 'KILL', $pid; waitpid $pid, 0; unlink $socket; };

    my $gw = gateway(redis => 0, http => "$format model_redis unix:$socket;");
    is served($gw), 10, 'Redis away at start: no matter';

    $serve->();
    sleep 5.5;                      # a failed Redis is left alone for 5 s
    add_provider($gw, 'stored');
    ok wait_until(sub { knows($gw, 'stored') }), 'a change, Redis there';
    my ($key) = wait_until(sub {
        my $g = $gw->metric('nginx_model_snapshot_generation',
                            kind => 'catalog');
        my @k = grep { /:\Q$g\E$/ } redis($socket, 'KEYS', 'model:snap:*');
        return $k[0];
    });
    ok $key, 'its file is put into Redis' or return $end->();

    my $good = redis($socket, 'GET', $key);
    my $state = $gw->dir . '/state';
    is $good, slurp("$state/catalog.snap"), 'as it is';

    # files of this and of other generations, under the key of the next start
    $gw->quit;
    my $next = $gw->sql_value("select generation from model.catalog_generation
                               where name = 'catalog'");

    for my $how ('rubbish', 'truncated', 'empty', 'bit at 50 %', 'stale') {
        my $bytes = damaged($good, $how);

        if ($how eq 'stale') {
            add_provider($gw, 'newer');
            $bytes = $good;
            $next = $gw->sql_value("select generation from
                model.catalog_generation where name = 'catalog'");
        }

        redis($socket, 'SET', $key =~ s/\d+$/$next/r, $bytes);
        unlink "$state/catalog.snap";
        truncate $gw->dir . '/logs/error.log', 0;
        $gw->start->wait_ready;
        like $gw->log, qr/catalog snapshot that Redis holds is not used/,
             "$how: refused" if $how ne 'empty';     # that is none
        ok knows($gw, $how eq 'stale' ? 'newer' : 'stored'),
           "$how: built from the database";
        is $gw->metric('nginx_model_snapshot_builds_total',
                       outcome => 'failed'), 0, "$how: nothing failed";
        $gw->quit;
    }

    # a file that is refused is not left behind where a build fails, either
    add_provider($gw, 'newest');
    $next = $gw->sql_value("select generation from model.catalog_generation
                            where name = 'catalog'");
    $gw->sql('alter table model.models_metadata rename to hidden');
    redis($socket, 'SET', $key =~ s/\d+$/$next/r, $good);
    unlink "$state/catalog.snap";
    truncate $gw->dir . '/logs/error.log', 0;
    $gw->start;
    ok wait_until(sub { $gw->log =~ /cannot build generation.*catalog/ }),
       'stale, and the build fails';
    like $gw->log, qr/Redis holds is not used.*it says it is generation/,
         'it is told of';
    ok !-e "$state/catalog.snap", 'no worker finds the stale file';
    $gw->sql('alter table model.hidden rename to models_metadata');
    $gw->wait_ready;
    ok knows($gw, 'newest'), 'it recovers';

    # one that takes connections and says nothing
    kill 'STOP', $pid;
    my $began = time;
    add_provider($gw, 'silent');
    ok wait_until(sub { knows($gw, 'silent') }, 15),
       sprintf 'Redis hangs: the change is served after %.1f s', time - $began;
    is served($gw), 10, 'and traffic goes on';
    kill 'CONT', $pid;

    # one that answers with something else
    $end->();
    my $liar = fork // die "fork: $!\n";

    if ($liar == 0) {
        my $l = IO::Socket::UNIX->new(Local => $socket, Listen => 8)
                or POSIX::_exit(1);
        chmod 0777, $socket;

        while (my $c = $l->accept) {
            sysread $c, my $in, 65536;
            syswrite $c, "*1000000000\r\n" . "\0\xff" x 100;
            close $c;
        }
    }

    sleep 5.5;
    add_provider($gw, 'lied');
    ok wait_until(sub { knows($gw, 'lied') }, 15), 'rubbish as protocol';
    kill 'KILL', $liar;
    waitpid $liar, 0;
    unlink $socket;
    is served($gw), 10, 'all is well';
};


# -- the database is slow --

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2]; }


# seconds that the catalog, small and large inferences take

sub timings {
    my ($gw) = @_;

    my $header = { Authorization => 'Bearer ' . $gw->token('admin') };
    my $large = { x => 'y' x 400_000 };
    my (@catalog, @small, @large);

    for (1 .. 15) {
        my $r = $gw->get('/api/v1/models', $header);
        push @catalog, $r->{status} == 200 ? $r->{seconds} : 1e9;
        $r = infer($gw);
        push @small, $r->{status} == 200 ? $r->{seconds} : 1e9;
        $r = infer($gw, $large);
        push @large, $r->{status} == 200 ? $r->{seconds} : 1e9;
    }

    return map { median(@$_) } \@catalog, \@small, \@large;
}


subtest 'the database is slow' => sub {
    my $gw = gateway(workers => 1);
    my @before = timings($gw);
    my $token = $gw->token('admin');

    my $lock = $gw->hold('model_groups', 'access exclusive', 600);

    # more than threads and queue take
    my $began = time;
    my @wires = map {
        my $w = $gw->wire;
        $w->request('GET', '/api/v1/model-groups',
                    { Authorization => "Bearer $token" });
        $w;
    } 1 .. 80;

    my @during = timings($gw);
    my @names = ('catalog', 'small inference', 'large inference');

    for (0 .. 2) {
        cmp_ok $during[$_], '<', 10 * $before[$_] + 0.5,
               "$names[$_]: as fast as before";
    }

    # the first of those that wait time out, then the lock goes
    my $late = (shift @wires)->response;
    is $late->{status}, 504, 'a call times out';
    like $late->{headers}{'retry-after'} // '', qr/^\d+$/,
         'and is told when to come again';

    kill 'KILL', $lock;
    waitpid $lock, 0;
    $gw->sql("select pg_terminate_backend(pid) from pg_stat_activity
        where datname = '$gw->{dbname}' and application_name = 'psql'
        and pid <> pg_backend_pid()");

    my (%status, @refused);

    for my $w (@wires) {
        my $r = $w->response;
        $status{ $r->{status} }++;
        push @refused, $r if $r->{status} == 503;
    }

    is_deeply [ grep { !/^(?:200|50[34])$/ } keys %status ], [],
        'calls are answered, refused or time out: ' . join ' ', %status;
    cmp_ok scalar(@refused), '>=', 12, 'at once, what the queue cannot take';
    is scalar(grep { ($_->{headers}{'retry-after'} // '') !~ /^\d+$/ }
              @refused), 0, 'with Retry-After';

    ok wait_until(sub { $gw->api(GET => '/api/v1/model-groups')->{status}
                        == 200 }), 'it recovers';
    is served($gw), 10, 'all is well';
};


done_testing;
