# bench/rows/validate.pl: a thousand models tested, and what the event loop does
# meanwhile.

use strict;
use warnings;

use Bench;
use HTTP::Tiny;
use IO::Socket::INET;
use Time::HiRes qw(time sleep);

row('validate', \&validate);


sub validate {
    my $mock = free_port();
    my ($base, $token, undef, undef, $port) = catalog_gateway();

    start_pinned(1, "$top/tools/demo-model-server", '--port', $mock,
                 '--name', 'bench', '--delay', 300, '--models',
                 join ',', map { "model-$_" } 1 .. 1000);
    ready($base, $token);
    wait_for('server', 10, sub {
        HTTP::Tiny->new->get("http://127.0.0.1:$mock/health")->{success}
    });
    api($base, $token, POST => '/api/v1/providers', {
        id => 'thousand', name => 'thousand', protocol => 'openai',
        base_url => "http://127.0.0.1:$mock/v1",
    });
    sleep 3;

    my @idle = probe($port, sub { time > $_[0] + 5 });
    my $run = api($base, $token,
                  POST => '/api/v1/providers/thousand/validate-models');
    my ($status, $looked) = (undef, 0);
    my @busy = probe($port, sub {
        return 0 if time < $looked + 0.25;
        $looked = time;
        $status = api($base, $token,
                      GET => '/api/v1/providers/thousand/validation-status');
        return $status->{status} !~ /pending|in_progress/;
    });

    my ($from, $to) = map { seconds_of($status->{$_}) }
        qw(started_at completed_at);
    my $ideal = 300 * int(1000 / 64 + 0.999) / 1000;

    printf "validation of 1000 models of 300 ms, 64 at once: %s, %d available,"
        . " %.2f s, ideal %.2f s\n", $status->{status}, $status->{available},
        $to - $from, $ideal;
    printf "  ratio %.3f, bar 1.1: %s\n", ($to - $from) / $ideal,
        ($to - $from) / $ideal <= 1.1 ? 'met' : 'MISSED';
    printf "  longest answer of /health, one every 2 ms: %.1f ms idle, %.1f ms"
        . " while validating (p99.9 %.1f and %.1f), bar 5 ms over idle: %s\n",
        map({ 1000 * $_ } $idle[-1], $busy[-1], $idle[0.999 * $#idle],
            $busy[0.999 * $#busy]),
        $busy[-1] - $idle[-1] < 0.005 ? 'met' : 'MISSED';
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
