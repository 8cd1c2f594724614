package Bench;

# What every row of the benchmark uses: private services, contenders pinned to
# core 0, load and mocks on core 1, interleaved rounds, and CPU time per
# request as the currency (requests a second swing with the machine, CPU time
# hardly does).  See docs/benchmarks.md.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use List::Util qw(sum max min);
use POSIX qw(setsid WNOHANG);
use Time::HiRes qw(time sleep);

our @EXPORT = qw(
    $top $dir $rounds $seconds api catalog_gateway children compare cpu_ns
    database faster free_port gateway_conf median nginx pace ready row rows
    run_row rounds services spit start_pinned stop token wait_for wrk
);

our $top = abs_path(dirname(__FILE__) . '/..');
our $rounds = $ENV{BENCH_ROUNDS} || 5;
our $seconds = $ENV{BENCH_SECONDS} || 2;

# not with perl -c, which takes nothing away at its end
our $dir = $^C ? '/nonexistent'
         : tempdir('gateway-bench-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir if !$^C;

my $owner = $$;
my (@started, %service, $databases, %rows, @rows);


# A row is named once, by the file of its subject.

sub row {
    my ($name, $code) = @_;

    push @rows, $name;
    $rows{$name} = $code;
    return;
}


sub rows { return @rows }
sub run_row { return $rows{$_[0]}->() }


sub spit {
    my ($file, $text) = @_;

    open my $fh, '>', $file or die "cannot write $file: $!\n";
    print $fh $text;
    close $fh or die "cannot write $file: $!\n";

    return $file;
}


sub wait_for {
    my ($what, $seconds, $test) = @_;
    my $end = time + $seconds;

    while (time < $end) {
        my $got = $test->();
        return $got if $got;
        sleep 0.02;
    }

    die "bench: $what did not come within $seconds s\n";
}


sub free_port {
    my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "no free port: $!\n";
    return $s->sockport;
}


# A process of our own on one core; ended with the benchmark.

sub start_pinned {
    my ($core, @command) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        setsid();
        open STDOUT, '>>', "$dir/output.log";
        open STDERR, '>&', \*STDOUT;
        exec 'taskset', '-c', $core, @command or POSIX::_exit(127);
    }

    push @started, $pid;
    return $pid;
}


# Ends one of them before the benchmark does.

sub stop {
    my ($pid) = @_;

    @started = grep { $_ != $pid } @started;
    kill 'QUIT', $pid;
    waitpid $pid, 0;
    return;
}


# nginx with a configuration text; the pid of its master.

sub nginx {
    my ($name, $core, $conf, %o) = @_;
    my $workers = $o{workers} // 1;
    my $prefix = "$dir/$name";

    mkdir $prefix;
    chmod 0777, $prefix;
    spit("$prefix/nginx.conf", <<"END" . $conf);
daemon off;
master_process on;
worker_processes $workers;
user nobody nogroup;
pid $prefix/pid;
error_log $prefix/error.log warn;
END

    my $pid = start_pinned($core, 'nginx', '-p', $prefix, '-e',
                           "$prefix/error.log", '-c', "$prefix/nginx.conf");

    wait_for("nginx $name ($prefix/error.log)", 10,
             sub { -s "$prefix/pid" && children($pid) });
    return $pid;
}


sub children {
    my ($pid) = @_;

    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
    return split ' ', (<$fh> // '');
}


# CPU nanoseconds that a process, its threads and its children have used.

sub cpu_ns {
    my (@pids) = @_;
    my $ns = 0;

    for my $pid (map { ($_, children($_)) } @pids) {
        for my $file (glob "/proc/$pid/task/*/schedstat") {
            open my $fh, '<', $file or next;
            $ns += (split ' ', (<$fh> // '0'))[0] // 0;
        }
    }

    return $ns;
}


sub services {
    return if %service;

    local $ENV{MODEL_FAST} = 1;
    system('taskset', '-c', 1, "$top/tools/services", 'start', $dir) == 0
        or die "bench: private services do not start\n";

    for (split /\n/, `$top/tools/services env $dir`) {
        $service{$1} = $2 if /^(\w+)=(.*)/;
    }

    s/\\(.)/$1/g for values %service;
    return;
}


sub database {
    services();

    my $name = 'bench' . ++$databases;
    my $conninfo = "$service{MODEL_DATABASE} dbname=$name";

    system('psql', '-qX', '-d', "$service{MODEL_DATABASE} dbname=postgres",
           '-c', "create database $name") == 0 or die "bench: no database\n";
    system("$top/tools/migrate '$conninfo' >>$dir/output.log 2>&1") == 0
        or die "bench: migration failed, see $dir/output.log\n";

    return $conninfo;
}


sub token {
    my ($conninfo) = @_;
    my ($token) = `$top/tools/token '$conninfo' bench admin` =~ /(mgw_\S+)/;

    return $token // die "bench: no token\n";
}


sub gateway_conf {
    my ($conninfo, $http, %o) = @_;
    my $state = "$dir/state-" . ++$Bench::states;

    mkdir $state;
    chmod 0777, $state;
    spit("$dir/key", '00112233445566778899aabbccddeeff' x 2 . "\n");
    chmod 0600, "$dir/key";

    my $connections = $o{connections} // 1024;
    my $source = $o{source}
        ? "model_catalog_source $top/conf/models.dev/api.json;" : '';

    return <<"END";
load_module $top/build/ngx_http_model_module.so;
thread_pool model_db threads=4 max_queue=64;
thread_pool model_jobs threads=2 max_queue=16;
events { worker_connections $connections; }
http {
    access_log off;
    sendfile on;
    client_body_temp_path $dir/t1; proxy_temp_path $dir/t2;
    fastcgi_temp_path $dir/t3; uwsgi_temp_path $dir/t4; scgi_temp_path $dir/t5;
    keepalive_requests 1000000;
    client_body_buffer_size 256k;
    client_max_body_size 30m;
    model_database "$conninfo";
    model_redis $service{MODEL_REDIS};
    model_state_path $state;
    model_zone model:64m;
    model_secret_key_file $dir/key;
    model_allow_private on;
    $source
$http
}
END
}


# One control-plane call; dies unless it answers 2xx.

sub api {
    my ($base, $token, $method, $path, $body) = @_;

    my $answer = HTTP::Tiny->new(timeout => 30)->request($method,
        "$base$path", {
            headers => {
                'Authorization' => "Bearer $token",
                defined $body ? ('Content-Type' => 'application/json') : (),
            },
            defined $body ? (content => encode_json($body)) : (),
        });

    die "bench: $method $path: $answer->{status} $answer->{content}\n"
        unless $answer->{success};

    return $answer->{content} =~ /^[\[{]/
        ? decode_json($answer->{content}) : undef;
}


# One wrk run on core 1: (requests, seconds, errors).

sub wrk {
    my ($url, $script, $seconds, $connections, %env) = @_;

    local @ENV{keys %env} = values %env;

    my $out = `taskset -c 1 wrk -t1 -c$connections -d${seconds}s \\
        -s $top/bench/$script $url 2>&1`;
    my ($n, $us, $failed, $status)
        = $out =~ /^RESULT (\d+) (\d+) (\d+) (\d+)/m
        or die "bench: wrk said: $out\n";

    return ($n, $us / 1e6, $failed + $status);
}


# What sends requests at a rate, on core 1, by way of the command @before: a sub
# of pace's arguments that gives the figures of its RESULT (bench/pace.c).

sub pace {
    my (@before) = @_;

    system("cc -O2 -o $dir/pace $top/bench/pace.c") == 0
        or die "bench: pace does not compile\n";

    return sub {
        my @cmd = (qw(taskset -c 1), @before, "$dir/pace", @_);
        my $out = `@cmd`;
        my ($figures) = $out =~ /^RESULT ([\d ]+)$/
            or die "bench: pace said: $out\n";
        return split ' ', $figures;
    };
}


sub steal {
    open my $fh, '<', '/proc/stat' or return (0, 1);
    my (undef, @t) = split ' ', <$fh>;
    return ($t[7] // 0, sum @t[0 .. 7]);
}


# Interleaved: a dropped round, then n rounds of each contender in turn.  A
# contender is {name, pids, run => sub { (requests, seconds, errors) }}.
# Rounds in which the hypervisor took more than 2 % are thrown away.

sub rounds {
    my ($n, @contenders) = @_;
    my $thrown = 0;

    for my $round (0 .. $n) {
        for my $c (@contenders) {
            my ($s0, $t0) = steal();
            my $cpu0 = cpu_ns(@{ $c->{pids} });
            my ($requests, $seconds, $errors) = $c->{run}->();
            my $cpu = cpu_ns(@{ $c->{pids} }) - $cpu0;
            my ($s1, $t1) = steal();

            die "bench: $c->{name}: $errors errors\n" if $errors;
            next if $round == 0;

            if ($s1 - $s0 > 0.02 * ($t1 - $t0)) {
                $thrown++;
                next;
            }

            push @{ $c->{us} }, $cpu / 1000 / $requests;
            push @{ $c->{rps} }, $requests / $seconds;
        }
    }

    for my $c (@contenders) {
        die "bench: every round of \"$c->{name}\" was thrown away: the"
            . " hypervisor took more than 2 %; run the row again\n"
            unless @{ $c->{us} // [] };
    }

    return $thrown;
}


sub median {
    my @v = sort { $a <=> $b } @_;
    return @v ? ($v[$#v / 2] + $v[@v / 2]) / 2 : 0;
}


sub compare {
    my ($base, $contenders, $bars) = @_;
    my $floor = median(@{ $base->{us} });

    printf "  %-24s %10s %12s %6s %8s  %s\n", 'contender', 'CPU us/req',
           'requests/s', 'busy', 'ratio', 'bar';

    for my $c (@$contenders) {
        my $us = median(@{ $c->{us} });
        my $bar = $bars->{ $c->{name} };
        my $rps = median(@{ $c->{rps} });

        # a contender that is not busy waited for the load, the mock or the
        # database: its requests a second say nothing

        printf "  %-24s %10.2f %12.0f %5.0f%% %8.2f  %s\n", $c->{name}, $us,
               $rps, $us * $rps / 1e4, $us / $floor,
               defined $bar
                   ? sprintf('<= %.2f %s', $bar,
                             $us / $floor <= $bar ? 'met' : 'MISSED')
                   : '';
    }
}


# How many times the requests a second of the others one serves; and how many
# times it would, were its core as busy as theirs: CPU time to CPU time.

sub faster {
    my ($one, $contenders, $bars) = @_;

    for my $c (grep { defined $bars->{ $_->{name} } } @$contenders) {
        my $ratio = median(@{ $one->{rps} }) / median(@{ $c->{rps} });
        my $busy = median(@{ $c->{us} }) / median(@{ $one->{us} });
        my $bar = $bars->{ $c->{name} };

        printf "  requests/s, %s to %s: %.2f (%.2f by CPU time), bar %.1f: %s\n",
               $one->{name}, $c->{name}, $ratio, $busy, $bar,
               $ratio >= $bar ? 'met' : 'MISSED';
    }
}


sub ready {
    my ($base, $token) = @_;

    return wait_for('readiness', 60, sub {
        eval { api($base, $token, GET => '/api/v1/admin/ready') }
    });
}


# A gateway with the bundled catalog: (base, token, conninfo, pid, port).

sub catalog_gateway {
    my (%o) = @_;
    my $port = free_port();
    my $conninfo = database();
    my $token = token($conninfo);
    my $base = "http://127.0.0.1:$port";

    my $pid = nginx("sync$port", $o{core} // '0,1',
        gateway_conf($conninfo, <<"END", source => 1, %o), %o);
    server {
        listen 127.0.0.1:$port;
        location /api/ { model_api; }
        location = /health { model_api; }
        location = /metrics { model_api; model_auth off; }
    }
END
    return ($base, $token, $conninfo, $pid, $port);
}


END {
    if ($$ == $owner) {
        my $code = $?;

        kill 'QUIT', @started;

        for my $pid (@started) {
            my $end = time + 5;

            while (waitpid($pid, WNOHANG) == 0) {
                kill 'KILL', $pid if time > $end;
                sleep 0.02;
            }
        }

        system("$top/tools/services", 'stop', $dir) if %service;
        remove_tree($dir);
        $? = $code;
    }
}


1;
