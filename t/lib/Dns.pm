package Dns;

# A name server whose answers a test sets, and changes while it runs.
#
#     my $dns = Dns->new;
#     $dns->set('api.test' => { a => ['127.0.0.2'], ttl => 1 });
#     ... $dns->address ... $dns->asked('api.test') ... $dns->stop
#
# Of a name:
#     a, aaaa      addresses (IPv6 as 16 bytes in hex)
#     ttl          seconds (60)
#     cname        it is another name for this one
#     rcode        instead of an answer: 2 fails, 3 no such name
#     long         1: too long for UDP
#     silent       1: no answer at all
# A name that was not set does not exist.

use v5.28;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(inet_aton);

use Host qw(free_port slurp spew);
use Services ();

my $json = JSON::PP->new->utf8->canonical;
my @all;


sub new {
    my ($class) = @_;

    state $count = 0;
    my $base = Services::base() . "/dns.$$." . ++$count;
    my $self = bless { port => free_port(), zone => "$base.zone",
                       log => "$base.log", names => {}, owner => $$ }, $class;

    spew($self->{log}, '');
    $self->set;
    push @all, $self;
    return $self->start;
}


sub address { return "127.0.0.1:$_[0]{port}"; }


# the whole of what is known of these names

sub set {
    my ($self, %names) = @_;

    @{ $self->{names} }{ keys %names } = values %names;
    spew("$self->{zone}.new", $json->encode($self->{names}));
    rename "$self->{zone}.new", $self->{zone} or die "rename: $!\n";
    return $self;
}


# how often a name was asked for, both types together

sub asked {
    my ($self, $name) = @_;

    return scalar grep { $_ eq $name } split /\n/, slurp($self->{log});
}


sub start {
    my ($self) = @_;

    my %where = (LocalAddr => '127.0.0.1', LocalPort => $self->{port});
    my $udp = IO::Socket::INET->new(%where, Proto => 'udp')
              // die "udp port $self->{port}: $!\n";
    my $tcp = IO::Socket::INET->new(%where, Listen => 16, ReuseAddr => 1)
              // die "tcp port $self->{port}: $!\n";

    $self->{pid} = fork // die "fork: $!\n";
    return $self if $self->{pid};

    $SIG{$_} = 'DEFAULT' for qw(INT TERM);
    $self->serve($udp, $tcp);
    POSIX::_exit(0);
}


sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;
    kill 'KILL', $pid;
    waitpid $pid, 0;
}


sub serve {
    my ($self, $udp, $tcp) = @_;

    my $select = IO::Select->new($udp, $tcp);

    while (1) {
        for my $socket ($select->can_read) {
            if ($socket == $udp) {
                my $from = recv $udp, my $query, 4096, 0;
                my $answer = $self->answer($query, 0) // next;
                send $udp, $answer, 0, $from;
                next;
            }

            my $client = $tcp->accept or next;
            sysread $client, my $query, 4096;
            my $answer = $self->answer(substr($query, 2), 1) // next;
            syswrite $client, pack('n', length $answer) . $answer;
            close $client;
        }
    }
}


sub answer {
    my ($self, $query, $tcp) = @_;

    my ($id) = unpack 'n', $query;
    my ($name, $at) = ('', 12);

    while ((my $n = ord substr $query, $at, 1) > 0) {
        $name .= ($name eq '' ? '' : '.') . substr $query, $at + 1, $n;
        $at += $n + 1;
    }

    my $question = substr $query, 12, $at + 5 - 12;
    my ($type) = unpack 'n', substr $query, $at + 1, 2;

    open my $log, '>>', $self->{log} or return;
    syswrite $log, "$name\n";
    close $log;

    my $zone = $json->decode(slurp($self->{zone}));
    my $of = $zone->{$name} // { rcode => 3 };
    my ($owner, @records) = ("\xc0\x0c");

    return if $of->{silent};

    if ($of->{cname}) {
        my $target = wire($of->{cname});
        push @records, record($owner, 5, $of->{ttl}, $target);
        $of = $zone->{ $of->{cname} } // { rcode => 3 };
        $owner = $target;
    }

    if ($of->{long} && !$tcp) {
        return pack('nnnnnn', $id, 0x8380, 1, 0, 0, 0) . $question;
    }

    push @records, map { record($owner, 1, $of->{ttl}, inet_aton($_)) }
                   @{ $of->{a} || [] } if $type == 1;
    push @records, map { record($owner, 28, $of->{ttl}, pack 'H*', $_) }
                   @{ $of->{aaaa} || [] } if $type == 28;

    return pack('nnnnnn', $id, 0x8180 | ($of->{rcode} // 0), 1,
                scalar @records, 0, 0) . $question . join '', @records;
}


sub wire {
    my ($name) = @_;

    return join('', map { chr(length) . $_ } split /\./, $name) . "\0";
}


sub record {
    my ($owner, $type, $ttl, $data) = @_;

    return $owner . pack('nnNn', $type, 1, $ttl // 60, length $data) . $data;
}


END {
    local $?;
    $_->stop for grep { $_->{owner} == $$ } @all;
}


1;
