# bench/rows/validate.pl: a thousand models tested at 64 and at 256 at once, ten
# thousand in one run, and what everybody else notices of validations.

use strict;
use warnings;

use Bench;
use HTTP::Tiny;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

row('validate', \&validate);
row('validate-256', sub { timed(256, 1.10) });
row('validate-10000', \&ten_thousand);
row('validate-beside', \&beside);


# A model server on core 1, and a provider that points to it.

sub provider {
    my ($base, $token, $id, $delay, $models) = @_;
    my $mock = free_port();

    start_pinned(1, "$top/tools/demo-model-server", '--port', $mock,
                 '--name', $id, '--delay', $delay, '--models',
                 join ',', map { "model-$_" } 1 .. $models);
    wait_for('server', 10, sub {
        HTTP::Tiny->new->get("http://127.0.0.1:$mock/health")->{success}
    });
    api($base, $token, POST => '/api/v1/providers', {
        id => $id, name => $id, protocol => 'openai',
        base_url => "http://127.0.0.1:$mock/v1",
    });
    return;
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


sub ten_thousand {
    my ($base, $token, $pid) = started('', 2);

    provider($base, $token, 'many', 20, 10_000);
    sleep 3;

    my $before = private_kb($pid);
    my ($most, @times) = ($before);
    my $status = run($base, $token, 'many', sub {
        my ($state, $seconds) = @_;
        my $now = private_kb($pid);
        $most = $now if $now > $most;
        push @times, $seconds;
        sleep 0.02;
    });
    @times = sort { $a <=> $b } @times;
    my $mb = ($most - $before) / 1024;
    my $p99 = 1000 * quantile(0.99, @times);

    printf "validation of 10000 models in one run: %s, %d available, %.1f s\n",
        $status->{status}, $status->{available}, took($status);
    printf "  memory of the worker: %.1f MB more at most, bar 20 MB: %s\n",
        $mb, verdict($mb < 20);
    printf "  status p99 %.1f ms of %d, bar 5 ms: %s\n", $p99, scalar @times,
        verdict($p99 < 5);
}


# Ten validations at once: what a POST and other requests take meanwhile.

sub beside {
    my ($base, $token, $pid, $port) = started(
        'model_validate_concurrency 8; model_jobs concurrency=12;', 12);

    provider($base, $token, "ten-$_", 300, 300) for 1 .. 10;
    provider($base, $token, 'eleventh', 5, 1);
    sleep 2;

    my @idle = probe($port, sub { time > $_[0] + 5 });
    api($base, $token, POST => "/api/v1/providers/ten-$_/validate-models")
        for 1 .. 10;
    sleep 1;
    my @busy = probe($port, sub { time > $_[0] + 5 });

    my @posts;

    for my $i (1 .. 100) {
        my $begun = time;
        my $r = HTTP::Tiny->new->request(POST =>
            "$base/api/v1/providers/eleventh/validate-models",
            { headers => { Authorization => "Bearer $token" } });
        push @posts, time - $begun if $r->{status} == 202;
        sleep 0.05;
    }

    my $running = api($base, $token, GET =>
        '/api/v1/validations?status=in_progress')->{pagination}{total};
    @posts = sort { $a <=> $b } @posts;
    my $p99 = 1000 * quantile(0.99, @posts);
    my ($quiet, $loud) = map { 1000 * $_ } quantile(0.99, @idle),
                                           quantile(0.99, @busy);

    printf "beside ten validations (%d still run at the end):\n", $running;
    printf "  POST validate-models: p99 %.1f ms of %d, bar 10 ms: %s\n", $p99,
        scalar @posts, verdict($p99 < 10);
    printf "  another request: p99 %.2f ms, without %.2f ms\n", $loud, $quiet;
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
