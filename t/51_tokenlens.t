#!/usr/bin/perl

# An application that reads models.dev with the npm package "@tokenlens/fetch"
# must be able to read the gateway's /api.json instead and miss nothing: not a
# provider, not a model, not a member that models.dev has.  Without node or the
# package this test says so, and checks what it can without them.

use v5.28;
use warnings;

use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(slurp top wait_until);

my $doc = decode_json(slurp(top() . '/conf/models.dev/api.json'));
my $gw = Gateway->new(catalog => 'bundled');
$gw->start->wait_ready;

my $token = $gw->token('viewer');
my %auth = (Authorization => "Bearer $token");

wait_until(sub {
    my $r = $gw->get('/api/v1/models', \%auth);
    return ($r->{json}{pagination}{total} // 0) > 5000;
}, 20) or die "the bundled catalog was not loaded\n";


# What differs between two values, as paths; numbers are compared as numbers,
# to the nine decimals that a price is kept with.

sub differences {
    my ($got, $want, $path) = @_;

    if (ref $want eq 'HASH') {
        return "$path: no object" if ref $got ne 'HASH';
        my %keys = map { $_ => 1 } keys %$got, keys %$want;

        return map {
            !exists $got->{$_} ? "$path/$_: lost"
            : !exists $want->{$_} ? "$path/$_: made up"
            : differences($got->{$_}, $want->{$_}, "$path/$_")
        } sort keys %keys;
    }

    if (ref $want eq 'ARRAY') {
        return "$path: no array of that length"
            if ref $got ne 'ARRAY' || @$got != @$want;

        # which ones there are, in whatever order
        ($got, $want) = map { [ sort @$_ ] } $got, $want
            if $path =~ m{/modalities/\w+$};

        return map { differences($got->[$_], $want->[$_], "$path/$_") }
               0 .. $#$want;
    }

    my ($g, $w) = map { defined $_ ? encode_json([$_]) : 'null' } $got, $want;
    my $number = qr/^\["?(-?[\d.]+(?:[eE][-+]?\d+)?)"?\]$/;

    return () if $g eq $w;
    return () if $g =~ $number && $w =~ $number
                 && abs($got - $want) < 1e-9;
    return "$path: $g is not $w";
}


sub nothing_lost {
    my ($got, $what) = @_;
    my @bad = differences($got, $doc, '');

    is scalar @bad, 0, "$what: no member is lost, changed or made up"
        or diag(join "\n", @bad > 20 ? (@bad[0 .. 19], '...') : @bad);
}


nothing_lost($gw->get('/api.json', \%auth)->{json}, 'as it is');


SKIP: {
    chomp(my $node = `node --version 2>/dev/null` // '');

    skip 'node 18 or later is not installed', 1
        if $node !~ /^v(\d+)/ || $1 < 18;

    my $packages = top() . '/build/tokenlens';
    my $files = top() . '/t/tokenlens';

    if (!-d "$packages/node_modules/\@tokenlens/fetch") {
        system("mkdir -p $packages && cp $files/package.json $packages/"
               . " && cd $packages && npm install --no-fund --no-audit"
               . ' --silent >npm.log 2>&1') == 0
            or skip 'npm could not install the package "@tokenlens/fetch"', 1;
    }

    system('cp', "$files/client.mjs", "$packages/");

    my $text = `cd $packages && node client.mjs @{[ $gw->url('/api.json') ]} \\
                $token 2>$packages/client.log`;
    my $out = eval { decode_json($text) };

    ok $out, 'the client ran to its end'
        or diag substr($text, 0, 500) . slurp("$packages/client.log");
    $out //= {};

    nothing_lost($out->{catalog}, 'through the client');
    is_deeply [ sort keys %{ $out->{provider}{models} } ],
              [ sort keys %{ $doc->{openai}{models} } ], 'one provider';
    is $out->{model}{name}, $doc->{openai}{models}{'gpt-4o'}{name},
       'one model';
    is_deeply [ sort @{ $out->{everywhere} // [] } ],
              [ sort grep { $doc->{$_}{models}{'gpt-4o'} } keys %$doc ],
              'a model wherever it is';
    is_deeply $out->{error}, { typed => JSON::PP::true, code => 'HTTP',
                               status => 401 },
       'an error it understands';
}

done_testing;
