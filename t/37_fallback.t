#!/usr/bin/perl

# Another variant after a failure.  If this breaks, an outage of one provider is
# an outage of its groups, a failing provider is asked on and on or never again,
# retries double the load of an outage, a client gets two halves of two answers,
# is told the wrong variant, or a mistake of its own is tried on every provider.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket qw(SO_RCVBUF);
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(free_port slurp spew wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;


# A scripted provider: what it answers is in a file, or in the request's "do"
# under the name of the model.

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
        my $how = $body->{do}{$name}
                  // $json->decode(slurp("$mood.$name") || '{}');

        # a pause of a stream comes as [ seconds ]
        $how->{chunks} = [ map { ref ? \$_->[0] : $_ } @{ $how->{chunks} } ]
            if $how->{chunks};

        return { %$how, headers => $how->{headers} // [] } if %$how;
        return { headers => [ 'X-Who' => $name ],
                 json => { who => $name, model => $body->{model},
                           length => length $req->{body},
                           type => $req->{headers}{'content-length'},
                           uri => $req->{uri} } };
    });
}

my %up = map { $_ => scripted($_) } qw(a b c d e f g);

sub place {
    my ($name, $fallback) = @_;

    return <<END;
        location /$name/ {
            model_auth off;
            model_split on;
            rewrite ^/$name(/.*)\$ \$1 break;
            $fallback
            include quick_proxy.conf;
        }
END
}

my $gw = Gateway->new(server => $Gateway::locations . join '',
    place('on', 'model_fallback on budget=100% breaker=200;'),
    place('off', ''),
    place('two', 'model_fallback on tries=2 budget=100% breaker=200;'),
    place('late', 'model_fallback on timeout=1s budget=100% breaker=200;'),
    place('later', 'model_fallback on timeout=4s budget=100% breaker=200;')
        =~ s/quick_proxy/later_proxy/r,
    place('just', 'model_fallback on timeout=1s budget=100% breaker=200;')
        =~ s/quick_proxy/just_proxy/r,
    place('enough', 'model_fallback on timeout=8s budget=100% breaker=200;')
        =~ s/quick_proxy/later_proxy/r,
    place('patient', 'model_fallback on budget=100% breaker=200;')
        =~ s/quick_proxy/later_proxy/r,
    place('only', 'model_fallback on statuses=503 budget=100% breaker=200;'),
    place('poor', 'model_fallback on budget=10% breaker=200;'),
    place('none', 'model_fallback on budget=0% breaker=200;'),
    place('breaker', 'model_fallback on budget=100% breaker=3 pause=5s;'),
    place('page', 'model_fallback on budget=100% breaker=200;
            error_page 502 504 =200 /sorry;'),
    place('kept', 'model_fallback on budget=100% breaker=200;
            proxy_intercept_errors on; error_page 503 404 =200 /sorry;'),
    <<'END');
        location = /sorry { return 200 "sorry"; }
        location /small/ {
            model_auth off;
            model_split on;
            model_fallback on budget=100% breaker=200;
            rewrite ^/small(/.*)$ $1 break;
            include small_proxy.conf;
            client_body_buffer_size 1k;
        }
END

my $proxy = Host::slurp($gw->dir . '/model_proxy.conf');
$proxy =~ s/proxy_read_timeout .*/proxy_read_timeout 5s;/;
spew($gw->dir . '/quick_proxy.conf', $proxy);
$proxy =~ s/timeout 5s/timeout 60s/;
spew($gw->dir . '/later_proxy.conf', $proxy);
spew($gw->dir . '/just_proxy.conf', $proxy =~ s/timeout 60s/timeout 950ms/r);
spew($gw->dir . '/small_proxy.conf', $proxy =~ s/client_body_buffer_size.*//r);

$gw->allow(qr/Connection refused|timed out|prematurely closed/);
$gw->start->wait_ready;


sub made { return $gw->made(@_); }

sub group {
    my ($name, @members) = @_;

    $gw->group($name, {}, @members);
}

for my $name (sort keys %up) {
    made('providers', { id => $name, base_url => $up{$name}->url });
    made('models', { id => "$name/$_" })
        for "model-$name", "other-$name" . 'x' x 20;
}

made('providers', { id => 'dead',
                    base_url => 'http://127.0.0.1:' . free_port() });
made('models', { id => "dead/$_" }) for qw(one two);

# which are in this order: fallback, champion, challenger; a shadow never

group('chain', [ 'b/model-b', 'challenger', 100 ],
      [ 'a/model-a', 'champion', 0 ],
      [ 'c/other-c' . 'x' x 20, 'fallback', 0 ], [ 'd/model-d', 'shadow', 0 ]);
group('pair', [ 'a/model-a', 'champion', 100 ],
      [ 'b/model-b', 'fallback', 0 ]);
group('same', [ 'a/model-a', 'champion', 100 ],
      [ 'a/other-a' . 'x' x 20, 'fallback', 0 ]);
group('gone', [ 'dead/one', 'champion', 100 ], [ 'dead/two', 'fallback', 0 ],
      [ 'b/model-b', 'fallback', 0 ]);
group('alone', [ 'a/model-a', 'champion', 100 ]);
# a server that takes connections and reads nothing

my $deaf = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1') or die;
$deaf->sockopt(SO_RCVBUF, 4096);
made('providers', { id => 'deaf',
                    base_url => 'http://127.0.0.1:' . $deaf->sockport });
made('models', { id => 'deaf/m' });
group('deaf', [ 'a/model-a', 'champion', 100 ], [ 'deaf/m', 'fallback', 0 ]);
group('silent', [ 'd/model-d', 'champion', 100 ],
      [ 'c/model-c', 'fallback', 0 ]);


sub infer {
    my ($group, $do, $where, %more) = @_;

    return $gw->fetch(POST => '/' . ($where // 'on') . '/v1/x?a=1', {},
                      { model => $group, do => $do // {}, %more });
}

sub asked {
    return join ' ', map { $_ . '=' . $up{$_}->requests }
           grep { scalar $up{$_}->requests } sort keys %up;
}

sub forget { $_->forget for values %up; }

sub metric {
    my ($name) = @_;

    my $text = $gw->get('/metrics', {
        Authorization => 'Bearer ' . $gw->token('admin') })->{body};
    return $text =~ /^\Q$name\E (\S+)$/m ? $1 : undef;
}

ok wait_until(sub { infer('silent')->{status} == 200 }), 'the groups are there';
ok wait_until(sub { infer('chain')->{status} == 200 }), 'all of them';
forget();


subtest 'which failures, and in which order' => sub {
    my %fail = (429 => { status => 429, json => { error => 'slow down' } },
                500 => { status => 500, body => 'oops' },
                502 => { status => 502, body => '' },
                503 => { status => 503, body => '' },
                504 => { status => 504, body => '' },
                529 => { status => 529, json => { error => 'overloaded' } },
                'no answer' => { drop => 1 },
                silence => { hang => 1 });

    # retries are to be fewer than requests in ten seconds

    infer('alone') for 1 .. 20;

    for my $name (sort keys %fail) {
        my $r = infer('pair', { a => $fail{$name} });
        is $r->{status}, 200, "$name: served" or diag $r->{body};
        is $r->{json}{who}, 'b', "$name: by the fallback";
        is $r->{json}{model}, 'model-b', "$name: under its own name";
        is $r->{json}{uri}, '/x?a=1', "$name: the same call";
        is $r->{headers}{'x-model-variant'}, 'b/model-b', "$name: who it was";
        is $r->{headers}{'x-model-role'}, 'fallback', "$name: its role";
        is $r->{headers}{'x-who'}, 'b', "$name: its headers";
    }

    forget();
    my $r = infer('chain', { b => $fail{500}, c => $fail{500} });
    is $r->{json}{who}, 'a', 'fallback, then champion';
    is asked(), 'a=1 b=1 c=1', 'each once';
    is $r->{headers}{'x-model-role'}, 'champion', 'and its role';

    forget();
    $r = infer('chain', { map { $_ => $fail{500} } 'a' .. 'd' });
    is $r->{status}, 500, 'all fail: the last answer';
    is $r->{body}, 'oops', 'with its body';
    is $r->{headers}{'x-model-variant'}, 'a/model-a', 'and its name';
    is asked(), 'a=1 b=1 c=1', 'a shadow is nobody\'s fallback';

    forget();
    $r = infer('chain', { b => $fail{500}, c => $fail{500} }, 'two');
    is $r->{status}, 500, 'no more than tries=2';
    is asked(), 'b=1 c=1', 'two were asked';

    $r = infer('same', { a => $fail{429} });
    is $r->{status}, 429, 'another model of the provider fails as well';
    is $r->{headers}{'x-model-variant'}, 'a/other-a' . 'x' x 20, 'it was asked';

    $r = infer('gone');
    is $r->{json}{who}, 'b', 'a server that is not there';

    is infer('pair', { a => $fail{500} }, 'off')->{status}, 500, 'off';
    is infer('pair', { a => $fail{500} }, 'only')->{status}, 500,
       'a status that is not named';
    is infer('pair', { a => $fail{503} }, 'only')->{status}, 200, 'one that is';

    $r = infer('alone', { a => $fail{429} });
    is $r->{status}, 429, 'nobody else';
    is $r->{json}{error}, 'slow down', 'the answer as it is';
};


subtest 'answers that are none of it' => sub {
    for my $status (400, 401, 403, 404, 413, 422) {
        forget();
        my $r = infer('pair', { a => { status => $status,
            json => { error => { code => 'context_length_exceeded' } } } });
        is $r->{status}, $status, "$status is passed on";
        is $r->{headers}{'x-model-variant'}, 'a/model-a', "$status: of whom";
        is asked(), 'a=1', "$status: nobody else is asked";
    }
};


subtest 'bodies' => sub {
    infer('alone') for 1 .. 20;

    for my $where (qw(patient small)) {
        for my $size (10, 5_000, 300_000) {
            my $text = 'x' x $size;
            my $r = infer('chain', { b => { status => 503, body => '' },
                                     c => { drop => 1 } }, $where,
                          text => $text);
            is $r->{json}{model}, 'model-a', "$where, $size: the name";
            is $r->{json}{length}, $r->{json}{type}, "$where, $size: length";
        }
    }
};


subtest 'never after the first byte' => sub {
    my @tokens = map { "data: {\"n\":$_}\n\n" } 1 .. 3;

    for my $how ({ cut => 30 }, { cut => 5 }) {
        forget();
        my $wire = $gw->wire;
        $wire->request(POST => '/on/v1/x', {},
            { model => 'pair', do => { a => {
                headers => [ 'Content-Type', 'text/event-stream' ],
                chunks => \@tokens, %$how } } });
        my $r = eval { $wire->response };
        is asked(), 'a=1', "cut after $how->{cut}: nobody else is asked";
    }

    forget();
    my $r = infer('pair', { a => { headers =>
        [ 'Content-Type', 'text/event-stream' ],
        chunks => [ "data: {\"error\":{\"message\":\"x\"}}\n\n" ] } });
    is $r->{status}, 200, 'an error inside of a stream';
    is asked(), 'a=1', 'is passed on';
};


subtest 'time' => sub {
    forget();
    my $r = infer('pair', { a => { status => 503, body => '', delay => 1.5 } },
                  'late');
    is $r->{status}, 503, 'the time for all attempts is over';
    is asked(), 'a=1', 'nobody else is asked';

    # longer than all may take, and a moment less, which is no time for anybody

    for my $where (qw(late just)) {
        forget();
        $r = infer('silent', { d => { hang => 1 } }, $where);
        is $r->{status}, 504, "$where: silence until it is over";
        is asked(), 'd=1', "$where: nobody else is asked";
        is $r->{headers}{'x-model-variant'}, 'd/model-d', "$where: who it was";
        is $r->{json}{error}{code}, 'gateway_timeout', "$where: says so";
        like $r->{headers}{'retry-after'} // '', qr/^\d+$/,
             "$where: and when to come again";
    }

    my $begun = time;
    $r = infer('pair', { a => { status => 503, body => '' },
                         b => { hang => 1 } }, 'later');
    is $r->{status}, 504, 'what is left of it holds for the next one';
    cmp_ok time - $begun, '<', 30, 'which had less than its own time';

    $begun = time;
    $r = infer('deaf', { a => { status => 503, body => '' } }, 'enough',
               text => 'x' x 4_000_000);
    is $r->{status}, 504, 'a server that does not read';
    is $r->{headers}{'x-model-variant'}, 'deaf/m', 'which was asked';
    cmp_ok time - $begun, '<', 40, 'is not waited for either';

    $r = infer('pair', { a => { status => 503, body => '' },
                         b => { headers => [ 'Content-Type', 'text/plain' ],
                                chunks => [ 'a', [ 4.5 ], 'b' ] } }, 'later');
    is $r->{body}, 'ab', 'once it answers it has its own again';

    $r = infer('pair', { a => { drop => 1 }, b => { drop => 1 } }, 'page');
    is $r->{body}, 'sorry', "the operator's error page at the end";

    my %busy = (status => 503, body => '');
    $r = infer('pair', { a => \%busy }, 'kept');
    is $r->{json}{who}, 'b', 'not before, where answers are intercepted';
    $r = infer('pair', { a => \%busy, b => \%busy }, 'kept');
    is $r->{body}, 'sorry', 'but then';
    $r = infer('pair', { a => { status => 404, body => '' } }, 'kept');
    is $r->{body}, 'sorry', 'and for what is no failure';
};


subtest 'Retry-After' => sub {
    forget();
    my $r = infer('pair', { a => { status => 429, body => '',
        headers => [ 'Retry-After' => 5, 'retry-after-ms' => 100 ] } });
    is $r->{json}{who}, 'b', 'another one';
    is infer('pair')->{json}{who}, 'b', 'the next request, too';
    is asked(), 'a=1 b=2', 'without asking the first';
    is infer('same')->{json}{who}, 'a', 'rather it than nobody';
    is infer('pair', {}, 'off')->{json}{who}, 'a', 'off: it is asked';
    ok wait_until(sub { infer('pair')->{json}{who} eq 'a' }),
       'and again when its pause is over';

    my $soon = POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime time + 6);
    my %asked = (status => 503, body => '',
                 headers => [ 'Retry-After' => $soon ]);
    is infer('pair', { a => \%asked })->{json}{who}, 'b', 'until a date';
    is infer('pair')->{json}{who}, 'b', 'which has not come';
    ok wait_until(sub { infer('pair')->{json}{who} eq 'a' }), 'until it comes';

    for my $value ('Sun, 06 Nov 1994 08:49:37 GMT', '-5', 'soon', '') {
        is infer('pair', { a => { %asked, headers =>
                                  [ 'Retry-After' => $value ] } })
               ->{json}{who}, 'b', qq(Retry-After "$value");
        is infer('pair')->{json}{who}, 'a', 'is no time to wait';
    }

    infer('pair', { a => { status => 200, json => { who => 'a' },
                           headers => [ 'Retry-After' => 60 ] } });
    is infer('pair')->{json}{who}, 'a', 'in a 200 it means nothing';
};


subtest 'the breaker' => sub {
    my $opens = 'nginx_model_backend_breaker_opens_total{provider="a"}';
    my $state = sub {
        my ($which) = @_;
        metric("nginx_model_backend_breaker{provider=\"a\",state=\"$which\"}");
    };
    my $go = sub { infer($_[0] // 'pair', {}, 'breaker') };

    $go->();
    is metric($opens), 0, 'it has never opened';
    is $state->('closed'), 1, 'closed';

    mood('a', { status => 500, body => '' });
    forget();
    is $go->()->{json}{who}, 'b', "failure $_" for 1 .. 3;
    is asked(), 'a=3 b=3', 'both were asked';
    is metric($opens), 1, 'it opens';
    is $state->('open'), 1, 'open';

    $go->() for 1 .. 5;
    is asked(), 'a=3 b=8', 'the first is left alone';
    is $go->('alone')->{status}, 500, 'rather it than nobody';

    ok wait_until(sub { $go->(); $up{a}->requests >= 5 }), 'one tries';
    is $state->('open'), 1, 'in vain';
    is metric($opens), 2, 'open again';

    mood('a');
    ok wait_until(sub { $go->()->{json}{who} eq 'a' }), 'it is back';
    is $state->('closed'), 1, 'closed';
    is $go->()->{json}{who}, 'a', 'and stays so';

    mood('a', { drop => 1 });
    $go->() for 1 .. 3;
    is $state->('open'), 1, 'no answer counts as well';
    mood('a', { status => 400, body => '' });
    ok wait_until(sub { $go->()->{status} == 400 }), 'one that says no';
    is $state->('closed'), 1, 'is alive';
    mood('a');

    cmp_ok metric('nginx_model_fallbacks_total{cause="breaker"}'), '>=', 5,
           'requests that an open breaker moved';
    cmp_ok metric('nginx_model_fallbacks_total{cause="failure"}'), '>=', 10,
           'and failures';
    cmp_ok metric('nginx_model_backend_failures_total'
                  . '{provider="a",outcome="failed"}'), '>=', 4,
           'failures by provider';
};


subtest 'answers that are cut' => sub {
    my $state = sub {
        my ($who, $which) = @_;
        metric("nginx_model_backend_breaker{provider=\"$who\","
               . "state=\"$which\"}");
    };
    my $go = sub { infer($_[0] // 'cuts', $_[1] // {}, 'breaker') };

    group('cuts', [ 'e/model-e', 'champion', 100 ],
          [ 'f/model-f', 'fallback', 0 ]);
    group('last', [ 'f/model-f', 'champion', 100 ]);
    group('rest', [ 'e/model-e', 'champion', 50 ],
          [ 'f/model-f', 'challenger', 50 ]);
    ok wait_until(sub { 3 == grep { $go->($_)->{status} == 200 }
                        qw(cuts last rest) }), 'in effect';

    mood('e', { headers => [ 'Content-Type', 'text/event-stream' ],
                chunks => [ "data: {}\n\n", "data: yyyyyy\n\n" ], cut => 15 });
    is $go->()->{complete}, 0, "cut, $_" for 1 .. 3;
    ok wait_until(sub { $state->('e', 'open') }), 'three of them open it';
    is $go->()->{json}{who}, 'f', 'another one serves';
    forget();
    ok wait_until(sub { $go->(); $up{e}->requests }), 'one tries';
    ok wait_until(sub { $state->('e', 'open') }),
       'an answer that began well and was cut opens it again';
    mood('e');
    ok wait_until(sub { $go->()->{json}{who} eq 'e' }), 'it is back';

    # the champion fails, and the breaker of the only other one is open

    my %down = (status => 503, body => '');
    $go->('last', { f => \%down }) for 1 .. 3;
    ok $state->('f', 'open'), 'the other one is ill';
    is $go->('cuts', { e => \%down })->{json}{who}, 'f',
       'a breaker makes no error of what can be served';

    ok wait_until(sub { $go->('last'); $state->('f', 'closed') }),
       'it is well again';

    # who pauses a group wants no challenger

    my ($key) = grep {
        my $r = $gw->fetch(POST => '/on/v1/x', { 'X-Session-Id' => $_ },
                           { model => 'rest' });
        $r->{json}{who} eq 'f';
    } 1 .. 40;
    is $gw->api(PATCH => '/api/v1/model-groups/rest',
                { status => 'paused' })->{status}, 200, 'paused';
    ok wait_until(sub {
        $gw->fetch(POST => '/on/v1/x', { 'X-Session-Id' => $key },
                   { model => 'rest' })->{json}{who} eq 'e';
    }), 'the champion serves all';
    forget();
    is infer('rest', { e => \%down })->{status}, 503, 'and when it fails';
    is asked(), 'e=1', 'nobody else does';

    # a pause is kept where there is an answer to give, however long it is

    $go->('last', { f => { status => 429, body => '',
                           headers => [ 'Retry-After' => '9' x 20 ] } });
    forget();
    is $go->('cuts', { e => \%down })->{status}, 503, 'the other one rests';
    is asked(), 'e=1', 'and is left in peace';
};


subtest 'where nobody heeds it' => sub {
    my $opens = 'nginx_model_backend_breaker_opens_total{provider="g"}';
    my $go = sub { infer('solo', {}, 'off') };

    group('solo', [ 'g/model-g', 'champion', 100 ]);
    ok wait_until(sub { $go->()->{status} == 200 }), 'in effect';

    mood('g', { status => 503, body => '' });
    is $go->()->{status}, 503, 'it fails' for 1 .. 5;
    ok wait_until(sub { $go->(); metric($opens) == 1 }), 'and opens';
    is $go->()->{status}, 503, 'it is asked all the same';
    mood('g');
    is $go->()->{status}, 200, 'also when it is well again';
    ok wait_until(sub {
        $go->();
        metric('nginx_model_backend_breaker{provider="g",state="closed"}');
    }, 60), 'which closes it';

    mood('g', { status => 503, body => '' });
    ok wait_until(sub { $go->(); metric($opens) == 2 }), 'the next time, too';
    mood('g');
};


subtest 'a provider that moves' => sub {
    my %limit = (status => 429, body => '',
                 headers => [ 'Retry-After' => 3000 ]);
    my $left = 'nginx_model_backend_paused_seconds{provider="g"}';
    my $who = sub { infer('moved', $_[0])->{json}{who} // '' };

    group('moved', [ 'g/model-g', 'champion', 100 ],
          [ 'd/model-d', 'fallback', 0 ]);
    ok wait_until(sub { $who->() eq 'g' }), 'in effect';

    for my $change ([ base_url => $up{g}->url =~ s/127\.0\.0\.1/localhost/r
                                  . '/v1' ],
                    [ api_key => 'sk-another' ])
    {
        is $who->({ g => \%limit }), 'd', 'a quota that is used up';
        is $who->(), 'd', 'is waited for';
        cmp_ok metric($left), '>', 2000, 'which a metric shows';
        is $gw->api(PATCH => '/api/v1/providers/g', { @$change })->{status},
           200, "another $change->[0]";
        ok wait_until(sub { $who->() eq 'g' }), 'begins anew';
        is metric($left), 0, 'as the metric says';
    }

    is scalar(() = $gw->log =~ /provider "g" asks for a pause of 3000 s/g), 2,
       'the log has both pauses';
};


subtest 'nobody to ask' => sub {
    $gw->allow(qr/"nowhere" cannot be asked/);
    made(providers => { id => 'nowhere', name => 'nowhere' });
    made(models => { id => 'nowhere/m', type => 'chat' });
    group('lost', [ 'nowhere/m', 'champion', 100 ],
          [ 'd/model-d', 'fallback', 0 ]);
    group('lonely', [ 'nowhere/m', 'champion', 100 ]);
    ok wait_until(sub { Gateway::decided(infer('lost'))
                        && infer('lonely')->{body} =~ /no server of model/ }),
       'in effect';

    my @of = ('nginx_model_fallbacks_total{cause="failure"}',
              'nginx_model_backend_failures_total'
              . '{provider="nowhere",outcome="unreachable"}');
    my @before = map { metric($_) } @of;

    is infer('lost')->{json}{who}, 'd', 'the fallback serves';
    is_deeply [ map { metric($of[$_]) - $before[$_] } 0, 1 ], [ 1, 1 ],
              'which is counted, and whose fault it is';
    my $told = () = $gw->log
        =~ /provider "nowhere" cannot be asked: it has no base_url/g;
    cmp_ok $told, '>=', 1, 'the log says why';
    cmp_ok $told, '<=', 4, 'now and then';

    my $r = infer('lonely');
    is $r->{status}, 503, 'where there is no other it is an error';
    like $r->{json}{error}{message}, qr/no address or no usable key/,
         'that says so';
};


subtest 'a share of failures' => sub {
    my $opens = 'nginx_model_backend_breaker_opens_total{provider="c"}';
    my $was = metric($opens);

    group('mixed', [ 'c/model-c', 'champion', 100 ],
          [ 'd/model-d', 'fallback', 0 ]);
    ok wait_until(sub { infer('mixed')->{status} == 200 }), 'in effect';

    for (1 .. 20) {
        infer('mixed', { c => { status => 500, body => '' } });
        infer('mixed');
    }

    is metric($opens), $was + 1, 'every second one fails: it opens';
    is infer('mixed')->{json}{who}, 'd', 'the fallback serves all';
};


subtest 'the budget' => sub {
    # the window forgets what went before

    sleep 10.5;
    my $refused = metric('nginx_model_fallbacks_refused_total');
    forget();
    my $n = 100;
    my @r = Wire::many($gw->port, [ map { [ POST => '/poor/v1/x', {},
        { model => 'pair', do => { a => { status => 429, body => '' } } } ] }
        1 .. $n ], 4);
    my $served = grep { $_->{status} == 200 } @r;

    cmp_ok $served, '>=', 10, "a few may be sent again ($served)";
    cmp_ok $served, '<=', 20, 'but not all';
    is scalar(grep { $_->{status} == 429 } @r), $n - $served,
       'the others got the answer that there was';
    is metric('nginx_model_fallbacks_refused_total') - $refused,
       $n - $served, 'they are counted';
    is infer('pair', { a => { status => 429, body => '' } }, 'none')
           ->{status}, 429, 'budget=0%: none at all';
};


subtest 'the record' => sub {
    forget();
    my $r = infer('chain', { b => { status => 500, body => '' },
                             c => { drop => 1 } });
    is $r->{json}{who}, 'a', 'the third serves';

    my $table = $gw->sql_value("select inference_table from "
                               . "model.model_groups where name = 'chain'");
    my $id = $r->{headers}{'x-inference-id'};
    my $row;
    ok wait_until(sub {
        $row = $gw->sql_value("select concat_ws('|', model_assigned, "
            . "model_served, role, status, upstream_status, attempts, "
            . "error_class is null) from model.$table "
            . "where inference_id = '$id'");
    }), 'one record';
    is $row, 'b/model-b|a/model-a|champion|200|200|3|t',
       'assigned, served, and how many were asked';
};


subtest 'configuration' => sub {
    my $conf = sub {
        my $other = Gateway->new(database => 0, redis => 0,
            server => "location / { model_fallback $_[0]; }");
        my ($ok, $text) = $other->test_conf;
        $other->remove;
        return ($ok ? 'ok' : 'failed') . " $text";
    };

    like $conf->('on'), qr/^ok/, 'on';
    like $conf->('off'), qr/^ok/, 'off';
    like $conf->('on statuses=429,503 timeout=5s tries=2 budget=10%'),
         qr/^ok/, 'all of them';
    like $conf->('maybe'), qr/failed.*"maybe".*nginx.conf:\d+/s, 'no value';
    like $conf->('on times=3'), qr/failed.*"times=3" is no parameter/s,
         'unknown';
    like $conf->("on statuses=$_"), qr/failed.*"statuses=$_" is no list/s,
         "statuses=$_" for '400', '401', '404', '', '503,', '200,503', 'x';
    like $conf->("on $_"), qr/failed.*"\Q$_\E" is no/s, $_
        for 'timeout=0', 'timeout=2h', 'tries=0', 'tries=9', 'budget=101%',
            'budget=x', 'breaker=0', 'pause=0';
    like $conf->('on; model_fallback off'), qr/failed.*duplicate/s, 'twice';
};

done_testing;
