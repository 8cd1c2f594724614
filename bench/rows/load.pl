# bench/rows/load.pl: what an inference costs besides CPU time: memory, delay of
# a stream, records, and failures while somebody changes everything.

use strict;
use warnings;

use Bench;
use Contenders;
use HTTP::Tiny;
use List::Util qw(max);
use POSIX ();
use Time::HiRes qw(time sleep);

row('body-20m', \&large_body);
row('stream', \&stream);
row('memory', \&memory);
row('records', \&records_at_full_speed);
row('steady', \&steady);
row('breaker', \&breaker);


# Kilobytes of a worker's own memory (anonymous pages): now and at most.

sub status_kb {
    my ($c, $what) = @_;
    my ($worker) = children($c->{pids}[0]);

    open my $fh, '<', "/proc/$worker/status" or die "bench: $!\n";
    my ($kb) = join('', <$fh>) =~ /^$what:\s+(\d+) kB/m;
    return $kb;
}


sub post {
    my ($c, $body, $path) = @_;

    return HTTP::Tiny->new(timeout => 60)->request(POST =>
        "http://127.0.0.1:$c->{port}" . ($path // '/v1/chat/completions'), {
            headers => { 'Content-Type' => 'application/json',
                         'Authorization' => 'Bearer ' . ($c->{token} // '') },
            content => $body,
        });
}


# -- 20 MB of images as base64 --

sub large_body {
    my @mock = mock();
    my @both = (stock_proxy(@mock), gateway_proxy(@mock));
    my $image = 'iVBORw0KGgo' . 'QUJDREVGR0g' x int(20 * 2 ** 20 / 11);
    my $body = '{"messages":[{"role":"user","content":[{"type":"image_url",'
        . '"image_url":{"url":"data:image/png;base64,' . $image . '"}}]}],'
        . '"model":"bench"}';

    for my $c (@both) {
        my $small = '{"model":"bench","messages":[]}';

        post($c, $small)->{success} or die "bench: no answer\n" for 1 .. 5;

        my ($worker) = children($c->{pids}[0]);
        spit("/proc/$worker/clear_refs", '5');
        my $before = status_kb($c, 'VmRSS');

        for (1 .. 3) {
            my $answer = post($c, $body);
            die "bench: $c->{name}: $answer->{status} $answer->{content}\n"
                unless $answer->{success};
        }

        $c->{kb} = status_kb($c, 'VmHWM') - $before;
    }

    my $more = $both[1]{kb} - $both[0]{kb};
    printf "a request of %.1f MB, the worker's memory at most: stock %d KB"
        . " more than idle, gateway %d KB\n  gateway over stock %d KB, bar"
        . " 1024: %s\n", length($body) / 1e6, $both[0]{kb}, $both[1]{kb},
        $more, $more < 1024 ? 'met' : 'MISSED';
}


# -- 200 streams of 64 tokens, one every 20 ms --

sub stream {
    my ($streams, $turns, @pace) = (200, 4, 64, 20);
    my $sse = "$dir/sse";

    system("cc -O2 -o $sse $top/bench/sse.c") == 0
        or die "bench: sse does not compile\n";

    my @mock = (free_port(), free_port());
    start_pinned(1, $sse, 'server', $_, @pace) for @mock;

    my @three = ({ name => 'direct', port => $mock[0] }, stock_proxy(@mock),
                 gateway_proxy(@mock));
    my @names = qw(ttft_p50 ttft_p99 age_p50 age_p99 age_max);

    for my $round (1 .. 3) {
        for my $c (@three) {
            my @cmd = ('taskset', '-c', 1, $sse, 'client', $c->{port},
                       $streams, $turns, @pace, $c->{token} // 'none');
            my $out = `@cmd`;
            my @v = $out =~ /^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)/
                or die "bench: $c->{name}: sse said: $out\n";

            push @{ $c->{$_} }, shift @v for @names;
            $c->{streams} += shift @v;
            $c->{other} += shift @v;
        }
    }

    printf "%d streams at once, %d tokens, one every %d ms; microseconds,"
        . " medians of 3 rounds\n", $streams, @pace;
    printf "  %-20s %9s %9s %9s %9s %9s %9s\n", 'contender', 'TTFT p50',
        'p99', 'token p50', 'p99', 'streams', 'changed';

    for my $c (@three) {
        printf "  %-20s %9d %9d %9d %9d %9d %9d\n", $c->{name},
            map({ median(@{ $c->{$_} }) } @names[0 .. 3]), $c->{streams},
            $c->{other};
    }

    my ($direct, $stock, $gateway) = @three;
    my %added = map {
        my $name = $_;
        ($name => median(@{ $gateway->{$name} })
                  - median(@{ $direct->{$name} }))
    } @names;

    printf "  added TTFT p99 %d us, bar 300: %s; a token is %d us older at"
        . " p50, %d at p99; bytes identical: %s\n", $added{ttft_p99},
        $added{ttft_p99} < 300 ? 'met' : 'MISSED', $added{age_p50},
        $added{age_p99}, $gateway->{other} ? 'NO' : 'yes';
}


# -- a million requests --

sub memory {
    my @mock = mock();
    my @both = (stock_proxy(@mock), gateway_proxy(@mock));
    my $n = $ENV{BENCH_REQUESTS} || 1_000_000;

    for my $c (@both) {
        my ($done, @kb) = (0);

        while ($done < $n) {
            my ($requests, undef, $errors) = load($c, 5, 1024, 64, 256);

            die "bench: $c->{name}: $errors errors\n" if $errors;
            $done += $requests;
            push @kb, status_kb($c, 'RssAnon');
        }

        $c->{kb} = max(@kb[$#kb / 2 .. $#kb]);
        $c->{half} = $kb[$#kb / 2];
        $c->{done} = $done;
    }

    my $more = ($both[1]{kb} - $both[0]{kb}) / 1024;
    printf "%d requests: private memory of the worker %.1f MiB (%.1f at half"
        . " time), stock %.1f MiB\n  gateway over stock %.1f MiB, bar 20: %s"
        . "\n", $both[1]{done}, map({ $_ / 1024 } $both[1]{kb}, $both[1]{half},
        $both[0]{kb}), $more, $more < 20 ? 'met' : 'MISSED';
}


sub load {
    my ($c, $seconds, $size, $connections, $keys) = @_;

    return wrk("http://127.0.0.1:$c->{port}", 'post.lua', $seconds,
               $connections, BENCH_BODY => $size, BENCH_KEYS => $keys,
               BENCH_TOKEN => $c->{token} // 'none');
}


# -- records at full speed --

sub records_at_full_speed {
    my @mock = mock();
    my @both = (gateway_proxy(@mock, 'model_record off;'),
                gateway_proxy(@mock));
    my $n = int(60 / $seconds) || 1;

    $both[0]{name} = 'without records';
    $both[1]{name} = 'with records';

    for my $c (@both) {
        $c->{run} = sub { load($c, $seconds, 1024, 64, 256) };
    }

    # PostgreSQL has no part in what is judged, but it is somebody's CPU time

    open my $fh, '<', "$dir/pg/postmaster.pid" or die "bench: $!\n";
    chomp(my $postgres = <$fh>);
    my $ns = cpu_ns($postgres);

    my $thrown = rounds($n, @both);

    print "records: ", $n * $seconds, ' s at full speed of each, interleaved'
        . " ($thrown rounds thrown away)\n";
    compare($both[0], \@both, { 'with records' => 1.1 });

    sleep 2;

    $ns = cpu_ns($postgres) - $ns;

    my ($metrics, $gateway) = (metrics($both[1]), $both[1]);
    my ($split) = $metrics =~ /^nginx_model_split_requests_total (\d+)/m;
    my ($stored) = $metrics
        =~ /^nginx_model_records_total\{outcome="stored"\} (\d+)/m;
    my $table = query($gateway, 'select inference_table from'
                                . ' model.model_groups');
    my $rows = query($gateway, "select count(*) from model.\"$table\"");

    printf "  %d requests split, %d stored, %d rows: %s\n", $split, $stored,
        $rows, $split == $rows ? 'none lost' : 'LOST';
    printf "  PostgreSQL: %.2f us of CPU a row\n", $ns / 1000 / ($rows || 1);
}


sub query {
    my ($c, $sql) = @_;

    open my $fh, '-|', 'psql', '-qXAt', '-d', $c->{database}, '-c', $sql
        or die "bench: psql: $!\n";
    chomp(my $value = <$fh> // '');
    return $value;
}


sub metrics {
    my ($c) = @_;

    return HTTP::Tiny->new->get("http://127.0.0.1:$c->{port}/metrics")
        ->{content};
}


# -- a server that goes bad and comes back, under load --

# One of the two mocks, on a port that is its own: while the file "bad.PORT" is
# there it answers 503, while "mute.PORT" is there it breaks off.

sub failing_mock {
    my ($port) = @_;

    return nginx("failing$port", 1, <<"END");
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_buffer_size 256k;
    server {
        listen 127.0.0.1:$port;
        location / {
            if (-f $dir/bad.$port) { return 503; }
            if (-f $dir/mute.$port) { return 444; }
            default_type application/json;
            return 200 '{"id":"x","choices":[{"index":0,"message":
{"role":"assistant","content":"a"},"finish_reason":"stop"}],
"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}';
        }
    }
}
END
}


sub stock_next_upstream {
    my (@mock) = @_;
    my $port = free_port();
    my $out = 'max_fails=5 fail_timeout=1s';

    my $pid = nginx("next$port", 0, <<"END");
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_buffer_size 256k;
    split_clients "\$http_x_session_id" \$target {
        10% challenger;
        *   champion;
    }
    upstream champion {
        server 127.0.0.1:$mock[0] $out;
        server 127.0.0.1:$mock[1] backup;
        keepalive 64;
    }
    upstream challenger {
        server 127.0.0.1:$mock[1] $out;
        server 127.0.0.1:$mock[0] backup;
        keepalive 64;
    }
    server {
        listen 127.0.0.1:$port;
        location /v1/ {
            proxy_pass http://\$target;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_next_upstream error timeout http_500 http_502 http_503
                                http_504 non_idempotent;
        }
    }
}
END
    return { name => 'stock next_upstream', pids => [$pid], port => $port };
}


# The mock that most requests go to answers 503, breaks off, is away; in between
# it is well.

sub breaker {
    my @mock = (free_port(), free_port());
    my ($champion) = map { failing_mock($_) } @mock;
    my $pause = 2;
    my @both = (stock_next_upstream(@mock),
                gateway_proxy(@mock, 'model_fallback on pause=1s;'));

    my %turn = (
        map({ my $file = "$dir/$_.$mock[0]";
              ($_ => [ sub { spit($file, '') }, sub { unlink $file } ]) }
            qw(bad mute)),
        away => [ sub { kill 'TERM', $champion; stop($champion) },
                  sub { $champion = failing_mock($mock[0]) } ],
    );
    my @turns = (qw(bad mute away)) x 2;

    for my $c (@both) {
        my $pid = open(my $out, '-|') // die "bench: fork: $!\n";

        if ($pid == 0) {
            my @r = load($c, 2 * $pause * @turns + $pause, 1024, 32, 256);
            print "@r\n";
            close STDOUT;
            POSIX::_exit(0);
        }

        for my $what (@turns) {
            sleep $pause;
            $turn{$what}[0]->();
            sleep $pause;
            $turn{$what}[1]->();
        }

        @$c{qw(requests seconds errors)} = split ' ', <$out>;
        close $out;
        waitpid $pid, 0;
    }

    my ($stock, $gateway) = @both;
    my $metrics = metrics($gateway);
    my %other = $metrics
        =~ /^nginx_model_fallbacks_total\{cause="(\w+)"\} (\d+)/mg;

    printf "%d s of load while a server answers 503, breaks off and is away,"
        . " twice each, for %d s\n", $gateway->{seconds}, $pause;
    printf "  %-20s %9d requests, %5d failed\n", @$_{qw(name requests errors)}
        for @both;
    printf "  of the gateway's %d were answered by the other one after a"
        . " failure, %d since the breaker was open\n", @other{qw(failure breaker)};
    printf "  failed beyond stock %d, bar 0: %s\n",
        max(0, $gateway->{errors} - $stock->{errors}),
        $gateway->{errors} > $stock->{errors} ? 'MISSED' : 'met';
}


# -- everything changes under load --

sub steady {
    my @mock = mock();
    my $c = gateway_proxy(@mock);
    my $base = "http://127.0.0.1:$c->{port}";
    my $end = time + 20;
    my %done;

    my $pid = open(my $out, '-|') // die "bench: fork: $!\n";

    if ($pid == 0) {
        my @r = load($c, 20, 1024, 32, 256);
        print "@r\n";
        close STDOUT;
        POSIX::_exit(0);
    }

    for (my $i = 0; time < $end - 1; $i++) {
        my $host = $i % 2 ? '127.0.0.1' : 'localhost';
        my @calls = (
            [ promote => POST => '/api/v1/model-groups/bench/promote', {} ],
            [ rotate => PATCH => '/api/v1/providers/mock-0',
              { api_key => "sk-turned-$i" } ],
            [ resolve => PATCH => '/api/v1/providers/mock-1',
              { base_url => "http://$host:$mock[1]/v1" } ],
            [ rollback => POST => '/api/v1/model-groups/bench/rollback' ],
        );
        my ($what, @call) = @{ $calls[$i % @calls] };

        api($base, $c->{token}, @call);
        $done{$what}++;
        sleep 0.2;
    }

    my ($requests, undef, $errors) = split ' ', <$out>;
    close $out;
    waitpid $pid, 0;

    printf "20 s under load: %s\n  %d requests, %d failed, bar 0: %s\n",
        join(', ', map { "$done{$_} x $_" } sort keys %done), $requests,
        $errors, $errors ? 'MISSED' : 'met';
}


1;
