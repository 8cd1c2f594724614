#!/usr/bin/perl

# Which variant a request is given, and requests that try to be taken for
# others.  If this breaks, a session changes sides between requests, workers or
# nodes, anybody may choose a variant, a dry run changes what clients get, or a
# body is routed by one model and read by its server with another.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use IO::Compress::Gzip qw(gzip);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use H2;
use Host qw(free_port slurp spew wait_until);
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;


# servers that say what they got

sub echo {
    my ($side) = @_;

    return Upstream->new(sub {
        my ($req) = @_;
        return { headers => [ 'X-Side' => $side ], json => {
            side => $side, uri => $req->{uri}, method => $req->{method},
            lines => $req->{lines}, digest => sha256_hex($req->{body}),
            length => length $req->{body},
            usage => { prompt_tokens => 3, completion_tokens => 4 } } };
    });
}

my %up = map { $_ => echo($_) } qw(one two plain);
my $h2 = free_port();

my $servers = $Gateway::locations . <<"END";
        location /open/ {
            model_auth off;
            model_split on;
            model_split_key \$http_x_user;
            rewrite ^/open(/.*)\$ \$1 break;
            add_header X-Bucket \$model_bucket always;
            add_header X-Assigned \$model_assigned always;
            include model_proxy.conf;
        }

        location /again/ {
            model_auth off;
            model_split on;
            model_fallback on;
            rewrite ^/again(/.*)\$ \$1 break;
            include model_proxy.conf;
        }

        location /operators/ {
            model_auth operator;
            model_split on;
            rewrite ^/operators(/.*)\$ \$1 break;
            include model_proxy.conf;
        }
END

my $dry = <<'END';
        location /plain/ {
            proxy_pass PLAIN/base/;
        }

        location /dry/ {
            model_split dry_run;
            proxy_pass PLAIN/base/;
        }

        location /dry_spool/ {
            model_split dry_run;
            client_body_buffer_size 1k;
            proxy_pass PLAIN/base/;
        }

        location /dry_closed/ {
            model_split dry_run;
            model_auth operator;
            proxy_pass PLAIN/base/;
        }

        location /v2/ {
            model_split dry_run;
            proxy_pass PLAIN;
        }

        location /dry_backend/ {
            model_split dry_run;
            include model_proxy.conf;
        }
END

$dry =~ s/PLAIN/$up{plain}->url/ge;

my $gw = Gateway->new(workers => 2, server => "$servers$dry",
    servers => "    server { listen 127.0.0.1:$h2 http2; $servers }\n");

$gw->start->wait_ready;


sub made { return $gw->made(@_); }

sub shares {
    my ($group, %share) = @_;

    made("model-groups/$group/models", [ map {
        my ($role) = /^(?:one|dead)/ ? 'champion' : 'challenger';
        { model_id => $_, role => $role, traffic_percentage => $share{$_} }
    } sort keys %share ]);
}

made('providers', { id => $_, base_url => $up{$_}->url, api_key => "sk-$_" })
    for qw(one two);
made('providers', { id => 'dead', base_url => 'http://127.0.0.1:1' });
made('models', { id => $_ }) for qw(one/a two/b two/c dead/d);
made('model-groups', { name => $_ }) for qw(chat three dead);
shares('chat', 'one/a' => 50, 'two/b' => 50);
shares('three', 'one/a' => 50, 'two/b' => 30, 'two/c' => 20);
shares('dead', 'dead/d' => 0, 'two/b' => 100);


# the same configuration on another node: its own state, the same database and
# the same key

my $node = Gateway->new(workers => 2, database => $gw->conninfo,
                        server => $servers);
spew($node->dir . '/secret.key', slurp($gw->dir . '/secret.key'));
$node->start->wait_ready;


sub infer {
    my ($body, $headers, $uri) = @_;

    return $gw->fetch(POST => $uri // '/open/v1/x', $headers, $body);
}

for my $one ($gw, $node) {
    ok wait_until(sub {
        !grep { !Gateway::decided($one->fetch(POST => '/open/v1/x', {},
                                              { model => $_ })) }
             qw(chat three dead);
    }), 'the groups are in effect';
}


# the record of an answer or of a group's latest request, once it is there

sub record {
    my ($group, $id) = @_;
    my $table = $gw->sql_value("select inference_table from model.model_groups
                                where name = :'group'", group => $group);
    my $row;

    wait_until(sub {
        $row = $gw->sql_value("select row_to_json(t) from model.$table t
            where request_id = '$id' or inference_id::text = '$id'");
    }, 10);
    return $row ? $json->decode($row) : {};
}

sub refused {
    my ($r, $status, $text, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $e = (ref $r->{json} ? $r->{json} : eval { $json->decode($r->{body}) }
             // {})->{error} // {};

    ok $r->{status} == $status && ($e->{message} // '') =~ $text, $name
        or diag "$r->{status} " . substr $r->{body} // '', 0, 300;
}


# -- assignment --

subtest 'where the key comes from' => sub {
    my %key;

    for (1 .. 200) {
        my $r = infer({ model => 'chat' }, { 'X-Session-Id' => "k$_" });
        $key{ $r->{headers}{'x-model-variant'} } //= "k$_";
        last if keys %key == 2;
    }

    my %not = ('one/a' => $key{'two/b'}, 'two/b' => $key{'one/a'});
    my @members = ([ user => '"user":"%s"' ],
                   [ 'metadata.user_id' => '"metadata":{"x":1,"user_id":"%s"}' ],
                   [ prompt_cache_key => '"prompt_cache_key":"%s"' ],
                   [ session_id => '"session_id":"%s"' ]);

    my ($n, $last) = (0, '');
    my $served = sub {
        my ($headers, @parts) = @_;
        $last = 'key-' . ++$n;
        my $r = infer('{' . join(',', @parts, '"model":"chat"') . '}',
                      { 'Content-Type' => 'application/json',
                        'X-Request-Id' => $last, %$headers });
        return $r->{headers}{'x-model-variant'};
    };

    for my $side (sort keys %key) {
        for my $i (0 .. $#members) {
            my ($name, $text) = @{ $members[$i] };

            is $served->({}, sprintf $text, $key{$side}), $side,
               "$name: $side";

            my @worse = map { sprintf $members[$_][1], $not{$side} }
                        $i + 1 .. $#members;
            my @all = (@worse, sprintf $text, $key{$side});

            is $served->({}, @all), $side, "$name before what follows it";
            is $served->({}, reverse @all), $side, '... in any order';
            is $served->({ 'Session-Id' => $key{$side} },
                         sprintf $text, $not{$side}), $side,
               "a session header before $name";
            is $served->({ 'X-User' => $key{$side},
                           'Session-Id' => $not{$side} },
                         sprintf $text, $not{$side}), $side,
               "model_split_key before both";
        }
    }

    my $mine = $key{'one/a'};
    is $served->({}, qq("user":"$mine","metadata":{"user_id":"x"})), 'one/a',
       'served by the key of the body';
    my $rec = record('chat', $last);
    is $rec->{key_source}, 'body', 'so it is recorded';
    is length($rec->{key_hash}), 34, 'with a hash of it';
    unlike $json->encode($rec), qr/"\Q$mine\E"/, 'not with the key';

    my %seen;
    $seen{ $served->({}, '"user":""', '"metadata":{}', '"session_id":7',
                     '"prompt_cache_key":"' . 'x' x 600 . '"') }++
        for 1 .. 60;
    is scalar(keys %seen), 2, 'without a key it is drawn';
    $rec = record('chat', $last);
    is $rec->{key_source}, undef, 'and marked: no source';
    is $rec->{key_hash}, undef, 'no hash';
    like $rec->{bucket}, qr/^\d+$/, 'but a bucket';
};


# the variants of many keys, over connections to all workers of a node

sub sides {
    my ($where, $n) = @_;

    my @r = Wire::many($where->port, [ map {
        [ POST => '/open/v1/x', { 'X-User' => "user-$_" },
          { model => 'three' } ] } 1 .. $n ], 8);

    is scalar(grep { $_->{status} != 200 } @r), 0, 'all were served';
    return map { "$_->{headers}{'x-model-variant'} "
                 . ($_->{headers}{'x-bucket'} // '') } @r;
}

subtest 'the same key lands alike' => sub {
    my @here = sides($gw, 300);

    is_deeply [ sides($gw, 300) ], \@here, 'on every worker';
    is_deeply [ sides($node, 300) ], \@here, 'on every node';

    my %n;
    $n{ (split)[0] }++ for @here;
    is scalar(keys %n), 3, 'all variants have their keys';
    is scalar(grep { (split)[1] !~ /^\d{1,4}$/ } @here), 0, 'and buckets';

    my @other = map { $_->{headers}{'x-bucket'} } Wire::many($gw->port, [ map {
        [ POST => '/open/v1/x', { 'X-User' => "user-$_" },
          { model => 'chat' } ] } 1 .. 300 ], 8);
    cmp_ok scalar(grep { $other[$_] == (split ' ', $here[$_])[1] } 0 .. 299),
           '<', 10, 'another group has another salt';
};

subtest 'a share that grows moves keys one way' => sub {
    my @before = sides($gw, 300);

    for my $share (40, 55, 80) {
        shares('three', 'one/a' => 80 - $share, 'two/b' => $share,
               'two/c' => 20);

        for my $one ($gw, $node) {
            my @now;

            ok wait_until(sub {
                @now = sides($one, 300);
                my $b = grep { /^two\/b/ } @now;
                abs($b - 3 * $share) < 45 && "@now" ne "@before";
            }), "$share %: in effect";

            my %moves;
            for (0 .. $#now) {
                my ($was, $is) = map { (split)[0] } $before[$_], $now[$_];
                $moves{"$was -> $is"}++ if $was ne $is;
            }

            is_deeply [ keys %moves ], [ 'one/a -> two/b' ],
                      "$share %: from the champion to it alone";
            @before = @now if $one == $node;
        }
    }
};


# -- the forced variant --

subtest 'a variant by header' => sub {
    my %role = map { $_ => $gw->token($_) }
               qw(inference viewer operator admin);
    my $go = sub {
        my ($uri, $role, $variant, $model) = @_;
        my %headers = ('X-Model-Variant' => $variant, 'X-User' => 'someone');
        $headers{Authorization} = "Bearer $role{$role}" if $role;
        return infer({ model => $model // 'three' }, \%headers, $uri);
    };

    refused($go->('/v1/x', 'inference', 'two/c'), 403,
            qr/"inference".*"operator"/, 'not with a token for inference');
    refused($go->('/open/v1/x', 'viewer', 'two/c'), 403, qr/"viewer"/,
            'not with a viewer\'s');
    refused($go->('/open/v1/x', undef, 'two/c'), 401, qr/"operator"/,
            'not without a token');
    refused($go->('/v1/x', undef, 'two/c'), 401, qr/token/,
            'not without a token where one is needed');

    my $r = $go->('/v1/x', 'inference', 'two/c');
    my $rec = record('three', $r->{headers}{'x-inference-id'});
    is $rec->{status}, 403, 'such a request is on record';
    is $rec->{error_class}, 'refused', 'as refused';
    is $rec->{model_served}, undef, 'served by nobody';

    for my $case ([ '/open/v1/x', 'operator' ], [ '/operators/v1/x',
                  'operator' ], [ '/v1/x', 'admin' ])
    {
        my ($uri, $role) = @$case;

        for my $variant (qw(one/a two/b two/c)) {
            $r = $go->($uri, $role, $variant);
            is $r->{status}, 200, "$role at $uri" or diag $r->{body};
            is $r->{headers}{'x-model-variant'}, $variant, "gets $variant";
        }
    }

    is_deeply [ grep { /variant|authorization: (?!Bearer sk-)/i }
                @{ $r->{json}{lines} } ], [],
              'the header goes no further, nor does the token';
    is $go->('/open/v1/x', 'operator', 'champion')
           ->{headers}{'x-model-variant'}, 'one/a', 'by its role';

    $rec = record('three', $r->{headers}{'x-inference-id'});
    is $rec->{model_assigned}, 'two/c', 'recorded: assigned';
    is $rec->{bucket}, undef, 'without a bucket';

    SKIP: {
        skip 'no such column', 1 if !exists $rec->{forced};
        ok $rec->{forced}, 'marked';
    }

    refused($go->('/open/v1/x', 'operator', 'challenger'), 400,
            qr/2 models with the role "challenger"/, 'a role that two have');
    refused($go->('/open/v1/x', 'operator', $_), 400,
            qr/is neither a model of group "three"/, "no member: $_")
        for 'dead/d', 'none', 'fallback', 'TWO/C', 'two/c ,one/a',
            'x' x 3000, "\xff\xfe";

    refused($go->('/again/v1/x', 'operator', 'dead/d', 'dead'), 502, qr/./,
            'nobody stands in for it');
    is $go->('/again/v1/x', 'operator', 'two/b', 'dead')->{status}, 200,
       'the other one works';

    is $gw->api(PATCH => '/api/v1/model-groups/three',
                { status => 'paused' })->{status}, 200, 'paused';
    ok wait_until(sub {
        !grep { !/^one\/a/ } sides($gw, 50);
    }), 'the champion serves all';
    is $go->('/open/v1/x', 'operator', 'two/c')
           ->{headers}{'x-model-variant'}, 'two/c', 'but for operators';
};


# -- the dry run --

# all of an answer but what differs with every answer

sub answer {
    my ($r) = @_;
    my %headers = %{ $r->{headers} };

    delete $headers{date};
    my $body = $r->{body} =~ s/"Host: [^"]*",?//r;
    return [ $r->{status}, \%headers, $body, $r->{complete} ];
}

subtest 'a dry run' => sub {
    my $type = 'application/json';
    my $long = '{"model":"chat","x":"' . 'y' x 300_000 . '"}';
    my @requests = (
        [ 'a group', POST => { 'Content-Type' => $type },
          '{ "model":"chat","user":"u" }' ],
        [ 'a key and a header that are not ours', POST => {
            Authorization => 'Bearer sk-mine', 'x-api-key' => 'k',
            'X-Model-Variant' => 'two/b', Cookie => 'a=b' },
          '{"model":"chat"}' ],
        [ 'an unknown model', POST => { 'Content-Type' => $type },
          '{"model":"gpt-4o"}' ],
        [ 'no model', POST => { 'Content-Type' => $type }, '{}' ],
        [ 'two models', POST => { 'Content-Type' => $type },
          '{"model":"chat","model":"chat"}' ],
        [ 'no JSON', POST => { 'Content-Type' => $type }, '{"model":' ],
        [ 'no JSON, it says', POST => { 'Content-Type' => 'text/plain' },
          '{"model":"chat"}' ],
        [ 'no body', POST => {} ],
        [ 'GET', GET => {} ],
        [ 'DELETE with a body', DELETE => {}, '{"model":"chat"}' ],
        [ 'a long body', POST => { 'Content-Type' => $type }, $long ],
        [ 'chunked', POST => { 'Content-Type' => $type,
          'Transfer-Encoding' => 'chunked' },
          sprintf("%x\r\n%s\r\n0\r\n\r\n", length $long, $long) ],
    );

    for my $case (@requests) {
        my ($name, $method, $headers, $body) = @$case;

        my @answers = map { answer($gw->fetch($method, $_ . 'x?a=%2F&b',
                                              $headers, $body)) }
                      '/plain/', '/dry/', '/dry_spool/';

        is $answers[0][0], 200, "$name: served" or diag $answers[0][2];
        is_deeply $answers[1], $answers[0], "$name: as without the module";
        is_deeply $answers[2], $answers[0], "$name: from a file, too";
    }

    my $r = $gw->fetch(POST => '/dry/v1/x', { 'X-Request-Id' => 'dry-1' },
                       { model => 'chat', user => 'someone' });
    is $r->{headers}{'x-inference-id'}, undef, 'no header of ours';
    my $rec = record('chat', 'dry-1');
    my $real = infer({ model => 'chat', user => 'someone' });
    is $rec->{model_assigned}, $real->{headers}{'x-assigned'},
       'recorded: what was decided';
    is $rec->{bucket}, $real->{headers}{'x-bucket'}, 'by the same bucket';
    is $rec->{model_served}, undef, 'that nobody served it';
    is $rec->{role}, undef, 'in no role';
    is $rec->{status}, 200, 'what came of it';
    is $rec->{output_tokens}, 4, 'its tokens';
    is $rec->{cost_nano_usd}, undef, 'no cost';
    is $rec->{error_class}, undef, 'no error';

    SKIP: {
        skip 'no such column', 1 if !exists $rec->{dry_run};
        ok $rec->{dry_run}, 'marked';
    }

    $r = $gw->fetch(POST => '/v2/models/chat/infer',
                    { 'X-Request-Id' => 'dry-2' }, { inputs => [] });
    is $r->{json}{uri}, '/v2/models/chat/infer', 'by path: as it came';
    is record('chat', 'dry-2')->{status}, 200, 'and recorded';
    is $gw->fetch(POST => '/v2/models/none/infer', {}, {})->{status}, 200,
       'an unknown one, too';

    refused($gw->fetch(POST => '/dry_closed/x', {}, { model => 'chat' }), 401,
            qr/"operator"/, 'a role that is asked for is asked for');
    is $gw->fetch(POST => '/dry_closed/x', { Authorization => 'Bearer '
                  . $gw->token('operator') }, { model => 'chat' })->{status},
       200, 'and given';

    is $gw->fetch(POST => '/dry_backend/v1/x', {}, { model => 'chat' })
           ->{status}, 500, 'there is no variant to proxy to';
    like $gw->log, qr/"model_split" has not decided/, 'as the log says';

    like $gw->get('/metrics', { Authorization => 'Bearer '
                  . $gw->token('viewer') })->{body},
         qr/^nginx_model_requests_total\{group="chat"/m, 'metrics';
    unlike $gw->get('/metrics', { Authorization => 'Bearer '
                    . $gw->token('viewer') })->{body},
           qr/^nginx_model_requests_total\{group="chat",variant=""/m,
           'count no dry run as a request of a variant';
};


# -- bodies --

my $ten = 10 << 20;
my %bodies = (
    'two models' => [ '{"model":"chat","model":"three"}', qr/twice/ ],
    'two models, the same' => [ '{"model":"chat","model":"chat"}', qr/twice/ ],
    'two models, far apart' => [ '{"model":"chat","x":"' . 'y' x 200_000
        . '","model":"three"}', qr/twice/ ],
    'a key with escapes' => [ '{"\u006dodel":"chat"}', qr/without escapes/ ],
    'a second one with escapes' => [ '{"model":"chat","mode\u006C":"three"}',
        qr/without escapes/ ],
    'a number' => [ '{"model":7}', qr/string/ ],
    'null' => [ '{"model":null}', qr/string/ ],
    'true' => [ '{"model":true}', qr/string/ ],
    'an array' => [ '{"model":["chat"]}', qr/string/ ],
    'an object' => [ '{"model":{"model":"chat"}}', qr/string/ ],
    'empty' => [ '{"model":""}', qr/empty/ ],
    'nested alone' => [ '{"x":{"model":"chat"}}', qr/no "model"/ ],
    'in metadata alone' => [ '{"metadata":{"model":"chat"}}', qr/no "model"/ ],
    'absent' => [ '{"messages":[]}', qr/no "model"/ ],
    'two documents' => [ '{"model":"chat"}{"model":"three"}',
        qr/nothing may follow/ ],
    'a comma behind' => [ '{"model":"chat",}', qr/JSON/ ],
    'a comment' => [ '{"model":"chat"/*,*/}', qr/JSON/ ],
    'single quotes' => [ "{'model':'chat'}", qr/JSON/ ],
    'a byte order mark' => [ "\xef\xbb\xbf{\"model\":\"chat\"}", qr/JSON/ ],
    'UTF-16' => [ join("\0", '', split //, '{"model":"chat"}'), qr/JSON/ ],
    'NUL in the value' => [ '{"model":"chat\u0000"}', qr/NUL/ ],
    'a bare NUL' => [ "{\"model\":\"chat\0\"}", qr/JSON/ ],
    'invalid UTF-8 in the model' => [ "{\"model\":\"ch\xffat\"}", qr/UTF-8/ ],
    'invalid UTF-8 in a key' => [ "{\"model\":\"chat\",\"\xc0\xed\":1}",
        qr/UTF-8/ ],
    'invalid UTF-8 elsewhere' => [ "{\"model\":\"chat\",\"x\":\"\xed\xa0\x80\"}",
        qr/UTF-8/ ],
    'overlong UTF-8' => [ "{\"\xc1\xadodel\":\"three\",\"model\":\"chat\"}",
        qr/UTF-8/ ],
    'half a surrogate' => [ '{"model":"\ud800"}', qr/surrogate/ ],
    'a deep array' => [ '{"model":"chat","x":' . '[' x 200 . ']' x 200 . '}',
        qr/nested/ ],
    '10 MB of arrays' => [ '{"x":' . '[' x ($ten - 100), qr/nested/ ],
    '10 MB of objects' => [ '{"x":' . '{"a":' x (($ten - 100) / 5),
        qr/nested/ ],
    '10 MB of arrays behind the model' => [ '{"model":"chat","x":'
        . '[' x ($ten - 100), qr/nested/ ],
);

subtest 'bodies that are refused' => sub {
    my %type = ('Content-Type' => 'application/json');
    my @before = $gw->workers;
    $up{$_}->forget for qw(one two);

    for my $name (sort keys %bodies) {
        my ($body, $text) = @{ $bodies{$name} };

        refused(infer($body, \%type), 400, $text, $name);

        my $c = H2->new($h2);
        $c->request({ ':path' => '/open/v1/x',
                      'content-type' => 'application/json' }, $body);
        my ($r) = $c->responses(1);
        refused($r, 400, $text, "$name, over HTTP/2");
    }

    is_deeply [ map { $up{$_}->requests } qw(one two) ], [],
              'none of them has reached a server';
    is_deeply [ $gw->workers ], \@before, 'no worker was lost';

    # what only looks wrong

    for my $body ('{"models":1,"Model":2,"MODEL":3,"model":"chat"}',
                  '{"x":[{"model":1,"model":2}],"model":"chat"}',
                  '{"model":"\u0063hat","\u006d":1}',
                  "{\"x\":\"\\ud800 \\udc00\",\"model\":\"chat\"}",
                  '{"model":"chat","x":' . '[' x 127 . ']' x 127 . '}')
    {
        is infer($body, \%type)->{status}, 200, substr $body, 0, 60;
    }
};


subtest 'coded bodies' => sub {
    my $body = '{"model":"chat"}';
    gzip(\$body => \my $packed) or die;
    my %type = ('Content-Type' => 'application/json');

    refused(infer($packed, { %type, 'Content-Encoding' => 'gzip' }), 415,
            qr/"gzip".*without/, 'gzip is refused by its name');
    refused(infer($packed, { %type, 'Content-Encoding' => 'br, gzip' }), 415,
            qr/"br, gzip"/, 'so is a list');
    refused(infer($packed, \%type), 400, qr/JSON at byte 0/,
            'gzip that does not say so is no JSON');
    is infer($body, { %type, 'Content-Encoding' => 'identity' })->{status},
       200, 'identity is none';

    # chunks with extensions and trailers: the server gets the bytes alone

    my $w = $gw->wire;
    $w->request(POST => '/open/v1/x', { %type,
                'Transfer-Encoding' => 'chunked', Trailer => 'X-Evil' });
    $w->send("6;a=b;model=three\r\n{\"mode\r\n00a\r\nl\":\"chat\"}\r\n"
             . "0;x\r\nX-Evil: 1\r\nContent-Length: 3\r\n\r\n");
    my $r = $w->response;
    my $got = eval { $json->decode($r->{body}) } // {};
    is $r->{status}, 200, 'extensions and trailers' or diag $r->{body};
    is $got->{length}, 13, 'no more than the body goes on';
    is_deeply [ grep { /^(?:X-Evil|Trailer: *$|Transfer-Encoding)/i }
                @{ $got->{lines} } ], [], 'nothing of a trailer';
    is scalar(grep { /^Content-Length: 13$/i } @{ $got->{lines} }), 1,
       'one length, which is true';
    $w->request(POST => '/open/v1/x', {}, { model => 'chat' });
    is $w->response->{status}, 200, 'the connection is still good';
};


# -- smuggling --

# many requests on one connection; the answers up to the one that closes it

sub raw {
    my ($bytes) = @_;
    my $w = $gw->wire;
    my @got;

    $w->{method} = 'POST';
    $w->send($bytes);

    while (my $r = $w->response(3)) {
        last if !$r->{status};
        push @got, $r->{status};
        last if ($r->{headers}{connection} // '') eq 'close';
    }

    $w->close;
    return "@got";
}

subtest 'requests in requests' => sub {
    my $body = '{"model":"chat"}';
    my $n = length $body;
    my $inner = "POST /open/v1/smuggled HTTP/1.1\r\nHost: x\r\n"
                . "Content-Length: $n\r\nConnection: close\r\n\r\n$body";
    my $head = "POST /open/v1/x HTTP/1.1\r\nHost: x\r\n"
               . "Content-Type: application/json\r\n";
    my $chunk = sprintf "%x\r\n%s\r\n0\r\n\r\n", $n, $body;
    my $empty = "0\r\n\r\n";
    my $both = $n + length $inner;

    # the first answer; whatever follows it must not be the inner request's

    my @cases = (
        [ 'a length and chunks', "Content-Length: $n\r\n"
          . "Transfer-Encoding: chunked\r\n\r\n$chunk$inner", 400 ],
        [ 'chunks and a length', "Transfer-Encoding: chunked\r\n"
          . "Content-Length: $both\r\n\r\n$empty$inner", 400 ],
        [ 'two lengths', "Content-Length: $n\r\nContent-Length: $both\r\n\r\n"
          . "$body$inner", 400 ],
        [ 'two lengths, the same', "Content-Length: $n\r\n"
          . "Content-Length: $n\r\n\r\n$body$inner", 400 ],
        [ 'a list of lengths', "Content-Length: $n, $n\r\n\r\n$body$inner",
          400 ],
        [ 'a signed length', "Content-Length: +$n\r\n\r\n$body$inner", 400 ],
        [ 'chunks of another kind', "Transfer-Encoding: xchunked\r\n"
          . "\r\n$chunk$inner", qr/^(?:400|501)$/ ],
        [ 'chunks twice', "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
          . "chunked\r\n\r\n$chunk$inner", qr/^(?:400|501)$/ ],
        [ 'gzip, chunked', "Transfer-Encoding: gzip, chunked\r\n\r\n"
          . "$chunk$inner", qr/^(?:400|501)$/ ],
        [ 'a tab before chunked', "Transfer-Encoding:\tchunked\r\n\r\n"
          . "$chunk$inner", qr/^(?:400|501)$/ ],
        [ 'a space before the colon', "Transfer-Encoding : chunked\r\n\r\n"
          . "$chunk$inner", 400 ],
        [ 'a folded line', "X-A: b\r\n Transfer-Encoding: chunked\r\n"
          . "\r\n$chunk$inner", 400 ],
        [ 'a bare CR in a header', "X-A: b\rTransfer-Encoding: chunked\r\n"
          . "\r\n$chunk$inner", qr/^(?:400|411)$/ ],
        [ 'NUL in a header', "X-A: b\0c\r\nContent-Length: $n\r\n\r\n$body",
          400 ],
    );

    for my $case (@cases) {
        my ($name, $rest, $want) = @$case;

        $_->forget for values %up;
        my $got = raw($head . $rest);
        my ($first) = $got =~ /^(\d+)/;

        like $first // 'none', ref $want ? $want : qr/^$want$/, "$name: $got";
        is scalar(grep { $_->{uri} =~ /smuggled/ }
                  map { $_->requests } values %up), 0,
           "$name: nothing hid behind it";
    }

    # what is said twice in another way goes on once, and true

    $_->forget for values %up;
    is raw("${head}Content-Length: $n\r\nContent_Length: 3\r\n"
           . "Connection: close, Content-Length, X-Api-Key\r\n\r\n$body"), 200,
       'Connection that names headers';
    my ($req) = map { $_->requests } @up{qw(one two)};
    is_deeply [ map { lc } grep { /^Content.Length/i } @{ $req->{lines} } ],
              [ 'content-length: ' . length $req->{body} ],
              'one length, of the body that was sent';
    is_deeply [ grep { /^(?:Connection|Transfer-Encoding|TE|Upgrade)/i }
                @{ $req->{lines} } ], [], 'nothing of the hop';

    # a length that covers the next request: it is the body, so it is no JSON

    is raw("${head}Content-Length: $both\r\n\r\n$body$inner"), 400,
       'a request that the length makes a body';

    # refused before, and in the middle of, a body that looks like requests

    like raw("${head}Content-Length: " . length($inner) . "\r\n\r\n$inner"
             . "${head}Content-Length: $n\r\nConnection: close\r\n\r\n$body"),
         qr/^400(?: 200)?$/, 'a body that is a request is a body';
    is scalar(grep { $_->{uri} =~ /smuggled/ }
              map { $_->requests } values %up), 0, 'and only that';
};


# -- Expect and pipelining --

subtest 'Expect' => sub {
    my $body = '{"model":"chat"}';
    my %want = ('Content-Type' => 'application/json',
                'Content-Length' => length $body, Expect => '100-continue');

    # a refusal that needs no body does not wait for it; nginx may ask for the
    # body before it says so

    for my $case ([ 401, '/v1/x', 'POST' ], [ 405, '/open/v1/x', 'PUT' ],
                  [ 415, '/open/v1/x', 'POST', 'Content-Type' => 'text/plain' ])
    {
        my ($status, $uri, $method, @more) = @$case;
        my $w = $gw->wire;

        $w->request($method => $uri, { %want, @more });
        ok wait_until(sub { $w->fill(time + 0.1);
                            $w->pending =~ m{^HTTP/1.1 $status }m }, 5),
           "$status: an answer without the body";
        $w->close;
    }

    my $w = $gw->wire;
    $w->request(POST => '/open/v1/x', \%want);
    wait_until(sub { $w->fill(time + 0.1); $w->pending =~ /\r\n\r\n/ }, 5);
    like $w->pending, qr{^HTTP/1.1 100 [^\r]*\r\n\r\n$}, '100, and no more';
    $w->{in} = '';
    $w->send($body);
    is $w->response->{status}, 200, 'served when it came';
    $w->close;

    $w = $gw->wire;
    $w->request(POST => '/open/v1/x', { %want, Expect => 'the-unexpected' },
                $body);
    like $w->response->{status}, qr/^(?:200|417)$/, 'another expectation';
};


subtest 'pipelining' => sub {
    my (@want, $bytes);
    my %type = ('Content-Type' => 'application/json');

    for my $n (1 .. 30) {
        my ($status, $body) = $n % 5 == 0 ? (400, '{"model":"chat","model":1}')
                            : $n % 7 == 0 ? (404, '{"model":"none"}')
                            : (200, qq({"model":"chat","user":"u$n"}));
        push @want, $status;
        $bytes .= $n % 3 == 0
            ? Wire::format_request(POST => "/open/v1/$n", { %type,
                  'Transfer-Encoding' => 'chunked' },
                  sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body)
            : Wire::format_request(POST => "/open/v1/$n", \%type, $body);
    }

    my $w = $gw->wire;
    $w->{method} = 'POST';
    $w->send_slowly($bytes, 997, 0.001);
    my @got = map { $w->response } @want;

    is_deeply [ map { $_->{status} } @got ], \@want, 'an answer to each';
    is_deeply [ map { $_->{status} == 200
                      ? $json->decode($_->{body})->{uri} : () } @got ],
              [ map { $want[$_ - 1] == 200 ? "/$_" : () } 1 .. 30 ],
              'in their order';
};


# -- HTTP/2 --

subtest 'HTTP/2' => sub {
    my %type = (':path' => '/open/v1/x', 'content-type' => 'application/json');
    my $c = H2->new($h2);

    for my $n (1 .. 40) {
        $c->request({ %type, 'x-user' => "user-$n" }, $json->encode(
            { model => 'chat', x => 'y' x ($n * 2000) }));
    }

    my @r = $c->responses(40);
    is scalar(grep { $_->{status} == 200 } @r), 40, '40 at once';
    my @sides = map { $_->{headers}{'x-model-variant'} =~ s/\/.*//r }
                map { infer({ model => 'chat' }, { 'X-User' => "user-$_" }) }
                1 .. 40;
    is_deeply [ map { $json->decode($_->{body})->{side} } @r ], \@sides,
              'to the same variants as over HTTP/1.1';

    my $big = '{"x":"' . 'z' x 3_000_000 . '","model":"chat"}';
    $c->request(\%type, $big);
    my $got = $json->decode(($c->responses(41))[40]{body} || '{}');
    is $got->{length}, length($big) - 3, '3 MB';
    is $got->{digest}, sha256_hex($big =~ s/"chat"/'"' . ($got->{side} eq 'one'
                                  ? 'a' : 'b') . '"'/re), 'all its bytes';
    is scalar(grep { /^Content-Length: $got->{length}$/i }
              @{ $got->{lines} }), 1, 'one length';

    # an answer that is refused before its body leaves the connection in order

    $c = H2->new($h2);
    $c->request({ %type, ':path' => '/v1/x' }, '{"model":"chat"}');
    $c->request({ %type, 'content-type' => 'text/plain' }, 'x' x 100_000);
    $c->request({ %type }, '{"model":"chat"}');
    is_deeply [ map { $_->{status} } $c->responses(3) ], [ 401, 415, 200 ],
              'refused and served side by side';

    # what HTTP/1.1 would be made of: none of it may reach a server

    my %hostile = (
        'a length too small' => [ { %type, 'content-length' => 3 },
                                  '{"model":"chat"}' ],
        'a length too large' => [ { %type, 'content-length' => 300 },
                                  '{"model":"chat"}' ],
        'no number' => [ { %type, 'content-length' => '16, 16' },
                         '{"model":"chat"}' ],
        'CRLF in a value' => [ { %type, 'x-a' => "b\r\nx-evil: 1" },
                               '{"model":"chat"}' ],
        'LF in a value' => [ { %type, 'x-a' => "b\nx-evil: 1" },
                             '{"model":"chat"}' ],
        'NUL in a value' => [ { %type, 'x-a' => "b\0c" },
                              '{"model":"chat"}' ],
        'CRLF in a name' => [ { %type, "x-a: b\r\nx-evil" => '1' },
                              '{"model":"chat"}' ],
        'a space in the path' => [ { %type, ':path' => '/open/v1/x HTTP/1.1'
                                     . "\r\nx-evil: 1" }, '{"model":"chat"}' ],
        'an upper case name' => [ { %type, 'X-Evil' => '1' },
                                  '{"model":"chat"}' ],
    );

    for my $name (sort keys %hostile) {
        $_->forget for values %up;
        my $d = H2->new($h2);
        $d->request(@{ $hostile{$name} });
        my ($r) = $d->responses(1, 3);
        my @seen = map { $_->requests } values %up;

        ok $r->{status} != 200 || !@seen
           || !grep { /evil/i } map { @{ $_->{lines} } } @seen,
           "$name: $r->{status}" . ($r->{reset} ? ", reset $r->{reset}" : '');
        ok !grep({ $_->{body} !~ /^\{"model":"[ab]"\}$/ } @seen),
           "$name: no other body";
    }

    # a request that says that it is chunked: HTTP/2 has no such thing

    $_->forget for values %up;
    $c = H2->new($h2);
    $c->request({ %type, 'transfer-encoding' => 'chunked' },
                "10\r\n{\"model\":\"chat\"}\r\n0\r\n\r\n");
    my ($r) = $c->responses(1, 3);
    isnt $r->{status}, 200, "transfer-encoding: $r->{status}";
    is_deeply [ map { $_->requests } values %up ], [], 'goes nowhere';

    # gone in the middle

    for my $n (1 .. 20) {
        my $d = H2->new($h2);
        $d->{streams}{1} = {};
        $d->request({ %type });
        $d->frame(HEADERS => 4, 3, "\0" . H2::text(':method')
                  . H2::text('POST'));
        close $d->{socket};
    }

    $c = H2->new($h2);
    $c->request({ %type }, '{"model":"chat"}');
    is(($c->responses(1))[0]{status}, 200, 'served after all that');
};

$node->quit;

done_testing;
