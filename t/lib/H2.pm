package H2;

# An HTTP/2 client with prior knowledge (RFC 9113), as small as a test needs and
# as rude as it wants: headers go out as they are given, true or not.
#
#     my $c = H2->new($port);
#     my $id = $c->request({ ':path' => '/v1/x', ... }, $body);
#     my @r = $c->responses(1);       # { stream, status, body, reset }
#
# Of the answer's headers only the status is read.  Bodies that are larger than
# the windows wait for room, as they must.

use v5.28;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw(time);

use Host ();

my %type = (DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
            GOAWAY => 7, WINDOW_UPDATE => 8);
my %status = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
              14 => 500);

use constant { END_STREAM => 1, END_HEADERS => 4, ACK => 1,
               INITIAL_WINDOW_SIZE => 4, HEADER_TABLE_SIZE => 1 };


sub new {
    my ($class, $port) = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $port, Timeout => 10) or return;
    my $self = bless { socket => $socket, in => '', next => 1, window => 65535,
                       initial => 65535, streams => {} }, $class;

    syswrite $socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    $self->frame(SETTINGS => 0, 0, pack 'nN', HEADER_TABLE_SIZE, 0);
    return $self;
}


sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;

    my $bytes = substr(pack('N', length $payload), 1)
                . pack('CCN', $type{$type}, $flags, $stream) . $payload;
    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes or return 0;
        substr $bytes, 0, $n, '';
    }
    return 1;
}


# a string of HPACK, plain; its length in a prefix of seven bits

sub text {
    my ($text) = @_;

    my $n = length $text;
    return chr($n) . $text if $n < 127;

    my $bytes = chr 127;

    for ($n -= 127; $n >= 128; $n >>= 7) {
        $bytes .= chr($n % 128 + 128);
    }

    return $bytes . chr($n) . $text;
}


# sends a request, and returns the number of its stream; headers may be a
# reference to a list of names and values

sub request {
    my ($self, $headers, $body) = @_;

    my %all = (':method' => 'POST', ':scheme' => 'http',
               ':authority' => 'localhost');
    my @list = ref $headers eq 'ARRAY' ? @$headers : ();

    if (!@list) {
        %all = (%all, %$headers);
        @list = map { $_ => $all{$_} } grep { defined $all{$_} } sort keys %all;
    }

    my $id = $self->{next};
    my $block = '';
    $self->{next} += 2;
    $self->{streams}{$id} = { stream => $id, status => 0, body => '',
                              window => $self->{initial} };

    while (my ($name, $value) = splice @list, 0, 2) {
        $block .= "\0" . text($name) . text($value);
    }

    $self->frame(HEADERS => END_HEADERS | (defined $body ? 0 : END_STREAM), $id,
                 $block);
    $self->data($id, $body) if defined $body;
    return $id;
}


sub data {
    my ($self, $id, $body) = @_;

    my $stream = $self->{streams}{$id};

    while (1) {
        my ($n) = sort { $a <=> $b } length $body, 16384, $self->{window},
                                     $stream->{window};
        my $last = $n == length $body;

        if ($n > 0 || $last) {
            $self->{window} -= $n;
            $stream->{window} -= $n;
            $self->frame(DATA => $last ? END_STREAM : 0, $id,
                         substr $body, 0, $n, '') or return;
            return if $last;
            next;
        }

        return if $stream->{ended} || !$self->read_frame(time + 30);
    }
}


# the answers of all streams once so many have ended, or the time is over

sub responses {
    my ($self, $n, $seconds) = @_;

    my $until = time + ($seconds // 30) * $Host::patience;
    my $ended = sub { grep { $_->{ended} } values %{ $self->{streams} } };

    while ($ended->() < $n && $self->read_frame($until)) { }

    return map { $self->{streams}{$_} }
           sort { $a <=> $b } keys %{ $self->{streams} };
}


# 0 if there was none

sub read_frame {
    my ($self, $until) = @_;

    my $need = sub {
        my ($n) = @_;

        while (length $self->{in} < $n) {
            my $left = $until - time;
            return 0 if $left <= 0
                        || !IO::Select->new($self->{socket})->can_read($left)
                        || !sysread $self->{socket}, $self->{in}, 65536,
                                    length $self->{in};
        }
        return 1;
    };

    $need->(9) or return 0;
    my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $self->{in};
    my $len = $high << 16 | $low;
    $need->(9 + $len) or return 0;

    substr $self->{in}, 0, 9, '';
    $self->take($type, $flags, $id, substr $self->{in}, 0, $len, '');
    return 1;
}


sub take {
    my ($self, $type, $flags, $id, $payload) = @_;

    my $stream = $self->{streams}{$id} // {};

    if ($type == $type{SETTINGS} && !($flags & ACK)) {
        while ($payload =~ s/^(..)(....)//s) {
            my ($name, $value) = (unpack('n', $1), unpack 'N', $2);
            next if $name != INITIAL_WINDOW_SIZE;
            $_->{window} += $value - $self->{initial}
                for values %{ $self->{streams} };
            $self->{initial} = $value;
        }
        $self->frame(SETTINGS => ACK, 0, '');

    } elsif ($type == $type{WINDOW_UPDATE}) {
        ($id ? $stream : $self)->{window} += unpack 'N', $payload;

    } elsif ($type == $type{PING} && !($flags & ACK)) {
        $self->frame(PING => ACK, 0, $payload);

    } elsif ($type == $type{HEADERS} && !$stream->{status}) {

        # an update of the table's size may come first; the status is either
        # in the static table, or a literal of three digits
        $payload =~ s/^[\x20-\x3f]//;
        $stream->{status} = $payload =~ /^[\x08\x48]\x03(\d{3})/ ? $1
                            : $status{ ord($payload) & 127 };

    } elsif ($type == $type{DATA}) {
        $stream->{body} .= $payload;

    } elsif ($type == $type{RST_STREAM}) {
        $stream->{reset} = unpack 'N', $payload;
        $stream->{ended} = 1;

    } elsif ($type == $type{GOAWAY}) {
        $self->{goaway} = unpack 'x4N', $payload;
    }

    $stream->{ended} = 1 if ($type == $type{DATA} || $type == $type{HEADERS})
                            && $flags & END_STREAM;
}


1;
