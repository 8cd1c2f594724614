#!/usr/bin/perl

# The audit trail over the API: pages and exports of a group's inferences, one
# of them by its id, feedback on it, and the figures of champion against
# challenger.  If this breaks, pages lose or repeat records, a tenant sees
# those of another, a viewer sees bodies or addresses, a spreadsheet runs what
# a client sent, feedback is counted twice or lost, or a challenger looks
# better than it is.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Gateway;
use Host qw(wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;
my $UUID = qr/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/;

my $up = Upstream->new(sub {
    my ($req) = @_;
    my $body = eval { $json->decode($req->{body}) } // {};

    return { status => 500, json => { error => { message => 'no' } } }
        if ($body->{mode} // '') eq 'bad';
    return { json => { model => $body->{model}, usage => {
        prompt_tokens => 10, completion_tokens => 2, total_tokens => 12 } } };
});

my $gw = Gateway->new;
$gw->start->wait_ready;

sub made { return $gw->made(@_); }

made('providers', { id => 'demo', base_url => $up->url, protocol => 'openai' });
made('models', { id => "demo/$_" }) for qw(old new);

my %group;
for my $name (qw(chat other empty odd/name)) {
    $group{$name} = made('model-groups', { name => $name });
    made("model-groups/$name/models",
         [ { model_id => 'demo/old', role => 'champion',
             traffic_percentage => 50 },
           { model_id => 'demo/new', role => 'challenger',
             traffic_percentage => 50 } ]);
}

my %token = map { $_ => $gw->token($_) } qw(viewer operator inference);


# a token of another organisation

my $org = $gw->sql_value("insert into model.organisations (name)
                          values ('stranger') returning id");
my $stranger = 'mgw_' . 'x' x 43;
$gw->sql("insert into model.api_tokens (org_id, name, role, sha256)
          values (:'o', 'stranger', 'admin',
                  sha256(convert_to(:'t', 'UTF8')))",
         o => $org, t => $stranger);
$gw->wait_token($stranger);


sub get {
    my ($uri, $token) = @_;

    return $gw->api(GET => "/api/v1/$uri", undef, $token);
}

sub refused {
    my ($r, $status, $param, $text, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $e = $r->{json}{error} // {};

    ok($r->{status} == $status && ($e->{message} // '') =~ $text
       && (!defined $param || ($e->{param} // '') eq $param), $name)
        or diag("$r->{status} $r->{body}");
}

sub uuid7 {
    my ($ms, $n) = @_;

    my $hex = sprintf '%012x7%03x8%03x%012x', $ms, $n >> 12 & 0xfff,
                      $n & 0xfff, $n;
    return $hex =~ s/(.{8})(.{4})(.{4})(.{4})(.{12})/$1-$2-$3-$4-$5/r;
}


# Rows that no request has made.  $ago: seconds; columns as they are, text.
# Where many are made they gather in $batch, for one psql.

my $serial = 0;
my $batch;

sub row {
    my ($name, $ago, %columns) = @_;

    my $ms = int((time - $ago) * 1000);
    my %all = (inference_id => uuid7($ms, ++$serial),
               created_at => POSIX::strftime('%Y-%m-%dT%H:%M:%S',
                   gmtime int($ms / 1000)) . sprintf('.%03dZ', $ms % 1000),
               group_id => $group{$name}{id}, group_name => $name,
               model_assigned => 'demo/old', model_served => 'demo/old',
               role => 'champion', status => 200, latency_us => 1000,
               %columns);
    my @names = sort grep { defined $all{$_} } keys %all;

    my $sql = "insert into model.$group{$name}{inference_table}
               (" . join(', ', @names) . ') values ('
              . join(', ', map { "'" . $all{$_} =~ s/'/''/gr . "'" } @names)
              . ");\n";
    defined $batch ? $batch .= $sql : $gw->sql($sql);
    return $all{inference_id};
}


my @ids;

subtest 'what requests have left' => sub {
    my $infer = sub {
        return $gw->fetch(POST => '/v1/chat/completions',
                          { Authorization => "Bearer $token{inference}",
                            'X-Request-Id' => $_[0] },
                          { model => 'chat', user => 'u', mode => $_[1] });
    };

    ok wait_until(sub { $infer->('warm')->{status} == 200 }), 'in effect';
    my $good = $infer->('good', '')->{headers}{'x-inference-id'};
    my $bad = $infer->('bad', 'bad')->{headers}{'x-inference-id'};

    my $r;
    ok wait_until(sub {
        $r = get('model-groups/chat/inferences?request_id=bad');
        @{ $r->{json}{inferences} // [] } == 1;
    }), 'found by request id';

    my $one = $r->{json}{inferences}[0];
    is $one->{inference_id}, $bad, 'the one';
    is $one->{status}, 500, 'status is a number';
    is $one->{error_class}, 'upstream_5xx', 'class';
    is $one->{kind}, 'inference', 'kind';
    is $one->{forced}, JSON::PP::false, 'a boolean';
    is $one->{input_tokens}, undef, 'unknown is null';
    like $one->{created_at}, qr/^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/, 'time';
    ok !exists $one->{request_body}, 'no bodies in a list';
    is $r->{json}{pagination}{next}, undef, 'there is no other page';

    is scalar @{ get("model-groups/chat/inferences?$_->[0]")
                     ->{json}{inferences} }, $_->[1], $_->[0]
        for [ 'error=true', 1 ], [ 'status=5xx&kind=inference', 1 ],
            [ 'status=500', 1 ], [ 'error_class=upstream_5xx', 1 ],
            [ 'request_id=good&error=false&stream=false', 1 ],
            [ 'request_id=good&truncated=true', 0 ],
            [ "key_hash=$one->{key_hash}&request_id=bad", 1 ],
            [ 'key_hash=' . '0' x 32, 0 ],
            [ "token_id=$one->{token_id}&request_id=bad", 1 ],
            [ "variant=$one->{model_served}&request_id=bad", 1 ],
            [ 'variant=demo/none', 0 ], [ 'provider=demo&error=true', 1 ],
            [ "assigned=$one->{model_assigned}&error=true", 1 ],
            [ "role=$one->{role}&error=true", 1 ], [ 'role=shadow', 0 ],
            [ 'kind=shadow', 0 ], [ 'forced=true', 0 ], [ 'dry_run=true', 0 ],
            [ 'min_latency_ms=86400000', 0 ], [ 'trace_id=' . 'a' x 32, 0 ],
            [ 'requested=chat&error=true', 1 ];

    # by an id alone
    $r = get("inferences/$good");
    is $r->{status}, 200, 'one by its id';
    is $r->{json}{request_id}, 'good', 'it is';
    is $r->{json}{input_tokens}, 10, 'tokens';
    is_deeply $r->{json}{shadows}, [], 'no shadows';
    is_deeply $r->{json}{feedback}, [], 'no feedback';
    is get('inferences/' . uc $good)->{status}, 200, 'in capitals';
    is get("inferences/$good?group=chat")->{status}, 200, 'with a hint';
    refused(get("inferences/$good?group=other"), 404, 'id', qr/no inference/,
            'a wrong hint');

    refused(get("inferences/$_"), 404, 'id', qr/no inference/, "not: $_")
        for uuid7(int(time * 1000), 99), 'x', '0', ('f' x 8) . '-ffff-7fff-'
            . 'bfff-' . 'f' x 12, '0190163d-8694-4def-ae2f-a9b7a8a37b2c';

    @ids = ($good, $bad);
};


subtest 'who sees what' => sub {
    my $id = row('other', 60, client => '192.0.2.7',
                 request_body => '{"messages":[]}', response_body => 'secret',
                 explanation => '{"why": 1}');
    my $shadow = row('other', 59, kind => 'shadow', shadow_of => $id,
                     model_assigned => 'demo/new', model_served => 'demo/new',
                     client => '192.0.2.7', response_body => 'secret');

    my $r = get("inferences/$id", $token{operator});
    is $r->{json}{client}, '192.0.2.7', 'an operator sees the address';
    is $r->{json}{response_body}, 'secret', 'and the body';
    is_deeply $r->{json}{explanation}, { why => 1 }, 'the explanation';
    is $r->{json}{shadows}[0]{inference_id}, $shadow, 'and the shadow';
    is $r->{json}{shadows}[0]{response_body}, 'secret', 'with its body';

    $r = get("inferences/$id", $token{viewer});
    is $r->{status}, 200, 'a viewer';
    unlike $r->{body}, qr/192\.0\.2|secret|messages/, 'sees neither';
    is $r->{json}{shadows}[0]{inference_id}, $shadow, 'but the shadow';

    for my $format (qw(json csv ndjson)) {
        my $uri = "model-groups/other/inferences?format=$format";

        unlike get($uri, $token{viewer})->{body}, qr/192\.0\.2|secret/,
            "nor in $format";
        like get($uri, $token{operator})->{body}, qr/192\.0\.2\.7/,
            'an operator does';
        unlike get($uri, $token{operator})->{body}, qr/secret/,
            'bodies are in no list';
    }

    for my $uri ("inferences/$id", 'model-groups/other/inferences',
                 'model-groups/other/performance') {
        is get($uri, $token{inference})->{status}, 403, "inference: $uri";
        is $gw->get("/api/v1/$uri")->{status}, 401, 'nobody';
        is get($uri, $stranger)->{status}, 404, 'another organisation';
    }

    is $gw->api(POST => "/api/v1/inferences/$id/feedback", { reward => 1 },
                $token{viewer})->{status}, 403, 'a viewer says nothing';
    is $gw->api(POST => "/api/v1/inferences/$id/feedback", { reward => 1 },
                $token{$_})->{status}, $_ eq 'operator' ? 201 : 200,
       "$_ may say" for qw(operator inference);

    # even a row that got into another tenant's table by mistake
    my $odd = row('other', 30, org_id => $org);
    is get("inferences/$odd")->{status}, 404, 'by org_id, too';
    unlike get('model-groups/other/inferences')->{body}, qr/$odd/,
        'in lists, too';
};


subtest 'pages' => sub {
    my @all = map { row('odd/name', 3600 - $_, request_id => "r$_",
                        latency_us => $_ * 1000) } 1 .. 25;

    my (@seen, $next);
    my $pages = 0;
    my $uri = 'model-groups/odd/name/inferences?limit=7&role=champion';

    do {
        my $r = get($uri . ($next ? "&after=$next" : ''));
        is $r->{status}, 200, 'page ' . ++$pages;
        push @seen, map { $_->{inference_id} } @{ $r->{json}{inferences} };
        $next = $r->{json}{pagination}{next};
        is $r->{json}{pagination}{limit}, 7, 'limit';

        if ($next) {
            my ($link) = ($r->{headers}{link} // '')
                         =~ m{^</api/v1/(.*)>; rel="next"$};
            is get($link)->{json}{inferences}[0]{request_id},
               'r' . (25 - @seen), 'Link leads to the next';
            row('odd/name', 0, request_id => "late$pages");
        }
    } while ($next && $pages < 10);

    is $pages, 4, 'four pages';
    is_deeply \@seen, [ reverse @all ],
        'each once, newest first, whatever came meanwhile';

    is scalar @{ get('model-groups/odd/name/inferences?min_latency_ms=20'
                     )->{json}{inferences} }, 6, 'at least 20 ms';

    # exactly a page is the last one
    my $r = get('model-groups/odd/name/inferences?min_latency_ms=20&limit=6');
    is $r->{json}{pagination}{next}, undef, 'no empty page at the end';

    # windows
    my $time = sub { POSIX::strftime('%Y-%m-%dT%H:%M:%SZ',
                                     gmtime(time - $_[0])) };
    my $count = sub { scalar @{ get('model-groups/odd/name/inferences?'
        . 'limit=1000&' . join '&', @_)->{json}{inferences} } };

    row('odd/name', 86400 * $_, request_id => "day$_") for 2, 8, 20;
    is $count->('request_id=day2'), 1, 'two days ago';
    is $count->('request_id=day8'), 0, 'eight: not by itself';
    is $count->('request_id=day8', 'since=' . $time->(86400 * 9)), 1,
       'with since';
    is $count->('since=' . $time->(86400 * 21), 'until='
                . $time->(86400 * 7)), 2, 'between';
    is $count->('until=' . $time->(86400 * 19)), 1,
       'until alone: a week before it';
    is $count->('after=' . uuid7(int((time - 86400 * 19) * 1000), 0)), 1,
       'after an old one: a week before it';
    is $count->('since=' . $time->(86400 * 300)), 0,
       'since long ago: as far as a window goes';
    refused(get('model-groups/odd/name/inferences?since='
                . $time->(86400 * 40) . '&until=' . $time->(0)), 400,
            'since', qr/31 days/, 'no more');
};


subtest 'exports' => sub {
    row('empty', 10, request_id => q{=HYPERLINK("http://x","y")},
        path => qq{a,"b"\r\nc}, upstream_request_id => '',
        attempt_log => '[{"status": 503}]', usage_marks => '{from_total}');
    row('empty', 9, request_id => ' @x', error_class => 'timeout',
        cost_nano_usd => 123, truncated => 't');

    my $r = get('model-groups/empty/inferences?format=csv');
    is $r->{headers}{'content-type'}, 'text/csv; charset=utf-8; '
       . 'header=present', 'CSV';
    is $r->{headers}{'content-disposition'},
       'attachment; filename="inferences.csv"', 'to be saved';

    my ($head, $first, $second) = split /\r\n(?!c)/, $r->{body};
    my @names = split /,/, $head;
    is $names[0], 'inference_id', 'names';
    is scalar(@names), scalar(keys %{ get('model-groups/empty/inferences')
        ->{json}{inferences}[0] }), 'of all members';
    like $first, qr/,"' \@x",/, 'no formula after a space';
    like $first, qr/,true,/, 'a boolean';
    like $first, qr/,123,/, 'a number';
    like $second, qr/,"'=HYPERLINK\(""http:\/\/x"",""y""\)",/, 'no formula';
    like $second, qr/,"a,""b""\r\nc",/, 'quoted';
    like $second, qr/,"",/, 'empty is not null';
    like $second, qr/,"\[\{""status"": 503\}\]",/, 'JSON in a field';

    $r = get('model-groups/empty/inferences?format=ndjson');
    is $r->{headers}{'content-type'}, 'application/x-ndjson', 'NDJSON';
    my @lines = map { $json->decode($_) } split /\n/, $r->{body};
    is scalar @lines, 2, 'an object a line';
    is $lines[1]{attempt_log}[0]{status}, 503, 'attempts';
    is_deeply $lines[1]{usage_marks}, ['from_total'], 'marks';
    is $lines[0]{cost_nano_usd}, 123, 'cost';
    is_deeply \@lines, get('model-groups/empty/inferences')
        ->{json}{inferences}, 'the same as in JSON';

    # more than one piece and more than one page
    my $table = $group{empty}{inference_table};
    my $day = POSIX::strftime('%Y-%m-%d', gmtime(time - 86400));
    $gw->sql("insert into model.$table (inference_id, created_at, group_id,
                                        role, status)
              select (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12,
                      '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid, t,
                     '$group{empty}{id}', 'champion', 200
              from (select n, '$day 12:00:00Z'::timestamptz
                           + n * interval '1 ms' as t
                    from generate_series(1, 2600) n) r");

    # a week goes back from the first page, not from each
    $gw->sql("insert into model.$table (inference_id, created_at, group_id,
                                        role, status)
              select (lpad(to_hex((extract(epoch from t) * 1000)::bigint), 12,
                      '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid, t,
                     '$group{empty}{id}', 'champion', 200
              from (select n, now() - interval '7 days 6 hours' as t
                    from generate_series(1, 5) n) r");

    my ($link, %seen) = 'model-groups/empty/inferences?format=ndjson';
    my @sizes;
    while ($link && @sizes < 9) {
        my $r = get($link);
        my @got = map { $json->decode($_)->{inference_id} } split /\n/,
                  $r->{body};
        push @sizes, scalar @got;
        $seen{$_}++ for @got;
        ($link) = ($r->{headers}{link} // '') =~ m{^</api/v1/(.*)>; };
    }

    is "@sizes", '1000 1000 602', 'a thousand at a time';
    is scalar(keys %seen), 2602, 'each is there';
    is scalar(grep { $_ != 1 } values %seen), 0, 'once';
    my $body = get('model-groups/empty/inferences?format=csv&limit=10000')
               ->{body};
    is scalar(() = $body =~ /^[0-9a-f-]{36},/mg), 2602, 'all at once';

    my $wire = $gw->wire;
    $r = $gw->fetch(HEAD => '/api/v1/model-groups/empty/inferences?format=csv',
                    { Authorization => "Bearer $token{viewer}" });
    is $r->{status}, 200, 'HEAD';
};


subtest 'bad questions' => sub {
    my %bad = (
        'status=6xx' => 'status', 'status=42' => 'status',
        'status=99999999999999999999' => 'status', 'status=' => 'status',
        'role=boss' => 'role', 'kind=x' => 'kind', 'stream=1' => 'stream',
        'forced=yes' => 'forced', 'dry_run=' => 'dry_run',
        'token_id=x' => 'token_id', 'key_hash=abc' => 'key_hash',
        'key_hash=' . 'A' x 32 => 'key_hash', 'trace_id=z' => 'trace_id',
        'min_latency_ms=-1' => 'min_latency_ms',
        'min_latency_ms=1e3' => 'min_latency_ms',
        'since=yesterday' => 'since', 'until=2026-13-01T00:00:00Z' => 'until',
        'since=2026-06-14T12:00:00+02:00' => 'since',
        'since=2020-02-02T00:00:00Z&until=2020-02-01T00:00:00Z' => 'since',
        'after=1' => 'after', 'after=' . uuid7(1, 1) => 'after',
        'limit=0' => 'limit', 'limit=1001' => 'limit', 'limit=x' => 'limit',
        'limit=' => 'limit', 'limit=10001&format=csv' => 'limit',
        'format=xml' => 'format', 'page=2' => 'page', 'nope=1' => 'nope',
        'variant=' . 'x' x 513 => 'variant',
        'status=200&status=201' => 'status',
    );

    refused(get("model-groups/chat/inferences?$_"), 400, $bad{$_}, qr/./, $_)
        for sort keys %bad;

    # what would be SQL elsewhere is a name that nobody has
    for my $text (q{'; drop table model.model_groups; --}, q{" or 1=1},
                  '$1', '%00x') {
        my $q = $text =~ s/([^A-Za-z0-9%])/sprintf '%%%02X', ord $1/ger;
        my $r = get("model-groups/chat/inferences?variant=$q");
        is $r->{status}, $text =~ /%00/ ? 400 : 200, "variant $text";
        is get("model-groups/$q/inferences")->{status},
           $text =~ /%00/ ? 400 : 404, "group $text";
    }

    refused(get('model-groups/none/inferences'), 404, 'group', qr/"none"/,
            'no such group');
    refused(get('model-groups/none/performance'), 404, 'group', qr/"none"/,
            'no such group');
    refused($gw->api(POST => '/api/v1/model-groups/chat/inferences', {}),
            405, undef, qr/GET, HEAD/, 'read only');
};


subtest 'feedback' => sub {
    my $say = sub {
        my ($id, $data, $token) = @_;
        return $gw->api(POST => "/api/v1/inferences/$id/feedback", $data,
                        $token // $token{inference});
    };
    my ($id) = @ids;

    my $r = $say->($id, { reward => 0.5 });
    is $r->{status}, 201, 'made';
    is $r->{json}{reward}, 0.5, 'reward';
    is $r->{json}{source}, 'user', 'source';
    is $r->{json}{name}, 'feedback', 'name';
    my $first = $r->{json}{id};

    $r = $say->($id, { reward => -1, comment => "no\ngood" });
    is $r->{status}, 200, 'said again';
    is $r->{json}{id}, $first, 'it is the same';
    is $r->{json}{reward}, -1, 'with the last word';

    is $say->($id, { source => 'judge', label => 'wrong' })->{status}, 201,
       'another source';
    is $say->($id, { name => 'stars', reward => 4.25 })->{status}, 201,
       'another name';

    $r = get("inferences/$id");
    is_deeply [ map { [ @$_{qw(source name reward label comment)} ] }
                @{ $r->{json}{feedback} } ],
        [ [ 'user', 'feedback', -1, undef, "no\ngood" ],
          [ 'judge', 'feedback', undef, 'wrong', undef ],
          [ 'user', 'stars', 4.25, undef, undef ] ], 'all of it';
    is $r->{json}{feedback}[0]{token_id}, $gw->sql_value("select id
        from model.api_tokens where name = 'test-inference'"), 'who said it';

    my %bad = (
        '{}' => 'reward', '{"reward":null}' => 'reward',
        '{"reward":"1"}' => 'reward', '{"reward":1000001}' => 'reward',
        '{"reward":-1e9}' => 'reward', '{"reward":1e400}' => 'reward',
        '{"label":""}' => 'label', '{"label":1}' => 'label',
        '{"label":"' . 'x' x 201 . '"}' => 'label',
        '{"comment":"' . 'x' x 4001 . '"}' => 'comment',
        '{"label":"\u0000"}' => 'label', '{"name":"","reward":1}' => 'name',
        '{"source":"' . 'x' x 65 . '","reward":1}' => 'source',
        '{"reward":1,"extra":1}' => 'extra', '[1]' => undef, 'x' => undef,
    );

    for my $body (sort keys %bad) {
        refused($gw->fetch(POST => "/api/v1/inferences/$id/feedback",
                { Authorization => "Bearer $token{inference}",
                  'Content-Type' => 'application/json' }, $body), 400,
                $bad{$body}, qr/./, substr $body, 0, 40);
    }

    is $gw->fetch(POST => "/api/v1/inferences/$id/feedback",
            { Authorization => "Bearer $token{inference}",
              'Content-Type' => 'application/json' },
            qq({"name":"$_->[0]","reward":$_->[0]}))->{json}{reward},
       $_->[1], "reward $_->[0]"
        for [ '0.1234567', 0.123457 ], [ '-0.0', 0 ], [ '1e3', 1000 ],
            [ '-1000000', -1000000 ];

    # an id that nobody has seen: too old, or on its way
    refused($say->(uuid7(int((time - 7200) * 1000), 1), { reward => 1 }),
            404, 'id', qr/no inference/, 'none of two hours ago');
    refused($say->(uuid7(int((time + 7200) * 1000), 1), { reward => 1 }),
            404, 'id', qr/no inference/, 'none of the time to come');
    refused($say->('x', { reward => 1 }), 404, 'id', qr/"x"/, 'no id');

    my $ms = int((time - 5) * 1000);
    my $early = uuid7($ms, 4242);
    $r = $say->($early, { reward => 1 });
    is $r->{status}, 202, 'before its record has come';
    $gw->sql("insert into model.$group{other}{inference_table}
              (inference_id, created_at, group_id, model_assigned,
               model_served, status)
              values ('$early', to_timestamp($ms / 1000.0),
                      '$group{other}{id}', 'demo/old', 'demo/old', 200)");
    is get("inferences/$early")->{json}{feedback}[0]{reward}, 1,
       'it finds its record';

    # a record may be late, its group is not
    refused($say->(uuid7($ms, 4343), { reward => 1, group => 'typo' }), 404,
            'group', qr/"typo"/, 'a group that is not there');
    is $say->(uuid7($ms, 4343), { reward => 1, group => 'empty' })->{status},
       202, 'one that is, before the record has come';
    refused($say->($early, { reward => 1, group => 'empty' }), 404, 'id',
            qr/no inference/, 'one that has others');

    # another organisation cannot speak of it, nor hear
    is $say->($early, { reward => -1 }, $stranger)->{status}, 202,
       'a stranger learns nothing from the status';
    is scalar @{ get("inferences/$early")->{json}{feedback} }, 1,
       'and is not heard';

    # bounded
    $gw->sql("insert into model.inference_feedback (org_id, inference_id,
              inference_at, name, reward)
              select '00000000-0000-0000-0000-000000000001', '$early', now(),
                     'n' || n, 1 from generate_series(1, 99) n");
    refused($say->($early, { name => 'one more', reward => 1 }), 409, undef,
            qr/100/, 'no more than a hundred');
    is $say->($early, { name => 'n7', reward => 2 })->{status}, 200,
       'but one may be replaced';
};


subtest 'feedback of a day that is dropped' => sub {
    my $stem = $gw->sql_value("select model.inference_stem(
        '$group{other}{inference_table}')");
    my @id = map { "0176bc93-${_}e00-7000-8000-000000000001" } 1, 2, 3;

    # 2021-01-01, and a day's table that was detached
    $gw->sql("create table model.${stem}_p20210101
                  (like model.inference_columns including all);
              insert into model.${stem}_p20210101
                  (inference_id, created_at, group_id)
                  select id, timestamptz '2021-01-01 00:00:01Z',
                         '$group{other}{id}'
                  from unnest('{$id[0],$id[1]}'::uuid[]) id;
              insert into model.inference_feedback
                  (inference_id, inference_at, reward)
                  select id, timestamptz '2021-01-01 00:00:01Z', 1
                  from unnest('{$id[0],$id[1],$id[2]}'::uuid[]) id");

    my $dropped = sub {
        $gw->sql("insert into model.inference_archives (org_id, group_id,
                      group_name, inference_table, day, part, rows, file,
                      bytes, sha256)
                  values ('00000000-0000-0000-0000-000000000001',
                      '$group{other}{id}', 'other',
                      '$group{other}{inference_table}', '2021-01-01', $_[0],
                      $_[1])");
        return $gw->sql_value("select count(*) from model.inference_feedback
            where inference_at < '2022-01-01'");
    };

    is $dropped->(1, "2, 'kept.csv.gz', 9, repeat('0', 64)"), 3, 'kept in a file: it stays';
    is $dropped->(2, "null, null, null, null"), 1, 'dropped for good: it goes, no other does';

    $gw->sql("drop table model.${stem}_p20210101;
              delete from model.inference_feedback
              where inference_at < '2022-01-01'");
};


subtest 'performance' => sub {
    my $name = 'perf';
    $group{$name} = made('model-groups', { name => $name });
    made("model-groups/$name/models",
         [ { model_id => 'demo/old', role => 'champion',
             traffic_percentage => 90 },
           { model_id => 'demo/new', role => 'challenger',
             traffic_percentage => 10 } ]);

    my $r = get("model-groups/$name/performance");
    is $r->{status}, 200, 'of nothing';
    is $r->{json}{comparisons}[0]{error_rate}{z}, undef, 'nothing is known';
    is $r->{json}{variants}[0]{assigned}{requests}, 0, 'but none is none';

    my %new = (model_assigned => 'demo/new', model_served => 'demo/new',
               role => 'challenger');
    $batch = '';
    my @old = map { row($name, 600 - $_, latency_us => $_ * 1000,
        ttft_us => $_ * 100, input_tokens => 10, output_tokens => 1,
        usage_source => 'provider', cost_nano_usd => 100) } 1 .. 100;
    my @new = map { row($name, 500 - $_, %new, latency_us => $_ * 2000,
        cost_nano_usd => 300) } 1 .. 20;

    # errors: its own, and what it left to the champion
    row($name, 50, latency_us => 1, status => 500,
        error_class => 'upstream_5xx') for 1 .. 2;
    row($name, 49, %new, latency_us => 1, status => 504,
        error_class => 'timeout');
    row($name, 48, %new, latency_us => 1, status => 429,
        error_class => 'upstream_4xx');
    row($name, 47, model_assigned => 'demo/new', latency_us => 50000)
        for 1 .. 3;

    # nobody's fault
    row($name, 46, %new, status => 400, error_class => 'upstream_4xx');
    row($name, 46, %new, status => 499, error_class => 'client_closed');

    # no part of the experiment
    row($name, 45, %new, forced => 't', error_class => 'timeout') for 1 .. 7;
    row($name, 44, %new, dry_run => 't');
    row($name, 43, %new, kind => 'shadow', shadow_of => $old[0]) for 1 .. 5;
    row($name, 86400 * 2) for 1 .. 11;
    $gw->sql($batch);
    undef $batch;

    for (0 .. 9) {
        $gw->api(POST => "/api/v1/inferences/$old[$_]/feedback",
                 { reward => $_ % 2, label => $_ % 2 ? 'good' : 'bad' });
        $gw->api(POST => "/api/v1/inferences/$new[$_]/feedback",
                 { reward => 1, label => 'good' });
    }

    $r = get("model-groups/$name/performance", $token{viewer});
    my $j = $r->{json};
    is $r->{status}, 200, 'a viewer may look';
    is $j->{champion}, 'demo/old', 'champion';

    my %v = map { $_->{model_id} => $_ } @{ $j->{variants} };
    is scalar keys %v, 2, 'two variants';

    my $a = $v{'demo/old'}{assigned};
    is $a->{requests}, 102, 'champion: requests';
    is $a->{errors}, 2, 'errors';
    is $a->{latency_us}{mean}, 50500, 'mean of what went well';

    for ([ latency_us => p50 => 50000 ], [ latency_us => p90 => 90000 ],
         [ latency_us => p95 => 95000 ], [ latency_us => p99 => 99000 ],
         [ ttft_us => p95 => 9500 ]) {
        my ($what, $quantile, $value) = @$_;
        cmp_ok abs($a->{$what}{$quantile} / $value - 1), '<', 0.005,
            "$what $quantile";
    }

    is $a->{tokens}{input}, 1000, 'tokens';
    is $a->{tokens}{cache_read}, undef, 'that nobody stated';
    is $a->{cost}{nano_usd}, 10000, 'cost';
    is $a->{cost}{mean_nano_usd}, 100, 'a request';
    is $v{'demo/old'}{served}{requests}, 105, 'it served more';

    my $b = $v{'demo/new'}{assigned};
    is $b->{requests}, 27, 'challenger: requests';
    is $b->{errors}, 5, 'what it left to the champion is its error';
    is $b->{diverted}, 3, 'said apart';
    is $b->{client_closed}, 1, 'a client that left is no error';
    is $v{'demo/new'}{served}{requests}, 24, 'served fewer';
    is $v{'demo/new'}{served}{errors}, 2, 'with errors of its own';

    my $c = $j->{comparisons}[0];
    is $c->{challenger}, 'demo/new', 'comparison';
    my ($pa, $pb) = (2 / 102, 5 / 27);
    my $p = 7 / 129;
    my $z = ($pb - $pa) / sqrt($p * (1 - $p) * (1 / 102 + 1 / 27));
    cmp_ok abs($c->{error_rate}{difference} - ($pb - $pa)), '<', 1e-6,
        'difference';
    cmp_ok abs($c->{error_rate}{z} - $z), '<', 1e-4, 'z';
    is $c->{cost_mean_nano_usd}{difference}, 200, 'cost';

    my ($said) = @{ $v{'demo/old'}{feedback} };
    is $said->{count}, 10, 'feedback';
    is $said->{mean_reward}, 0.5, 'mean';
    is_deeply $said->{labels}, { good => 5, bad => 5 }, 'labels';
    is $c->{rewards}[0]{difference}, 0.5, 'rewards';
    cmp_ok abs($c->{rewards}[0]{z} - 3), '<', 1e-4, 'z of Welch';

    my $x = $j->{excluded};
    is $x->{forced}[0]{served}{requests}, 7, 'forced, apart';
    is $x->{dry_run}[0]{served}{requests}, 1, 'dry run, apart';
    is $x->{shadow}[0]{served}{requests}, 5, 'shadow, apart';

    my $since = POSIX::strftime('%Y-%m-%dT%H:%M:%SZ',
                                gmtime(time - 86400 * 3));
    is get("model-groups/$name/performance?since=$since")
           ->{json}{variants}[0]{assigned}{requests}, 113, 'since';
    refused(get("model-groups/$name/performance?since=x"), 400, 'since',
            qr/RFC 3339/, 'bad');
    refused(get("model-groups/$name/performance?limit=1"), 400, 'limit',
            qr/not known/, 'unknown');

    # who has left the group is still counted
    $gw->api(DELETE => "/api/v1/model-groups/$name/models/demo/new");
    $r = made("model-groups/$name/models",
              [ { model_id => 'demo/old', role => 'champion',
                  traffic_percentage => 100 } ]);
    ($b) = grep { $_->{model_id} eq 'demo/new' }
           @{ get("model-groups/$name/performance")->{json}{variants} };
    is $b->{role}, undef, 'no member';
    is $b->{assigned}{requests}, 27, 'its requests stay';
};


subtest 'a group that is gone' => sub {
    my ($row) = @{ get('model-groups/perf/inferences?limit=1')
                   ->{json}{inferences} };
    my $id = $group{perf}{id};

    is $gw->api(DELETE => '/api/v1/model-groups/perf')->{status}, 204, 'gone';
    is get("model-groups/$_/inferences?limit=1")->{json}{inferences}[0]
           {inference_id}, $row->{inference_id}, "its records are not: $_"
        for 'perf', $id;
    is get("inferences/$row->{inference_id}")->{status}, 200, 'by id';
    is get("model-groups/$id/inferences", $stranger)->{status}, 404,
       'not for another organisation';

    # one of which nobody knows a table

    $gw->sql("insert into model.model_group_events (group_id, group_name,
                  version, event, before)
              values (gen_random_uuid(), 'bare', 1, 'deleted', '{}')");
    is get("inferences/$row->{inference_id}")->{status}, 200,
       'a group that had no table is in nobody\'s way';

    made('model-groups', { name => 'perf' });
    is scalar @{ get('model-groups/perf/inferences')->{json}{inferences} }, 0,
       'the name means the new one';
};


subtest 'bounds' => sub {
    my $plan = join "\n", map { $_->[0] } $gw->sql("explain (costs off)
        select * from model.$group{chat}{inference_table} t
        where t.created_at >= now() - interval '1 hour'
        and t.created_at < now()
        and t.inference_id >= '" . uuid7(int((time - 3600) * 1000), 0) . "'
        and t.inference_id < '" . uuid7(int(time * 1000), 0) . "'
        order by inference_id desc limit 51");
    like $plan, qr/Index Scan Backward/, 'a page walks an index';
    unlike $plan, qr/^\s*(?:->\s+)?(?:Incremental )?Sort\s*$/m,
        'and sorts nothing';

    # questions that take too long: a view in the place of a table
    my $table = $group{empty}{inference_table};
    $gw->sql("alter table model.$table rename to test_kept;
              create view model.$table as select * from model.test_kept
              where pg_sleep(0.02) is not null");

    my $uri = '/api/v1/model-groups/empty/inferences?limit=1000';
    my @wires = map { $gw->wire } 1 .. 2;
    $_->request(GET => $uri, { Authorization => "Bearer $token{viewer}" })
        for @wires;
    ok wait_until(sub { $gw->sql_value("select count(*) from pg_stat_activity
        where datname = '$gw->{dbname}' and state = 'active'
        and application_name <> 'psql'") == 2 }), 'two are being answered';

    my $r = get('model-groups/empty/performance', $token{viewer});
    refused($r, 503, undef, qr/being answered/, 'two at a time');
    ok $r->{headers}{'retry-after'}, 'later';
    is get('model-groups')->{status}, 200, 'threads are left for others';

    for my $wire (@wires) {
        $r = $wire->response;
        is $r->{status}, 504, 'a time-out';
        like $r->{body}, qr/longer than 5 s; narrow since and until/,
            'that says what to do';
        $wire->close;
    }

    is get('model-groups/chat/performance')->{status}, 200,
       'and then others may ask';

    $gw->sql("drop view model.$table;
              alter table model.test_kept rename to $table");
};

done_testing;
