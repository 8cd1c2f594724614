# bench/rows/proxy.pl: an inference through the split, next to nginx without the
# module, HAProxy, lua, njs and Portkey's gateway.

use strict;
use warnings;

use Bench;
use Contenders;
use Time::HiRes qw(sleep);

row('proxy-1k', sub { proxy(1024, 64, 256, 1.15) });
row('proxy-100k', sub { proxy(102400, 16, 64, 1.8) });
row('proxy-rate', sub { at_rate($_, 1.15) for 10_000, 20_000, 40_000 });

# requests a second of the gateway, at least so many times those of ...

my %faster = ('lua + cjson' => 1.8, 'njs' => 2.5, 'Portkey' => 50);

sub proxy {
    my ($size, $connections, $keys, $bar) = @_;
    my @mock = mock();
    my $threads = 'thread_pool idle threads=4 max_queue=64;';
    my @contenders = (stock_proxy(@mock), gateway_proxy(@mock),
                      { %{ gateway_proxy(@mock, 'model_record off;') },
                        name => 'without records' },
                      stock_proxy(@mock, main => $threads,
                                  name => 'stock with threads'),
                      haproxy(@mock), lua(@mock), njs(@mock),
                      portkey(@mock));

    # the others do not look at the token, but they read as many bytes

    for my $c (@contenders) {
        $c->{run} = sub {
            wrk("http://127.0.0.1:$c->{port}", 'post.lua', $seconds,
                $connections, BENCH_BODY => $size, BENCH_KEYS => $keys,
                BENCH_TOKEN => $c->{token} // $contenders[1]{token},
                BENCH_HEADER => $c->{headers} // '');
        };
    }

    my $thrown = rounds($rounds, @contenders);

    print "proxy, $size bytes, $connections connections, 90/10, one core",
          " ($thrown rounds thrown away)\n";
    compare($contenders[0], \@contenders, { gateway => $bar });
    faster($contenders[1], \@contenders, \%faster);
    records($contenders[1]);
}


# The same work for all: so many requests of 1 KB a second, whoever could do
# more.  Bench::wrk() sends the next one as soon as one is answered, so that each
# contender has another rate there, and another share of waking up.

sub at_rate {
    my ($rate, $bar) = @_;
    my ($connections, $keys) = (64, 256);
    my @mock = mock();
    my @contenders = (stock_proxy(@mock), gateway_proxy(@mock),
                      { %{ gateway_proxy(@mock, 'model_record off;') },
                        name => 'without records' },
                      lua(@mock));
    my $pace = pace();

    for my $c (@contenders) {
        my $token = $c->{token} // $contenders[1]{token};

        $c->{run} = sub {
            my ($n, @rest) = $pace->($c->{port}, $connections, $rate, $seconds,
                                     $token, $keys);
            my ($took, $failed) = @rest[-2, -1];
            return ($n, $took / 1e6, $failed);
        };
    }

    my $thrown = rounds($rounds, @contenders);

    print "proxy, 1024 bytes, $rate requests a second, 90/10, one core",
          " ($thrown rounds thrown away)\n";
    compare($contenders[0], \@contenders,
            { gateway => $bar, 'without records' => $bar });
    records($contenders[1]);
}


# Every request that was answered has its row.

sub records {
    my ($c) = @_;

    sleep 2;

    my $metrics = HTTP::Tiny->new
        ->get("http://127.0.0.1:$c->{port}/metrics")->{content};
    my ($split) = $metrics =~ /^nginx_model_split_requests_total (\d+)/m;
    my %n = $metrics =~ /^nginx_model_records_total\{outcome="(\w+)"\} (\d+)/mg;
    printf "  records: %d requests split, %s\n", $split // -1,
           join ', ', map { "$n{$_} $_" } sort keys %n;
}


1;
