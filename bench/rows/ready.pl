# bench/rows/ready.pl: how soon a gateway answers after nginx has returned, with
# databases of all kinds.

use strict;
use warnings;

use Bench;
use IO::Socket::INET;
use List::Util qw(max);
use Time::HiRes qw(time sleep);

row('accept', \&accept_at_once);


# From the moment that "nginx" has returned until the whole answer is there, ms.

sub answer_ms {
    my ($port, $path) = @_;
    my $began = time;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
                                  Timeout => 10) or die "bench: $!\n";
    print $s "GET $path HTTP/1.0\r\n\r\n";
    my $answer = join '', <$s>;
    $answer =~ m{^HTTP/1\.1 200} or die "bench: $path: $answer\n";

    return (time - $began) * 1000;
}


# One start and one end, as a service manager does it.

sub start_once {
    my ($prefix, $port) = @_;
    my @command = ('nginx', '-p', $prefix, '-e', "$prefix/error.log",
                   '-c', "$prefix/nginx.conf");

    system(@command) == 0 or die "bench: nginx: see $prefix/error.log\n";

    my @ms = map { answer_ms($port, $_) } '/static', '/health';

    system(@command, '-s', 'quit');
    wait_for('the end', 30, sub { !-e "$prefix/pid" });

    return @ms;
}


sub accept_at_once {
    my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 64)
        or die "bench: $!\n";
    my $rounds = 20;
    my $away = 'host=127.0.0.1 user=x dbname=x port=';
    my $events = "events { }\nhttp {\naccess_log off;\n";

    my @all = (
        [ 'stock nginx' => $events, 'return 200 "here";' ],
        [ 'a database that answers' => database() ],
        [ 'one that is not there' => $away . free_port() ],
        [ 'one that hangs' => $away . $mute->sockport ],
    );

    for my $c (@all) {
        my ($name, $conf, $health) = @$c;
        my $port = free_port();
        my $prefix = "$Bench::dir/accept-$port";
        my $server = <<"END";
    server {
        listen 127.0.0.1:$port;
        location = /static { return 200 "here"; }
        location = /health { @{[ $health // 'model_api;' ]} }
    }
END

        my $text = $health ? "$conf$server}\n"
            : gateway_conf($conf, "    model_ready_backends all;\n$server");

        mkdir $prefix;
        chmod 0777, $prefix;
        spit("$prefix/nginx.conf", <<"END" . $text);
worker_processes 2;
user nobody nogroup;
pid $prefix/pid;
error_log $prefix/error.log crit;
END

        $c->[3] = { prefix => $prefix, port => $port, ms => [] };
    }

    # in turns, so that other work on the machine meets all of them

    for (1 .. $rounds) {
        push @{ $_->[3]{ms} }, start_once(@{ $_->[3] }{qw(prefix port)})
            for @all;
    }

    print "first answers of /static and /health after nginx has returned,"
        . " $rounds starts each\n";

    for my $c (@all) {
        my @ms = @{ $c->[3]{ms} };
        my $most = max(@ms);

        printf "  %-24s median %5.1f ms, at most %6.1f ms, bar 100: %s\n",
            $c->[0], median(@ms), $most, $most < 100 ? 'met' : 'MISSED';
    }

    return;
}


1;
