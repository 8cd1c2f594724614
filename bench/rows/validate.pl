# bench/rows/validate.pl: a thousand models tested at 64 and at 256 at once, ten
# thousand in one run, and what everybody else notices of validations.

use strict;
use warnings;

use Bench;
use Contenders;
use HTTP::Tiny;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

row('validate', \&validate);
row('validate-256', sub { timed(256, 1.10) });
row('validate-10000', \&ten_thousand);
row('validate-beside', \&beside);
row('validate-post', \&posts);


# A model server on core 1, and providers that point to it.  Its list comes at
# once: the bars are about models.

sub provider {
    my ($base, $token, $ids, $delay, $models) = @_;
    my $port = free_port();
    my $server = "$dir/models";

    -x $server or system("cc -O2 -o $server $top/bench/models.c") == 0
        or die "bench: models.c does not compile\n";
    my $pid = start_pinned(1, $server, $port, $models, $delay, 0);
    wait_for('server', 10, sub {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
    });

    for (ref $ids ? @$ids : $ids) {
        api($base, $token, POST => '/api/v1/providers', {
            id => $_, name => $_, protocol => 'openai',
            base_url => "http://127.0.0.1:$port/v1",
        });
    }

    return $pid;
}


# A gateway with these directives, and a thread for each of so many jobs.

sub started {
    my ($http, $threads) = @_;
    my $port = free_port();
    my $conninfo = database();
    my $token = token($conninfo);
    my $base = "http://127.0.0.1:$port";
    my $conf = gateway_conf($conninfo, <<"END", connections => 2048);
    $http
    server {
        listen 127.0.0.1:$port;
        location /api/ { model_api; }
        location = /health { model_api; }
        location = /metrics { model_api; model_auth off; }
    }
END

    $conf =~ s/(model_jobs threads=)\d+/$1$threads/;
    my $pid = nginx("validate$port", '0,1', $conf);
    ready($base, $token);
    return ($base, $token, $pid, $port);
}


# Starts a run and calls "look" with its state until it has ended.

sub run {
    my ($base, $token, $id, $look) = @_;
    my $status;

    api($base, $token, POST => "/api/v1/providers/$id/validate-models");

    do {
        my $begun = time;
        $status = api($base, $token,
                      GET => "/api/v1/providers/$id/validation-status");
        $look->($status, time - $begun);
    } while ($status->{status} =~ /pending|in_progress/);

    return $status;
}


sub took {
    my ($status) = @_;
    my ($from, $to) = map { seconds_of($status->{$_}) }
        qw(started_at completed_at);
    return $to - $from;
}


sub verdict { return $_[0] ? 'met' : 'MISSED' }


sub quantile {
    my ($q, @sorted) = @_;
    return @sorted ? $sorted[$q * $#sorted] : 0;
}


sub timed {
    my ($most, $bar) = @_;
    my ($base, $token, $pid, $port)
        = started("model_validate_concurrency $most;", 2);

    provider($base, $token, 'thousand', 300, 1000);
    sleep 3;

    my $status = run($base, $token, 'thousand', sub { sleep 0.25 });
    my $ideal = 0.3 * int(1000 / $most + 0.999);
    my $ratio = took($status) / $ideal;

    printf "validation of 1000 models of 300 ms, %d at once: %s, %d"
        . " available, %.2f s, ideal %.2f s\n  ratio %.3f, bar %.2f: %s\n",
        $most, $status->{status}, $status->{available}, took($status),
        $ideal, $ratio, $bar, verdict($ratio <= $bar);
    return ($base, $token, $port);
}


sub validate {
    my ($base, $token, $port) = timed(64, 1.05);
    my @idle = probe($port, sub { time > $_[0] + 5 });

    api($base, $token,
        POST => '/api/v1/providers/thousand/validate-models');
    my $looked = 0;
    my @busy = probe($port, sub {
        return 0 if time < $looked + 0.25;
        $looked = time;
        return api($base, $token,
            GET => '/api/v1/providers/thousand/validation-status')
            ->{status} !~ /pending|in_progress/;
    });

    printf "  longest answer of /health, one every 2 ms: %.1f ms idle, %.1f ms"
        . " while validating (p99.9 %.1f and %.1f), bar 5 ms over idle: %s\n",
        map({ 1000 * $_ } $idle[-1], $busy[-1], quantile(0.999, @idle),
            quantile(0.999, @busy)),
        verdict($busy[-1] - $idle[-1] < 0.005);
}


# Memory that a worker has of its own (files it maps are not of the job).

sub private_kb {
    my ($pid) = children($_[0]);
    open my $fh, '<', "/proc/$pid/smaps_rollup" or return 0;
    my $kb = 0;
    while (<$fh>) { $kb += $1 if /^Private_Dirty:\s+(\d+)/ }
    return $kb;
}


# One run, and at most how many MB more the worker took meanwhile.

sub weighed {
    my ($base, $token, $pid, $times) = @_;
    my $before = private_kb($pid);
    my $most = $before;
    my $status = run($base, $token, 'many', sub {
        my ($state, $seconds) = @_;
        my $now = private_kb($pid);
        $most = $now if $now > $most;
        push @$times, $seconds;
        sleep 0.02;
    });

    return ($status, ($most - $before) / 1024);
}


# The first run adds ten thousand models to the catalog, which the node builds
# anew meanwhile, again and again; the second one finds all as it was, so that
# what the worker takes is the job's.  Who asks does not wait for a core behind
# what it measures.

sub ten_thousand {
    my ($base, $token, $pid) = started('', 2);
    my @times;

    provider($base, $token, 'many', 20, 10_000);
    sleep 3;
    system("chrt -f -p 1 $$ 2>/dev/null");

    for my $what ('with the catalog built anew', 'of the job') {
        my ($status, $mb) = weighed($base, $token, $pid, \@times);

        printf "validation of 10000 models in one run: %s, %d available,"
            . " %.1f s\n  memory %s: %.1f MB more at most%s\n",
            $status->{status}, $status->{available}, took($status), $what,
            $mb, $what eq 'of the job'
                 ? ', bar 20 MB: ' . verdict($mb < 20) : '';

        wait_for('the scores', 120, sub {
            !api($base, $token, GET => '/api/v1/jobs?kind=score')
                ->{jobs}[0]{completed_at} ? 0 : 1
        });
        sleep 5;
    }

    @times = sort { $a <=> $b } @times;
    my $p99 = 1000 * quantile(0.99, @times);
    printf "  status p99 %.1f ms of %d, bar 5 ms: %s\n", $p99, scalar @times,
        verdict($p99 < 5);
    system("chrt -o -p 0 $$ 2>/dev/null");
}


# A gateway with a group of two mocks and ten providers that take 300 ms for
# each of a thousand models, on core 0 with all its threads; runs of them go
# on for 37 s unless they are cancelled.  Who asks and the mocks, which answer,
# measure: they must not wait for the database, Redis and model servers that
# they share core 1 with.

sub beside_gateway {
    my @mock = mock(first => 1);
    my $port = free_port();
    my $conninfo = database();
    my $token = token($conninfo);
    my $base = "http://127.0.0.1:$port";
    my $conf = gateway_conf($conninfo, <<"END", connections => 2048);
    model_validate_concurrency 8;
    model_jobs concurrency=12;
    upstream model_backend { model_backend keepalive=128; }
    server {
        listen 127.0.0.1:$port;
        location /v1/ {
            model_split on;
            include $top/conf/model_proxy.conf;
        }
        location /api/ { model_api; }
        location = /health { model_api; }
        location = /metrics { model_api; }
    }
END

    $conf =~ s/(model_jobs threads=)\d+/${1}12/;
    nginx("beside$port", 0, $conf);
    ready($base, $token);
    split_group($base, $token, 'bench', @mock);

    my $servers = [ map { provider($base, $token, "ten-$_", 300, 1000) }
                    1 .. 10 ];
    return ($base, $token, $port, $servers);
}


# All ten are past their list, and so many still run.

sub ten_begin {
    my ($base, $token) = @_;

    api($base, $token, POST => "/api/v1/providers/ten-$_/validate-models")
        for 1 .. 10;

    wait_for('ten validations', 60, sub {
        10 == grep { $_->{validated} > 0 } @{ ten_running($base, $token) }
    });
    return;
}


sub ten_running {
    my ($base, $token) = @_;

    return [ grep { $_->{provider_id} =~ /^ten-/ } @{ api($base, $token,
        GET => '/api/v1/validations?status=in_progress&limit=100')
        ->{validations} } ];
}


# Behind them comes what their end brings: verdicts, a new catalog.

sub ten_cancel {
    my ($base, $token) = @_;
    my $still = @{ ten_running($base, $token) };

    for my $run (@{ ten_running($base, $token) }) {
        eval { api($base, $token,
                   POST => "/api/v1/validations/$run->{id}/cancel") };
    }

    wait_for('the end of ten validations', 30,
             sub { !@{ ten_running($base, $token) } });
    sleep 4;
    return $still;
}


# Snapshots of the catalog that the node has built.

sub builds {
    my ($base, $token) = @_;
    my $r = HTTP::Tiny->new->get("$base/metrics",
        { headers => { Authorization => "Bearer $token" } });

    my ($n) = $r->{content}
        =~ /^nginx_model_snapshot_builds_total\{outcome="built"\} (\d+)/m
        or die "bench: no metric of builds\n";
    return $n;
}


# Inference through the split, a thousand a second, in windows with and without
# ten validations, in turn: first they find all models other than they were, so
# that the catalog changes for as long as they run, and then as they are.

sub beside {
    my ($base, $token, $port, $servers) = beside_gateway();
    my ($windows, $length, $rate) = (2 * $rounds + 1, 5, 1000);
    my %kinds = (changing => {}, known => {});
    my $still;

    my @before = system('chrt -f 1 true 2>/dev/null') == 0 ? qw(chrt -f 1)
                                                           : ();
    my $pace = pace(@before);
    my $measure = sub {
        my ($n, @us) = $pace->($port, 16, $rate, $length, $token);
        my $failed = pop @us;
        die "bench: $failed requests failed\n" if $failed;
        return \@us;
    };

    # the first run of each finds models that nobody knew

    ten_begin($base, $token);
    ten_cancel($base, $token);
    $measure->();

    for my $window (1 .. $windows) {
        for my $name (qw(changing known)) {
            my $kind = $kinds{$name};
            my $quiet = $measure->();

            kill 'USR1', @$servers if $name eq 'changing';
            ten_begin($base, $token);
            sleep 1;
            my $built = builds($base, $token);
            my $loud = $measure->();
            push @{ $kind->{built} },
                (builds($base, $token) - $built) / $length;
            my $left = ten_cancel($base, $token);

            $still = $left if !defined $still || $left < $still;
            push @{ $kind->{ratios} }, $loud->[1] / $quiet->[1];
            for my $i (0 .. 3) {
                push @{ $kind->{without}[$i] }, $quiet->[$i];
                push @{ $kind->{with}[$i] }, $loud->[$i];
            }
        }
    }

    printf "proxied inference, %d a second, %d windows of %d s each; us,"
        . " medians\n", $rate, $windows, $length;
    printf "  at least %d validations ran until the end of a window\n", $still;
    beside_told(%{ $kinds{known} }, what => 'find all as it is');
    beside_told(%{ $kinds{changing} }, what => 'change the catalog');
}


sub beside_told {
    my (%kind) = @_;
    my $ratio = median(@{ $kind{ratios} });
    my @sorted = sort { $a <=> $b } @{ $kind{ratios} };

    printf "  %-36s %8s %8s %8s %8s\n", '', qw(p50 p99 p99.9 longest);

    for my $side (qw(without with)) {
        printf "  %-36s %8d %8d %8d %8d\n", $side eq 'with'
            ? "with ten that $kind{what}" : $side,
            map { median(@$_) } @{ $kind{$side} };
    }

    printf "  the catalog was built %.1f times a second\n",
        median(@{ $kind{built} });
    printf "  p99 with to without, median of %d windows %.3f (%.2f to %.2f),"
        . " bar 1.05: %s\n", scalar @sorted, $ratio, @sorted[0, -1],
        verdict($ratio <= 1.05);
}


# POSTs while ten runs go on, twenty a second, each for another provider.

sub posts {
    my ($base, $token) = beside_gateway();
    my @ids = map { "other-$_" } 1 .. 300;
    my $http = HTTP::Tiny->new;
    my @times;

    provider($base, $token, \@ids, 5, 1);
    ten_begin($base, $token);
    ten_cancel($base, $token);
    ten_begin($base, $token);

    for my $id (@ids) {
        my $begun = time;
        my $r = $http->request(POST =>
            "$base/api/v1/providers/$id/validate-models",
            { headers => { Authorization => "Bearer $token" } });

        push @times, time - $begun;
        die "bench: POST: $r->{status} $r->{content}\n"
            unless $r->{status} == 202;
        sleep 0.05;
    }

    my $running = ten_cancel($base, $token);
    my @sorted = map { 1000 * $_ } sort { $a <=> $b } @times;
    my $p99 = quantile(0.99, @sorted);

    printf "%d x POST validate-models, 20 a second, while ten validations run"
        . " (%d at the end)\n", scalar @ids, $running;
    printf "  p50 %.1f ms, p99 %.1f ms, longest %.1f ms; bar 10 ms at p99:"
        . " %s\n", quantile(0.5, @sorted), $p99, $sorted[-1],
        verdict($p99 < 10);
}


sub seconds_of {
    my ($text) = @_;
    my ($h, $m, $s) = $text =~ /T(\d+):(\d+):([\d.]+)/ or return 0;
    return $h * 3600 + $m * 60 + $s;
}


# Latencies of GET /health on one connection until "done", sorted.

sub probe {
    my ($port, $done) = @_;
    my ($begun, @times) = (time);
    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "bench: connect: $!\n";

    while (!$done->($begun)) {
        my $t = time;
        print $s "GET /health HTTP/1.1\r\nHost: a\r\n\r\n";
        $s->flush;
        my $got = '';
        while ($got !~ /\r\n\r\n./s) {
            sysread $s, $got, 65536, length $got
                or die "bench: /health closed: $got\n";
        }
        push @times, time - $t;
        sleep 0.002;
    }

    return sort { $a <=> $b } @times;
}


1;
