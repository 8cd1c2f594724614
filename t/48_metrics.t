#!/usr/bin/perl

# What operators see: /metrics in a form that Prometheus takes, numbers that
# are what has happened, and four alerts that come when they should and only
# then.  If this breaks, a scrape is refused, a figure lies, or a catalog that
# is slow, missing or half read goes unnoticed.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Test::More;

use Gateway;
use Host qw(slurp spew start_process top wait_until);
use Upstream;

my $dir = tempdir('model-m-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $conf = top() . '/conf';
my $promtool = (grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH})[0];


# the exit status and the output of promtool

sub promtool {
    my (@args) = @_;

    unlink "$dir/out";
    waitpid start_process("$dir/out", 'sh', '-c', 'cd "$1"; shift; exec "$@"',
                          'sh', $dir, $promtool, @args), 0;
    return ($?, slurp("$dir/out"));
}


sub scrape {
    my ($gw) = @_;

    return $gw->api(GET => '/metrics')->{body};
}


# lines of a scrape as { 'name{labels}' => value }

sub series {
    my ($text) = @_;

    return map { /^(\S+(?:\{.*\})?) (\S+)$/ ? ($1 => $2) : () }
           grep { !/^#/ } split /\n/, $text;
}


# a source with two entries, one of which is no model

my $source = Upstream->new(sub {
    return { json => { acme => { id => 'acme', name => 'Acme', models => {
        good => { id => 'good', name => 'Good' },
        fine => { id => 'fine', name => 'Fine' },
        bad => [ 'no model' ],
    } } } };
});

my $gw = Gateway->new(workers => 2, catalog => $source->url . '/api.json');
$gw->start->wait_ready;
my %headers = (Authorization => 'Bearer ' . $gw->token('viewer'));


subtest 'the form' => sub {
    my $text = scrape($gw);
    my %seen;

    for my $line (grep { /^# TYPE / } split /\n/, $text) {
        my ($name) = $line =~ /^# TYPE (\S+) (?:counter|gauge|histogram)$/
            or fail($line);
        is($seen{$name}++, 0, "$name is described once");
    }

    SKIP: {
        skip 'promtool is not installed; see make deps', 1 if !$promtool;

        spew("$dir/metrics", $text);
        my ($status, $out) = (0, '');
        waitpid start_process("$dir/check", 'sh', '-c',
                              "$promtool check metrics < $dir/metrics"), 0;
        is($? . slurp("$dir/check"), '0', 'promtool has nothing to say');
    }
};


subtest 'histograms add up' => sub {
    my %s = series(scrape($gw));
    my @counts = grep { /^\w+_duration_seconds_count/ } sort keys %s;

    cmp_ok(scalar @counts, '>=', 6, 'there are some');

    for my $count (@counts) {
        my ($name, $labels) = $count =~ /^(\w+)_count(?:\{(.*)\})?$/;
        my $set = defined $labels ? "$labels," : '';
        my ($last, $bad) = (0, 0);

        for my $key (sort { $a->[0] <=> $b->[0] }
                     map { /^\Q${name}_bucket{$set\Ele="([\d.]+)"\}$/
                           ? [ $1, $s{$_} ] : () } keys %s)
        {
            $bad++ if $key->[1] < $last;
            $last = $key->[1];
        }

        is($bad, 0, "$count: buckets only grow");
        cmp_ok($last, '<=', $s{$count}, 'none is above the count');
        is($s{qq(${name}_bucket{${set}le="+Inf"})}, $s{$count},
           'the last bucket is the count');
    }
};


subtest 'the numbers are what has happened' => sub {
    my %before = series(scrape($gw));
    my $requests = 37;

    for (1 .. $requests) {
        is($gw->get('/api/v1/models?limit=1', \%headers)->{status}, 200,
           'a request') if $_ == 1;
        $gw->get('/api/v1/models?limit=1', \%headers) if $_ > 1;
    }

    # some is counted behind the answer, where another worker may be the next

    my %after;
    my $grown = sub { return $after{$_[0]} - $before{$_[0]} };
    my $counted = sub {
        my ($name, $n) = @_;
        wait_until(sub { %after = series(scrape($gw)); $grown->($name) >= $n });
    };
    $counted->('nginx_model_catalog_request_duration_seconds_count', $requests);

    for my $name ('nginx_model_cache_hits_total{layer="l1"}',
                  'nginx_model_catalog_requests_total',
                  'nginx_model_catalog_request_duration_seconds_count')
    {
        is($grown->($name), $requests, "$name: each request");
    }

    is($grown->('nginx_model_cache_misses_total{layer="l1"}'), 0, 'no miss');
    is($grown->('nginx_model_catalog_stale_answers_total'), 0, 'none stale');
    cmp_ok($grown->('nginx_model_catalog_request_duration_seconds_sum'),
           '>', 0, 'they took some time');

    # a change: one build, which asks the database

    %before = %after;
    $gw->sql("update model.models_metadata set name = 'Better'
              where id = 'acme/good'");
    ok(wait_until(sub {
        $gw->get('/api/v1/models/acme/good', \%headers)->{body} =~ /"Better"/
    }), 'a change is served');
    $counted->('nginx_model_cache_hits_total{layer="l3"}', 1);

    my $kind = 'kind="catalog",source="database"';
    is($grown->("nginx_model_rebuild_duration_seconds_count{$kind}"), 1,
       'one rebuild');
    cmp_ok($grown->("nginx_model_rebuild_duration_seconds_sum{$kind}"), '>',
           0, 'which took some time');
    cmp_ok($grown->('nginx_model_database_query_duration_seconds_count'),
           '>', 1, 'and some statements');
    is($grown->('nginx_model_cache_misses_total{layer="l2"}'), 1,
       'it was not in Redis');
    is($grown->('nginx_model_cache_hits_total{layer="l3"}'), 1,
       'but in PostgreSQL');

    for my $kind ('catalog', 'routing') {
        is($after{qq(nginx_model_snapshot_bytes{kind="$kind"})},
           -s $gw->dir . "/state/$kind.snap", "size of the $kind file");
        is($after{qq(nginx_model_snapshot_generation{kind="$kind"})},
           $gw->sql_value("select generation from model.catalog_generation
                           where name = :'kind'", kind => $kind),
           "$kind: the database's generation");
    }

    cmp_ok($after{'nginx_model_snapshot_age_seconds{kind="catalog"}'}, '<=',
           $after{'nginx_model_snapshot_age_seconds{kind="routing"}'},
           'the catalog is the younger one');
    is($after{'nginx_model_catalog_stale'}, 0, 'nothing is stale');
};


subtest 'what sources send' => sub {
    my %s = series(scrape($gw));

    is($s{nginx_model_transform_entries_total}, 3, 'three entries were read');
    is($s{nginx_model_transform_errors_total}, 1, 'one was no model');

    my %calls = map { /^nginx_model_outbound_calls_total\{(.*)\}$/
                      ? ($1 => $s{$_}) : () } keys %s;
    my ($ok) = grep { /outcome="ok"/ } keys %calls;
    ok($ok, 'the source was called') or diag explain \%calls;
    is($calls{$ok // ''}, 1, 'once, and answered');
};


subtest 'alerts' => sub {
    plan skip_all => 'promtool is not installed; see make deps' if !$promtool;

    my $rules = slurp("$conf/prometheus-alerts.yml");
    my @files = ('prometheus-alerts.yml', 'prometheus-alerts.test.yml');
    spew("$dir/$_", slurp("$conf/$_")) for @files;

    my ($status, $out) = promtool('check', 'rules', $files[0]);
    is($status, 0, 'the rules are rules') or diag($out);
    ($status, $out) = promtool('test', 'rules', $files[1]);
    is($status, 0, 'they do what their tests say') or diag($out);

    my @alerts = $rules =~ /- alert: (\w+)\n\s+expr: (.*)/g;
    is(@alerts, 8, 'four of them');

    # a rule that says something else is noticed

    while (my ($alert, $expr) = splice @alerts, 0, 2) {
        for my $bent ($expr =~ s/[<>]/!=/r,
                      $expr =~ s/([\d.]+)$/$1 * 100/er,
                      $expr =~ s/([\d.]+)$/$1 \/ 100/er)
        {
            my $other = $rules =~ s/\Q$expr\E/$bent/r;
            spew("$dir/$files[0]", $other);
            ($status, $out) = promtool('test', 'rules', $files[1]);
            isnt($status, 0, "$alert: not when it were $bent");
        }
    }

    # and they are about what the gateway says

    my %s = map { s/\{.*//r => 1 } keys %{ { series(scrape($gw)) } };
    my %used = map { $_ => 1 } $rules =~ /\b(nginx_model_\w+)/g;

    ok($s{$_}, "$_ is there") for sort keys %used;
};


done_testing;
