#!/usr/bin/perl

# Copies of requests for shadow variants.  If this breaks, a client waits for
# a shadow or gets an answer of one, a shadow gets another tenant's key, the
# client's own or another question than the original, copies pile up without
# bound, go where they were switched off, or vanish without a count; or a
# record of a shadow passes for one of a client.  And what nginx's own mirror
# makes of such a request: it must not see a key, or change the answer.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(alive certificate free_port slurp spew wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;


# A scripted provider: what it answers is in a file.  Its own id of a request
# tells the records apart.

my $mood = Services::base() . "/mood.$$";

sub mood {
    my ($name, $how) = @_;
    spew("$mood.$name", $json->encode($how // {}));
}

sub scripted {
    my ($name) = @_;

    mood($name);

    return Upstream->new(sub {
        my ($req) = @_;
        my $body = eval { $json->decode($req->{body}) } // {};
        my $how = $json->decode(slurp("$mood.$name") || '{}');

        return $how if %$how;

        my $usage = { prompt_tokens => 100, completion_tokens => 20,
                      total_tokens => 120 };

        return { headers => [ 'Content-Type', 'text/event-stream' ],
                 chunks => [ map { 'data: ' . $json->encode($_) . "\n\n" }
                             { choices => [ { delta => {},
                                              finish_reason => 'stop' } ] },
                             { choices => [], usage => $usage } ] }
            if $body->{stream};

        return { headers => [ 'X-Request-Id', "of-$name" ],
                 json => { who => $name, usage => $usage } };
    });
}

my %up = map { $_ => scripted($_) } qw(champ shade other seen);
my $dead = free_port();
my $seen = $up{seen}->url;

my $gw = Gateway->new(server => $Gateway::locations . <<'END');
        location /open/ {
            model_auth off;
            model_split on;
            rewrite ^/open(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /off/ {
            model_auth off;
            model_split on;
            model_shadow off;
            rewrite ^/off(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /file/ {
            model_auth off;
            model_split on;
            rewrite ^/file(/.*)$ $1 break;
            include small_proxy.conf;
            client_body_buffer_size 4k;
        }

        location /keys/ {
            model_auth off;
            model_split on;
            access_log logs/keys.log keys;
            rewrite ^/keys(/.*)$ $1 break;
            include cached_proxy.conf;
            proxy_cache keys;
            proxy_cache_key $request_uri;
            proxy_cache_methods POST;
            proxy_cache_valid 200 1m;
        }

        location /little/ {
            model_auth off;
            model_split on;
            model_shadow on max_body=200;
            rewrite ^/little(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /hasty/ {
            model_auth off;
            model_split on;
            model_shadow on timeout=3s;
            rewrite ^/hasty(/.*)$ $1 break;
            include model_proxy.conf;
        }
END

# the same with a mirror, of bodies in memory and in files

$gw->{server} .= join '', map { sprintf <<'END', @$_ }
        location /%s/ {
            model_auth off;
            model_split on;
            model_shadow off;
            model_fallback on budget=100%% breaker=200;
            mirror /copy;
            rewrite ^/[a-z_]+(/.*)$ $1 break;
            include small_proxy.conf;
            client_body_buffer_size %s;
        }
END
    [ 'mirrored', '256k' ], [ 'mirrored_file', '4k' ];

$gw->{server} .= <<"END";
        location = /copy {
            internal;
            set \$early "\$http_x_goog_api_key,\$http_x_team";
            proxy_set_header X-Early \$early;
            proxy_http_version 1.1;
            proxy_read_timeout 2s;
            proxy_pass $seen/copy;
        }
END

my $dir = $gw->dir;

sub tls_server {
    my ($port, $name) = @_;

    return <<END;
    server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate $dir/$name.pem;
        ssl_certificate_key $dir/$name.key;
        access_log $dir/logs/$name.log;

        location / {
            default_type application/json;
            return 200 '{"usage":{"prompt_tokens":1,"completion_tokens":2}}';
        }
    }
END
}

certificate($dir, $_, "DNS:$_") for qw(localhost other.example);
system("cat $dir/*.pem > $dir/trusted.pem");
my ($good, $wrong) = (free_port(), free_port());

$gw->{servers} = tls_server($good, 'localhost')
                 . tls_server($wrong, 'other.example');

# the lines of the http level, with these parameters

my $formats = "    log_format keys '[\$http_x_goog_api_key]';\n"
              . "    proxy_cache_path $dir/keys keys_zone=keys:1m;\n";

sub shadow {
    return "$formats    model_shadow on timeout=20s "
           . "trusted_certificate=$dir/trusted.pem @_;\n";
}

spew($gw->dir . '/cached_proxy.conf',
     slurp($gw->dir . '/model_proxy.conf')
         =~ s/proxy_buffering .*/proxy_buffering on;/r);
spew($gw->dir . '/small_proxy.conf',
     slurp($gw->dir . '/model_proxy.conf') =~ s/client_body_buffer_size.*//r);

$gw->allow(qr/Connection refused/);
$gw->start(http => shadow('grace=2s'))->wait_ready;


sub made { return $gw->made(@_); }

sub group {
    my ($name, $more, @members) = @_;

    $gw->group($name, $more,
               map { [ @$_, $_->[1] eq 'champion' ? 100 : 0 ] } @members);
}

my @champion = ('champ/model', 'champion');
my @shade = ('shade/model-in-the-shade', 'shadow');

for my $name (qw(champ shade other)) {
    made('providers', { id => $name, base_url => $up{$name}->url . '/base',
                        api_key => "sk-of-$name",
                        protocol => $name eq 'other' ? 'anthropic' : 'openai',
                        $name eq 'shade' ? (headers => { 'X-Team' => 'dark' })
                                         : () });
}

made('providers', { id => 'dead', base_url => "http://127.0.0.1:$dead" });
made('providers', { id => 'nowhere' });
made('models', { id => 'champ/model',
                 pricing => { input => 1, output => 1 } });
made('models', { id => 'shade/model-in-the-shade',
                 pricing => { input => 2, output => 10 } });
made('providers', { id => 'secure', base_url => "https://localhost:$good",
                    api_key => 'sk-of-secure' });
made('providers', { id => 'stranger', base_url => "https://localhost:$wrong" });
made('providers', { id => 'goog', base_url => $up{champ}->url,
                    api_key => 'sk-of-goog', protocol => 'google' });
made('models', { id => "$_/model" })
    for qw(other dead nowhere secure stranger goog);

group('pair', {}, \@champion, \@shade);
group('three', {}, \@champion, \@shade, [ 'other/model', 'shadow' ]);
group('share', { traffic_config => { shadow => { percentage => 25 } } },
      \@champion, \@shade);
group('kept', { traffic_config => { records => { request_body => JSON::PP::true,
          response_body => JSON::PP::true, redact => [ 'who', 'secret' ] } } },
      \@champion, \@shade);
group('never', { traffic_config => { shadow => { percentage => 0 } } },
      \@champion, \@shade);
group('failing', {}, [ 'dead/model', 'champion' ], \@shade);
group('refused', {}, \@champion, [ 'dead/model', 'shadow' ]);
group('homeless', {}, \@champion, [ 'nowhere/model', 'shadow' ]);
group('plain', {}, \@champion);
group('keyed', {}, [ 'goog/model', 'champion' ], \@shade);
group('busy', {}, \@champion, \@shade);
group('dressed', {}, [ 'shade/model-in-the-shade', 'champion' ]);
group('saved', {}, [ 'dead/model', 'champion' ],
      [ 'champ/model', 'fallback' ]);
group('secure', {}, \@champion, [ 'secure/model', 'shadow' ],
      [ 'stranger/model', 'shadow' ]);


sub infer {
    my ($group, %more) = @_;

    my $headers = delete $more{headers};
    my $uri = delete $more{uri} // '/open/v1/chat/completions';

    return $gw->fetch(POST => $uri, { Authorization => undef,
                                      %{ $headers || {} } },
                      { model => $group, %more });
}

sub counted {
    return { map { $_ => $gw->metric('nginx_model_shadow_dropped_total',
                                     cause => $_) }
             qw(queue memory body backend deadline shutdown) };
}

sub shadows {
    my ($outcome) = @_;

    return $gw->metric('nginx_model_shadow_requests_total',
                       $outcome ? (outcome => $outcome) : ());
}

sub table {
    my ($group) = @_;

    return $gw->sql_value("select inference_table from model.model_groups
                           where name = '$group'");
}

# records of the copies of an inference, once there are so many

sub records {
    my ($group, $id, $n) = @_;

    my ($table, @rows) = table($group);

    wait_until(sub {
        @rows = map { $json->decode(Encode::encode_utf8($_->[0])) }
            $gw->sql("select row_to_json(t) from model.$table t
                      where shadow_of = '$id' order by model_served");
        @rows >= $n;
    }, 10);

    return @rows;
}

sub threads {
    my ($pid) = $gw->workers;
    return scalar(() = glob "/proc/$pid/task/*");
}

ok wait_until(sub { infer('plain', uri => '/off/v1/x')->{status} == 200
                    && infer('homeless', uri => '/off/v1/x')->{status}
                       == 200 }), 'the groups are in effect';


subtest 'nothing without need' => sub {
    my $before = threads();

    infer($_, uri => '/off/v1/x') for qw(pair share never);
    infer('never');
    infer('plain');
    sleep 0.2;

    is scalar($up{shade}->requests), 0, 'no copy where it is off, or 0 %';
    ok wait_until(sub { threads() <= $before }), 'and no thread';
};


subtest 'a copy' => sub {
    my $r = infer('pair', messages => [ { role => 'user', content => 'hi' } ],
                  temperature => 0.5,
                  headers => { Authorization => 'Bearer sk-client',
                               'x-api-key' => 'sk-client', Cookie => 'a=b',
                               'X-Custom' => 'kept',
                               'X-Request-Id' => 'clients-own' });

    is $r->{status}, 200, 'the client has its answer';
    is $r->{json}{who}, 'champ', "the champion's";

    ok $up{shade}->wait_requests(1), 'the shadow has a copy';
    my ($copy) = $up{shade}->requests;
    my ($orig) = (grep { $_->{body} =~ /temperature/ } $up{champ}->requests);
    my $id = $r->{headers}{'x-inference-id'};

    is $copy->{uri}, '/base/chat/completions', 'at its path';
    is_deeply $json->decode($copy->{body}),
        { %{ $json->decode($orig->{body}) },
          model => 'model-in-the-shade' }, 'the same question by its own name';
    is length $copy->{body}, $copy->{headers}{'content-length'}, 'its length';

    my %headers = %{ $copy->{headers} };
    is $headers{authorization}, 'Bearer sk-of-shade', "the shadow's key";
    is $headers{'x-team'}, 'dark', "its provider's header";
    is $headers{'x-custom'}, 'kept', "the client's header";
    is $headers{host}, '127.0.0.1:' . $up{shade}->port, 'its own name';
    is $headers{'content-type'}, 'application/json', 'the type';
    ok !$headers{$_}, "no $_" for qw(x-api-key cookie accept-encoding expect);
    isnt $headers{'x-request-id'}, $orig->{headers}{'x-request-id'},
        'an id of its own';

    is scalar(grep { $_->{headers}{'x-team'} } $up{champ}->requests), 0,
        "nothing of the shadow's went to the champion";

    my ($row) = records('pair', $id, 1);

    is $row->{kind}, 'shadow', 'its record is a shadow\'s';
    is $row->{inference_id}, $headers{'x-request-id'}, 'with its id';
    is $row->{role}, 'shadow', 'role';
    is $row->{model_served}, 'shade/model-in-the-shade', 'variant';
    is $row->{status}, 200, 'status';
    is $row->{input_tokens}, 100, 'tokens';
    is $row->{cost_nano_usd}, 100 * 2000 + 20 * 10000, 'at its own price';
    is $row->{upstream_request_id}, 'of-shade', "the provider's id";
    is $row->{request_id}, 'clients-own', "the client's id";
    is $row->{error_class}, undef, 'no error';

    my $of;
    wait_until(sub {
        $of = $gw->sql_value('select kind || model_served || coalesce('
            . "shadow_of::text, '-') from model." . table('pair')
            . " where inference_id = '$id'");
    });
    is $of, 'inferencechamp/model-', 'the original is an inference';

    unlike $gw->log, qr/sk-of|sk-client/, 'no key in the log';
};


subtest 'a stream' => sub {
    my $r = infer('pair', stream => JSON::PP::true);
    my ($row) = records('pair', $r->{headers}{'x-inference-id'}, 1);

    is $r->{status}, 200, 'the client has its own';
    is $row->{output_tokens}, 20, 'the usage of the shadow is read';

    my ($copy) = reverse $up{shade}->requests;
    ok $json->decode($copy->{body})->{stream_options}{include_usage},
        'for which it is asked';
    is $row->{truncated} ? 1 : 0, 0, 'it came to its end';
};


subtest 'a trace, and the answer' => sub {
    my $trace = '0af7651916cd43dd8448eb211c80319c';
    my $r = infer('kept', secret => 'not ours', headers => {
        traceparent => "00-$trace-b7ad6b7169203331-01" });
    my ($row) = records('kept', $r->{headers}{'x-inference-id'}, 1);
    my ($copy) = reverse $up{shade}->requests;
    my ($orig) = reverse $up{champ}->requests;
    my ($span) = $copy->{headers}{traceparent}
                 =~ /^00-$trace-([0-9a-f]{16})-01$/;

    ok $span, "the client's trace";
    isnt $copy->{headers}{traceparent}, $orig->{headers}{traceparent},
        'but a span of its own';
    is $row->{span_id}, $span, 'which is on record';
    is $row->{trace_id}, $trace, 'with the trace';

    like $row->{response_body}, qr/"who":"\[redacted\]"/,
        'the answer is kept without what the group hides';
    like $row->{response_body}, qr/"prompt_tokens":100/, 'all the rest of it';
    is $row->{request_body}, undef, 'the question is with the original';

    mood('shade', { headers => [ 'Content-Encoding', 'gzip' ],
                    json => { who => 'packed' } });
    $r = infer('kept');
    ($row) = records('kept', $r->{headers}{'x-inference-id'}, 1);
    is $row->{response_body}, undef, 'one that is encoded is not kept';
    mood('shade');

    $r = infer('kept');
    ($row) = records('kept', $r->{headers}{'x-inference-id'}, 1);
    ($copy) = reverse $up{shade}->requests;
    ($orig) = reverse $up{champ}->requests;
    is substr($copy->{headers}{traceparent} // 'a', 0, 35),
        substr($orig->{headers}{traceparent} // 'b', 0, 35),
        'without a trace of the client they have one of their own';
};


subtest 'whatever becomes of the original' => sub {
    my $n = shadows('answered');
    my $r = infer('failing');

    is $r->{status}, 502, 'the champion is down';
    is +(records('failing', $r->{headers}{'x-inference-id'}, 1))[0]{status},
        200, 'its shadow has answered';

    mood('champ', { hang => 1 });
    my $c = $gw->wire;
    $c->request(POST => '/open/v1/x', {}, { model => 'pair', gone => 1 });
    ok wait_until(sub { grep { $_->{body} =~ /"gone"/ }
                        $up{shade}->requests }), 'the copy is on its way';
    $c->reset;
    ok wait_until(sub { shadows('answered') == $n + 2 }),
        'also when the client leaves';
    mood('champ');
};


subtest 'failures of a shadow are its own' => sub {
    my $r = infer('refused');
    is $r->{status}, 200, 'nobody listens: the client sees nothing';
    my ($row) = records('refused', $r->{headers}{'x-inference-id'}, 1);
    is $row->{error_class}, 'connect', 'the record says it';
    is $row->{cost_nano_usd}, undef, 'which costs nothing known';

    mood('shade', { status => 500, json => { error => {} } });
    $r = infer('pair');
    is $r->{status}, 200, 'a 500';
    ($row) = records('pair', $r->{headers}{'x-inference-id'}, 1);
    is $row->{error_class}, 'upstream_5xx', 'on record';

    mood('shade', { cut => 5, json => { a => 'long answer' } });
    $r = infer('pair');
    ($row) = records('pair', $r->{headers}{'x-inference-id'}, 1);
    is $row->{error_class}, 'truncated', 'an answer that was cut';

    mood('shade', { hang => 1 });
    $r = infer('pair', uri => '/hasty/v1/x');
    cmp_ok $r->{seconds}, '<', 3, 'silence: the client does not wait';
    ($row) = records('pair', $r->{headers}{'x-inference-id'}, 1);
    is $row->{error_class}, 'timeout', 'until its own deadline';
    mood('shade');

    my $n = counted()->{backend};
    infer('homeless');
    is counted()->{backend}, $n + 1, 'one without an address is counted';
};


subtest 'several shadows, each by its protocol' => sub {
    my $r = infer('three');
    my @rows = records('three', $r->{headers}{'x-inference-id'}, 2);

    is_deeply [ map { $_->{model_served} } @rows ],
        [ 'other/model', 'shade/model-in-the-shade' ], 'both';

    my ($sent) = $up{other}->requests;
    is $sent->{headers}{'x-api-key'}, 'sk-of-other', 'a key by its header';
    ok !$sent->{headers}{authorization}, 'and no other';
    is $sent->{headers}{'anthropic-version'}, '2023-06-01', 'and a version';
};


subtest 'one that an operator has chosen' => sub {
    my $n = () = $up{shade}->requests;
    my $r = infer('three', headers => { 'X-Model-Variant' => $shade[0],
        Authorization => 'Bearer ' . $gw->token('operator') });
    is $r->{json}{who}, 'shade', 'answers';

    my @rows = records('three', $r->{headers}{'x-inference-id'}, 1);
    is_deeply [ map { $_->{model_served} } @rows ], [ 'other/model' ],
        'the other one has a copy';
    is scalar(() = $up{shade}->requests), $n + 1, 'and it has none';
};


subtest 'TLS' => sub {
    my $r = infer('secure');
    my ($row, $other) = records('secure', $r->{headers}{'x-inference-id'}, 2);

    is $row->{error_class}, undef, 'a name that the certificate has';
    is $row->{output_tokens}, 2, 'is asked';
    is $other->{error_class}, 'connect', 'one that it does not have';
    is slurp("$dir/logs/other.example.log"), '', 'is told nothing';
};


subtest 'a share' => sub {
    $up{shade}->forget;

    my @r = Wire::many($gw->socket,
                       [ map { [ POST => '/open/v1/x', {},
                                 { model => 'share' } ] } 1 .. 400 ], 4);

    is scalar(grep { $_->{status} != 200 } @r), 0, '400 answers';

    my ($n, $was) = (0, -1);
    wait_until(sub {
        ($was, $n) = ($n, scalar(my @now = $up{shade}->requests));
        sleep 0.2;
        return $n > 50 && $n == $was;
    }, 5);

    # 25 % of 400; five standard deviations are 43
    cmp_ok abs($n - 100), '<', 44, "about a quarter: $n";
};


subtest 'bodies' => sub {
    my $text = join ' ', map { "word $_" } 1 .. 20_000;
    $up{shade}->forget;

    my $r = infer('pair', uri => '/file/v1/x', text => $text);
    is $r->{status}, 200, 'a body in a file';
    records('pair', $r->{headers}{'x-inference-id'}, 1);
    my ($copy) = $up{shade}->requests;
    my $got = eval { $json->decode($copy->{body}) } // {};
    is $got->{model}, 'model-in-the-shade', 'the name in its place';
    ok $got->{text} eq $text, 'every byte of it';

    $r = infer('pair', text => $text);
    records('pair', $r->{headers}{'x-inference-id'}, 1);
    $got = eval { $json->decode(($up{shade}->requests)[1]{body}) } // {};
    ok $got->{text} eq $text, 'the same from memory';

    my $n = counted()->{body};
    is infer('pair', uri => '/little/v1/x', text => $text)->{status}, 200,
        'one above max_body is served';
    is counted()->{body}, $n + 1, 'and not copied';

    # KServe: the model stands in the path, and nobody reads the body but us

    $r = $gw->fetch(POST => '/open/v2/models/pair/infer', {},
                    { inputs => [ 1, 2 ] });
    is $r->{status}, 200, 'a model by path';
    records('pair', $r->{headers}{'x-inference-id'}, 1);
    ($copy) = reverse $up{shade}->requests;
    is $copy->{uri}, '/base/v2/models/model-in-the-shade/infer', 'its path';
    is $copy->{body}, '{"inputs":[1,2]}', 'its body';

    my ($orig) = grep { $_->{uri} =~ /infer$/ } $up{champ}->requests;
    is $orig->{uri}, '/base/v2/models/model/infer', "the original's path";
    is $orig->{body}, '{"inputs":[1,2]}', 'and body';
    is $orig->{headers}{authorization}, 'Bearer sk-of-champ', 'and key';

    # while the body of such a request is waited for, it has no key to show

    my $c = Wire->new($gw->socket);
    $c->send("POST /keys/v2/models/keyed/infer HTTP/1.1\r\nHost: x\r\n"
             . "Content-Length: 100\r\n\r\n{");
    $c->close;
    my $logged = sub {
        my ($n) = @_;
        wait_until(sub { $n <= (() = slurp("$dir/logs/keys.log") =~ /\n/g) });
        return slurp("$dir/logs/keys.log");
    };
    is $logged->(1), "[-]\n", 'a client that left, and no key in the log';

    $gw->fetch(POST => '/keys/v2/models/keyed/infer', {}, { inputs => [ 1 ] });
    ($orig) = grep { $_->{headers}{'x-goog-api-key'} } $up{champ}->requests;
    is $orig->{headers}{'x-goog-api-key'}, 'sk-of-goog', 'the provider has it';
    is $logged->(2), "[-]\n[-]\n", 'alone';

    # nor where a cache answers

    $gw->fetch(POST => '/keys/v1/cached', {}, { model => 'keyed' }) for 1, 2;
    is scalar(grep { $_->{uri} =~ /cached/ } $up{champ}->requests), 1,
       'the provider was asked once';
    is $logged->(4), "[-]\n" x 4, 'for its key never';
};


subtest 'a hanging shadow slows nobody' => sub {
    my $p99 = sub {
        my ($group) = @_;
        my @s = sort { $a <=> $b } map { $_->{seconds} }
            Wire::many($gw->socket,
                       [ map { [ POST => '/open/v1/x', {},
                                 { model => $group } ] } 1 .. 300 ], 4);
        return $s[-3];
    };

    $p99->('plain');
    my $without = $p99->('plain');
    mood('shade', { hang => 1 });
    my $with = $p99->('pair');
    my $again = $p99->('plain');

    note sprintf 'p99 %.2f ms without, %.2f ms with, %.2f ms after',
        map { $_ * 1000 } $without, $with, $again;
    # whoever waited would do so for the 20 s of a copy
    cmp_ok $with, '<', 10 * $without + 10, 'no client waits';

    my $c = $gw->wire;
    $c->request(POST => '/open/v1/x', {}, { model => 'pair' });
    my $r = $c->response;
    is $r->{status}, 200, 'an answer';
    $c->request(POST => '/open/v1/x', {}, { model => 'pair' });
    $r = $c->response;
    is $r->{status}, 200, 'and the next on the same connection';
    cmp_ok $r->{seconds}, '<', 15, 'at once';

    mood('shade');
    $up{shade}->stop;
    $up{shade}->start;
    ok wait_until(sub { infer('plain'); $gw->metric(
        'nginx_model_shadow_queued_total')
        == shadows() + counted()->{deadline} + counted()->{shutdown} }),
        'all of them have ended';
};


subtest 'a full queue' => sub {
    $gw->reload(wait_old => 1, http => shadow('queue=3 concurrency=2 '
                                              . 'memory=64k grace=300ms'));

    mood('shade', { hang => 1 });
    my $before = counted();
    is infer('pair')->{status}, 200, "answer $_" for 1 .. 9;
    my $after = counted();

    is $after->{queue} - $before->{queue}, 4, 'four copies too many';

    mood('shade');
    $up{shade}->stop;
    $up{shade}->start;
    ok wait_until(sub { infer('pair');
                        counted()->{queue} == $after->{queue} ? 1 : do {
                            $after = counted(); 0 } }), 'then there is room';

    my $r = infer('pair', text => 'x' x 70_000);
    is $r->{status}, 200, 'an answer';
    is counted()->{memory} - $after->{memory}, 1,
        'a copy for which there is no memory';
};


subtest 'the end of a worker' => sub {
    $gw->reload(wait_old => 1, http => shadow('grace=3s'));

    # what is under way when a worker leaves comes to its end

    mood('shade', { delay => 1, json => { usage => { prompt_tokens => 3,
                                                   completion_tokens => 4 } } });
    my @ids = map { infer('pair')->{headers}{'x-inference-id'} } 1 .. 5;
    my @old = $gw->reload(wait_old => 1);
    my @rows = map { records('pair', $_, 1) } @ids;
    is scalar(grep { $_->{status} == 200 } @rows), 5, 'reload: all answered';

    # but nobody waits for ever

    my $long = shadow('grace=3s') =~ s/timeout=20s/timeout=10m/r;
    $gw->reload(wait_old => 1, http => $long);
    mood('shade', { hang => 1 });
    $up{shade}->forget;
    @ids = map { infer('pair')->{headers}{'x-inference-id'} } 1 .. 3;
    ok $up{shade}->wait_requests(3), 'three copies are under way';
    my $began = time;
    $gw->reload(wait_old => 1);
    cmp_ok time - $began, '<', 300, 'a hanging one does not keep the worker';
    @rows = map { records('pair', $_, 1) } @ids;
    is_deeply [ map { $_->{error_class} } @rows ], [ ('shutdown') x 3 ],
        'its record says why';

    $gw->reload(wait_old => 1, http => shadow('grace=60s'));
    $up{shade}->forget;
    @ids = map { infer('pair')->{headers}{'x-inference-id'} } 1 .. 3;
    ok $up{shade}->wait_requests(3), 'three copies are under way';
    $began = time;
    $gw->stop;
    cmp_ok time - $began, '<', 15, 'a stop does not wait at all';
    $gw->start->wait_ready;
    @rows = map { records('pair', $_, 1) } @ids;
    is_deeply [ map { $_->{error_class} } @rows ], [ ('shutdown') x 3 ],
        'and loses no record of what was under way';

    mood('shade');
    $up{shade}->stop;
    $up{shade}->start;
};


subtest 'reload under load' => sub {
    $gw->reload(wait_old => 1, workers => 2,
                http => shadow('grace=10s queue=10000'));

    my $client = fork // die;

    if ($client == 0) {
        my @r = Wire::many($gw->socket,
            [ map { [ POST => '/open/v1/x', { Connection => 'close' },
                      { model => 'busy' } ] } 1 .. 1500 ], 8);
        POSIX::_exit(scalar(grep { $_->{status} != 200 } @r) ? 1 : 0);
    }

    my $reloads = 0;

    until (waitpid($client, POSIX::WNOHANG()) == $client) {
        $gw->reload;
        $reloads++;
        sleep 0.3;
    }

    is $?, 0, "no request failed over $reloads reloads";

    my $table = table('busy');
    my $n;
    wait_until(sub {
        $n = $gw->sql_value("select count(*) from model.$table s
            join model.$table o on o.inference_id = s.shadow_of
            where s.kind = 'shadow' and o.kind = 'inference'");
        $n >= 1500;
    });
    is $n, 1500, 'each is on record with its copy';
};


# What was proxied is recorded and answered as without the mirror; the mirror
# has the question as its variant gets it, and nobody's key but the client's.

subtest "nginx's mirror" => sub {
    $gw->reload(wait_old => 1, http => shadow('grace=2s'));
    $up{$_}->forget for qw(champ seen);
    mood($_) for qw(champ seen);

    my $text = join ' ', map { "word $_" } 1 .. 20_000;

    my $mirrored = sub {
        my ($group, $uri, %more) = @_;
        $up{seen}->forget;
        my $r = infer($group, uri => "$uri/v1/chat/completions", %more);
        ok $up{seen}->wait_requests(1), "$group at $uri: the mirror has one";
        my ($copy) = $up{seen}->requests;
        return ($r, $copy, (reverse $up{champ}->requests)[0]);
    };

    for my $case ([ 'plain', '/mirrored', 'hi' ],
                  [ 'plain', '/mirrored_file', $text ],
                  [ 'keyed', '/mirrored', 'hi' ],
                  [ 'keyed', '/mirrored_file', $text ])
    {
        my ($group, $uri, $words) = @$case;
        my ($r, $copy, $orig) = $mirrored->($group, $uri, text => $words);

        is $r->{json}{who}, 'champ', 'the client has its answer';
        is $json->decode($orig->{body})->{model}, 'model', 'by its name';
        ok $json->decode($orig->{body})->{text} eq $words, 'the whole body';
        is length $copy->{body}, $copy->{headers}{'content-length'},
            'the mirror has one as long as it says';
        ok $copy->{body} eq $orig->{body}, 'the same one';

        unlike $json->encode($copy->{headers}), qr/sk-of/, 'and no key';
        is $copy->{headers}{'x-early'}, ',', 'at no time';
    }

    is scalar($up{champ}->requests), 4, 'each was answered once';

    # headers of a provider are the provider's

    my ($r, $copy, $orig) = $mirrored->('dressed', '/mirrored');
    ($orig) = reverse $up{shade}->requests;
    is $orig->{headers}{'x-team'}, 'dark', 'a header that a provider wants';
    is $copy->{headers}{'x-team'}, undef, 'is not for the mirror';
    is $copy->{headers}{'x-early'}, ',', 'at no time';

    # the variant fails, another one serves

    ($r, $copy, $orig) = $mirrored->('saved', '/mirrored', text => 'hi');
    is $r->{status}, 200, 'a fallback';
    is $r->{json}{who}, 'champ', 'answers';
    is $json->decode($orig->{body})->{text}, 'hi', 'the whole question';
    is $json->decode($copy->{body})->{text}, 'hi', 'which the mirror has';

    # a mirror that is silent delays what nginx closes, not what it answers

    mood('seen', { hang => 1 });
    ($r) = $mirrored->('plain', '/mirrored', text => 'late');
    is $r->{json}{who}, 'champ', 'a mirror that hangs';
    my $id = $r->{headers}{'x-inference-id'};
    my $row;
    wait_until(sub {
        ($row) = map { $json->decode($_->[0]) } $gw->sql(
            "select row_to_json(t) from model." . table('plain') . " t
             where inference_id = '$id'");
        $row;
    }, 20);
    is $row->{status}, 200, 'is none of the record';
    is $row->{error_class}, undef, 'no error';
    cmp_ok $row->{latency_us}, '<', 2e6, "whose time is the answer's";

    mood('seen');
    $up{seen}->stop;
    $gw->allow(qr/upstream timed out/);
    is infer('plain', uri => '/mirrored/v1/x')->{json}{who}, 'champ',
        'a mirror that is away';
    $up{seen}->start;
};


subtest 'configuration' => sub {
    $gw->allow(qr/\[emerg\].* in \S+\/nginx\.conf:\d+$/);

    for my $case ([ 'maybe', qr/invalid value "maybe" of "model_shadow"/ ],
                  [ 'on queue=none', qr/"queue=none" is not a number/ ],
                  [ 'on memory=1', qr/"memory=1" is no size/ ],
                  [ 'on depth=3', qr/"depth=3" is no parameter/ ],
                  [ 'on trusted_certificate=/nowhere/ca.pem',
                    qr{"/nowhere/ca.pem" of "model_shadow" is no file} ])
    {
        my ($ok, $out) = $gw->test_conf(http => "model_shadow $case->[0];");
        ok !$ok, $case->[0];
        like $out, $case->[1], 'and why';
    }

    my ($ok, $out) = $gw->test_conf(http => $formats,
        more => 'model_shadow on queue=5;');
    ok !$ok, 'the queue is one of the worker';
    like $out, qr/at the http level/, 'and why';
};


done_testing;
