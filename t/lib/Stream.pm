package Stream;

# Clients of streams: server-sent events, and WebSocket with frames as a test
# wants them, right or wrong.
#
#     my $s = Stream::events($where, $uri, \%headers);      # status, headers
#     my $e = $s->event($seconds);         # { id, data, json, retry }
#
#     my $s = Stream::socket($where, $uri, \%headers);
#     $s->frame(0x1, 'text', mask => 0, fin => 0);
#     my ($opcode, $payload) = $s->next($seconds);
#     my $json = $s->message($seconds);    # pings in between are answered
#
# where: a port, or the path of a socket.  What comes late is undef or an empty
# list; "ended" says whether the other side is gone.

use v5.28;
use warnings;

use Digest::SHA qw(sha1_base64);
use JSON::PP ();
use Time::HiRes qw(time);

use Wire;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

our $KEY = 'dGhlIHNhbXBsZSBub25jZQ==';


sub open_stream {
    my ($where, $uri, $headers) = @_;

    my $wire = Wire->new($where) or die "connect: $!\n";
    my $self = bless { wire => $wire, in => '' }, __PACKAGE__;
    my $r = { status => 0, reason => '', headers => {}, list => [],
              body => '' };

    $wire->request('GET', $uri, $headers);
    $wire->read_head($r, time + 30 * $Host::patience);
    @$self{qw(status headers)} = @$r{qw(status headers)};

    if ($r->{status} != 200 && $r->{status} != 101) {
        $wire->read_body($r, time + 30 * $Host::patience) if $r->{status};
        $self->{body} = $r->{body};
        $self->{json} = eval { $json->decode($r->{body}) };
    }

    return $self;
}


sub events { return open_stream(@_); }


sub socket {
    my ($where, $uri, $headers) = @_;

    return open_stream($where, $uri, {
        Connection => 'Upgrade', Upgrade => 'websocket',
        'Sec-WebSocket-Version' => 13, 'Sec-WebSocket-Key' => $KEY,
        %{ $headers || {} } });
}


sub accept_of {
    my ($key) = @_;

    return sha1_base64("${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11") . '=';
}


sub wire { return $_[0]{wire}; }
sub ended { return $_[0]{wire}->closed($_[1] // 10); }
sub close { $_[0]{wire}->close; }


# what has come, without its chunks; 0 at the end, undef if nothing came in time

sub fill {
    my ($self, $until) = @_;

    my $n = $self->take;
    return $n if $n || $self->{last};

    $n = $self->{wire}->fill($until);
    $self->take if $n;
    return $n;
}


sub take {
    my ($self) = @_;

    my $in = \$self->{wire}{in};
    my $before = length $self->{in};

    if (($self->{headers}{'transfer-encoding'} // '') ne 'chunked') {
        $self->{in} .= $$in;
        $$in = '';
    }

    while ($$in =~ /^([0-9a-f]+)\r\n/i) {
        my ($head, $size) = ($+[0], hex $1);
        last if length $$in < $head + $size + 2;

        $self->{last} = 1 if $size == 0;
        $self->{in} .= substr $$in, $head, $size;
        substr $$in, 0, $head + $size + 2, '';
    }

    return length($self->{in}) - $before;
}


# the next event that has data; comments are counted

sub event {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds // 10) * $Host::patience;

    while (1) {
        while ($self->{in} =~ s/^(.*?)\n\n//s) {
            my %e;

            for (split /\n/, $1) {
                $self->{comments}++ if /^:/;
                $self->{retry} = $1 if /^retry: (\d+)/;
                $e{$1} = $2 if /^(id|data|event): (.*)/;
            }

            next if !defined $e{data};
            $e{json} = $json->decode($e{data});
            return \%e;
        }

        return undef if !$self->fill($until);
    }
}


# -- WebSocket --

# options: fin (1), mask (1), rsv (0), length (that is said), cut

sub frame {
    my ($self, $opcode, $payload, %o) = @_;

    my $mask = $o{mask} // 1;
    my $length = $o{length} // length $payload;
    my $head = pack 'C', (($o{fin} // 1) << 7) | (($o{rsv} // 0) << 4)
                         | $opcode;

    $head .= $length < 126 ? pack('C', $length | $mask << 7)
             : $length < 65536 ? pack('Cn', 126 | $mask << 7, $length)
             : pack('CQ>', 127 | $mask << 7, $length);

    if ($mask) {
        my $key = pack 'N', 0x1badf00d;
        $head .= $key;
        $payload ^.= substr $key x (length($payload) / 4 + 1), 0,
                           length $payload;
    }

    my $bytes = $head . $payload;
    $bytes = substr $bytes, 0, $o{cut} if defined $o{cut};

    return $self->{wire}->send($bytes, 5);
}


# the next frame of the server, which must not be masked

sub next {
    my ($self, $seconds) = @_;

    my $until = time + ($seconds // 10) * $Host::patience;

    while (1) {
        my $in = \$self->{in};

        if (length $$in >= 2) {
            my ($first, $second) = unpack 'CC', $$in;
            die "masked by the server\n" if $second & 0x80;

            my ($head, $length) = (2, $second);
            ($head, $length) = (4, unpack 'x2n', $$in)
                if $second == 126 && length $$in >= 4;
            ($head, $length) = (10, unpack 'x2Q>', $$in)
                if $second == 127 && length $$in >= 10;

            if ((($second < 126) || $head > 2)
                && length $$in >= $head + $length)
            {
                my $payload = substr $$in, $head, $length;
                substr $$in, 0, $head + $length, '';
                return ($first & 0xf, $payload);
            }
        }

        return if !$self->fill($until);
    }
}


sub message {
    my ($self, $seconds) = @_;

    while (my ($opcode, $payload) = $self->next($seconds)) {
        return $json->decode($payload) if $opcode == 1;
        $self->frame(0xa, $payload) if $opcode == 9;

        if ($opcode == 8) {
            $self->{code} = length $payload ? unpack 'n', $payload : 1005;
            return undef;
        }
    }

    return undef;
}


# the code of the close frame that comes, undef if none does

sub code {
    my ($self, $seconds) = @_;

    while (!defined $self->{code}) {
        my ($opcode, $payload) = $self->next($seconds) or return undef;
        $self->{code} = length $payload ? unpack 'n', $payload : 1005
            if $opcode == 8;
    }

    return $self->{code};
}


1;
