#!/usr/bin/perl

# When the gateway says that it is ready, and what it answers until then: for
# itself, and for model servers that it has to wait for, each of which tells in
# its own way how far it is.  If this breaks, clients are sent to servers that
# list a model minutes before they can answer, a rollout goes on over a gateway
# that can do nothing, a page shows no progress, or a gateway whose database
# hangs does not even serve its static files.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(certificate free_port slurp spew wait_until);
use Upstream;

my $locations = $Gateway::locations . <<'END';
        location = /static { return 200 "here"; }

        location /needs/ {
            model_require_ready on;
            empty_gif;
        }

        location /needs/any {
            satisfy any;
            allow all;
            model_require_ready on status=503;
            empty_gif;
        }

        location /needs/not { model_require_ready off; empty_gif; }

        location /chat/ {
            model_auth off;
            model_require_ready on;
            model_split on;
            rewrite ^/chat(/.*)$ $1 break;
            include model_proxy.conf;
        }
END

sub made {
    my ($gw, $path, $data) = @_;

    my $r = $gw->api(POST => "/api/v1/$path", $data);
    BAIL_OUT("$path: $r->{status} $r->{body}") if $r->{status} > 201;
}

sub provider {
    my ($gw, $id, $up, %more) = @_;

    my $protocol = $more{protocol} // 'openai';
    my $type = delete $more{type} // 'chat';
    made($gw, 'providers', { id => $id, protocol => $protocol,
        base_url => $up->url . ($protocol eq 'openai' ? '/v1' : ''), %more });
    made($gw, 'models', { id => "$id/m", type => $type });
    made($gw, 'model-groups', { name => $id });
    made($gw, "model-groups/$id/models",
         [ { model_id => "$id/m", role => 'champion',
             traffic_percentage => 100 } ]);
}

# until the published files say all that the database does: a list that changes
# while servers are asked begins anew

sub published {
    my ($gw) = @_;

    return wait_until(sub {
        my %raised = map { @$_ } $gw->sql(
            'select name, generation from model.catalog_generation');
        return !grep { $raised{$_} > ($gw->metric(
            'nginx_model_snapshot_generation', kind => $_) // 0) } keys %raised;
    });
}

my $completion = { id => 'x', object => 'chat.completion', model => 'm',
                   choices => [ { index => 0, finish_reason => 'stop',
                       message => { role => 'assistant', content => 'a' } } ] };

# how far a server is stands in a file, which its connections read

my %stage;

sub stage {
    my ($name, $value) = @_;

    $stage{$name} //= Services::base() . "/stage.$$.$name";
    spew($stage{$name}, $value) if defined $value;
    return -e $stage{$name} ? slurp($stage{$name}) : '';
}

stage($_, 'loading') for qw(llama vllm ollama v2);
stage($_, 'away') for qw(slow proxied);

my $later = { status => 503, json => { error => {
    code => 503, message => 'Loading model', type => 'unavailable_error' } } };

my $llama = Upstream->new(sub {
    my ($req) = @_;
    my $at = stage('llama');

    if ($req->{uri} eq '/health') {
        return { %$later, json => { %{ $later->{json} }, progress => 0.42 } }
            if $at eq 'loading';
        return { json => { status => 'ok' } };
    }

    return $at eq 'up' ? { json => $completion } : $later;
});

my $vllm = Upstream->new(sub {
    my ($req) = @_;
    my $at = stage('vllm');

    # it says that it is well long before it is
    return { body => '' } if $req->{uri} eq '/health';
    return { json => { object => 'list', data => [ { id => 'm' } ] } }
        if $req->{uri} eq '/v1/models';
    return $at eq 'up' ? { json => $completion } : $later;
});

my $ollama = Upstream->new(sub {
    my ($req) = @_;
    my $at = stage('ollama');

    if ($req->{uri} eq '/api/ps') {
        return { json => { models => $at eq 'up' ? [ { name => 'm:latest' } ]
                                                 : [] } };
    }

    if ($req->{uri} eq '/api/pull') {
        my @lines = map { qq({"status":"pulling 8eeb52dfb3bb","digest":)
                          . qq("sha256:8eeb","total":4000000,)
                          . qq("completed":${_}00000}\n) } 5, 20, 30;
        return { chunks => [ qq({"status":"pulling manifest"}\n),
                             (map { ($_, \1.0) } @lines),
                             qq({"status":"success"}\n) ],
                 headers => [ 'Content-Type', 'application/x-ndjson' ] }
            if $req->{body} =~ /"model":"m"/ && stage('ollama', 'up');
    }

    return { json => { model => 'm', done => JSON::PP::true(),
                       message => { role => 'assistant', content => 'a' } } }
        if $req->{uri} eq '/api/chat' && $at eq 'up';
    return { status => 404, json => { error => "model 'm' not found" } };
});

my $v2 = Upstream->new(sub {
    my ($req) = @_;

    return { status => 404, json => { error => 'no such call' } }
        if $req->{uri} ne '/v2/models/m/ready';
    return stage('v2') eq 'up' ? { body => '' } : { status => 503, body => '' };
});


subtest 'without model servers' => sub {
    my $gw = Gateway->new(server => $locations)->start->wait_ready;
    my $r = $gw->get('/api/v1/admin/ready');

    is $r->{status}, 200, 'ready';
    is_deeply [ @{ $r->{json} }{qw(status message ready models_loaded)} ],
              [ 'ready', 'All systems ready', JSON::PP::true(),
                JSON::PP::true() ], 'as the contract has it';
    ok !exists $r->{json}{backends}, 'no servers are waited for';
    is $gw->get('/needs/x')->{status}, 200, 'a location that needs it';

    my $on = "    model_ready_backends all interval=100ms;\n";
    my $up = Upstream->new(sub { return $later });

    $gw->reload(wait_old => 1, http => $on);
    provider($gw, 'late', $up);
    sleep 0.5;
    is $gw->get('/api/v1/admin/ready')->{status}, 200,
       'what was ready before a reload stays so';
    $gw->end_checks;
};


subtest 'model servers' => sub {
    my $gw = Gateway->new(server => $locations, workers => 2)
             ->start->wait_ready;

    provider($gw, 'llama', $llama);
    provider($gw, 'vllm', $vllm);
    provider($gw, 'ollama', $ollama, protocol => 'ollama');
    provider($gw, 'v2', $v2, protocol => 'kserve_v2');
    ok published($gw), 'the files know of all four';
    $gw->quit;

    # a new gateway: nothing is remembered but what lies on the disk
    my $began = time;
    $gw->start(http => "    model_ready_backends members interval=100ms "
                       . "pull=on;\n");

    my $look = sub { return $gw->get('/api/v1/admin/ready') };
    my $r;

    ok wait_until(sub {
        $r = $look->();
        ($r->{json}{backends} // 0) == 4 && $r->{json}{progress} > 20;
    }), 'four are waited for';

    is $r->{status}, 425, 'not ready';
    is_deeply [ @{ $r->{json} }{qw(status ready phase type)} ],
              [ 'initializing', JSON::PP::false(), 'loading',
                'initialization' ], 'as the contract has it';
    is $r->{json}{message}, 'AI models are still loading', 'and says why';
    cmp_ok $r->{headers}{'retry-after'}, '>=', 1, 'Retry-After';
    is $r->{headers}{'retry-after'}, $r->{json}{estimated_seconds},
       'from the estimate';
    is $gw->get('/health')->{status}, 200, '/health is 200 all the same';
    is $gw->get('/health')->{json}{ready}, JSON::PP::false(), 'and says no';
    is $gw->metric('nginx_model_ready'), 0, 'as the metric does';
    is $gw->metric('nginx_model_backend_ready', provider => 'vllm'), 0,
       'for each server, too';

    my $blocked = $gw->fetch(POST => '/chat/v1/chat/completions', {},
                             { model => 'vllm', messages => [] });
    is $blocked->{status}, 425, 'a location that needs it is blocked';
    is $blocked->{json}{phase}, 'loading', 'with the same object';
    is $blocked->{headers}{'cache-control'}, 'no-store', 'not to be kept';
    is $gw->get('/needs/any')->{status}, 503, 'with 503, where that is set';
    is $gw->get('/needs/not')->{status}, 200, 'not where it is off';
    is $gw->get('/static')->{body}, 'here', 'others are served at once';
    is $gw->get('/api/v1/model-groups')->{status}, 401, 'so is the API';

    ok wait_until(sub { $gw->log =~ /"ollama" has pulled model "m"/ }),
       'a model that is missing is pulled';
    ok wait_until(sub { $look->()->{json}{backends_ready} == 1 }),
       'and ready when it generates';

    my @pulls = grep { $_->{uri} eq '/api/pull' } $ollama->requests;
    is scalar @pulls, 1, 'pulled once';

    # latched in the zone: over a reload, and over a worker that dies
    stage('ollama', 'gone');
    $gw->reload(wait_old => 1);
    is $look->()->{json}{backends_ready}, 1, 'what was ready stays so';
    $gw->kill_worker for 1 .. 2;
    is $look->()->{json}{backends_ready}, 1, 'also when all workers die';

    stage('v2', 'up');
    ok wait_until(sub { $look->()->{json}{backends_ready} == 2 }),
       'a V2 server by its ready call';

    stage('llama', 'well');
    sleep 0.3;
    is $look->()->{json}{backends_ready}, 2, 'well is not ready';
    stage('llama', 'up');
    stage('vllm', 'up');

    ok wait_until(sub { $look->()->{status} == 200 }), 'ready';
    is $look->()->{json}{backends_ready}, 4, 'with all four';
    is $gw->fetch(POST => '/chat/v1/chat/completions', {},
                  { model => 'vllm', messages => [] })->{status}, 200,
       'what was blocked is served';
    is $gw->get('/needs/any')->{status}, 200, 'and the other';

    my @probes = grep { $_->{uri} =~ /chat/ } $llama->requests;
    my $asked = @probes;
    stage('llama', 'loading');
    sleep 0.5;
    is scalar(grep { $_->{uri} =~ /chat/ } $llama->requests), $asked,
       'who is ready is asked no more';
    is $look->()->{status}, 200, 'ready is latched';
    $gw->reload(wait_old => 1);
    is $look->()->{status}, 200, 'over a reload, too';

    like slurp($gw->dir . '/state/loads'), qr/^[0-9a-f]{16} \d+ llama$/m,
         'how long it took is kept';

    # the next time it is known
    stage($_, 'loading') for qw(llama vllm);
    stage('ollama', 'up');
    $gw->quit;
    $gw->start;
    ok wait_until(sub {
        $r = $look->();
        ($r->{json}{backends_ready} // 0) == 2;
    }), 'a new start asks again';

    my ($most) = sort { $b <=> $a }
                 slurp($gw->dir . '/state/loads') =~ / (\d+) vllm/g;
    cmp_ok abs($r->{json}{estimated_seconds} - $most / 1e6), '<',
           $most / 1e6 + 10, 'the estimate is that of the last time';
    stage($_, 'up') for qw(llama vllm);
    ok wait_until(sub { $look->()->{status} == 200 }), 'ready again';
    $gw->end_checks;
};


subtest 'progress, and servers that are named' => sub {
    stage('llama', 'loading');
    my $gw = Gateway->new(server => $locations)->start->wait_ready;

    provider($gw, 'llama', $llama);
    provider($gw, 'hangs', Upstream->new(sub { return { hang => 1 } }));
    $gw->quit;
    $gw->start(http => "    model_ready_backends llama absent timeout=1s "
                       . "interval=100ms;\n");

    my $look = sub { return $gw->get('/api/v1/admin/ready')->{json} };
    my $json;

    ok wait_until(sub {
        $json = $look->();
        ($json->{progress} // 0) == 20 + int(21 * 79 / 100);
    }), 'progress is what the server says, halved by the one that is absent';
    is $json->{backends}, 2, 'the names that were given';
    ok wait_until(sub { $gw->log =~ /"absent", which no group uses/ }),
       'a name that nobody uses is logged';

    stage('llama', 'up');
    ok wait_until(sub { $look->()->{backends_ready} == 1 }), 'one is ready';
    is $look->()->{status}, 'initializing', 'the other is not';

    provider($gw, 'absent', $v2, protocol => 'kserve_v2');
    ok wait_until(sub { $look->()->{status} eq 'ready' }),
       'when a group uses it, it is asked';
    $gw->end_checks;
};


subtest 'servers that answer badly' => sub {
    my %answers = (
        html => sub { { body => '<html>ok</html>',
                        headers => [ 'Content-Type', 'text/html' ] } },
        inside => sub { { json => { error => { message => 'no' } } } },
        refuses => sub { { status => 401, json => { error => {
            message => 'bad key sk-very-secret-key' } } } },
        drops => sub { { drop => 1 } },
        hangs => sub { { hang => 1 } },
        redirects => sub { { status => 302,
                             headers => [ 'Location', $vllm->url ] } },
        floods => sub { { body => 'x' x 2_000_000 } },
    );
    my $gw = Gateway->new(server => $locations)->start->wait_ready;

    provider($gw, $_, Upstream->new($answers{$_}),
             api_key => 'sk-very-secret-key') for sort keys %answers;
    $gw->quit;
    $gw->start(http => "    model_ready_backends members timeout=500ms "
                       . "interval=100ms;\n");

    for my $id (sort keys %answers) {
        ok wait_until(sub {
            $gw->log =~ /provider "$id" is not ready yet: \w+/;
        }), "$id: logged";
    }

    is $gw->get('/api/v1/admin/ready')->{json}{backends_ready}, 0,
       'none of them is ready';
    unlike $gw->log, qr/sk-very-secret/, 'no key in the log';
    ok defined $gw->quit, 'they do not hold up the end';
    $gw->end_checks;
};


subtest 'a server that pulls' => sub {
    my $pulling = sub {
        my ($req, $lines) = @_;

        return { json => { models => [] } } if $req->{uri} eq '/api/ps';
        return { chunks => $lines,
                 headers => [ 'Content-Type', 'application/x-ndjson' ] }
            if $req->{uri} eq '/api/pull';
        return undef;
    };
    my $parrot = Upstream->new(sub {
        my ($req) = @_;

        my $who = $req->{headers}{authorization} // 'nobody';

        return $pulling->($req, [ "<h1>who is $who?</h1>\n" ])
               // { status => 404, json => { error => 'not found' } };
    });
    my $slow = Upstream->new(sub {
        my ($req) = @_;
        my $line = qq({"status":"pulling 8eeb52dfb3bb","digest":"sha256:)
                 . 'e' x 64 . qq(","total":4000000,"completed":400000}\n);
        my $pulled = stage('slow') eq 'up';

        stage('slow', 'up') if $req->{uri} eq '/api/pull';
        return $pulling->($req, [ ($line x 12_000) x 10,
                                  qq({"status":"success"}\n) ])
               // ($pulled ? { json => { model => 'm', done => JSON::PP::true(),
                   message => { role => 'assistant', content => 'a' } } }
                   : { status => 404, json => { error => 'not found' } });
    });
    my $gw = Gateway->new(server => $locations)->start->wait_ready;

    provider($gw, 'parrot', $parrot, protocol => 'ollama',
             api_key => 'sk-very-secret-key');
    provider($gw, 'slow', $slow, protocol => 'ollama');
    published($gw);
    $gw->quit;
    $gw->start(http => "    model_ready_backends all interval=100ms "
                       . "pull=on;\n");

    ok wait_until(sub { $gw->log =~ /"slow" has pulled model "m"/ }),
       'twenty megabytes of progress are read to the end';
    is scalar(grep { $_->{uri} eq '/api/pull' } $slow->requests), 1, 'once';
    ok wait_until(sub { $gw->log =~ /it does not pull: <h1>who is Bearer/ }),
       'what a server says in place of it is logged';
    unlike $gw->log, qr/sk-very/, 'without the key that it repeats';
    $gw->end_checks;
};


subtest 'what changes while they load' => sub {
    my $proxied = Upstream->new(sub {
        my ($req) = @_;

        return { status => 502, body => '<html>bad gateway</html>' }
            if stage('proxied') ne 'loading';
        return { status => 503, json => { progress => 0.5 } };
    });
    my $gw = Gateway->new(server => $locations . <<'END' . join '',
        location = /page { empty_gif; }
        location /control/ {
            model_require_ready on;
            rewrite ^/control(/.*)$ $1 break;
            model_api;
        }
END
        map { "location = /page$_ { empty_gif; }\n" } 1 .. 40);
    my @loading = map { Upstream->new(sub { return $later }) } 1 .. 3;

    $gw->start->wait_ready;
    provider($gw, 'proxied', $proxied);
    provider($gw, 'moves', $loading[0]);
    provider($gw, 'pauses', $loading[1]);
    published($gw);
    $gw->quit;
    $gw->start(http => "    model_ready_backends members interval=100ms;\n"
                       . "    model_require_ready on;\n");

    my $look = sub { return $gw->get('/api/v1/admin/ready')->{json} };

    ok wait_until(sub { ($look->()->{backends} // 0) == 3 }), 'three';
    is $gw->get('/page')->{status}, 425, 'all locations wait';

    for (1 .. 3) {
        $gw->reload(wait_old => 1);
        is scalar(grep { $gw->get("/page$_")->{status} != 425 } 1 .. 40), 0,
           'and do after a reload, in memory that was used before';
    }

    is $gw->get('/health')->{status}, 200, 'but not /health';
    is $gw->api(GET => '/api/v1/providers')->{status}, 200,
       'nor those that put it right';
    is $gw->get('/control/health')->{status}, 425, 'unless they are told to';

    my $r = $gw->fetch(HEAD => '/page');
    is $r->{status}, 425, 'HEAD';
    is $r->{body}, '', 'without a body';
    cmp_ok $r->{headers}{'retry-after'}, '>=', 1, 'but with Retry-After';
    $r = $gw->fetch(OPTIONS => '/api/v1/admin/ready');
    is $r->{status}, 405, 'OPTIONS is no question';
    like $r->{headers}{allow}, qr/GET/, 'GET is';

    ok wait_until(sub { 3 <= grep { $_->{uri} =~ m{/chat/} }
                             $proxied->requests }),
       'one behind a proxy that finds nobody';
    stage('proxied', 'loading');
    ok wait_until(sub { $look->()->{progress} == 20 + int(16 * 79 / 100) }),
       'is still asked how far it is' or diag explain $look->();

    is $gw->api(PATCH => '/api/v1/providers/moves',
                { base_url => $loading[2]->url . '/v1' })->{status}, 200,
       'one moves';
    ok wait_until(sub { scalar $loading[2]->requests }), 'and is found';
    my @series = $gw->api(GET => '/metrics')->{body}
        =~ /^(nginx_model_backend_ready\{provider="moves"\} \d)$/mg;
    is_deeply \@series, [ 'nginx_model_backend_ready{provider="moves"} 0' ],
              'a metric each';

    is $gw->api(PATCH => '/api/v1/model-groups/pauses',
                { status => 'paused' })->{status}, 200, 'a group is paused';
    ok wait_until(sub { $look->()->{backends} == 2 }),
       'its server is not waited for';
    is $gw->api(DELETE => "/api/v1/model-groups/$_")->{status}, 204,
       "the group of $_ goes" for qw(moves proxied);
    ok wait_until(sub { $look->()->{ready} }), 'nobody is left to wait for';
    is $gw->get('/page')->{status}, 200, 'then all is served';
    $gw->end_checks;
};


subtest 'TLS, other types of models, a path of health' => sub {
    my $embeds = Upstream->new(sub {
        my ($req) = @_;

        return { status => 204 } if $req->{uri} eq '/my/health';
        return { json => { object => 'list', data => [ {
            object => 'embedding', index => 0, embedding => [ 0.5 ] } ] } }
            if $req->{uri} eq '/v1/embeddings'
               && ($req->{headers}{authorization} // '') eq 'Bearer sk-own';
        return { status => 400, json => { error => { message => 'no' } } };
    });
    my $paints = Upstream->new(sub {
        my ($req) = @_;

        return { json => { object => 'list', data => [ { id => 'm' } ] } }
            if $req->{uri} eq '/v1/models';
        return { status => 404, json => { error => { message => 'no' } } };
    });
    my $gw = Gateway->new(server => $locations);
    my $port = free_port();
    certificate($gw->dir, 'own', 'DNS:localhost,IP:127.0.0.1');
    $gw->{servers} = <<"END";
    server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate @{[ $gw->dir ]}/own.pem;
        ssl_certificate_key @{[ $gw->dir ]}/own.key;
        location = /v1/chat/completions {
            default_type application/json;
            return 200 '@{[ JSON::PP::encode_json($completion) ]}';
        }
    }
END
    $gw->start->wait_ready;

    provider($gw, 'embeds', $embeds, type => 'embedding', api_key => 'sk-own',
             probe => '/my/health');
    provider($gw, 'paints', $paints, type => 'image');
    provider($gw, 'secret', $embeds, base_url => "https://localhost:$port/v1");
    $gw->quit;
    $gw->start(http => "    model_ready_backends all interval=100ms;\n");

    my $ready = sub {
        return $gw->get('/api/v1/admin/ready')->{json}{backends_ready} // 0;
    };

    ok wait_until(sub { $ready->() == 2 }), 'two are ready';
    is $gw->metric('nginx_model_backend_ready', provider => 'embeds'), 1,
       'one that embeds, with its key';
    is $gw->metric('nginx_model_backend_ready', provider => 'paints'), 1,
       'one whose list answers, since no small request proves an image';
    ok scalar(grep { $_->{uri} eq '/my/health' } $embeds->requests),
       'its own path of health is asked';
    ok !scalar(grep { $_->{uri} =~ /health/ && $_->{headers}{authorization} }
               $embeds->requests), 'without the key';
    ok wait_until(sub { $gw->log =~ /"secret" is not ready yet: connect/ }),
       'a certificate that nobody knows is refused';

    $gw->reload(wait_old => 1, http => '    model_ready_backends all '
                . "interval=100ms trusted_certificate=own.pem;\n");
    ok wait_until(sub { $ready->() == 3 }), 'one that is named is trusted';
    $gw->end_checks;
};


# A state folder of before one was added; who is there now is known when the
# database has answered, which takes its time here.

sub outdated {
    my ($gw, $kind, @provider) = @_;

    my $file = $gw->dir . "/state/$kind.snap";
    my $old = slurp($file);

    provider($gw, @provider);
    ok published($gw), 'one is added';
    $gw->quit;
    spew($file, $old);
    $gw->own;

    my $lock = $gw->hold('catalog_generation', 'access exclusive', 2);
    $gw->start(http => "    model_ready_backends all interval=100ms;\n");
    return $lock;
}


subtest 'a routing file that is older than the database' => sub {
    my $gw = Gateway->new(server => $locations)->start->wait_ready;
    my $lock = outdated($gw, 'routing', 'added',
                        Upstream->new(sub { return $later; }));

    ok wait_until(sub { $gw->log =~ /provider "added" is not ready yet/ }),
       'it is found';
    my $r = $gw->get('/api/v1/admin/ready');
    ok !$r->{json}{ready}, 'and waited for';
    is $r->{json}{backends}, 1, 'as is told';
    unlike $gw->log, qr/so are the 0 model servers/, 'nobody was let in before';
    waitpid $lock, 0;
    $gw->end_checks;
};


# The catalog tells what to ask a server for: it is asked anew when that is there.

subtest 'a catalog that is older than the database' => sub {
    my $embeds = Upstream->new(sub {
        return { json => { object => 'list', data => [ {
            object => 'embedding', index => 0, embedding => [ 0.5 ] } ] } }
            if $_[0]{uri} eq '/v1/embeddings';
        return { status => 400, json => { error => { message => 'no' } } };
    });
    my $gw = Gateway->new(server => $locations)->start->wait_ready;
    my $lock = outdated($gw, 'catalog', 'vectors', $embeds,
                        type => 'embedding');

    ok wait_until(sub { $gw->get('/api/v1/admin/ready')->{json}{ready} }),
       'it is ready';
    ok scalar(grep { $_->{uri} eq '/v1/chat/completions' } $embeds->requests),
       'though it was asked for a chat at first';
    waitpid $lock, 0;
    $gw->end_checks;
};


subtest 'a database that hangs' => sub {
    my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16,
                                     ReuseAddr => 1) // die "$!";
    my $gw = Gateway->new(server => $locations,
        database => 'host=127.0.0.1 user=x dbname=x port='
                    . $mute->sockport);

    $gw->start(http => "    model_ready_backends all;\n");
    is $gw->get('/static')->{body}, 'here', 'other locations work at once';
    is $gw->get('/health')->{status}, 200, 'so does /health';

    my $r = $gw->get('/needs/x');
    is $r->{status}, 425, 'models are not ready';
    is $r->{json}{phase}, 'connecting', 'for want of a database';
    is $r->{json}{message}, 'Waiting for the database', 'as it says';
    ok defined $gw->quit, 'and it ends';
    $gw->end_checks;
};


subtest 'configuration' => sub {
    my %bad = (
        '    model_ready_backends all acme;' => qr/"acme" follows "all"/,
        '    model_ready_backends interval=1s;' => qr/comes before what/,
        '    model_ready_backends all interval=1ms;' => qr/is no time between/,
        '    model_ready_backends all pull=yes;' => qr/neither "pull=on"/,
        '    model_ready_backends all x=1;' => qr/is no parameter of/,
        '    model_ready_backends all trusted_certificate=none.pem;'
            => qr/none.pem" of "model_ready_backends" is no file/,
        '    model_require_ready on status=404;'
            => qr/"status=404".*"status=425" or "status=503"/,
        '    model_require_ready maybe;' => qr/invalid parameter "maybe"/,
        '    model_require_ready off status=503;' => qr/"status=503"/,
    );
    my $gw = Gateway->new(server => $locations)->allow(qr/\[emerg\]/);

    for my $line (sort keys %bad) {
        my ($ok, $text) = $gw->test_conf(http => "$line\n");
        ok !$ok, "refused: $line";
        like $text, $bad{$line}, 'with the reason';
    }

    my ($ok, $text) = $gw->test_conf(http =>
        "    model_ready_backends acme other interval=5s pull=off;\n"
        . "    model_require_ready on;\n");
    ok $ok, 'accepted' or diag $text;
    $gw->end_checks;
};


unlink values %stage;
done_testing;
