# bench/rows/events.pl: how soon many watchers hear of a row, what they take,
# and how long the event loop is away meanwhile (bench/turn.c).

use strict;
use warnings;

use Bench;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time sleep);

row('events', \&events);


sub events {
    my ($watchers, $events, $port) = (2000, 40, free_port());
    my $conninfo = database();
    my $token = token($conninfo);
    my $base = "http://127.0.0.1:$port";
    my $watch = "$dir/watch";

    system('cc', '-O2', '-o', $watch, "$top/bench/watch.c") == 0
        && system('cc', '-O2', '-shared', '-fPIC', '-o', "$dir/turn.so",
                  "$top/bench/turn.c", '-ldl') == 0
        or die "bench: cc failed\n";

    longest_turn();
    local @ENV{qw(LD_PRELOAD TURN_FILE)} = ("$dir/turn.so", "$dir/turn");

    my $pid = nginx('events', 0, gateway_conf($conninfo, <<"END",
    model_events per_client=4000 connections=4000;
    server {
        listen 127.0.0.1:$port backlog=4096;
        location /api/ { model_api; }
        location /ws/ { model_api; }
        location = /health { model_api; }
    }
END
        connections => 8192));

    delete @ENV{qw(LD_PRELOAD TURN_FILE)};
    ready($base, $token);
    api($base, $token, POST => '/api/v1/providers', {
        id => 'watched', name => 'watched', protocol => 'openai',
        base_url => 'http://127.0.0.1:1/v1' });

    my ($worker) = children($pid);
    my ($run) = `psql -qAtX -d '$conninfo' -c "insert into
        model.ai_model_validation_progress (provider_id) values ('watched')
        returning id"` =~ /(\S+)/;
    my $before = watching_kb($worker);
    my @watch = ('taskset', '-c', 1, $watch, $port,
                 '/ws/providers/watched/validation', $token, $watchers);

    longest_turn();
    open my $out, '-|', @watch, $events or die "bench: watch: $!\n";
    <$out> =~ /^open/ or die "bench: no watchers\n";
    sleep 1;

    my $come = longest_turn();
    my @idle = sort { $a <=> $b } map { answer_time($port) } 1 .. 500;

    # four rows a second, as a run saves them

    my $psql = fork // die "fork: $!\n";

    if ($psql == 0) {
        open STDOUT, '>', '/dev/null';
        exec 'psql', '-qX', '-d', $conninfo, '-c', <<"END" or POSIX::_exit(1);
do \$\$ begin for i in 1 .. $events loop
    update model.ai_model_validation_progress set current_model_id = 'stamp-'
        || (extract(epoch from clock_timestamp()) * 1e9)::bigint
    where id = '$run'; commit; perform pg_sleep(0.25);
end loop; end \$\$
END
    }

    my (@busy, $end);
    $end = time + $events * 0.25;
    push @busy, answer_time($port) while time < $end;
    @busy = sort { $a <=> $b } @busy;

    my ($p50, $p99, $max, $n, $lost, $last) = split ' ', <$out>;
    my $used = watching_kb($worker) - $before;
    my $told = longest_turn();
    waitpid $psql, 0;
    close $out;

    # everybody leaves, comes again, and is sent away by a worker that still
    # has something else to do

    my $again = open $out, '-|', @watch, $events
        or die "bench: watch: $!\n";
    <$out> =~ /^open/ or die "bench: no watchers\n";
    my $left = longest_turn();
    my $half = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "bench: connect: $!\n";
    syswrite $half, "GET /health HTTP/1.1\r\n";
    sleep 0.2;
    kill 'HUP', $pid;
    sleep 1;
    my $sent = longest_turn();
    close $half;
    kill 'TERM', $again;
    close $out;

    printf "%d WebSocket watchers of one run, %d events: %d frames, %d lost,"
        . " %d heard the last\n", $watchers, $events, $n, $lost, $last;
    printf "  age of an event on arrival: p50 %.1f ms, p99 %.1f ms, max %.1f"
        . " ms; bar 100 ms at p99: %s\n", map({ $_ / 1000 } $p50, $p99, $max),
        $p99 < 100_000 && $last == $watchers ? 'met' : 'MISSED';
    printf "  memory of the worker: %.1f MB for all, %.1f KB each; bar 30 MB:"
        . " %s\n", $used / 1e6, $used / 1000 / $watchers,
        $used < 30e6 ? 'met' : 'MISSED';
    printf "  longest turn of the event loop: %.1f ms while they come, %.1f ms"
        . " while they are told, %.1f ms while they leave, %.1f ms while a"
        . " reload sends them away; bar 5 ms: %s\n", $come, $told, $left,
        $sent, (sort { $b <=> $a } $come, $told, $left, $sent)[0] < 5
        ? 'met' : 'MISSED';
    printf "  answers of /health, with what waits for a processor: p99 %.1f ms"
        . " idle, %.1f ms while they are told (longest %.1f and %.1f)\n",
        map { 1000 * $_ } $idle[0.99 * $#idle], $busy[0.99 * $#busy],
        $idle[-1], $busy[-1];
}


# the longest turn of the event loop, in ms, since the last question

sub longest_turn {
    my $zero = pack 'Q', 0;
    my $turn = $zero;

    if (open my $fh, '+<', "$dir/turn") {
        sysread $fh, $turn, 8;
        sysseek $fh, 0, 0;
        syswrite $fh, $zero;

    } else {
        spit("$dir/turn", $zero);
        chmod 0666, "$dir/turn";
    }

    return unpack('Q', $turn) / 1e6;
}


# bytes of a process that are its own

sub watching_kb {
    my ($pid) = @_;
    my $sum = 0;

    open my $fh, '<', "/proc/$pid/smaps_rollup" or die "bench: no $pid\n";
    while (<$fh>) { $sum += $1 * 1024 if /^Private_\w+:\s+(\d+) kB/ }
    return $sum;
}


# how long one small answer takes, on a connection that is kept

my $kept;

sub answer_time {
    my ($port) = @_;

    $kept //= IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
        or die "bench: connect: $!\n";

    my $began = time;
    syswrite $kept, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    sysread $kept, my $answer, 65536 or die "bench: no answer\n";
    my $took = time - $began;

    sleep 0.002;
    return $took;
}


1;
