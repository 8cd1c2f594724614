#!/usr/bin/perl

# Bad input to the control plane: each call with each kind of broken body, and
# hostile strings in each text that a client may send.  If this breaks, a client
# gets 500 or a wrong success where 400 should name the member, text reaches SQL
# or a header as code, or the gateway goes down.

use v5.28;
use warnings;
use utf8;

use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(wait_until);
use Wire;

my $locations = $Gateway::locations
    =~ s!/api/ \{ model_api;!/api/ { client_max_body_size 1200k; model_api;!r;

$locations =~ s/error_page 400/error_page 400 404/;

my $gw = Gateway->new(more => <<'END', server => $locations,
        location = /denied { return 413; }
        location = /limited { limit_req zone=limited; model_api; }
        location = /broken { proxy_pass http://127.0.0.1:1; }
END
    http => 'limit_req_zone $server_name zone=limited:1m rate=1r/m;');
$gw->start->wait_ready;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my %auth = (Authorization => 'Bearer ' . $gw->token('admin'));

wait_until(sub { $gw->api(GET => '/api/v1/models')->{status} == 200 });

# something to change

for ([ 'providers', { id => 'own', base_url => 'http://127.0.0.1:9' } ],
     [ 'models', { id => 'own/a' } ], [ 'model-groups', { name => 'g' } ])
{
    my $r = $gw->api(POST => "/api/v1/$_->[0]", $_->[1]);
    is $r->{status}, 201, $_->[0] or diag $r->{body};
}

my @writes = (
    [ POST => '/api/v1/tokens' ],
    [ POST => '/api/v1/providers' ],
    [ PATCH => '/api/v1/providers/own' ],
    [ POST => '/api/v1/models' ],
    [ PATCH => '/api/v1/models/own/a' ],
    [ POST => '/api/v1/model-groups' ],
    [ PATCH => '/api/v1/model-groups/g' ],
    [ POST => '/api/v1/model-groups/g/models' ],
);


sub raw {
    my ($method, $uri, $body, %headers) = @_;

    return $gw->fetch($method, $uri,
        { %auth, 'Content-Type' => 'application/json', %headers }, $body);
}


# a clean refusal: the status, the one error shape, and an alive gateway

sub clean {
    my ($r, $status, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $e = $r->{json}{error} // {};
    my $ok = $r->{status} == $status
             && $r->{headers}{'content-type'} eq 'application/json'
             && length($e->{message} // '') && $e->{type} && $e->{code}
             && $e->{message} !~ /[\x00-\x1f]/
             && ($r->{headers}{'x-request-id'} // '') =~ /^[\w.-]+$/
             && !grep { $_->[0] =~ /evil/i } @{ $r->{list} };

    return ok($ok, $name) || diag(substr "$r->{status} $r->{body}", 0, 500);
}


my %bodies = (
    'nothing' => '',
    'blanks' => '   ',
    'half an object' => '{"name": "x"',
    'half a string' => '{"name": "x',
    'half an escape' => '{"name": "\u00',
    'a lone brace' => '}',
    'two documents' => '{"name":"x"}{"name":"y"}',
    'rubbish behind' => '{"name":"x"} x',
    'a comment' => '{"name":"x" /* c */}',
    'a comma too many' => '{"name":"x",}',
    'single quotes' => "{'name':'x'}",
    'NaN' => '{"name":NaN}',
    'a BOM' => "\xef\xbb\xbf{}",
    'a raw line break in a string' => qq({"name":"a\nb"}),
    'a NUL' => "{\"name\":\"a\0b\"}",
    'invalid UTF-8' => "{\"name\":\"\xff\xfe\"}",
    'an overlong sequence' => "{\"name\":\"\xc0\xaf\"}",
    'half a character' => "{\"name\":\"\xe2\x82\"}",
    'a member twice' => '{"name":"a","name":"b"}',
    'a string' => '"x"',
    'a number' => '12',
    'null' => 'null',
    'true' => 'true',
    'deep nesting' => '[' x 5000,
    'deep nesting, closed' => '[' x 2000 . ']' x 2000,
    'deep objects' => '{"name":' x 500 . '1' . '}' x 500,
    'many members' => '{' . join(',', map { qq("k$_":1) } 1 .. 60000) . '}',
    'a long member' => '{"' . 'k' x 300000 . '":1}',
    'a huge number' => '{"name":' . '9' x 5000 . '}',
    'not JSON' => 'name=x&role=admin',
    'XML' => '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM '
             . '"file:///etc/passwd">]><a>&b;</a>',
);


subtest 'broken bodies' => sub {
    for my $write (@writes) {
        for my $what (sort keys %bodies) {
            my $r = raw(@$write, $bodies{$what});
            my $status = $r->{status} == 413 ? 413 : 400;
            clean($r, $status, "@$write: $what");
        }
    }
};


subtest 'unknown and wrong members' => sub {
    for my $write (@writes[0 .. 6]) {
        my $r = raw(@$write, '{"no_such_member":1}');
        clean($r, 400, "@$write: an unknown member");
        is $r->{json}{error}{param}, 'no_such_member', 'is named';
    }

    my $n = 0;

    for my $value ('5', 'true', '[]', '{}', 'null', '["a"]', '1e400', '-0',
                   '{"a":{"b":[1]}}')
    {
        clean(raw(POST => '/api/v1/model-groups', qq({"name":$value})), 400,
              "name: $value");
        clean(raw(POST => '/api/v1/tokens',
                  qq({"role":"viewer","name":$value})), 400,
              "token name: $value");
        clean(raw(POST => '/api/v1/models', qq({"id":$value})), 400,
              "model id: $value");
        clean(raw(POST => '/api/v1/providers', qq({"id":$value})), 400,
              "provider id: $value");
    }
};


subtest 'content types, sizes, bodies where none belongs' => sub {
    for my $type ('text/plain', 'application/x-www-form-urlencoded',
                  'application/jsonp', 'multipart/form-data; boundary=x',
                  'application', '')
    {
        clean(raw(POST => '/api/v1/model-groups', '{"name":"x"}',
                  'Content-Type' => $type), 415, "type \"$type\"");
    }

    clean($gw->fetch('POST', '/api/v1/model-groups', \%auth,
                     '{"name":"x"}'), 415, 'no type');

    my $r = raw(POST => '/api/v1/model-groups', '{"name":"charset"}',
                'Content-Type' => 'Application/JSON; charset=utf-8');
    is $r->{status}, 201, 'parameters and case of the type do not matter';

    my $big = '{"name":"' . 'x' x (1024 * 1024) . '"}';
    clean(raw(POST => '/api/v1/model-groups', $big), 413, 'a MiB and a bit');
    clean(raw(POST => '/api/v1/model-groups', $big x 2), 413,
          'more than the location takes: the same shape');

    my $chunked = sprintf "%x\r\n%s\r\n0\r\n\r\n", length $big, $big;
    clean($gw->fetch('POST', '/api/v1/model-groups',
                     { %auth, 'Content-Type' => 'application/json',
                       'Transfer-Encoding' => 'chunked' }, $chunked), 413,
          'the same in chunks');

    my $fit = '{"description":"' . ' ' x 1800 . '"' . ' ' x 900_000 . '}';
    is raw(PATCH => '/api/v1/model-groups/g', $fit)->{status}, 200,
       'a body that nginx keeps in a file';

    for ([ GET => '/api/v1/model-groups' ], [ GET => '/api/v1/jobs' ],
         [ DELETE => '/api/v1/model-groups/none' ],
         [ POST => '/api/v1/model-groups/g/retain' ],
         [ POST => '/api/v1/models/refresh' ], [ GET => '/health' ])
    {
        clean(raw(@$_, '{}'), 400, "@$_ takes no body");
        clean($gw->fetch(@$_, { %auth, 'Transfer-Encoding' => 'chunked' },
                         "2\r\n{}\r\n0\r\n\r\n"), 400, 'nor chunks')
            if $_->[0] ne 'GET';
    }
};


my @hostile = (
    "'; drop table model.model_groups; --", '"; select 1; --', "' or '1'='1",
    "\$1", "\\'; --", "%s%n%x", '${jndi:ldap://x}', '{{7*7}}',
    "a\r\nX-Evil: 1", "a\nSet-Cookie: evil=1", "a\r\n\r\nHTTP/1.1 200 OK",
    "a\0b", "\x1b[2J", "\x7f", "../../etc/passwd", '..', '.', '/', '//',
    "\x{202e}abc", "\x{feff}", "\x{1F600}", 'A' x 10240,
    "\x{e9}" x 5000, ' ', '-', '#', '?', 'a?b=c', '%00', '%0d%0aX-Evil:1',
    '<script>alert(1)</script>', 'null', "\\", '"', "\x{2028}",
);


subtest 'hostile strings in each text' => sub {
    my @texts = (
        [ POST => '/api/v1/model-groups', sub { { name => $_[0] } } ],
        [ POST => '/api/v1/model-groups',
          sub { { name => $_[1], description => $_[0] } } ],
        [ POST => '/api/v1/model-groups',
          sub { { name => $_[1], promotion_rules => { $_[0] => $_[0] } } } ],
        [ POST => '/api/v1/model-groups',
          sub { { name => $_[1], traffic_config => { $_[0] => $_[0] } } } ],
        [ POST => '/api/v1/model-groups',
          sub { { name => $_[1], traffic_config => { canary => {
                  model_id => $_[0] }, records => { redact => [ $_[0] ] } } }
                } ],
        [ POST => '/api/v1/model-groups', sub { { name => $_[1],
          strategy => $_[0] } } ],
        [ POST => '/api/v1/model-groups', sub { { $_[0] => 1 } } ],
        [ POST => '/api/v1/model-groups/g/models', sub { [ {
          model_id => $_[0], role => 'champion',
          traffic_percentage => 100 } ] } ],
        [ POST => '/api/v1/model-groups/g/models', sub { [ {
          model_id => "own/$_[0]", role => 'champion',
          traffic_percentage => 100 } ] } ],
        [ POST => '/api/v1/model-groups/g/models', sub { [ {
          model_id => 'own/a', role => $_[0],
          traffic_percentage => 100 } ] } ],
        [ POST => '/api/v1/model-groups/g/models', sub { [ {
          model_id => 'own/a', role => 'champion',
          traffic_percentage => $_[0] } ] } ],
        [ POST => '/api/v1/tokens', sub { { name => $_[0],
          role => 'viewer' } } ],
        [ POST => '/api/v1/tokens', sub { { name => 'x', role => $_[0] } } ],
        [ POST => '/api/v1/tokens', sub { { name => 'x', role => 'viewer',
          expires_at => $_[0] } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[0] } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[1],
          name => $_[0] } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[1],
          base_url => $_[0] } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[1],
          base_url => "http://$_[0]/" } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[1],
          protocol => $_[0] } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[1],
          api_key => $_[0] } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[1],
          headers => { $_[0] => 'x' } } } ],
        [ POST => '/api/v1/providers', sub { { id => $_[1],
          headers => { 'X-A' => $_[0] } } } ],
        [ POST => '/api/v1/models', sub { { id => $_[0] } } ],
        [ POST => '/api/v1/models', sub { { id => "own/$_[0]" } } ],
        [ POST => '/api/v1/models', sub { { id => "own/$_[1]",
          name => $_[0] } } ],
        [ POST => '/api/v1/models', sub { { id => "own/$_[1]",
          family => $_[0], tags => [ $_[0] ] } } ],
        [ POST => '/api/v1/models', sub { { id => "own/$_[1]",
          details => { $_[0] => [ $_[0] ] } } } ],
        [ PATCH => '/api/v1/models/own/a', sub { { name => $_[0] } } ],
    );

    my $groups = $gw->sql_value('select count(*) from model.model_groups');
    my $n = 0;

    for my $text (@texts) {
        my ($method, $uri, $make) = @$text;
        my @odd;

        for my $string (@hostile) {
            my $body = $json->encode($make->($string, 'x' . ++$n));
            my $r = raw($method, $uri, $body);

            push @odd, "$r->{status} for $body: $r->{body}"
                if $r->{status} !~ /^(?:20[01]|400|409)$/
                   || !$r->{json}
                   || $r->{status} >= 400 && !$r->{json}{error}{message}
                   || grep { $_->[0] =~ /evil|set-cookie/i } @{ $r->{list} };
        }

        is scalar @odd, 0, "$method $uri " . $json->encode($make->('?', 'x'))
            or diag(join "\n", map { substr $_, 0, 300 } @odd);
    }

    ok $gw->sql_value('select count(*) from model.model_groups') >= $groups,
       'all tables are still there';
};


subtest 'hostile strings in paths and queries' => sub {
    my $encode = sub {
        my $s = $_[0];
        utf8::encode($s);
        return $s =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
    };

    for my $string (@hostile) {
        # too long for a request line; and a provider by this name was made

        next if length $string > 3000 || $string eq 'null';
        my $e = $encode->($string);
        my $shown = $json->encode(substr $string, 0, 20);
        my @odd;

        for my $call ([ GET => "/api/v1/model-groups/$e" ],
                      [ DELETE => "/api/v1/model-groups/none$e" ],
                      [ DELETE => "/api/v1/model-groups/g/models/$e" ],
                      [ GET => "/api/v1/models/$e" ],
                      [ DELETE => "/api/v1/models/none/$e" ],
                      [ DELETE => "/api/v1/providers/$e" ],
                      [ DELETE => "/api/v1/tokens/$e" ],
                      [ GET => "/api/v1/providers/$e/models" ],
                      [ POST => "/api/v1/providers/$e/validate-models" ],
                      [ GET => "/api/v1/providers/$e/validation-status" ],
                      [ GET => "/api/v1/validations/$e" ],
                      [ GET => "/api/v1/jobs/$e" ],
                      [ GET => "/api/v1/models?search=$e" ],
                      [ GET => "/api/v1/models?provider=$e" ],
                      [ GET => "/api/v1/models?family=$e&modality=$e" ],
                      [ GET => "/api/v1/models?sort=$e" ],
                      [ GET => "/api/v1/models?min_context=$e" ],
                      [ GET => "/api/v1/models?max_input_price=$e" ],
                      [ GET => "/api/v1/models/capability/$e" ],
                      [ GET => "/api/v1/models/compare?ids=$e,$e/x" ],
                      [ GET => "/api/v1/models/$e/benchmarks" ],
                      [ GET => "/v1/models/$e" ],
                      [ GET => "/api/v1/models?$e=1" ],
                      [ GET => "/api/v1/jobs?kind=$e" ],
                      [ GET => "/api/v1/model-groups?page=$e" ])
        {
            my $r = $gw->fetch(@$call, \%auth);
            push @odd, "@$call: $r->{status} $r->{body}"
                if $r->{status} !~ /^(?:200|40[0459])$/
                   || $r->{status} != 400 && !$r->{json}
                   || grep { $_->[0] =~ /evil|set-cookie/i } @{ $r->{list} };
        }

        is scalar @odd, 0, "everywhere: $shown"
            or diag(join "\n", map { substr $_, 0, 300 } @odd);
    }
};


subtest 'shares that do not add up' => sub {
    my %wrong = (
        '99.99' => [ 90, 9.99 ], '100.01' => [ 90, 10.01 ], '0' => [ 0, 0 ],
        '200' => [ 100, 100 ],
    );

    for my $sum (sort keys %wrong) {
        my @p = @{ $wrong{$sum} };
        my $r = $gw->api(POST => '/api/v1/model-groups/g/models', [
            { model_id => 'own/a', role => 'champion',
              traffic_percentage => $p[0] },
            { model_id => 'own/b', role => 'challenger',
              traffic_percentage => $p[1] } ]);
        clean($r, 400, "$p[0] + $p[1]");
        is $r->{json}{error}{param}, 'traffic_percentage', 'names it';
        like $r->{json}{error}{message}, qr/"\Q$sum\E"/, 'says the sum';
    }

    is_deeply $gw->api(GET => '/api/v1/model-groups/g')->{json}{models}, [],
        'nothing was assigned';
};


subtest 'methods' => sub {
    my %allow = (
        '/api/v1/tokens' => 'GET, HEAD, POST',
        '/api/v1/model-groups' => 'GET, HEAD, POST',
        '/api/v1/model-groups/g' => 'GET, HEAD, PATCH, DELETE',
        '/api/v1/model-groups/g/models' => 'POST',
        '/api/v1/model-groups/g/models/own/a' => 'DELETE',
        '/api/v1/models' => 'GET, HEAD, POST',
        '/api/v1/models/own/a' => 'GET, HEAD, PATCH, DELETE',
        '/api/v1/models/refresh' => 'POST',
        '/api/v1/models/refresh/status' => 'GET, HEAD',
        '/api/v1/providers' => 'GET, HEAD, POST',
        '/api/v1/providers/own' => 'GET, HEAD, PATCH, DELETE',
        '/api/v1/providers/own/validate-models' => 'POST',
        '/api/v1/jobs/x/cancel' => 'POST',
        '/health' => 'GET, HEAD', '/metrics' => 'GET, HEAD',
        '/v1/models' => 'GET, HEAD', '/api.json' => 'GET, HEAD',
        '/v1/models/x' => 'GET, HEAD',
        '/api/v1/models/compare' => 'GET, HEAD',
        '/api/v1/models/capability/vision' => 'GET, HEAD',
        '/api/v1/models/own/a/benchmarks' => 'GET, HEAD',
    );

    for my $uri (sort keys %allow) {
        my %allowed = map { $_ => 1 } split /, /, $allow{$uri};

        for my $method (grep { !$allowed{$_} }
                        qw(GET POST PUT PATCH DELETE OPTIONS))
        {
            my $r = $gw->fetch($method, $uri, \%auth);
            clean($r, 405, "$method $uri");
            is $r->{headers}{allow}, $allow{$uri}, 'Allow';
        }

        next if !$allowed{HEAD};
        my $get = $gw->fetch('GET', $uri, \%auth);
        my $head = $gw->fetch('HEAD', $uri, \%auth);
        is $head->{status}, $get->{status}, "HEAD $uri";
        is $head->{body}, '', 'no body';
        is $head->{headers}{'content-length'},
           $get->{headers}{'content-length'}, 'length'
            if $uri ne '/metrics';
    }
};


subtest 'errors of nginx itself in the same shape' => sub {
    clean($gw->get('/nothing/here'), 404, '404 of the static handler');
    clean($gw->get('/denied'), 413, 'return 413');
    clean($gw->fetch('POST', '/denied', undef, 'x'), 413, 'with a body');
    clean($gw->get('/broken'), 502, '502 of a proxy');
    is $gw->get('/broken')->{json}{error}{code}, 'bad_gateway', 'code';

    $gw->get('/limited') for 1 .. 2;
    my $r = $gw->get('/limited');
    clean($r, 503, 'limit_req');
    ok $r->{headers}{'retry-after'}, 'with Retry-After';

    clean($gw->get('/health', { 'X-Large' => 'x' x 40_000 }), 400,
          'headers that are too large');

    my $w = $gw->wire;
    $w->send("POST /api/v1/tokens HTTP/1.1\r\nHost: x\r\n"
             . "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    $r = $w->response;
    $r->{json} = eval { $json->decode($r->{body}) };
    clean($r, 501, 'a transfer encoding that is not known');
};


# two of what has to be one: nobody knows which of them is meant

subtest 'headers that are sent twice' => sub {
    my $post = "POST /api/v1/models/refresh HTTP/1.1\r\nHost: a\r\n"
               . "Content-Length: 0\r\n";
    my $get = "GET /api/v1/models HTTP/1.1\r\nHost: a\r\n";
    my $token = $gw->token('admin');
    my $auth = "Authorization: Bearer $token\r\n";
    my $other = $gw->token('viewer');

    my @twice = (
        [ 'Idempotency-Key', $post . $auth,
          "Idempotency-Key: a\r\nidempotency-key: b\r\n" ],
        [ 'Idempotency-Key', $post . $auth, "Idempotency-Key: a\r\n" x 2 ],
        [ 'Authorization', $get, "${auth}Authorization: Bearer $other\r\n" ],
        [ 'Authorization', $get, $auth x 2 ],
        [ 'x-api-key', $get, "x-api-key: $token\r\nX-Api-Key: $other\r\n" ],
        [ 'If-Match', ($post =~ s!models/refresh!model-groups/g/promote!r)
          . $auth, qq(If-Match: "1"\r\nIf-Match: "2"\r\n) ],
        [ 'If-None-Match', $get . $auth, qq(If-None-Match: "1"\r\n) x 2 ],
    );

    my $jobs = $gw->sql_value('select count(*) from model.jobs');

    for (@twice) {
        my ($name, $head, $lines) = @$_;
        my $w = $gw->wire;
        $w->send("$head$lines\r\n");
        my $r = $w->response;
        $r->{json} = eval { $json->decode($r->{body}) };
        clean($r, 400, "$name twice");
        like $r->{json}{error}{message}, qr/\Q$name\E|headers: /, 'says which';
    }

    is $gw->sql_value('select count(*) from model.jobs'), $jobs,
       'nothing was begun';
};


subtest 'clients that behave badly' => sub {
    my $half = Wire::format_request('POST', '/api/v1/model-groups',
        { %auth, 'Content-Type' => 'application/json',
          'Content-Length' => 1000 }, '{"name":"half"');

    for my $how (qw(close reset)) {
        my $w = $gw->wire;
        $w->send($half);
        $w->$how;
    }

    for my $how (qw(close reset)) {
        my $w = $gw->wire;
        $w->request('POST', '/api/v1/model-groups', \%auth,
                    { name => "gone-$how" });
        $w->$how;
    }

    my $w = $gw->wire;
    my $body = '{"name":"slow"}';
    $w->send_slowly(Wire::format_request('POST', '/api/v1/model-groups',
        { %auth, 'Content-Type' => 'application/json' }, $body), 20, 0.005);
    is $w->response->{status}, 201, 'a slow one';

    $w = $gw->wire;
    $w->send(join '', map { Wire::format_request('GET',
        "/api/v1/model-groups?limit=$_", \%auth) } 1 .. 5);
    is_deeply [ map { $json->decode($w->response->{body})
                           ->{pagination}{limit} } 1 .. 5 ], [ 1 .. 5 ],
        'pipelined calls are answered in order';

    ok wait_until(sub {
        $gw->api(GET => '/api/v1/model-groups/gone-close')->{status} == 200;
    }), 'who leaves after asking still gets what he asked for';
    is $gw->api(GET => '/api/v1/model-groups/half')->{status}, 404,
       'half a body does nothing';
};


done_testing();
