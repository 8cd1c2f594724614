# bench/rows/decide.pl: the decision by itself, among many groups.

use strict;
use warnings;

use Bench;

row('decide', \&decide);


# In CPU time of one thread: next to a request's way through nginx, a client
# could not tell it from nothing.

sub decide {
    my $out = "$dir/micro_decide";
    my $build = "cc -O2 -I$top/src -o $out $top/bench/micro_decide.c"
        . " $top/src/base/[a-z]*.c $top/src/model/[a-z]*.c"
        . " $top/src/snapshot/[a-z]*.c -lyajl -lwslay -lcrypto -lz -lm"
        . ' -lpthread';

    system($build) == 0 or die "bench: micro_decide does not compile\n";

    my ($line) = `taskset -c 0 $out`;
    my ($p99) = $line =~ / p99 (\S+) us/ or die "bench: it said: $line\n";

    chomp $line;
    printf "%s\n  p99, bar 1 us: %s\n", $line, $p99 <= 1 ? 'met' : 'MISSED';
    return;
}


1;
