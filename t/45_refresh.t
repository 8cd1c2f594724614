#!/usr/bin/perl

# Refreshing the catalog.  If this breaks, a provider's own list is read in
# part and models vanish, a key shows in a log, a source that asks to be left
# alone is not, several nodes ask it at once, one that hangs or sends without
# end holds a thread, or an operator's typing error is found at night.

use v5.28;
use warnings;

use Compress::Zlib qw(memGzip);
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(slurp spew wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;
my $key = 'sk-refresh-0123456789-secret';
my @type = ('Content-Type', 'application/json');


# -- the other side: what it does next is in the file "mode" --

my $dir = Services::base() . "/refresh.$$";
mkdir $dir or die "$dir: $!\n";

sub mode { spew("$dir/mode", $_[0]); }

sub models_dev {
    my (@ids) = @_;

    return $json->encode({ lab => { id => 'lab', name => 'Lab', env => [],
        npm => 'x', doc => 'x',
        models => { map { $_ => { name => "Lab $_" } } @ids } } });
}

sub openai_list {
    return { object => 'list', data => [
        map { { id => $_, object => 'model', created => 1, owned_by => 'x' } }
            @_ ] };
}


# ten pages of Anthropic's list; the mode may break one of them

sub anthropic_page {
    my ($uri, $mode) = @_;

    my ($n) = $uri =~ /after_id=m(\d+)/;
    $n = defined $n ? $n + 1 : 0;
    my $last = $mode eq 'short' ? 2 : 9;

    return { status => 500, body => 'oops' } if $mode eq 'broken' && $n == 4;
    return { headers => \@type, body => '{"data":[{"id":"m4","ty', cut => 10 }
        if $mode eq 'cut' && $n == 4;
    return { headers => [ 'Content-Type', 'text/html' ], body => '<html>' }
        if $mode eq 'html' && $n == 4;
    $n = 3 if $mode eq 'circle' && $n == 5;

    return { json => { has_more => $n < $last ? JSON::PP::true
                                              : JSON::PP::false,
        first_id => "m$n", last_id => "m$n",
        data => [ { type => 'model', id => "m$n",
                    display_name => "Model $n",
                    created_at => '2026-01-01T00:00:00Z' } ] } };
}

mode('good');

my $up = Upstream->new(sub {
    my ($req) = @_;

    my $mode = slurp("$dir/mode");
    my $seen = $req->{headers}{'if-none-match'} // '';

    return anthropic_page($req->{uri}, $mode) if $req->{uri} =~ m{^/paged};

    if ($req->{uri} =~ m{^/litellm}) {
        return { json => { 'lab-one' => { litellm_provider => 'lab',
                 mode => 'chat', max_output_tokens => 4321,
                 input_cost_per_token => 1.5e-06 } } };
    }

    my $body = $req->{uri} =~ m{^/own}
               ? $json->encode(openai_list(qw(one two three four five six)))
               : models_dev(qw(one two three four five six));
    my $etag = 'W/"' . length($body) . '"';

    return { status => 304, headers => [ ETag => $etag ] }
        if $mode eq 'etag' && $seen eq $etag;
    return { headers => [ @type, ETag => $etag ], body => $body }
        if $mode eq 'good' || $mode eq 'etag';
    return { headers => [ @type, ETag => $etag, 'Content-Encoding', 'gzip' ],
             body => memGzip($body) } if $mode eq 'gzip';
    return { status => 401, json => { error => { message => "no $key" } } }
        if $mode eq 'refused';
    return { headers => [ 'Content-Type', 'text/html' ],
             body => '<html>Sign in</html>' } if $mode eq 'html';
    return { status => 302, headers => [ Location =>
             'http://169.254.169.254/latest/' ] } if $mode eq 'redirect';
    return { status => 503, body => 'oops' } if $mode eq 'down';
    return { status => 429, headers => [ 'Retry-After', 3600 ],
             body => 'later' } if $mode eq 'busy';
    return { headers => \@type, chunks => [ '{"lab":', \3600 ] }
        if $mode eq 'hang';
    return { headers => \@type, chunks => [ '{"lab":',
             map { ' ' x 1_000_000 } 1 .. 100 ] } if $mode eq 'endless';
    return { headers => \@type, chunks => [ map { ($_, \0.1) }
             substr($body, 0, 40), split(//, substr $body, 40, 25),
             substr $body, 65 ] } if $mode eq 'slow';
    return { headers => \@type, chunks => [ substr($body, 0, 40),
             sub { wait_until(sub { slurp("$dir/mode") ne 'gate' }) },
             substr $body, 40 ] } if $mode eq 'gate';

    # 429 once
    if ($mode eq 'busy-once') {
        return mkdir("$dir/busy") ? { status => 429, body => 'later',
                                      headers => [ 'Retry-After', 2 ] }
                                  : { headers => \@type, body => $body };
    }

    return { status => 404, body => "mode $mode" };
});

my $refresh = 'model_refresh off pause=5s breaker=3 timeout=5s '
              . 'sources=models.dev,litellm url.litellm=' . $up->url
              . '/litellm.json;';

my $gw = Gateway->new(catalog => $up->url . '/api.json', workers => 2,
                      http => $refresh);
$gw->start->wait_ready;


# runs a refresh to its end: its job, and the newest row of the history

sub refresh {
    my ($query) = @_;

    my $r = $gw->api(POST => '/api/v1/models/refresh' . ($query // ''));
    is $r->{status}, 202, 'a refresh begins' or diag $r->{body};
    return ended($r->{json}{id}), newest();
}

sub ended {
    my ($id, $seconds) = @_;
    my $job;

    wait_until(sub {
        $job = $gw->api(GET => "/api/v1/jobs/$id")->{json};
        ($job->{status} // '') !~ /^(?:pending|in_progress)?$/;
    }, $seconds // 60);

    return $job;
}

sub newest {
    return $gw->api(GET => '/api/v1/models/refresh/status?limit=1')
              ->{json}{history}[0];
}

sub counts_are {
    my ($h, $name, %want) = @_;

    is_deeply { map { $_ => $h->{$_} } sort keys %want }, \%want, $name;
}

sub active {
    return $gw->sql_value("select count(*) from model.models_metadata
        where active and provider_id = '$_[0]'");
}

sub generation {
    return $gw->sql_value("select generation from model.catalog_generation
                           where name = 'catalog'");
}

sub provider {
    my ($id, $protocol, $path, %more) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', { id => $id, name => $id,
        protocol => $protocol, base_url => $up->url . $path,
        api_key => $key, %more });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
}

sub own { return $gw->api(POST =>
                          "/api/v1/models/refresh?provider=$_[0]"); }


# the same, but not while it is left alone after failures

sub own_awake {
    my ($id) = @_;
    my $r;

    wait_until(sub {
        $r = own($id);
        ($r->{json}{error}{message} // '') !~ /left alone/;
    }, 60);

    return $r;
}


subtest 'the directive' => sub {
    my $one = Gateway->new(database => 'dbname=x', redis => 0,
                           catalog => 'x.json');
    $one->allow(qr{model_refresh|model_catalog_source});
    my %bad = (
        'maybe' => qr/"maybe" is neither "on" nor "off"/,
        'on every=1h' => qr/has no parameter "every=1h"; it has interval=/,
        'on interval=0' => qr/"interval=0".*give one such as 1h/,
        'on interval=soon' => qr/"interval=soon"/,
        'on jitter=-1' => qr/"jitter=-1"/,
        'on shrink=0' => qr/"shrink=0".*between 1% and 100%/,
        'on shrink=101%' => qr/"shrink=101%"/,
        'on history=5h' => qr/"history=5h".*whole days/,
        'on gone=never' => qr/"gone=never"/,
        'on rate=0' => qr{"rate=0".*100r/m},
        'on rate=5r/s' => qr{"rate=5r/s"},
        'on breaker=0' => qr/"breaker=0"/,
        'on pause=2h' => qr/"pause=2h"/,
        'on sources=nobody' => qr/source "nobody".*models\.dev, /,
        'on sources=' => qr/source ""/,
        'on sources=litellm,litellm' => qr/names a source twice/,
        'on url.litellm=' => qr/has no URL/,
        'on url.nobody=http://x/' => qr/source "nobody"/,
        'on url.models.dev=http://x/' => qr/said by "model_catalog_source"/,
        'on url.litellm=http://x/' => qr/not among its sources/,
    );

    for my $args (sort keys %bad) {
        my ($ok, $text) = $one->test_conf(http => "model_refresh $args;");
        ok !$ok, "$args is refused";
        like $text, $bad{$args}, 'with what to do';
        like $text, qr/in \S*nginx\.conf:\d+/, 'and file and line';
    }

    my ($ok, $text) = $one->test_conf(
        http => "model_refresh on;\nmodel_refresh off;");
    ok !$ok && $text =~ /duplicate/, 'twice';

    ($ok, $text) = $one->test_conf(http => 'model_refresh on;',
                                   catalog => undef);
    ok !$ok, 'nothing to read';
    like $text, qr/set "model_catalog_source".* in \S+nginx\.conf:\d+/,
         'says what to set, and where';

    ($ok, $text) = $one->test_conf(http => 'model_refresh on '
                                           . 'sources=models.dev;');
    ok !$ok, 'models.dev without its place';
    like $text, qr/model_catalog_source/, 'says so';

    ($ok, $text) = $one->test_conf(catalog => 'x.json', http => 'model_refresh
        on interval=1h jitter=10m sources=models.dev,litellm,openrouter
        url.litellm=https://mirror.example/p.json url.openrouter=list.json
        shrink=20% history=90d gone=30d rate=100r/m breaker=5 pause=60s
        timeout=2m;');
    ok $ok, 'everything at once is fine' or diag $text;
};


subtest 'the list of one provider' => sub {
    provider('own', 'openai', '/own/v1');
    mode('good');
    $up->forget;

    my $r = own('own');
    is $r->{status}, 200, 'is there at once' or diag $r->{body};
    is $r->{json}{status}, 'completed', 'completed';
    my $result = $r->{json}{result};
    is $result->{provider}, 'own', 'of that provider';
    is $result->{source}, 'openai', 'by its protocol';
    counts_are($result, 'with its counts', added => 6, changed => 0,
               removed => 0, failed => 0, models => 6);
    is active('own'), 6, 'they are in the catalog';

    my ($req) = $up->requests;
    is $req->{uri}, '/own/v1/models', 'asked where its list is';
    is $req->{headers}{authorization}, "Bearer $key", 'with its key';
    like $req->{headers}{'accept-encoding'} // '', qr/gzip/, 'gzip is fine';

    my $h = newest();
    is $h->{provider}, 'own', 'the history has it';
    is $h->{source}, 'openai', 'with its protocol';
    is $h->{status}, 'completed', 'completed';
    like $h->{etag}, qr{^W/}, 'and its ETag';
    ok $h->{bytes} > 100, 'and its size';
    ok defined $h->{duration_ms}, 'and how long it took';
    is ref $h->{fields}, 'HASH', 'and what changed by field';

    my $list = $gw->api(GET => '/api/v1/models/refresh/status?provider=own')
                  ->{json}{history};
    is scalar @$list, 1, 'found by provider';
    $list = $gw->api(GET => '/api/v1/models/refresh/status?source=models.dev')
               ->{json}{history};
    ok !(grep { $_->{source} ne 'models.dev' } @$list), 'and by source';

    ok wait_until(sub {
        $gw->api(GET => '/api/v1/models/own/six')->{status} == 200;
    }), 'and served';

    # nothing new

    my $before = generation();
    mode('etag');
    $r = own('own');
    is $r->{status}, 200, 'asked once more';
    is $r->{json}{result}{status}, 'unchanged', 'nothing is new';
    is newest()->{status}, 'unchanged', 'as the history says';
    is newest()->{etag}, $h->{etag}, 'under the same ETag';
    is generation(), $before, 'no generation was raised';
    is active('own'), 6, 'nothing is gone';

    $r = $gw->api(POST => '/api/v1/models/refresh?provider=own&force=true');
    is $r->{json}{result}{status}, 'completed', 'forced: it is read';
    counts_are($r->{json}{result}, 'with nothing new', added => 0,
               changed => 0, unchanged => 6);

    mode('gzip');
    $r = $gw->api(POST => '/api/v1/models/refresh?provider=own&force=true');
    counts_are($r->{json}{result}, 'gzipped it is the same', models => 6,
               unchanged => 6);

    # not waited for

    $r = $gw->fetch(POST => '/api/v1/models/refresh?provider=own',
        { Authorization => 'Bearer ' . $gw->token('operator'),
          Prefer => 'respond-async' });
    is $r->{status}, 202, 'who does not want to wait';
    like $r->{headers}{location}, qr{^/api/v1/jobs/}, 'is told where to look';
    is ended($r->{json}{id})->{status}, 'completed', 'it completes';
};


subtest 'what cannot be refreshed' => sub {
    my %want = (
        'provider=nobody' => [ 404, 'provider' ],
        'provider=..' => [ 404, 'provider' ],
        'provider=lab' => [ 409, 'provider' ],
        'provider=own&source=litellm' => [ 400, 'source' ],
        'source=nobody' => [ 400, 'source' ],
        'source=openrouter' => [ 400, 'source' ],
        'force=maybe' => [ 400, 'force' ],
        'speed=1' => [ 400, 'speed' ],
    );

    for my $query (sort keys %want) {
        my $r = $gw->api(POST => "/api/v1/models/refresh?$query");
        is $r->{status}, $want{$query}[0], $query;
        is $r->{json}{error}{param}, $want{$query}[1], 'names what is wrong';
    }

    is $gw->api(POST => '/api/v1/models/refresh', undef,
                $gw->token('viewer'))->{status}, 403, 'not by a viewer';
};


subtest 'a provider that fails' => sub {
    for my $way ([ 'refused', qr/status 401/ ], [ 'html', qr{text/html} ],
                 [ 'redirect', qr/status 302, a redirect to another host/ ],
                 [ 'hang', qr/time/ ])
    {
        my ($mode, $words) = @$way;
        mode($mode);
        my $r = $gw->api(POST => '/api/v1/models/refresh?provider=own'
                                 . '&force=true');
        is $r->{status}, 502, "$mode: 502" or diag $r->{body};
        like $r->{json}{error}{message}, $words, 'that says why';
        is newest()->{status}, 'failed', 'it is in the history';
        like newest()->{error}, $words, 'with the reason';
        is active('own'), 6, 'nothing is gone';
    }

    my $told = $gw->log . join('', map { $_->[0] // '' } $gw->sql(
        "select error || result::text || payload::text from model.jobs
         union all select error from model.models_refresh_history"));
    ok $told !~ /\Q$key\E/, 'nobody tells the key';
};


subtest 'a list in pages' => sub {
    # the limit of requests is another test's
    provider('paged', 'anthropic', '/paged/v1', rate_limit => 60_000);
    mode('good');
    $up->forget;

    my $r = own('paged');
    is $r->{status}, 200, 'all of it' or diag $r->{body};
    counts_are($r->{json}{result}, 'ten pages', added => 10, models => 10);
    my @asked = $up->requests;
    is scalar @asked, 10, 'ten requests';
    is scalar(grep { ($_->{headers}{'x-api-key'} // '') eq $key } @asked), 10,
       'each with the key';
    is scalar(grep { $_->{headers}{'anthropic-version'} } @asked), 10,
       'and the version';

    my $before = generation();

    for my $way ([ 'broken', qr/status 500/ ], [ 'cut', qr/./ ],
                 [ 'html', qr{text/html} ], [ 'circle', qr/in a circle/ ])
    {
        my ($mode, $words) = @$way;
        mode($mode);
        $r = own_awake('paged');
        is $r->{status}, 502, "$mode: it fails";
        like $r->{json}{error}{message}, $words, 'and says why';
        is active('paged'), 10, 'nothing is gone';
    }

    is generation(), $before, 'nothing has changed';

    mode('short');
    $r = own_awake('paged');
    is $r->{status}, 200, 'a list that is much shorter';
    counts_are($r->{json}{result}, 'is not believed', removed => 0, held => 7);
    ok $r->{json}{result}{removals_held}, 'which it says';
    is active('paged'), 10, 'nothing is gone';

    $r = $gw->api(POST => '/api/v1/models/refresh?provider=paged&force=true');
    counts_are($r->{json}{result}, 'unless forced', removed => 7, held => 0);
    is active('paged'), 3, 'seven are gone';

    mode('good');
    $r = own('paged');
    counts_are($r->{json}{result}, 'and back', added => 0, changed => 7,
               removed => 0);
};


subtest 'sources' => sub {
    mode('good');
    $up->forget;

    my ($job) = refresh('?force=true');
    is $job->{status}, 'completed', 'all of them' or diag $job->{error};
    my %of = map { $_->{source} => $_ } @{ $job->{result}{sources} };
    is_deeply [ sort keys %of ], [ qw(litellm models.dev) ], 'each by itself';
    is $of{'models.dev'}{models}, 6, 'the one';
    is $of{litellm}{status}, 'completed', 'the other';
    is scalar(grep { $_->{uri} eq '/litellm.json' } $up->requests), 1,
       'from where the configuration says';

    ($job, my $h) = refresh('?source=litellm');
    is $job->{result}{source}, 'litellm', 'one alone';
    is $h->{source}, 'litellm', 'in the history';

    # one that fails keeps no other from being read

    mode('html');
    ($job) = refresh();
    is $job->{status}, 'failed', 'one fails';
    %of = map { $_->{source} => $_ } @{ $job->{result}{sources} };
    is $of{'models.dev'}{status}, 'failed', 'that one';
    is $of{litellm}{status}, 'completed', 'the other one completes';

    mode('etag');
    refresh('?source=models.dev&force=true');
    $up->forget;
    my $before = generation();
    ($job, $h) = refresh('?source=models.dev');
    is $h->{status}, 'unchanged', 'nothing new at models.dev';
    my ($req) = $up->requests;
    like $req->{headers}{'if-none-match'} // '', qr{^W/}, 'as it was asked';
    is generation(), $before, 'no generation was raised';
    is active('lab'), 6, 'nothing is gone';
};


subtest 'a source that is too much' => sub {
    for my $way ([ 'endless', qr/larger than \d+ bytes|too large/ ],
                 [ 'hang', qr/time/ ])
    {
        my ($mode, $words) = @$way;
        mode($mode);
        my ($job, $h) = refresh('?source=models.dev&force=true');
        is $job->{status}, 'failed', "$mode: it fails";
        like $job->{error}, $words, 'and says why';
        is $h->{status}, 'failed', 'the history has it';
        is active('lab'), 6, 'nothing is gone';
    }

    mode('good');
    refresh('?source=models.dev&force=true');
};


subtest 'a source that asks to be left alone' => sub {
    mode('busy-once');
    $up->forget;
    my ($job) = refresh('?source=models.dev&force=true');
    is $job->{status}, 'completed', 'for a moment: it is waited for';
    my @asked = $up->requests;
    is scalar @asked, 2, 'asked twice';
    cmp_ok $asked[1]{time} - $asked[0]{time}, '>=', 1.9, 'after that moment';

    provider('tired', 'openai', '/own/v1');
    mode('busy');
    $up->forget;
    is own('tired')->{status}, 502, 'for an hour: it is not';
    my @first = $up->requests;
    is scalar @first, 1, 'asked once';
    mode('good');

    for my $n (1 .. 6) {
        my $r = own('tired');
        is $r->{status}, 502, "nor is it asked again, $n";
        like $r->{json}{error}{message}, qr/not to be asked for another \d+ s/,
             'which the answer says';
    }

    my @all = $up->requests;
    is scalar @all, 1, 'by any worker';
};


subtest 'a source that is down' => sub {
    provider('down', 'openai', '/own/v1');
    mode('down');
    $up->forget;
    my $r = own('down');
    is $r->{status}, 502, 'fails';
    is scalar(my @tries = $up->requests), 3, 'after three tries';
    cmp_ok $tries[2]{time} - $tries[1]{time}, '>=', 0.4, 'with pauses';

    mode('good');
    $r = own('down');
    is $r->{status}, 502, 'is left alone then';
    like $r->{json}{error}{message}, qr/left alone for another \d+ s/,
         'for a while';
    is scalar(my @none = $up->requests), 3, 'nothing is sent';

    ok wait_until(sub { own('down')->{status} == 200 }, 60),
       'then it is asked again';
    is own('down')->{status}, 200, 'and is well';
};


# one request to each worker in turn: while the others stand still, one
# accepts

sub wires {
    my @workers = $gw->workers;
    my @all;

    for my $one (@workers) {
        kill 'STOP', grep { $_ != $one } @workers;
        my @wires = map { $gw->wire } 1 .. 3;
        $_->request('GET', '/health') for @wires;
        is $wires[0]->response->{status}, 200, "connected to worker $one";
        kill 'CONT', @workers;
        push @all, shift @wires;
        $_->close for @wires;
    }

    return @all;
}


subtest 'one limit for all workers' => sub {
    provider('limited', 'openai', '/own/v1', rate_limit => 60);
    mode('good');
    my @wires = wires();
    $up->forget;

    for my $n (0 .. 9) {
        my $wire = $wires[$n % @wires];
        $wire->request('POST', '/api/v1/models/refresh?provider=limited',
            { Authorization => 'Bearer ' . $gw->token('operator') });
        is $wire->response->{status}, 200, "request $n";
    }

    my @asked = $up->requests;
    is scalar @asked, 10, 'ten requests';

    # a bucket of six, which gets a token each second

    cmp_ok $asked[-1]{time} - $asked[0]{time}, '>=', 2.9,
           'the workers have one bucket together';
    $_->close for @wires;
};


subtest 'handed over' => sub {
    mode('slow');
    my $rows = 'select count(*) from model.models_refresh_history';
    my $before = $gw->sql_value($rows);
    $up->forget;
    my $r = $gw->api(POST => '/api/v1/models/refresh?source=models.dev'
                             . '&force=true');
    is $r->{status}, 202, 'a refresh begins';
    ok $up->wait_requests(1), 'and asks';
    sleep 0.5;
    $gw->reload(wait_old => 1);
    mode('good');
    my $job = ended($r->{json}{id});
    is $job->{status}, 'completed', 'a reload costs it nothing'
        or diag $job->{error};
    is $job->{attempt}, 1, 'not even an attempt';
    is $gw->sql_value($rows), $before + 1, 'one row in the history';
};


subtest 'what is too old goes' => sub {
    $gw->sql("insert into model.models_refresh_history
        (source, status, started_at, completed_at)
        select 'old', 'completed', now() - n * interval '1 day',
               now() - n * interval '1 day' from generate_series(80, 99) n");
    my $left = "select count(*) from model.models_refresh_history
                where source = 'old'";
    is $gw->sql_value($left), 20, 'rows of the last days';
    $gw->reload(wait_old => 1);
    ok wait_until(sub { $gw->sql_value($left) <= 11 }), 'the older ones go';
    cmp_ok $gw->sql_value($left), '>=', 10, 'the others stay';
};


subtest 'several nodes' => sub {
    my $patient = $refresh =~ s/timeout=5s/timeout=60s/r;
    my $two = Gateway->new(database => $gw->conninfo, catalog => $up->url
                           . '/api.json', http => $patient);
    $two->start->wait_ready;
    $gw->reload(http => $patient, wait_old => 1);

    # by hand

    mode('gate');
    $up->forget;
    my $one = $gw->api(POST => '/api/v1/models/refresh?source=models.dev'
                               . '&force=true');
    is $one->{status}, 202, 'the one';
    my $other = $two->api(POST => '/api/v1/models/refresh?source=models.dev');
    is $other->{status}, 409, 'the other at the same time';
    is $other->{json}{id}, $one->{json}{id}, 'is told which one runs';
    mode('good');
    is ended($one->{json}{id})->{status}, 'completed', 'it completes';
    is scalar(my @asked = $up->requests), 1, 'the source was asked once';

    # by themselves; each begins when the interval since the last has passed,
    # whenever its request is sent then

    my $short = sub {
        my ($since, $provider) = @_;
        return $gw->sql_value("select count(*) from (select started_at
            - lag(started_at) over (order by started_at) as gap
            from model.models_refresh_history where source = 'models.dev'
            and coalesce(provider_id, '-') = '$provider'
            and started_at > '$since') v where gap < interval '1.9 s'");
    };

    mode('etag');
    my $often = 'model_refresh on interval=2s jitter=0s;';
    $_->reload(http => $often, wait_old => 1) for $gw, $two;
    my $since = $gw->sql_value('select clock_timestamp()');
    $up->forget;
    ok $up->wait_requests(4, 60), 'they refresh by themselves';
    is $short->($since, '-'), 0, 'no two in one interval';

    my $jobs = $gw->sql_value("select count(*) from model.jobs
        where payload ? 'after' and state = 'completed'");
    cmp_ok $jobs, '>=', 3, 'as jobs';

    # the lists of providers, too

    $_->reload(http => 'model_refresh on interval=2s jitter=0s '
                       . 'sources=models.dev,providers;', wait_old => 1)
        for $gw, $two;
    $up->forget;
    my @lists;
    ok wait_until(sub {
        @lists = grep { $_->{uri} eq '/paged/v1/models?limit=1000' }
                 $up->requests;
        return @lists >= 3;
    }, 60), 'the list of a provider is read again and again' or diag
        join ' ', map { $_->{uri} } $up->requests;
    is $short->($since, 'paged'), 0, 'no two in one interval';

    $_->reload(http => $refresh, wait_old => 1) for $gw, $two;
    $two->quit;
};


subtest 'a private address' => sub {
    my $one = Gateway->new(catalog => $up->url . '/api.json', redis => 0,
                           allow_private => 'off');

    # what others have begun may still be on its way

    ok wait_until(sub {
        $gw->sql_value("select count(*) from model.jobs
                        where state in ('pending', 'in_progress')") == 0
    }), 'no job is under way';
    $up->forget;
    $one->start;

    ok wait_until(sub {
        ($one->sql_value("select error from model.models_refresh_history
                          order by started_at desc limit 1") // '')
            =~ /127\.0\.0\.1.*no public address/s;
    }), 'is not read from, and the history says so';
    is scalar(my @asked = $up->requests), 0, 'nobody was asked';
};


done_testing;
