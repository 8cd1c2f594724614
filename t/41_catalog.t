#!/usr/bin/perl

# Reads from the snapshot: lists, pages, filters, search, one model, providers,
# with validators, compressed and without.  If this breaks, clients see the
# wrong page, a stale body under a fresh validator, a length that is not the
# body's, or models that are not there.

use v5.28;
use warnings;

use Compress::Zlib qw(memGunzip);
use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Gateway;
use Host qw(slurp top wait_until);
use Wire;

my $doc = decode_json(slurp(top() . '/conf/models.dev/api.json'));
my $gw = Gateway->new(catalog => 'bundled', workers => 2);
$gw->start->wait_ready;

my %auth = (Authorization => 'Bearer ' . $gw->token('viewer'));
my $loaded = wait_until(sub {
    my $r = $gw->get('/api/v1/models', \%auth);
    return ($r->{json}{pagination}{total} // 0) > 5000;
}, 20);
die "the bundled catalog was not loaded\n" if !$loaded;


sub get { return $gw->get($_[0], { %auth, %{ $_[1] // {} } }); }


subtest 'the first page' => sub {
    my $r = get('/api/v1/models');
    is $r->{status}, 200, 'served';
    is $r->{headers}{'content-type'}, 'application/json', 'type';
    is scalar @{ $r->{json}{models} }, 50, '50 models';
    is $r->{json}{pagination}{limit}, 50, 'limit';
    is $r->{json}{pagination}{total}, $gw->sql_value(
        'select count(*) from model.models_metadata where active'),
       'total is what the database has';
    is $r->{json}{pagination}{total_pages},
       int(($r->{json}{pagination}{total} + 49) / 50), 'pages';
    like $r->{headers}{etag}, qr/^"[0-9a-f]+-[0-9a-f]+"$/, 'strong ETag';
    is $r->{headers}{vary}, 'Accept-Encoding', 'Vary';

    my $composed = get('/api/v1/models?page=1&limit=50');
    is $composed->{body}, $r->{body}, 'ready and composed are the same';
};


subtest 'all pages make the whole' => sub {
    my (%seen, $last);
    my $page = 1;
    my $order = 1;

    while (1) {
        my $r = get("/api/v1/models?limit=1000&page=$page");
        my @models = @{ $r->{json}{models} } or last;

        for (map { $_->{id} } @models) {
            $seen{$_}++;
            $order = 0 if defined $last && $last ge $_;
            $last = $_;
        }

        $page++;
    }

    is scalar keys %seen, $gw->sql_value(
        'select count(*) from model.models_metadata where active'),
       'every model once';
    ok $order, 'sorted by id';
    is scalar(grep { $_ != 1 } values %seen), 0, 'none twice';
};


subtest 'filters' => sub {
    my $r = get('/api/v1/models?provider=openai&limit=1000');
    is scalar @{ $r->{json}{models} },
       scalar keys %{ $doc->{openai}{models} }, 'provider: all of it';
    is scalar(grep { $_->{provider_id} ne 'openai' } @{ $r->{json}{models} }),
       0, 'and nothing else';

    $r = get('/api/v1/models?provider=nobody');
    is_deeply $r->{json}{models}, [], 'nobody has none';
    is $r->{json}{pagination}{total_pages}, 0, 'and no page';

    $r = get('/api/v1/models?capability=vision&limit=1000');
    ok @{ $r->{json}{models} }, 'capability';
    is scalar(grep { !$_->{capabilities}{vision} } @{ $r->{json}{models} }),
       0, 'all have it';
    is $r->{json}{pagination}{total}, $gw->sql_value(
        'select count(*) from model.models_metadata
         where active and supports_vision'), 'as many as the database says';

    $r = get('/api/v1/models?type=embedding&limit=1000');
    is scalar(grep { $_->{type} ne 'embedding' } @{ $r->{json}{models} }), 0,
       'type';

    $r = get('/api/v1/models?search=GPT-4o+mini&limit=1000');
    ok @{ $r->{json}{models} }, 'search: words, any case';
    is scalar(grep { my $t = lc "$_->{id} $_->{name} "
                             . ($_->{family} // '');
                     $t !~ /gpt-4o/ || $t !~ /mini/ }
              @{ $r->{json}{models} }), 0, 'all have both';

    my $both = get('/api/v1/models?search=mini&provider=openai'
                   . '&capability=reasoning&limit=1000');
    is scalar(grep { $_->{provider_id} ne 'openai'
                     || !$_->{capabilities}{reasoning}
                     || lc "$_->{id} $_->{name}" !~ /mini/ }
              @{ $both->{json}{models} }), 0, 'filters are all to hold';

    is_deeply get('/api/v1/models?search=zzzzqqqq')->{json}{models}, [],
        'nothing found';
    is_deeply get('/api/v1/models?page=1000000')->{json}{models}, [],
        'beyond the end';
    is scalar @{ get('/api/v1/models?limit=1')->{json}{models} }, 1, 'one';
};


subtest 'what is asked wrongly' => sub {
    my %wrong = (
        'page=0' => 'page', 'page=' => 'page', 'page=x' => 'page',
        'page=-1' => 'page', 'page=1e3' => 'page',
        'page=99999999999999999999' => 'page',
        'limit=0' => 'limit', 'limit=1001' => 'limit',
        'limit=50;drop' => 'limit', 'limit=%00' => '',
        'capability=flying' => 'capability', 'type=llm' => 'type',
        'colour=red' => 'colour', 'Page=1' => 'Page',
        'page=1&page=2' => 'page', 'x%0d%0aSet-Cookie:a=b' => "x\r",
        'search=%zz' => '', 'search=%ff' => '', '%' => '',
    );

    for my $query (sort keys %wrong) {
        my $r = get("/api/v1/models?$query");
        is $r->{status}, 400, $query;
        my $e = $r->{json}{error};
        is $e->{param} // '', $wrong{$query}, 'names it'
            if $query !~ /^x%0d/;
        ok $e->{message}, 'says why';
        ok !defined $r->{headers}{'set-cookie'}, 'no header of the client\'s';
    }

    for my $uri ('/api/v1/models/openai/nothing', '/api/v1/models/x',
                 '/api/v1/providers/nobody',
                 '/api/v1/providers/nobody/models', '/api/v1/nothing',
                 '/api/v1/models/openai%2F..%2F..%2Fetc',
                 '/api/v2/models', '/api/v1/modelsx')
    {
        my $r = get($uri);
        is $r->{status}, 404, $uri;
        is $r->{json}{error}{type}, 'not_found_error', 'type'
            or diag $r->{body};
    }

    is get('/api/v1/models/%ff')->{status}, 400, 'a path of no UTF-8';
    is get('/api/v1/models/' . 'x' x 4000)->{status}, 404, 'a long one';
};


subtest 'one model' => sub {
    my $n = 0;

    for my $provider (sort keys %$doc) {
        for my $model (sort keys %{ $doc->{$provider}{models} }) {
            next if $model !~ m{[/:\@~A-Z]} || $n >= 40 && $model !~ /~/;
            last if $n++ > 60;

            my $id = "$provider/$model";
            my $r = get("/api/v1/models/$id");
            is $r->{json}{id} // $r->{body}, $id, $id;

            (my $encoded = $id) =~ s{([^A-Za-z0-9])}
                                    {sprintf '%%%02X', ord $1}ge;
            is get("/api/v1/models/$encoded")->{body}, $r->{body}, 'encoded';
        }
    }

    my $r = get('/api/v1/models/openai/gpt-4o');
    my $m = $doc->{openai}{models}{'gpt-4o'};
    is $r->{json}{name}, $m->{name}, 'name';
    is $r->{json}{pricing}{input}, $m->{cost}{input}, 'price';
    is $r->{json}{limits}{context}, $m->{limit}{context}, 'context';
    is $r->{json}{pricing}{input_audio}, undef, 'unknown is null';
    is $r->{json}{source}{name}, 'models.dev', 'where from';
    is $r->{headers}{'content-length'}, length $r->{body}, 'length';
};


subtest 'providers' => sub {
    my $r = get('/api/v1/providers');
    is scalar @{ $r->{json}{providers} }, scalar keys %$doc, 'all of them';
    my ($openai) = grep { $_->{id} eq 'openai' } @{ $r->{json}{providers} };
    is $openai->{models}{total}, scalar keys %{ $doc->{openai}{models} },
       'with counts';
    is_deeply get('/api/v1/providers/openai')->{json}, $openai, 'one';

    my $all = $r->{json}{providers};
    $r = get('/api/v1/providers?limit=10&page=2');
    is_deeply $r->{json}{providers}, [ @$all[10 .. 19] ], 'a page of them';
    is $r->{json}{pagination}{total}, scalar @$all, 'of all';
    is_deeply get('/api/v1/providers?page=1000000&limit=1000')
        ->{json}{providers}, [], 'beyond the last';

    $r = get('/api/v1/providers/openai/models?limit=7&page=2');
    is scalar @{ $r->{json}{models} }, 7, 'its models, by pages';
    is $r->{json}{pagination}{total},
       scalar keys %{ $doc->{openai}{models} }, 'all of its own';
    is get('/api/v1/providers/openai/models?provider=x')->{status}, 400,
       'which takes no filter';
};


my @reads = ('/api/v1/models', '/api/v1/models?page=3',
             '/api/v1/models?search=mini', '/api/v1/models/openai/gpt-4o',
             '/api/v1/providers', '/api/v1/providers/openai',
             '/api/v1/providers/openai/models', '/v1/models');


subtest 'validators, HEAD, methods' => sub {
    for my $uri (@reads) {
        my $r = get($uri);
        is $r->{status}, 200, $uri;
        is $r->{headers}{'content-length'}, length $r->{body}, 'length';

        my $etag = $r->{headers}{etag};
        my $same = get($uri, { 'If-None-Match' => $etag });
        is $same->{status}, 304, 'not modified';
        is $same->{body}, '', 'no body';
        is $same->{headers}{etag}, $etag, 'the same validator';
        is get($uri, { 'If-None-Match' => qq(W/$etag, "x") })->{status}, 304,
           'weakly compared, among others';
        is get($uri, { 'If-None-Match' => '"x"' })->{status}, 200,
           'another one';

        my $head = $gw->fetch('HEAD', $uri, \%auth);
        is $head->{status}, 200, 'HEAD';
        is $head->{headers}{'content-length'}, length $r->{body},
           'the length of what GET sends';
        is $head->{body}, '', 'without a body';

        my $put = $gw->fetch('PUT', $uri, \%auth);
        is $put->{status}, 405, 'PUT';
        like $put->{headers}{allow}, qr/^GET, HEAD/, 'Allow';
        is $put->{json}{error}{code}, 'method_not_allowed', 'code'
            or diag $put->{body};
        is $gw->fetch('GET', $uri, \%auth, 'x')->{status}, 400,
           'no body with GET';
    }

    my %etags = map { get($_)->{headers}{etag} => $_ } @reads[1, 2];
    is scalar keys %etags, 2, 'each query has a validator of its own';
};


subtest 'gzip from the file' => sub {
    for my $uri ('/api/v1/models', '/api/v1/providers', '/v1/models') {
        my $plain = get($uri);
        my $zipped = get($uri, { 'Accept-Encoding' => 'br, gzip;q=0.5' });
        is $zipped->{headers}{'content-encoding'}, 'gzip', "$uri: gzip";
        is memGunzip(my $copy = $zipped->{body}), $plain->{body}, 'the same bytes';
        like $zipped->{headers}{vary}, qr/\bAccept-Encoding$/, 'Vary';
        isnt $zipped->{headers}{etag}, $plain->{headers}{etag},
             'a validator of its own';
        is get($uri, { 'Accept-Encoding' => 'gzip', 'If-None-Match' =>
                       $zipped->{headers}{etag} })->{status}, 304, 'not modified';
        is get($uri, { 'Accept-Encoding' => 'gzip;q=0' })
              ->{headers}{'content-encoding'}, undef, 'q=0 is respected';

        my $head = $gw->fetch('HEAD', $uri,
                              { %auth, 'Accept-Encoding' => 'gzip' });
        is $head->{headers}{'content-length'}, length $zipped->{body},
           'HEAD says the length of the compressed form';
    }
};


subtest 'refresh' => sub {
    my $etag = get('/api/v1/models')->{headers}{etag};
    my $r = $gw->api(POST => '/api/v1/models/refresh');
    is $r->{status}, 202, 'begun' or diag $r->{body};
    my $job = $r->{json}{id};
    is $r->{headers}{location}, "/api/v1/jobs/$job", 'Location';

    wait_until(sub {
        $r = $gw->api(GET => "/api/v1/jobs/$job");
        $r->{json}{status} =~ /^(?:completed|failed|cancelled)$/;
    });
    is $r->{json}{status}, 'completed', 'done' or diag $r->{body};

    $r = get('/api/v1/models/refresh/status?limit=1');
    my $h = $r->{json}{history}[0];
    is $h->{status}, 'completed', 'history';
    is $h->{$_}, 0, "the same document: $_ 0" for qw(added changed removed);
    ok $h->{unchanged} > 5000, 'all unchanged';
    ok $h->{duration_ms} > 0, 'duration';
    is get('/api/v1/models')->{headers}{etag}, $etag,
       'the catalog has not changed';

    is $gw->fetch('GET', '/api/v1/models/refresh', \%auth)->{status}, 405,
       'refresh is a call, not a model';
};


subtest 'a change by psql is served by every worker within a second' => sub {
    for my $n (1 .. 3) {
        $gw->sql("update model.models_metadata set name = 'changed $n'
                  where id = 'openai/gpt-4o'");

        # a fresh connection each time: both workers get some
        my $began = time;
        my $all = sub {
            my @names = map {
                get('/api/v1/models/openai/gpt-4o')->{json}{name}
            } 1 .. 20;
            return !grep { $_ ne "changed $n" } @names;
        };

        ok wait_until($all, 10), "change $n is in effect";
        diag(sprintf 'after %.2f s', time - $began);
    }
};


subtest 'health, readiness, metrics' => sub {
    my $r = $gw->get('/health');
    is $r->{json}{status}, 'ok', 'health, open to all';

    $r = $gw->get('/api/v1/admin/ready');
    is $r->{status}, 200, 'ready';
    is $r->{json}{status}, 'ready', 'status';
    is $r->{json}{message}, 'All systems ready', 'message';
    is $r->{json}{ready}, JSON::PP::true, 'ready';
    is $r->{json}{models_loaded}, JSON::PP::true, 'models loaded';
    is $r->{json}{database}, 'up', 'database';

    is $gw->get('/metrics')->{status}, 401, 'metrics need a token';
    $r = get('/metrics');
    is $r->{headers}{'content-type'},
       'text/plain; version=0.0.4; charset=utf-8', 'type';
    my (%type, $bad);

    for (split /\n/, $r->{body}) {
        if (/^# TYPE (\S+) (\S+)$/) {
            $bad = "$1 twice" if $type{$1}++;
            next;
        }

        next if /^# HELP \S+ \S/;
        $bad = $_ if !/^(\w+)(?:\{(?:\w+="[^"]*",?)+\})? (?:NaN|-?[\d.e+]+)$/
                     || !$type{$1 =~ s/_(?:bucket|sum|count)$//r}
                        && !$type{$1};
    }

    is $bad, undef, 'each line is a sample of a type, each type stands once';
    is $gw->metric('nginx_model_ready'), 1, 'ready';
    is $gw->metric('nginx_model_database_up'), 1, 'database';
    ok $gw->metric('nginx_model_catalog_models') > 5000, 'models';
    ok $gw->metric('nginx_model_catalog_requests_total') > 100, 'requests';
    ok $gw->metric('nginx_model_catalog_not_modified_total') > 10, 'not modified';
    ok $gw->metric('nginx_model_api_calls_total') >= 2, 'calls';
    ok $gw->metric('nginx_model_snapshot_bytes', kind => 'catalog') > 1e6,
       'size of the file';
    is $gw->metric('nginx_model_snapshot_generation', kind => 'catalog'),
       $gw->sql_value("select generation from model.catalog_generation
                       where name = 'catalog'"), 'generation';
};


done_testing();
