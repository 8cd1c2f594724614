#!/usr/bin/perl

# The split at the proxy.  If this breaks, users change sides, shares are not
# what was asked for, a body reaches the upstream with another length or
# another model than it says, a token is not needed where it should be, the
# client's credentials reach a provider, or a stream waits for its end.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(free_port wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;


my $seen = Services::base() . "/seen.$$";

sub events {
    my ($n) = @_;
    return ((map { "data: {\"n\":$_}\n\n" } 1 .. $n), "data: [DONE]\n\n");
}


# echoes what came; "n" asks for a stream of so many events, each of which waits
# until the client has the one before

sub echo {
    my ($side) = @_;

    return sub {
        my ($req) = @_;
        my $body = eval { $json->decode($req->{body}) } // {};

        return { status => $body->{fail}, json => { error => 'asked for' } }
            if $body->{fail};

        return { headers => [ 'Content-Type', 'text/event-stream' ],
                 chunks => [ Upstream::in_turn($seen, events($body->{n})) ] }
            if $body->{stream};

        return { json => { side => $side, uri => $req->{uri},
                           headers => $req->{headers},
                           length => length $req->{body},
                           bad => ref $body && %$body ? undef : $req->{body},
                           model => $body->{model} } };
    };
}

my %up = map { $_ => Upstream->new(echo($_)) } qw(one two);
my @ports = map { free_port() } 1 .. 2;

my $gw = Gateway->new(
    servers => join('', map { <<END } 0 .. 1),
    server {
        listen 127.0.0.1:$ports[$_];
        default_type application/json;
        location / { return 200 '{"side":$_}'; }
    }
END
    server => $Gateway::locations . <<'END',
        location /open/ {
            model_auth off;
            model_split on;
            model_split_key $http_x_user;
            rewrite ^/open(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /spool/ {
            model_auth off;
            model_split on;
            rewrite ^/spool(/.*)$ $1 break;
            include spool_proxy.conf;
            client_body_buffer_size 1k;
        }

        location /again/ {
            model_auth off;
            model_split on;
            rewrite ^/again(/.*)$ $1 break;
            include model_proxy.conf;
            error_page 502 504 = @model_fallback;
        }

        location @model_fallback {
            model_auth off;
            model_split on;
            include model_proxy.conf;
        }

        location /v2/ {
            model_auth off;
            model_split on;
            include model_proxy.conf;
        }
END
);

my $proxy = Host::slurp($gw->dir . '/model_proxy.conf');
$proxy =~ s/^client_body_buffer_size.*//m;
Host::spew($gw->dir . '/spool_proxy.conf', $proxy);

$gw->start(workers => 2)->wait_ready;


sub made { return $gw->made(@_); }

sub group {
    my ($name, @members) = @_;

    $gw->group($name, {}, @members);
    ok wait_until(sub {
        Gateway::decided($gw->fetch(POST => '/open/v1/x', {},
                                    { model => $name }));
    }), "group $name is in effect";
}

made('providers', { id => 'one', protocol => 'openai',
                    base_url => $up{one}->url . '/base/v1/',
                    api_key => 'sk-of-provider-one' });
made('providers', { id => 'two', base_url => $up{two}->url,
                    api_key => 'sk-of-two' });
$gw->sql("update model.providers set protocol = 'anthropic' where id = 'two'");
made('providers', { id => "fast$_",
                    base_url => "http://127.0.0.1:$ports[$_]" }) for 0 .. 1;
made('providers', { id => 'dead', base_url => 'http://127.0.0.1:1' });
made('models', { id => $_ })
    for 'one/champ', 'two/Chall/enger:v1@x', 'fast0/a', 'fast1/b',
        'dead/none';

group('chat', [ 'one/champ', 'champion', 100 ]);
group('other', [ 'two/Chall/enger:v1@x', 'champion', 100 ]);
group('wide', [ 'fast0/a', 'champion', 90 ], [ 'fast1/b', 'challenger', 10 ]);
group('safe', [ 'dead/none', 'champion', 100 ],
      [ 'one/champ', 'fallback', 0 ]);
group('dead', [ 'dead/none', 'champion', 100 ]);


# an inference on the open location

sub infer {
    my ($body, $headers, $uri) = @_;

    return $gw->fetch(POST => $uri // '/open/v1/chat/completions', $headers,
                      $body);
}

sub raw {
    my ($body, $headers) = @_;

    return infer($body, { 'Content-Type' => 'application/json',
                          %{ $headers || {} } });
}

sub refused {
    my ($r, $status, $code, $text, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $e = $r->{json}{error} // {};
    ok($r->{status} == $status && $e->{code} eq $code
       && $e->{message} =~ $text, $name)
        or diag "$r->{status} $r->{body}";
}


subtest 'what the upstream gets' => sub {
    my $r = infer({ model => 'chat', temperature => 0.5,
                    messages => [ { model => 'mine' } ] },
                  { Authorization => undef, Cookie => 'secret=1' },
                  '/open/v1/chat/completions?beta=true&x=%2F');

    is $r->{status}, 200, 'served' or diag $r->{body};
    is $r->{json}{model}, 'champ', 'its own name of the model';
    is $r->{json}{uri}, '/base/v1/chat/completions?beta=true&x=%2F',
       'base path, one /v1, arguments';
    is $r->{json}{headers}{host}, '127.0.0.1:' . $up{one}->port, 'Host';
    is $r->{json}{headers}{authorization}, 'Bearer sk-of-provider-one',
       "the provider's key";
    is $r->{json}{headers}{cookie}, undef, 'no cookie of the client';
    is $r->{json}{length}, $r->{json}{headers}{'content-length'},
       'Content-Length';

    is $r->{headers}{'x-model-group'}, 'chat', 'X-Model-Group';
    is $r->{headers}{'x-model-variant'}, 'one/champ', 'X-Model-Variant';
    is $r->{headers}{'x-model-role'}, 'champion', 'X-Model-Role';
    like $r->{headers}{'x-inference-id'},
         qr/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-/,
         'X-Inference-Id is a UUIDv7';

    $r = infer({ model => 'other' }, {}, '/open/v1/messages');
    is $r->{json}{model}, 'Chall/enger:v1@x', 'any id';
    is $r->{json}{uri}, '/messages', 'no base path';
    is $r->{json}{headers}{'x-api-key'}, 'sk-of-two', 'x-api-key';
    is $r->{json}{headers}{authorization}, undef, 'and no Authorization';
    is $r->{headers}{'x-model-variant'}, 'two/Chall/enger:v1@x', 'variant';
};


subtest 'bodies in every form' => sub {
    my @bodies = (
        [ 'first', '{"model":"chat","a":1}' ],
        [ 'last', '{"a":[1,{"model":"x"}],"model":"chat"}' ],
        [ 'spaces', " \n{ \"model\" :\t\"chat\" } \r\n" ],
        [ 'escaped value', '{"model":"ch\u0061t"}' ],
        [ 'utf-8', qq({"m":"\xc3\xa9\xf0\x9f\x98\x80","model":"chat"}) ],
        [ 'no Content-Type', '{"model":"chat"}', { 'Content-Type' => undef } ],
        [ 'charset', '{"model":"chat"}',
          { 'Content-Type' => 'application/json; charset=utf-8' } ],
        [ 'a +json type', '{"model":"chat"}',
          { 'Content-Type' => 'application/vnd.x+json' } ],
    );

    for my $case (@bodies) {
        my ($name, $body, $headers) = @$case;
        my $r = raw($body, $headers);
        is $r->{json}{model}, 'champ', $name or diag $r->{body};
        is $r->{json}{bad}, undef, "$name: still JSON";
    }

    my $big = $json->encode({ a => 'x' x 90_000, model => 'chat',
                              z => [ ('y' x 1000) x 100 ] });

    for my $place ('/open/v1/x', '/spool/v1/x') {
        my $r = infer($big, { 'Content-Type' => 'application/json' },
                      $place);
        is $r->{json}{model}, 'champ', "$place: 190 KB";
        is $r->{json}{length}, 1 + length $big, "$place: its length";
    }

    for my $place ('/open/v1/x', '/spool/v1/x') {
        my $wire = $gw->wire;
        $wire->request(POST => $place,
                       { 'Content-Type' => 'application/json',
                         'Transfer-Encoding' => 'chunked' });
        $wire->send_slowly(sprintf("%x\r\n%s\r\n0\r\n\r\n", length $big,
                                   $big), 50_000, 0.01);
        my $r = $wire->response;
        like $r->{body}, qr/"model":"champ"/, "$place: chunked, slowly";
        like $r->{body}, qr/"length":@{[ 1 + length $big ]}\b/,
             "$place: its length";

        $wire->request(POST => $place, {}, { model => 'chat' });
        is $wire->response->{status}, 200, "$place: kept alive";
    }

    my $wire = $gw->wire;
    $wire->request(POST => '/open/v1/x',
                   { 'Content-Type' => 'application/json',
                     Expect => '100-continue', 'Content-Length' => 16 });
    sleep 0.1;
    $wire->send('{"model":"chat"}');
    is $wire->response->{status}, 200, 'Expect: 100-continue';

    $wire = $gw->wire;
    $wire->send(join '', map { Wire::format_request(POST => '/open/v1/x', {},
                { model => 'chat', id => $_ }) } 1 .. 3);
    is $wire->response->{status}, 200, "pipelined $_" for 1 .. 3;
};


subtest 'bad input' => sub {
    refused(raw('{"model":"chat"'), 400, 'invalid_parameter', qr/byte 15/,
            'truncated');
    refused(raw('{"model":"chat",}'), 400, 'invalid_parameter', qr/byte 16/,
            'a comma too many');
    refused(raw(''), 400, 'invalid_parameter', qr/JSON/, 'empty');
    refused(raw('[1]'), 400, 'invalid_parameter', qr/object/, 'no object');
    refused(raw('{"a":1}'), 400, 'missing_model', qr/"model"/, 'no model');
    refused(raw('{"model":7}'), 400, 'invalid_parameter', qr/string/,
            'no string');
    refused(raw('{"model":""}'), 400, 'invalid_parameter', qr/empty/,
            'empty name');
    refused(raw('{"model":"chat","model":"wide"}'), 400,
            'invalid_parameter', qr/twice/, 'twice');
    refused(raw('{"m\u006fdel":"chat"}'), 400, 'invalid_parameter',
            qr/escape/, 'a key in disguise');
    refused(raw('{"a":' . '[' x 500 . ']' x 500 . ',"model":"chat"}'), 400,
            'invalid_parameter', qr/deep|nest/, 'nested too deeply');
    refused(raw('{"model":"no/such: one"}'), 404, 'model_not_found',
            qr{"no/such: one"}, 'unknown');
    refused(raw(qq({"model":"a\\r\\nX-Evil: 1"})), 404, 'model_not_found',
            qr/not exist/, 'a name with line breaks');
    refused(raw('{"model":"chat"}', { 'Content-Type' => 'text/plain' }), 415,
            'unsupported_media_type', qr/"text\/plain"/, 'type');

    my $r = $gw->fetch(GET => '/open/v1/x');
    refused($r, 405, 'method_not_allowed', qr/"GET"/, 'method');
    is $r->{headers}{allow}, 'POST', 'Allow';

    is infer('x' x 11_000_000)->{status}, 413, 'too large';
    refused(infer('{"model":', { 'Content-Type' => 'application/json' },
                  '/spool/v1/' . 'x' x 10), 400, 'invalid_parameter',
            qr/byte 9/, 'truncated, from a file or not');
    my $big = '{"a":"' . 'x' x 100_000 . "\x01\"}";
    refused(infer($big, { 'Content-Type' => 'application/json' },
                  '/spool/v1/x'), 400, 'invalid_parameter', qr/byte 100006/,
            'in a file');
    unlike $gw->log, qr/X-Evil/, 'nothing of it in the log';
};


subtest 'tokens' => sub {
    my $go = sub {
        $gw->fetch(POST => '/v1/chat/completions', { @_ },
                   { model => 'chat' });
    };
    my $good = $gw->token('inference');
    wait_until(sub { $go->('x-api-key' => $good)->{status} == 200 });

    my $r = $go->();
    refused($r, 401, 'unauthenticated', qr/token/, 'none');
    like $r->{headers}{'www-authenticate'}, qr/^Bearer/, 'WWW-Authenticate';
    refused($go->(Authorization => 'Bearer wrong'), 401, 'unauthenticated',
            qr/not known/, 'wrong');
    refused($go->(Authorization => 'Bearer ' . $gw->token('viewer')), 403,
            'forbidden', qr/"viewer"/, 'of another role')
        if wait_until(sub { $go->(Authorization => 'Bearer '
                                  . $gw->token('viewer'))->{status} != 401 });

    $r = $go->(Authorization => "Bearer $good");
    is $r->{status}, 200, 'good';
    is $r->{json}{headers}{authorization}, 'Bearer sk-of-provider-one',
       'it goes no further';
    $r = $go->('x-api-key' => $good);
    is $r->{status}, 200, 'as x-api-key';
    is $r->{json}{headers}{'x-api-key'}, undef, 'neither does that';
    is $go->(Authorization => 'Bearer ' . $gw->token('admin'))->{status},
       200, 'an admin may do everything';

    $r = $gw->fetch(POST => '/open/v1/x',
                    { Authorization => 'Bearer sk-placeholder' },
                    { model => 'chat' });
    is $r->{status}, 200, 'where none is needed a placeholder does no harm';
    is $r->{json}{headers}{authorization}, 'Bearer sk-of-provider-one',
       'and goes no further either';
};


subtest 'the model by path' => sub {
    my $r = $gw->fetch(POST => '/v2/models/other/versions/2/infer?a=1', {},
                       { inputs => [] });
    is $r->{status}, 200, 'served' or diag $r->{body};
    is $r->{json}{uri},
       '/v2/models/Chall%2Fenger%3Av1%40x/versions/2/infer?a=1', 'renamed';
    refused($gw->fetch(POST => '/v2/models/none/infer', {}, {}), 404,
            'model_not_found', qr/"none"/, 'unknown');
};


subtest 'shares and stickiness' => sub {
    my @requests = map { [ POST => '/open/v1/x', { 'X-User' => "user-$_" },
                           { model => 'wide' } ] } 1 .. 10_000;
    my @first = Wire::many($gw->port, \@requests, 16);
    my @sides = map { $_->{body} } @first;
    my $b = grep { $_ eq '{"side":1}' } @sides;

    is scalar(grep { $_->{status} != 200 } @first), 0, 'all were served';
    # the salt is a random one: five times the standard deviation

    cmp_ok abs($b - 1000), '<=', 160,
        "$b of 10000 keys at the challenger, 1000 +- 160";
    is scalar(grep { my $s = $_->{headers}{'x-model-role'};
                     ($s eq 'challenger') != ($_->{body} eq '{"side":1}') }
              @first), 0, 'the headers say who served';

    my @some = map { $_ * 5 } 0 .. 1999;
    my @second = Wire::many($gw->port, [ @requests[@some] ], 16);
    is_deeply [ map { $_->{body} } @second ], [ @sides[@some] ],
        'the same key, the same side';

    $gw->reload(wait_old => 1);
    my @third = Wire::many($gw->port, [ @requests[@some] ], 16);
    is_deeply [ map { $_->{body} } @third ], [ @sides[@some] ],
        'also after a reload';

    my $r = $gw->api(POST => '/api/v1/model-groups/wide/models', [
        { model_id => 'fast0/a', role => 'champion',
          traffic_percentage => 70 },
        { model_id => 'fast1/b', role => 'challenger',
          traffic_percentage => 30 } ]);
    is $r->{status}, 200, 'raised to 30';
    ok wait_until(sub {
        my $n = grep { $_->{body} eq '{"side":1}' }
                Wire::many($gw->port, [ @requests[0 .. 499] ], 16);
        return $n > 100;
    }), 'in effect';

    my @fourth = Wire::many($gw->port, \@requests, 16);
    my $c = grep { $_->{body} eq '{"side":1}' } @fourth;
    cmp_ok abs($c - 3000), '<=', 240, "$c at the challenger now";
    is scalar(grep { $sides[$_] eq '{"side":1}'
                     && $fourth[$_]{body} ne '{"side":1}' } 0 .. $#sides), 0,
        'nobody went back: users move one way only';
};


subtest 'where the key comes from' => sub {
    my $role = sub {
        my ($headers, $body) = @_;
        return $gw->fetch(POST => '/v2/../open/v1/x', $headers,
                          { model => 'wide', %{ $body || {} } })
                  ->{headers}{'x-model-variant'};
    };

    # a key of the challenger and one of the champion
    my %key;
    for (1 .. 200) {
        $key{ $role->({ 'X-Session-Id' => "k$_" }) } = "k$_";
    }
    my ($champion, $challenger) = @key{qw(fast0/a fast1/b)};

    for my $header ('X-Session-Id', 'X-Claude-Code-Session-Id', 'Session-Id',
                    'Helicone-Session-Id', 'Agent-Session-Id',
                    'X-Litellm-Session-Id')
    {
        is $role->({ $header => $challenger }), 'fast1/b', $header;
        is $role->({ $header => $champion }), 'fast0/a', $header;
    }

    is $role->({}, { user => $challenger }), 'fast1/b', 'user of the body';
    is $role->({ 'Session-Id' => $champion }, { user => $challenger }),
       'fast0/a', 'a header comes before the body';
    is $role->({ 'X-User' => $challenger, 'Session-Id' => $champion }),
       'fast1/b', 'model_split_key comes first';

    my %seen;
    $seen{ $role->({}) }++ for 1 .. 100;
    is scalar(keys %seen), 2, 'without a key it is drawn';
};


subtest 'streams' => sub {
    my $wire = $gw->wire;
    $wire->request(POST => '/open/v1/x', {},
                   { model => 'chat', stream => JSON::PP::true, n => 8 });
    is $wire->in_turn($seen, events(8)), 9, 'each before the next was sent';

    my $r = $wire->response;
    is $r->{status}, 200, 'served';
    is $r->{body}, join('', events(8)), 'every byte as it was';
};


subtest 'fallback' => sub {
    my $r = infer({ model => 'safe', x => 'y' x 50 }, {}, '/again/v1/x');
    is $r->{status}, 200, 'served by the fallback' or diag $r->{body};
    is $r->{json}{model}, 'champ', 'under its own name';
    is $r->{json}{uri}, '/base/v1/x', 'and path';
    is $r->{json}{headers}{authorization}, 'Bearer sk-of-provider-one',
       'with its own key';
    is $r->{json}{length}, $r->{json}{headers}{'content-length'}, 'length';
    is $r->{headers}{'x-model-role'}, 'fallback', 'X-Model-Role';
    is $r->{headers}{'x-model-variant'}, 'one/champ', 'X-Model-Variant';

    $r = infer({ model => 'dead' }, {}, '/again/v1/x');
    refused($r, 502, 'upstream_error', qr/nothing left/, 'nothing left');
    is $r->{headers}{'x-model-group'}, 'dead', 'the headers are there';

    is infer({ model => 'dead' })->{status}, 502, 'without error_page';

    $r = infer({ model => 'chat', fail => 429 });
    is $r->{status}, 429, "an upstream's error is passed on";
    is $r->{body}, '{"error":"asked for"}', 'as it is';
};


subtest 'a paused group' => sub {
    is $gw->api(PATCH => '/api/v1/model-groups/wide',
                { status => 'paused' })->{status}, 200, 'paused';
    ok wait_until(sub {
        !grep { $_->{body} eq '{"side":1}' }
         Wire::many($gw->port, [ map { [ POST => '/open/v1/x',
             { 'X-User' => "user-$_" }, { model => 'wide' } ] } 1 .. 200 ]);
    }), 'the champion serves all';

    is $gw->api(PATCH => '/api/v1/model-groups/wide',
                { status => 'archived' })->{status}, 200, 'archived';
    ok wait_until(sub {
        infer({ model => 'wide' })->{status} == 404;
    }), 'it is gone';
};


subtest 'configuration' => sub {
    my $conf = sub {
        my $other = Gateway->new(database => 0, redis => 0, @_);
        my ($ok, $text) = $other->test_conf;
        $other->remove;
        return ($ok ? 'ok' : 'failed') . " $text";
    };

    like $conf->(http => 'upstream a { server 127.0.0.1; model_backend; '
                 . 'keepalive 4; }'), qr/failed.*"model_backend"/s,
         'a second keepalive';
    like $conf->(http => 'upstream a { model_backend keepalive=x; }'),
         qr/failed.*"keepalive=x".*nginx.conf:\d+/s, 'a bad parameter';
    like $conf->(http => 'upstream a { zone a 64k; model_backend; }'),
         qr/failed.*"zone"/s, 'a zone';
    like $conf->(server => 'location / { model_split maybe; }'),
         qr/failed.*model_split/s, 'no flag';
};

done_testing;
