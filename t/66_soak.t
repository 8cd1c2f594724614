#!/usr/bin/perl

# Load while things break: PostgreSQL is stopped, the state folder takes
# not a byte more, a worker is killed, nginx is reloaded every second.  If this
# breaks, a request fails that a plain nginx would have served, or an answer
# that a client has got is not on record, or is there twice.
#
# SOAK=1: a minute each instead of eight seconds, at the full rate of wrk;
# SOAK=30: so many seconds.

use v5.28;
use warnings;

# PostgreSQL is stopped here: not the one that other tests use
BEGIN { delete $ENV{MODEL_TEST_DIR} }

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use POSIX ();
use Socket qw(inet_aton pack_sockaddr_in AF_INET IPPROTO_TCP SOCK_STREAM
              TCP_NODELAY);
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(slurp spew start_process top wait_until);
use Services;

my $soak = $ENV{SOAK} || 0;
my $seconds = $soak > 1 ? $soak : $soak ? 60 : $ENV{TEST_NGINX_SAN} ? 4 : 8;
my $clients = 4;                # of each kind
my $connections = 16;           # of wrk
my $pause = $soak ? 0 : 4;      # ms of each before its next request
my $json = JSON::PP->new->utf8->canonical;


# -- a model server that is never the bottleneck, and the gateway --

my $answer = $json->encode({ id => 'c', object => 'chat.completion',
    choices => [ { index => 0, finish_reason => 'stop',
                   message => { role => 'assistant', content => 'hello' } } ],
    usage => { prompt_tokens => 3, completion_tokens => 2,
               total_tokens => 5 } });

my $model = Gateway->new(module => 0, database => 0, redis => 0,
                         server => <<END);
        access_log off;
        client_body_buffer_size 64k;
        location / { default_type application/json; return 200 '$answer'; }
END

my $gw = Gateway->new(workers => 2, zone => '256m', server => $Gateway::locations . <<'END');
        location /open/ {
            model_auth off;
            model_split on;
            model_fallback on;
            rewrite ^/open(/.*)$ $1 break;
            access_log off;
            include model_proxy.conf;
        }
END

# what a commit has acknowledged is in the system's hands when PostgreSQL dies
Services::query(Services::conninfo('postgres'),
                'alter system set synchronous_commit = on');
Services::query(Services::conninfo('postgres'), 'select pg_reload_conf()');

$model->start;
$gw->start->wait_ready;


sub made {
    my ($path, $data) = @_;

    my $r = $gw->api(POST => "/api/v1/$path", $data);
    BAIL_OUT("$path: $r->{status} $r->{body}") if $r->{status} > 201;
    return $r->{json};
}

my %table;
made('providers', { id => 'demo', base_url => $model->url });
made('models', { id => 'demo/model' });

for my $name (qw(exact bulk)) {
    $table{$name} = made('model-groups', { name => $name })->{inference_table};
    made("model-groups/$name/models",
         [ { model_id => 'demo/model', role => 'champion',
             traffic_percentage => 100 } ]);
}

ok wait_until(sub {
    20 == grep { $gw->fetch(POST => '/open/v1/x', {},
                            { model => $_ })->{status} == 200 }
          map { qw(exact bulk) } 1 .. 10;
}), 'the groups are in effect';


# -- load --

# One client: sends again and again until it is told to stop, each request on a
# connection of its own, or all on one that is kept.  A kept one that closes
# before an answer is opened again and the request repeated, as every HTTP
# client does.  Says what came of each: "id", "bad ..." or "again".

sub client {
    my ($kept, $out, $stop) = @_;

    my $body = $json->encode({ model => 'exact', messages => [
        { role => 'user', content => 'x' x 200 } ] });
    my $bytes = "POST /open/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
        . ($kept ? '' : "Connection: close\r\n")
        . "Content-Type: application/json\r\nContent-Length: "
        . length($body) . "\r\n\r\n$body";

    local $SIG{PIPE} = 'IGNORE';
    my $socket;

    while (!-e $stop) {
        my $fresh = !$socket;
        $socket //= dial();
        my ($said, $open) = $socket ? exchange($socket, $bytes)
                                    : ("bad connect: $!", 0);

        if (!$fresh && $said eq 'bad closed') {
            print $out "again\n";
            undef $socket;
            next;
        }

        print $out "$said\n";
        undef $socket if !$kept || !$open;
        sleep 0.001;
    }
}


sub dial {
    socket my $socket, AF_INET, SOCK_STREAM, 0 or return undef;
    connect $socket, pack_sockaddr_in($gw->port, inet_aton('127.0.0.1'))
        or return undef;
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    return $socket;
}


# what came of a request, and whether the connection may be used again

sub exchange {
    my ($socket, $bytes) = @_;

    # a write to what is closed already fails as the read does
    syswrite $socket, $bytes;
    my $in = '';

    while (1) {
        if ($in =~ /\r\n\r\n/) {
            my $head = substr $in, 0, $-[0];
            my ($length) = $head =~ /\r\nContent-Length: (\d+)/i;

            if (defined $length && length $in >= $+[0] + $length) {
                my ($status) = $head =~ /^HTTP\S+ (\d+)/;
                my ($id) = $head =~ /\r\nX-Inference-Id: (\S+)/;
                my $close = $head =~ /\r\nConnection: close/i;
                return ($status == 200 && $id ? $id
                        : "bad status $status", !$close);
            }
        }

        my $n = sysread $socket, $in, 65536, length $in;
        return ($in eq '' ? 'bad closed' : 'bad cut', 0) if !$n;
    }
}


# Both kinds of clients, and wrk beside them.  What it returns ends them, and
# gives { ids, bad, again, bulk, errors }: answers by id, what else the clients
# saw, how many answers wrk has got, and what it calls errors.

sub load {
    my ($wrk_seconds) = @_;

    state $count = 0;
    my $base = $gw->dir . '/load.' . ++$count;
    my @pids;

    for my $n (1 .. 2 * $clients) {
        my $pid = fork // die "fork: $!\n";
        push @pids, $pid;
        next if $pid;

        open my $out, '>', "$base.$n" or POSIX::_exit(1);
        client($n % 2, $out, "$base.stop");
        close $out;
        POSIX::_exit(0);
    }

    my $wrk = $wrk_seconds ? wrk("$base.wrk", $wrk_seconds) : undef;

    return sub {
        waitpid $wrk, 0 if $wrk;
        spew("$base.stop", '');
        waitpid $_, 0 for @pids;

        my @lines = map { split /\n/, slurp("$base.$_") } 1 .. 2 * $clients;
        my %got = (ids => [ grep { /^[0-9a-f]{8}-/ } @lines ],
                   bad => [ grep { /^bad/ } @lines ],
                   again => scalar grep { $_ eq 'again' } @lines);

        my $said = slurp("$base.wrk");
        ($got{bulk}) = $said =~ /(\d+) requests in/;
        $got{errors} = [ $said =~ /((?:Socket errors|Non-2xx).*)/g ];
        unlink glob "$base.*";
        return \%got;
    };
}


sub wrk {
    my ($output, $seconds) = @_;

    my $script = spew($gw->dir . '/bulk.lua', <<"END");
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"model":"bulk","messages":[{"role":"user","content":"hi"}]}'
@{[ $pause ? "function delay() return $pause end" : '' ]}
END

    return start_process($output, 'wrk', '-t1', "-c$connections",
        "-d${seconds}s", '--timeout', '30s', '-s', $script,
        $gw->url('/open/v1/chat/completions'));
}


# -- what is on record --

sub rows {
    my ($name) = @_;

    return $gw->sql_value("select count(*) from model.$table{$name}");
}


# nothing is on its way any more

sub calm {
    my ($wanted) = @_;

    my $was = -1;

    return wait_until(sub {
        return 0 if () = glob $gw->dir . '/state/spool/*';
        return 0 if ($gw->metric('nginx_model_records_waiting') // 1) > 0;
        my $now = rows('exact') + rows('bulk');
        my $calm = $now == $was && $now >= $wanted;
        $was = $now;
        sleep 0.2 if !$calm;
        return $calm;
    }, 180);
}

my %before = map { $_ => 0 } keys %table;

# a load's answers against the rows that it has left; more: how many rows there
# may be of requests that were not answered

sub compare {
    my ($got, $more, $bulk_more) = @_;

    my $ids = $got->{ids};
    my %rows;

    ok calm($before{exact} + @$ids), 'calm again';
    $rows{$_} = rows($_) - $before{$_} for keys %table;

    my %count = map { @$_ } $gw->sql("select inference_id, count(*)
        from model.$table{exact} group by 1");
    my @missing = grep { !$count{$_} } @$ids;
    my @twice = grep { $_ > 1 } values %count;

    is scalar(@missing), 0, @$ids . ' answers: none is missing'
        or diag "for example @missing[0 .. ($#missing > 2 ? 2 : $#missing)]";
    is scalar(@twice), 0, 'none is there twice';

    if ($more) {
        cmp_ok $rows{exact}, '<=', @$ids + $more, 'rows, and few more';

    } else {
        is $rows{exact}, scalar(@$ids), 'as many rows as answers';
    }

    # what wrk had not got when its time was over is on record as well
    if (defined $got->{bulk}) {
        cmp_ok $rows{bulk}, '>=', $got->{bulk},
               "$got->{bulk} answers to wrk: no fewer rows";
        cmp_ok $rows{bulk}, '<=', $got->{bulk} + $bulk_more, 'and not more';
    }

    is $gw->sql_value("select count(*) - count(distinct inference_id)
        from model.$table{bulk}"), 0, 'none of them twice';
    is $gw->metric('nginx_model_records_total', outcome => 'dropped'), 0,
       'none was dropped';
    $before{$_} += $rows{$_} for keys %table;
}


sub settle {
    ok calm(0), 'calm';
    $before{$_} = rows($_) for keys %table;
}


# -- PostgreSQL is stopped --

sub services {
    local $ENV{MODEL_FAST} = 1;
    return system(top() . '/tools/services', $_[0], Services::base()) == 0;
}


subtest 'PostgreSQL is stopped' => sub {
    settle();
    my $stop = load($seconds + 4);

    sleep 2;
    ok services('stop'), "stopped for $seconds s";
    sleep $seconds;
    ok services('start'), 'and started';
    sleep 1;

    my $got = $stop->();
    is_deeply $got->{bad}, [], 'no request failed';
    is_deeply $got->{errors}, [], "none of wrk's";
    compare($got, 0, $connections);
};


# -- workers --

# What is in a worker goes down with it: a request of each client at most, and
# a record that was written before its last byte went out may be of one of them.

subtest 'workers are killed' => sub {
    settle();
    my $stop = load(0);
    my $kills = int($seconds / 2);

    for my $n (1 .. $kills) {
        sleep 2;
        $gw->kill_worker(($gw->workers)[$n % 2]);
    }

    sleep 1;
    my $got = $stop->();
    my $lost = @{ $got->{bad} };
    is scalar(grep { !/^bad (?:closed|cut)$/ } @{ $got->{bad} }), 0,
       'what failed was in a worker';
    cmp_ok $lost, '<=', $kills * 2 * $clients, "which are few ($lost)";
    compare($got, $lost + $got->{again}, 0);
};


# -- reload --

subtest 'a reload every second' => sub {
    settle();
    my $stop = load(0);

    for (1 .. $seconds) {
        sleep 1;
        $gw->reload;
    }

    sleep 1;
    my $got = $stop->();
    is_deeply $got->{bad}, [], 'no request failed';
    note "$got->{again} were sent again on another connection";
    compare($got, 0, 0);
    ok wait_until(sub { $gw->workers == 2 }, 60), 'old workers have left';
};


subtest 'all at once' => sub {
    settle();
    my $stop = load(0);

    sleep 1;
    services('stop');

    for my $n (1 .. $seconds) {
        sleep 0.5;
        $gw->reload;
        sleep 0.5;
        $gw->kill_worker(($gw->workers)[-1]) if $n == int($seconds / 2);
    }

    services('start');
    sleep 2;
    my $got = $stop->();
    my $lost = @{ $got->{bad} };
    cmp_ok $lost, '<=', 2 * $clients, "few failed, in one worker ($lost)";
    compare($got, $lost + $got->{again}, 0);
};


# -- the state folder is full --

# A state folder that takes nothing more: a small disk that is full, or else one
# that belongs to somebody else.  Returns what makes it well again.

my $state = $gw->dir . '/state';
my $mounted;

END { system('umount', '-l', $state) if $mounted; }

sub small_disk {
    return 0 if $> != 0;

    $gw->quit;
    my $own = "$state.own";
    rename $state, $own or die "$state: $!\n";
    mkdir $state;
    $mounted = system("mount -t tmpfs -o size=8m,uid=65534,gid=65534 tmpfs"
                      . " $state 2>/dev/null") == 0;

    if (!$mounted) {
        rmdir $state;
        rename $own, $state;
    }

    $gw->start->wait_ready;
    return $mounted;
}


sub fill {
    if ($mounted) {
        open my $fh, '>', "$state/filler" or die "$state/filler: $!\n";
        my $block = 'x' x 4096;
        1 while (syswrite($fh, $block) // 0) == 4096;
        close $fh;
        return sub { unlink "$state/filler" };
    }

    my @dirs = grep { -d } $state, "$state/spool";
    my $back = $> == 0 ? sub { chown 65534, 65534, @dirs }
                       : sub { chmod 0755, @dirs };
    $> == 0 ? chown 0, 0, @dirs : chmod 0555, @dirs;
    return $back;
}


subtest 'the state folder is full' => sub {
    note small_disk() ? 'a full disk' : 'a folder without the right to write';
    settle();

    # the database alone has to take them: no more than it can
    my $empty = fill();
    my $stop = load(0);
    sleep $seconds;
    my $got = $stop->();
    is_deeply $got->{bad}, [], 'no request failed';
    $empty->();
    compare($got, 0, 0);
};


$gw->allow(qr/\[alert\].*(?:No space left|spool)/);
is served(), 20, 'all is well';

sub served {
    return scalar grep { $gw->fetch(POST => '/open/v1/x', {},
                                    { model => 'exact' })->{status} == 200 }
           1 .. 20;
}

if ($mounted) {
    $gw->quit;
    system('umount', '-l', $state);
    $mounted = 0;
    $gw->end_checks;
}

done_testing;
