package Wire;

# An HTTP/1.1 client on a raw socket: a test sees when each byte arrived, and may
# misbehave in every way a client can.
#
#     my $c = Wire->new($port_or_socket_path);
#     $c->request('POST', '/v1/chat/completions', { Authorization => ... },
#                 $body);
#     my $r = $c->response;       # { status, headers, body, pieces, ... }
#
#     my $r = Wire::fetch($where, 'GET', '/health');     # one request
#     my @r = Wire::many($where, \@requests, 16);        # over 16 connections
#
# A response is a hash:
#     status, reason     0 and the error if there was no complete answer
#     headers            name in lower case => value (several: joined by ", ")
#     list               [ [ name, value ], ... ] as they came
#     body               decoded of chunks
#     pieces             [ [ seconds since the request began, bytes ], ... ]: the
#                        body as it arrived
#     complete           1 if the answer ended as its framing says
#     seconds            until the last byte

use v5.28;
use warnings;

use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Socket qw(IPPROTO_TCP SHUT_WR SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(sleep time);

use Host ();

my $json = JSON::PP->new->utf8->canonical->allow_nonref;


# where: a port of 127.0.0.1, or the path of a unix socket

sub new {
    my ($class, $where) = @_;

    my $socket;

    if ($where =~ m{^/}) {
        $socket = IO::Socket::UNIX->new(Peer => $where);

    } else {
        $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                        PeerPort => $where, Timeout => 10);
        setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1 if $socket;
    }

    return undef if !$socket;

    $socket->blocking(0);
    return bless { socket => $socket, in => '', began => time, eof => 0 },
                 $class;
}


sub socket { return $_[0]{socket}; }


# the bytes of a request; a reference as body is sent as JSON

sub format_request {
    my ($method, $uri, $headers, $body) = @_;

    my %all = (Host => 'localhost', %{ $headers || {} });

    if (ref $body) {
        $body = $json->encode($body);
        $all{'Content-Type'} //= 'application/json';
    }

    if (defined $body && !exists $all{'Transfer-Encoding'}) {
        $all{'Content-Length'} //= length $body;
    }

    return "$method $uri HTTP/1.1\r\n"
           . join('', map { "$_: $all{$_}\r\n" }
                      grep { defined $all{$_} } sort keys %all)
           . "\r\n" . ($body // '');
}


sub request {
    my ($self, @request) = @_;

    $self->{method} = $request[0];
    $self->{began} = time;
    return $self->send(format_request(@request));
}


# sends all bytes; 0 if the other side does not take them

sub send {
    my ($self, $bytes, $seconds) = @_;

    my $socket = $self->{socket};
    my $end = time + ($seconds // 30) * $Host::patience;
    my $sent = 0;
    local $SIG{PIPE} = 'IGNORE';

    while ($sent < length $bytes) {
        my $n = syswrite $socket, $bytes, length($bytes) - $sent, $sent;

        if (defined $n) {
            $sent += $n;
            next;
        }

        return 0 if !($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
        return 0 if time > $end;
        IO::Select->new($socket)->can_write(1);
    }

    return 1;
}


# sends in pieces of so many bytes, with a pause after each

sub send_slowly {
    my ($self, $bytes, $size, $pause) = @_;

    for (my $at = 0; $at < length $bytes; $at += $size) {
        $self->send(substr $bytes, $at, $size) or return 0;
        sleep $pause;
    }

    return 1;
}


# no more from us, but we still listen

sub half_close { shutdown $_[0]{socket}, SHUT_WR; }


sub close { CORE::close($_[0]{socket}); }


# closes with RST instead of FIN

sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0);
    CORE::close($self->{socket});
}


# reads what is there, waiting at most until the given time; 0 at the end

sub fill {
    my ($self, $until) = @_;

    return 0 if $self->{eof};

    while (1) {
        my $n = sysread $self->{socket}, my $data, 65536;

        if ($n) {
            $self->{in} .= $data;
            return $n;
        }

        if (defined $n || !($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR})) {
            $self->{eof} = 1;
            return 0;
        }

        my $left = $until - time;
        return undef if $left <= 0;
        IO::Select->new($self->{socket})->can_read($left);
    }
}


# 1 if the other side has closed, or does within the seconds

sub closed {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds // 30) * $Host::patience;

    while (!$self->{eof}) {
        last if !defined $self->fill($until);
    }

    return $self->{eof};
}


# the bytes read so far and not yet given out

sub pending { return $_[0]{in}; }


sub read_head {
    my ($self, $r, $until) = @_;

    while ($self->{in} !~ /\r\n\r\n/) {
        my $n = $self->fill($until);

        if (!$n) {
            $r->{reason} = defined $n ? 'closed before the answer' : 'time-out';
            return 0;
        }
    }

    $self->{in} =~ s/^(.*?)\r\n\r\n//s;
    my ($line, @lines) = split /\r\n/, $1;

    if ($line !~ m{^HTTP/1\.[01] (\d{3}) ?(.*)$}) {
        $r->{reason} = "bad status line \"$line\"";
        return 0;
    }

    @$r{qw(status reason)} = ($1, $2);

    for (@lines) {
        my ($name, $value) = /^([^:]+):\s*(.*?)\s*$/ or next;
        push @{ $r->{list} }, [ $name, $value ];
        my $key = lc $name;
        $r->{headers}{$key} = exists $r->{headers}{$key}
                              ? "$r->{headers}{$key}, $value" : $value;
    }

    return 1;
}


# takes bytes of the body from the buffer; at most so many if a number is given

sub take {
    my ($self, $r, $max) = @_;

    my $data = substr $self->{in}, 0, $max // length $self->{in}, '';
    return 0 if $data eq '';

    $r->{body} .= $data;
    push @{ $r->{pieces} }, [ time - $self->{began}, $data ];
    return length $data;
}


sub read_chunked {
    my ($self, $r, $until) = @_;

    while (1) {
        while ($self->{in} !~ /^[0-9a-fA-F]+[^\r\n]*\r\n/) {
            $self->fill($until) or return 0;
        }

        $self->{in} =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n//;
        my $left = hex $1;

        if ($left == 0) {
            while ($self->{in} !~ s/^(?:[^\r\n]+\r\n)*\r\n//) {
                $self->fill($until) or return 0;
            }

            return 1;
        }

        while ($left) {
            my $n = $self->take($r, $left);
            $left -= $n;
            $n || $self->fill($until) or return 0;
        }

        while (length $self->{in} < 2) {
            $self->fill($until) or return 0;
        }

        substr $self->{in}, 0, 2, '';
    }
}


sub read_body {
    my ($self, $r, $until) = @_;

    my $h = $r->{headers};

    return 1 if $r->{status} == 204 || $r->{status} == 304
                || ($self->{method} // '') eq 'HEAD';

    if (($h->{'transfer-encoding'} // '') =~ /chunked/i) {
        return $self->read_chunked($r, $until);
    }

    if (defined $h->{'content-length'}) {
        my $left = $h->{'content-length'};

        while ($left > 0) {
            my $n = $self->take($r, $left);
            $left -= $n;
            $n || $self->fill($until) or return 0;
        }

        return 1;
    }

    while (1) {
        $self->take($r);
        my $n = $self->fill($until) // return 0;
        return 1 if $n == 0;
    }
}


# the next answer on this connection

sub response {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds // 60) * $Host::patience;
    my $r = { status => 0, reason => '', headers => {}, list => [],
              body => '', pieces => [], complete => 0 };

    do {
        @$r{qw(headers list)} = ({}, []);

        if (!$self->read_head($r, $until)) {
            $r->{status} = 0;
            return $r;
        }

    } while ($r->{status} == 100);

    $r->{complete} = $self->read_body($r, $until);
    $r->{seconds} = time - $self->{began};
    return $r;
}


# Waits for the pieces of an answer, one after the other, and says in the file
# that it has each, so that the server sends the next (Upstream::in_turn): how
# many came.  They stay for "response".

sub in_turn {
    my ($self, $file, @pieces) = @_;

    my ($n, $from) = (0, 0);
    my $until = time + 20 * $Host::patience;
    Host::spew($file, '');

    for my $piece (@pieces) {
        my $at;

        while (($at = index $self->{in}, $piece, $from) < 0) {
            $self->fill($until) or return $n;
        }

        $from = $at + length $piece;
        Host::spew($file, '.' x ++$n);
    }

    return $n;
}


# one request on a connection of its own

sub fetch {
    my ($where, $method, $uri, $headers, $body) = @_;

    my $c = Wire->new($where)
            // return { status => 0, reason => "connect: $!", headers => {},
                        list => [], body => '', pieces => [], complete => 0 };

    $c->request($method, $uri, { Connection => 'close', %{ $headers || {} } },
                $body);
    return $c->response;
}


# the body of an answer as data; dies if it is not JSON

sub decode {
    my ($r) = @_;

    return $json->decode($r->{body});
}


# many requests ([ method, uri, headers, body ]) over some connections that are
# kept alive; the answers in the order of the requests

sub many {
    my ($where, $requests, $connections) = @_;

    my $n = $connections // 16;
    my @answers;
    my @parts = map { [] } 1 .. $n;

    push @{ $parts[$_ % $n] }, $_ for 0 .. $#$requests;

    my @open = grep { @{ $_->{todo} } } map { { todo => $_ } } @parts;

    for my $o (@open) {
        $o->{wire} = Wire->new($where) // die "connect: $!\n";
        next_of($o, $requests);
    }

    my $until = time + 600;

    while (@open) {
        my $select = IO::Select->new(map { $_->{wire}{socket} } @open);
        my %ready = map { $_ => 1 } $select->can_read($until - time);
        die "no answer within 600 s\n" if !%ready;

        for my $o (@open) {
            next if !$ready{ $o->{wire}{socket} };

            my $r = $answers[ $o->{at} ] = $o->{wire}->response;

            if ($o->{wire}{eof}
                || ($r->{headers}{connection} // '') eq 'close')
            {
                $o->{wire} = Wire->new($where) // die "connect: $!\n";
            }

            next_of($o, $requests);
        }

        @open = grep { defined $_->{at} } @open;
    }

    return @answers;
}


sub next_of {
    my ($o, $requests) = @_;

    $o->{at} = shift @{ $o->{todo} };
    $o->{wire}->request(@{ $requests->[ $o->{at} ] }) if defined $o->{at};
}


1;
