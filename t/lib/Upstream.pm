package Upstream;

# A server whose answers a test writes in Perl.
#
#     my $up = Upstream->new(sub {
#         my ($req) = @_;      # { method, uri, headers, lines, body, number }
#         return { json => { object => 'list', data => [] } };
#     });
#     ... $up->port, $up->url, $up->requests ... $up->stop
#
# The answer is a hash:
#     status, headers    200, and [ name, value, name, value ... ]
#     body | json        bytes, or data to be encoded
#     chunks             instead of body: [ 'bytes', \0.02, 'bytes', ... ], where a
#                        reference is a pause in seconds, or code that is called;
#                        sent with chunked framing unless the headers have a
#                        Content-Length.  See in_turn.
#     delay              seconds before the first byte
#     cut                closes after so many bytes of the body
#     close              closes after the answer, and says so
#     drop               closes without an answer
#     reset              the same with RST; with chunks: behind the last of them
#     raw                instead of an answer: [ 'bytes', \0.02, ... ] as they are,
#                        then it closes
#     hang               never answers
#
# A process for the server, and one for each connection, so that a delay holds up
# nobody else.  Every request is appended to a file, for "requests", which gives
# them in the order of their arrival.

use v5.28;
use warnings;

use Fcntl qw(:flock);
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

use Host qw(alive free_port slurp wait_until);
use Services ();

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @all;


# options: port, or socket (a path); where the requests are written (record)

sub new {
    my ($class, $handler, %options) = @_;

    state $count = 0;
    my $base = Services::base();
    my $self = bless { handler => $handler, owner => $$ }, $class;

    $self->{record} = $options{record}
                      // "$base/upstream.$$." . ++$count . '.jsonl';

    if ($options{socket}) {
        $self->{socket} = $options{socket};
        unlink $options{socket};
        $self->{listen} = IO::Socket::UNIX->new(Local => $options{socket},
            Listen => 1024) // die "$options{socket}: $!\n";
        chmod 0777, $options{socket};

    } else {
        $self->{port} = $options{port} // free_port();
        $self->{listen} = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $self->{port}, Listen => 1024, ReuseAddr => 1)
            // die "port $self->{port}: $!\n";
    }

    Host::spew($self->{record}, '');
    push @all, $self;
    return $self->start;
}


sub port { return $_[0]{port}; }
sub url { return "http://127.0.0.1:$_[0]{port}"; }
sub pid { return $_[0]{pid}; }


# serves (again, after a stop, on the same port)

sub start {
    my ($self) = @_;

    $self->{listen} //= IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 1024, ReuseAddr => 1)
        // die "port $self->{port}: $!\n";

    $self->{pid} = fork // die "fork: $!\n";

    if ($self->{pid} == 0) {
        $self->serve;
        POSIX::_exit(0);
    }

    close delete $self->{listen};
    return $self;
}


# ends the server and all its connections at once

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    # the server leads a group, so that its connections' processes go with it
    kill 'KILL', -$pid, $pid;
    waitpid $pid, 0;
}


# the requests so far

sub requests {
    my ($self) = @_;

    # the last line may be half written
    return map { $json->decode($_) } slurp($self->{record}) =~ /^(.*)\n/mg;
}


sub forget {
    my ($self) = @_;

    open my $fh, '+<', $self->{record} or return;
    flock $fh, LOCK_EX;
    truncate $fh, 0;
}


# waits until there were so many requests

sub wait_requests {
    my ($self, $n, $seconds) = @_;

    return wait_until(sub { $self->requests >= $n }, $seconds);
}


sub serve {
    my ($self) = @_;

    setpgrp 0, 0;
    $SIG{CHLD} = 'IGNORE';
    $SIG{$_} = 'DEFAULT' for qw(INT TERM PIPE);
    open $self->{log}, '>>', $self->{record} or return;
    $self->{log}->autoflush(1);

    my $connection = 0;

    while (1) {
        my $socket = $self->{listen}->accept or next;
        my $pid = fork;
        $connection++;

        if (defined $pid && $pid == 0) {
            close $self->{listen};
            $SIG{PIPE} = sub { POSIX::_exit(0) };
            $self->connection($socket, $connection);
            POSIX::_exit(0);
        }

        close $socket;
    }
}


sub connection {
    my ($self, $socket, $number) = @_;

    my $in = '';

    for (my $n = 1; ; $n++) {
        my $req = read_request($socket, \$in) or return;
        @$req{qw(time connection number)} = (time, $number, $n);

        my $line = $json->encode($req) . "\n";
        flock $self->{log}, LOCK_EX;
        syswrite $self->{log}, $line;
        flock $self->{log}, LOCK_UN;

        my $answer = eval { $self->{handler}->($req) }
                     // { status => 500, body => "handler: $@", close => 1 };

        answer($socket, $req, $answer) or return;
    }
}


sub read_request {
    my ($socket, $in) = @_;

    my $more = sub { sysread $socket, $$in, 65536, length $$in };

    while ($$in !~ /\r\n\r\n/) {
        $more->() or return;
    }

    $$in =~ s/^(.*?)\r\n\r\n//s;
    my ($line, @lines) = split /\r\n/, $1;
    my ($method, $uri) = split / /, $line;
    my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1, $2) : () } @lines;
    my $body = '';

    if (($headers{'transfer-encoding'} // '') =~ /chunked/i) {
        while (1) {
            while ($$in !~ /^([0-9a-fA-F]+)[^\r\n]*\r\n/) {
                $more->() or return;
            }

            my ($size, $skip) = (hex $1, $+[0]);

            while (length $$in < $skip + $size + 2) {
                $more->() or return;
            }

            $body .= substr $$in, $skip, $size;
            substr $$in, 0, $skip + $size + 2, '';
            last if $size == 0;
        }

    } else {
        my $length = $headers{'content-length'} // 0;

        while (length $$in < $length) {
            $more->() or return;
        }

        $body = substr $$in, 0, $length, '';
    }

    return { method => $method, uri => $uri, headers => \%headers,
             lines => \@lines, body => $body };
}


# 1 if the connection may go on

sub answer {
    my ($socket, $req, $a) = @_;

    # what closes with no time to linger is a reset
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)
        if $a->{reset};

    return 0 if $a->{drop} || $a->{reset} && !$a->{chunks};
    sleep 3600 if $a->{hang};
    sleep $a->{delay} if $a->{delay};
    return write_raw($socket, $a->{raw}) if $a->{raw};

    my @headers = @{ $a->{headers} || [] };
    my %has = map { lc $headers[2 * $_] => 1 } 0 .. @headers / 2 - 1;
    my $chunks = $a->{chunks};
    my $body = $a->{body} // '';

    if (exists $a->{json}) {
        $body = $json->encode($a->{json});
        push @headers, 'Content-Type', 'application/json'
            if !$has{'content-type'};
    }

    my $framed = $chunks && !$has{'content-length'};
    push @headers, 'Transfer-Encoding', 'chunked' if $framed;
    push @headers, 'Content-Length', length $body
        if !$chunks && !$has{'content-length'};
    push @headers, 'Connection', 'close' if $a->{close};

    my $head = 'HTTP/1.1 ' . ($a->{status} // 200) . " Scripted\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    write_all($socket, "$head\r\n") or return 0;

    my $left = $a->{cut};

    for my $piece (@{ $chunks || [ $body ] }) {
        if (ref $piece) {
            ref $piece eq 'CODE' ? $piece->() : sleep $$piece;
            next;
        }

        next if $piece eq '' || $req->{method} eq 'HEAD';

        my $cut = defined $left && length $piece >= $left;
        my $data = $cut ? substr $piece, 0, $left : $piece;
        my $bytes = $framed ? sprintf("%x\r\n%s\r\n", length $piece, $data)
                            : $data;

        # a cut chunk ends within its bytes
        substr $bytes, -2, 2, '' if $framed && $cut;

        write_all($socket, $bytes) or return 0;
        return 0 if $cut;
        $left -= length $piece if defined $left;
    }

    return 0 if $a->{reset};
    write_all($socket, "0\r\n\r\n") or return 0 if $framed;
    return !$a->{close};
}


# Chunks of which each is sent when the client has said in the file that it has
# those before: see Wire's sub of this name.

sub in_turn {
    my ($file, @pieces) = @_;

    return map {
        my $n = $_;
        (sub { wait_until(sub { (-s $file // 0) >= $n }, 60) }, $pieces[$n]);
    } 0 .. $#pieces;
}


sub write_raw {
    my ($socket, $pieces) = @_;

    for my $piece (@$pieces) {
        ref $piece ? sleep $$piece : write_all($socket, $piece) || last;
    }

    return 0;
}


sub write_all {
    my ($socket, $bytes) = @_;

    for (my $at = 0; $at < length $bytes; ) {
        my $n = syswrite $socket, $bytes, length($bytes) - $at, $at;
        return 0 if !defined $n;
        $at += $n;
    }

    return 1;
}


sub stop_all {
    $_->stop for grep { $_->{owner} == $$ } @all;
}


END {
    local $?;
    stop_all();
}


1;
