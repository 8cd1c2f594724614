#!/usr/bin/perl

# Where a provider's requests go: names with their TTL, all addresses of a
# name, the faster one rather than the slower, none that fails or whose probe
# does, other paths than the client's, and keys from files.  If this breaks, a
# provider that moves is lost until a reload, one of its servers gets nothing,
# a slow or dead one gets as much as the others, Azure and Google get paths
# that they do not know, or a rotated key stays in use.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Socket;
use Test::More;
use Time::HiRes qw(sleep time);

use Dns;
use Gateway;
use Host qw(certificate free_port slurp spew wait_until);
use Upstream;

# one port on four addresses of loopback, a server for each

my $port = free_port();
my $dns = Dns->new;

my $server = <<'END';
        location / {
            default_type application/json;
            return 200 '{"server":"$server_addr","uri":"$request_uri",
                         "key":"$http_authorization"}';
        }

        location /busy { return 503; }
END

my @fast = map { "127.0.0.$_" } 2, 3, 4;
my $servers = "";
$servers .= "    server {\n        listen $_:$port;\n$server    }\n" for @fast;

my $http = "    model_resolver 127.0.0.1:1 @{[ $dns->address ]} timeout=1s;\n"
           . "    model_secret filed file:filed.key;\n"
           . "    model_secret both env:BOTH_KEY;\n";

my $gw = Gateway->new(
    http => $http,
    servers => $servers,
    server => $Gateway::locations . <<'END',
        location /open/ {
            model_auth off;
            model_split on;
            rewrite ^/open(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /back/ {
            model_auth off;
            model_split on;
            model_fallback on;
            rewrite ^/back(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /bound/ {
            model_auth off;
            model_split on;
            model_fallback on timeout=2s budget=100%;
            rewrite ^/bound(/.*)$ $1 break;
            include model_proxy.conf;
        }
END
);

$ENV{BOTH_KEY} = 'sk-of-the-environment';
spew($gw->dir . '/filed.key', "sk-filed-1\n");
$gw->allow(qr/Connection refused/, qr/upstream timed out/);

$dns->set('moves.test' => { a => ['127.0.0.2'], ttl => 1 },
          'many.test' => { a => [@fast], ttl => 1 },
          'alias.test' => { cname => 'many.test', ttl => 1 },
          'long.test' => { a => ['127.0.0.3'], ttl => 60, long => 1 });

$gw->start->wait_ready;


sub made { return $gw->made(@_); }

sub provider {
    my ($id, %more) = @_;

    made('providers', { id => $id, protocol => 'openai',
                        base_url => "http://$id.test:$port/v1", %more });
    made('models', { id => "$id/org/m:1" });
    made('model-groups', { name => $id });
    made("model-groups/$id/models",
         [ { model_id => "$id/org/m:1", role => 'champion',
             traffic_percentage => 100 } ]);
}

sub asked {
    my ($group, $path) = @_;

    my $r = $gw->fetch(POST => '/open' . ($path // '/v1/x'), {},
                       { model => $group });
    return { status => $r->{status}, %{ $r->{json} // {} } };
}

# who served how many of so many requests

sub spread {
    my ($group, $n) = @_;

    my %seen;
    $seen{ asked($group)->{server} // 'nobody' }++ for 1 .. $n;
    return \%seen;
}


# The same until so many servers were seen: one that was slow for a moment, on
# a busy machine, is avoided for a while.

sub spread_over {
    my ($group, $servers) = @_;
    my %seen;

    wait_until(sub {
        my $more = spread($group, 20);
        $seen{$_} += $more->{$_} for keys %$more;
        keys %seen >= $servers;
    });

    return \%seen;
}


provider($_) for qw(moves many alias long);
ok wait_until(sub {
    !grep { !asked($_)->{server} } qw(moves many alias long);
}), 'in effect';


subtest 'a name that moves' => sub {
    is asked('moves')->{server}, '127.0.0.2', 'the first address';
    $dns->set('moves.test' => { a => ['127.0.0.4'], ttl => 1 });
    ok wait_until(sub { asked('moves')->{server} eq '127.0.0.4' }),
       'the next one, without a reload';

    $dns->set('moves.test' => { silent => 1 });
    sleep 2.5;
    is asked('moves')->{server}, '127.0.0.4', 'no answer: the last stays';
    is $gw->api(PATCH => '/api/v1/model-groups/moves',
                { description => 'x' })->{status}, 200, 'a change';
    $dns->set('moves.test' => { rcode => 3 });
    sleep 2;
    is asked('moves')->{server}, '127.0.0.4', 'no such name: the last stays';
    $dns->set('moves.test' => { a => ['127.0.0.3'], ttl => 600 });
    ok wait_until(sub { asked('moves')->{server} eq '127.0.0.3' }), 'back';

    my $asked = $dns->asked('long.test');
    sleep 2;
    is $dns->asked('long.test'), $asked, 'a long TTL is not asked again';
    ok wait_until(sub { $dns->asked('many.test') >= 4 }), 'a short one is';
};


subtest 'all addresses' => sub {
    is_deeply [ sort keys %{ spread_over('many', 3) } ], \@fast,
              'each serves';
    is_deeply [ sort keys %{ spread_over('alias', 3) } ], \@fast,
              'behind another name, too';
    is asked('long')->{server}, '127.0.0.3', 'an answer over TCP';
};


subtest 'a dead one among them' => sub {
    $dns->set('many.test' => { a => [ @fast, '127.0.0.9' ], ttl => 1 });
    sleep 3;
    my $seen = spread('many', 80);
    $seen = { %$seen, %{ spread_over('many', 3) } };
    is $seen->{nobody}, undef, 'no request fails';
    is keys %$seen, 3, 'the others serve';
    $dns->set('many.test' => { a => [@fast], ttl => 600 });
};


subtest 'DNS that is away holds up nothing' => sub {
    $dns->set(map { ("away$_.test" => { silent => 1 }) } 1 .. 6);
    provider("away$_") for 1 .. 3;
    my $began = time;
    made('model-groups', { name => 'prompt' });
    made('model-groups/prompt/models',
         [ { model_id => 'long/org/m:1', role => 'champion',
             traffic_percentage => 100 } ]);
    ok wait_until(sub { asked('prompt')->{server} }),
       'a new group is served all the same';
    note sprintf 'after %.1f s', time - $began;
    ok wait_until(sub { asked('away1')->{status} == 503 }),
       'a provider without address says so';
    $dns->set('away1.test' => { a => ['127.0.0.2'] });
    ok wait_until(sub { asked('away1')->{server} }), 'until it has one';
};


subtest 'a restart while DNS is away' => sub {
    $dns->set('many.test' => { silent => 1 });
    ok defined $gw->quit, 'quit';
    $gw->start->wait_ready;
    ok asked('many')->{server}, 'what the file says is served';

    made('model-groups', { name => 'after' });
    made('model-groups/after/models',
         [ { model_id => 'many/org/m:1', role => 'champion',
             traffic_percentage => 100 } ]);
    ok wait_until(sub { asked('after')->{server} }),
       'and after a change, too';
    $dns->set('many.test' => { a => [@fast], ttl => 600 });
};


subtest 'paths' => sub {
    is asked('long', '/v1/chat/completions?x=1')->{uri},
       '/v1/chat/completions?x=1', 'as a rule';

    my $put = sub {
        return $gw->api(PATCH => '/api/v1/providers/long', { paths => $_[0] });
    };

    is $put->({ '/v1/' => '/openai/deployments/{model}/{rest}?api-version=1',
                '/v1/generate' => '/v1beta/models/{model}:generateContent',
                '/v2/models/' => '/kserve/{model}/versions/1/{rest}' })
       ->{status}, 200, 'stored';

    my $base = '/v1/openai/deployments/org%2Fm%3A1';
    ok wait_until(sub { asked('long')->{uri} ne '/v1/x' }), 'in effect';
    is asked('long', '/v1/chat/completions')->{uri},
       "$base/chat/completions?api-version=1", 'a template';
    is asked('long', '/v1/a%20b%3Fc/d?x=1')->{uri},
       "$base/a%20b%3Fc/d?api-version=1&x=1", 'escaped, with arguments';
    is asked('long', '/v1/generate')->{uri},
       '/v1/v1beta/models/org%2Fm%3A1:generateContent', 'the longest prefix';
    is $gw->fetch(POST => '/open/v2/models/long/infer', {},
                  { inputs => [] })->{json}{uri},
       '/v1/kserve/org%2Fm%3A1/versions/1/infer', 'a model in the path';
    is asked('long', '/v3/x')->{uri}, '/v1/v3/x', 'no row for it';

    ok wait_until(sub {
        my ($shown) = grep { $_->{id} eq 'long' }
                      @{ $gw->api(GET => '/api/v1/providers?limit=1000')
                             ->{json}{providers} };
        return ($shown->{paths}{'/v1/generate'} // '')
               eq '/v1beta/models/{model}:generateContent';
    }), 'the API shows them';

    for my $bad ({ 'v1' => '/x' }, { '/v1?' => '/x' }, { '/v1' => 'x' },
                 { '/v1' => '/{name}' }, { '/v1' => "/a\nb" }, { '/v1' => 1 },
                 { map { ("/$_" => '/x') } 1 .. 17 })
    {
        is $put->($bad)->{status}, 400, 'refused: ' . (%$bad)[0];
    }

    is $put->(undef)->{status}, 200, 'taken away';
    ok wait_until(sub { asked('long')->{uri} eq '/v1/x' }), 'in effect';
};


subtest 'keys of the configuration' => sub {
    $dns->set(map { ("$_.test" => { a => ['127.0.0.2'] }) }
              qw(filed both other));
    provider('filed');
    provider('both', api_key => 'sk-of-the-database');
    provider('other', api_key => 'sk-of-the-database');
    ok wait_until(sub { !grep { !asked($_)->{key} } qw(filed both other) }),
       'in effect';

    is asked('filed')->{key}, 'Bearer sk-filed-1', 'from a file';
    is asked('both')->{key}, 'Bearer sk-of-the-environment',
       'rather than from the database';
    is asked('other')->{key}, 'Bearer sk-of-the-database', 'others have theirs';

    my $file = $gw->dir . '/filed.key';
    spew("$file.new", "sk-filed-2");
    rename "$file.new", $file or die "rename: $!\n";
    ok wait_until(sub { asked('filed')->{key} eq 'Bearer sk-filed-2' }),
       'replaced';
    spew($file, '');
    ok wait_until(sub {
        $gw->log =~ /secret ".*filed.key" is empty; the last key/;
    }), 'an empty file is told of';
    is asked('filed')->{key}, 'Bearer sk-filed-2', 'but changes nothing';
    spew($file, "sk-filed-3\n");
    ok wait_until(sub { asked('filed')->{key} eq 'Bearer sk-filed-3' }), 'again';
    unlike $gw->log, qr/sk-filed|sk-of-the/, 'no key in the log';

    # from a shell that has no such variable
    local $ENV{BOTH_KEY};
    my @old = $gw->workers;
    is system($gw->command('-s', 'reload')), 0, 'nginx -s reload';
    ok wait_until(sub { !grep { Host::alive($_) } @old }), 'does so';
    is asked('both')->{key}, 'Bearer sk-of-the-environment', 'with all keys';
};


subtest 'the faster one' => sub {
    my $slow = Upstream->new(sub {
        return { delay => 0.4, json => { server => 'slow' } };
    });
    my $quick = Upstream->new(sub { return { json => { server => 'quick' } } });
    my $at = free_port();

    # both on one port: nginx in front of each, as a name has one port

    $gw->reload(servers => $servers . <<END);
    server { listen 127.0.0.5:$at; location / { proxy_pass @{[ $slow->url ]}; } }
    server { listen 127.0.0.6:$at; location / { proxy_pass @{[ $quick->url ]}; } }
END
    $dns->set('uneven.test' => { a => [ '127.0.0.5', '127.0.0.6' ] });
    provider('uneven', base_url => "http://uneven.test:$at");
    ok wait_until(sub { asked('uneven')->{server} }), 'in effect';

    # one answer that is late for once is held against it for a while
    my $failed = 0;
    ok wait_until(sub {
        my $seen = spread('uneven', 20);
        $failed += $seen->{nobody} // 0;
        return ($seen->{quick} // 0) >= 16;
    }, 60), 'gets nearly all';
    is $failed, 0, 'none fails';
};


# One thread asks for all names: it must not wait for that server each time.

subtest 'a name server that is silent' => sub {
    my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp',
                                     Blocking => 0) or die "udp: $!\n";
    my @names = map { "n$_" } 1 .. 6;

    # what no server knows is asked of all

    $dns->set((map { ("$_.test" => { a => ['127.0.0.2'], ttl => 1 }) } @names),
              map { ("away$_.test" => { rcode => 3 }) } 1 .. 3);
    provider($_) for @names;

    my $begun = time;
    $gw->reload(wait_old => 1, http => $http =~ s/127\.0\.0\.1:1 /"127.0.0.1:"
                . $mute->sockport . ' '/er);
    my %asked = map { $_ => $dns->asked("$_.test") } @names;

    ok wait_until(sub {
        !grep { $dns->asked("$_.test") < $asked{$_} + 6 } @names;
    }), 'names are renewed';

    # both types of a name, each twice, in half a minute

    my $seen = 0;
    $seen++ while defined recv $mute, my $query, 512, 0;
    cmp_ok $seen, '>=', 1, 'it was asked';
    cmp_ok $seen, '<=', 4 * (1 + (time - $begun) / 30), 'but not each time';

    $gw->reload(wait_old => 1, http => $http);
};


# While a reload replaces it a worker's keeper goes on for a moment: what it
# publishes last may have a name that the next keeper has never heard of.

sub at_work {
    my ($pid) = @_;

    return Host::alive($pid)
           && slurp("/proc/$pid/cmdline") !~ /shutting down/;
}


subtest 'a name that comes while workers are replaced' => sub {
    my $master = $gw->pid;
    my (@old, @new, $both);

    # nginx gives new workers 100 ms before it ends the old ones: held there

    for (1 .. 10) {
        @old = $gw->reload;
        kill 'STOP', $master;
        @new = $gw->workers;
        my %old = map { $_ => 1 } @old;
        @new = grep { !$old{$_} } @new;
        sleep 0.5;
        $both = @new && @old == grep { at_work($_) } @old;
        last if $both;
        kill 'CONT', $master;
        wait_until(sub { !grep { Host::alive($_) } @old });
    }

    ok $both, 'both are at work' or return;
    kill 'STOP', @new;

    $dns->set('late.test' => { silent => 1 });
    my $done = eval { provider('late'); 1 };
    my $why = $@;

    ok wait_until(sub {
        $gw->metric('nginx_model_snapshot_generation', kind => 'routing')
            == $gw->sql_value("select generation
                               from model.catalog_generation
                               where name = 'routing'");
    }), 'the old one has published it';

    kill 'CONT', $master;
    wait_until(sub { !grep { Host::alive($_) } @old });
    $dns->set('late.test' => { a => ['127.0.0.3'], ttl => 1 });
    kill 'CONT', @new;

    ok $done, 'the API has taken it' or diag $why;
    ok wait_until(sub { (asked('late')->{server} // '') eq '127.0.0.3' }),
       'the new one finds its address';
    $dns->set('late.test' => { a => ['127.0.0.4'], ttl => 600 });
    ok wait_until(sub { (asked('late')->{server} // '') eq '127.0.0.4' }),
       'and looks after it';
};


subtest 'probes' => sub {
    my $at = free_port();
    my $health = sub {
        my ($address, $status) = @_;
        return "    server { listen $address:$at;\n"
             . "        location = /health { return $status; }\n"
             . "        location = /bad { return 503; }\n$server    }\n";
    };

    $dns->set('probed.test' => { a => [ '127.0.0.5', '127.0.0.6' ] });
    $gw->reload(servers => $servers . $health->('127.0.0.5', 204)
                           . $health->('127.0.0.6', 503),
                http => $http . '    model_probe on interval=200ms'
                        . " timeout=1s rise=2 fall=2;\n");
    provider('probed', base_url => "http://probed.test:$at/v1",
             probe => '/health');
    made('model-groups/probed/models',
         [ { model_id => 'probed/org/m:1', role => 'champion',
             traffic_percentage => 100 },
           { model_id => 'many/org/m:1', role => 'fallback',
             traffic_percentage => 0 } ]);
    ok wait_until(sub { asked('probed')->{server} }), 'in effect';

    ok wait_until(sub { $gw->log =~ /"probed" at 127.0.0.6:$at is down: its probe/ }),
       'the log says which is down';
    is_deeply [ keys %{ spread('probed', 30) } ], ['127.0.0.5'],
              'it gets nothing';
    is $gw->metric('nginx_model_address_up', provider => 'probed',
                   address => "127.0.0.6:$at"), 0, 'metric: down';
    is $gw->metric('nginx_model_address_up', provider => 'probed',
                   address => "127.0.0.5:$at"), 1, 'metric: up';

    my $breaker = sub {
        return $gw->metric('nginx_model_backend_breaker',
                           provider => 'probed', state => $_[0]);
    };

    is $breaker->('closed'), 1, 'one is left: the breaker is closed';
    is $gw->api(PATCH => '/api/v1/providers/probed', { probe => '/bad' })
       ->{status}, 200, 'a check that fails everywhere';
    ok wait_until(sub { $breaker->('open') }), 'opens the breaker';

    # now and then one is let through, which tries
    ok wait_until(sub {
        my $r = $gw->fetch(POST => '/back/v1/x', {}, { model => 'probed' });
        ($r->{headers}{'x-model-variant'} // '') eq 'many/org/m:1';
    }), 'the fallback serves';
    is asked('probed')->{status}, 200, 'without model_fallback it is asked';
    is $gw->api(PATCH => '/api/v1/providers/probed', { probe => '/health' })
       ->{status}, 200, 'a check that succeeds';
    ok wait_until(sub { $breaker->('closed') }), 'closes it';

    is $gw->api(PATCH => '/api/v1/providers/probed', { probe => $_ })
       ->{status}, 400, "refused: $_" for 'health', '/a b', '/a?b';
    is $gw->api(PATCH => '/api/v1/providers/probed', { probe => undef })
       ->{status}, 200, 'no check at all';
    ok wait_until(sub { keys %{ spread('probed', 20) } == 2 }),
       'both serve again';
};


# What requests would refuse is not well, and is not shown a key.

subtest 'certificates' => sub {
    my $at = free_port();
    my $dir = $gw->dir;

    certificate($dir, 'own', 'IP:127.0.0.1');
    $gw->own;

    my $own = <<"END";
    server {
        listen 127.0.0.1:$at ssl;
        ssl_certificate $dir/own.pem;
        ssl_certificate_key $dir/own.key;
        access_log $dir/logs/own.log;
        location = /health { return 204; }
        location = /v1/chat/completions {
            default_type application/json;
            return 200 '{"id":"x","object":"chat.completion","model":"m",
                         "choices":[{"index":0,"finish_reason":"stop",
                         "message":{"role":"assistant","content":"a"}}]}';
        }
    }
END
    my $probe = "    model_probe on interval=200ms timeout=5s rise=1 fall=1;\n";
    my $up = sub {
        return $gw->metric('nginx_model_address_up', provider => 'safe',
                           address => "127.0.0.1:$at");
    };
    my $validated = sub {
        my $r = $gw->api(POST => '/api/v1/models/safe/chat/validate');
        my $id = $r->{json}{id} or return diag explain $r;
        wait_until(sub {
            ($gw->api(GET => "/api/v1/validations/$id")->{json}{status} // '')
                =~ /^(?:completed|failed)$/;
        });
        return $gw->sql_value("select health_status from model.models_metadata
            where id = 'safe/chat'");
    };

    $gw->reload(wait_old => 1, servers => $servers . $own,
                http => $http . $probe);
    provider('safe', base_url => "https://127.0.0.1:$at/v1",
             probe => '/health', api_key => 'sk-safe');
    made('models', { id => 'safe/chat', type => 'chat' });

    my $down = qr/"safe" at 127.0.0.1:$at is down: its probe answered 0, .*SSL/;
    ok wait_until(sub { $gw->log =~ $down }),
       'a certificate that nobody vouches for, as the log says';
    is $up->(), 0, 'is down';
    is $validated->(), 'unavailable', 'and no model of it is there';
    is slurp("$dir/logs/own.log"), '', 'the server was told nothing';

    $gw->reload(wait_old => 1,
        http => "$http$probe    model_trusted_certificate own.pem;\n");
    ok wait_until(sub { $up->() }), 'one that is named';
    is $validated->(), 'available', 'is taken, by validations as well';
};


subtest 'what cannot be configured' => sub {
    for my $bad ([ 'model_resolver dns.example;' => qr/no address of a name/ ],
                 [ 'model_resolver 127.0.0.1:0;' => qr/no address of a name/ ],
                 [ 'model_resolver 127.0.0.1 valid=0;' => qr/valid=TIME/ ],
                 [ 'model_resolver valid=1s;' => qr/no name server/ ],
                 [ 'model_probe maybe;' => qr/takes on or off/ ],
                 [ 'model_probe on interval=1ms;' => qr/100ms to 1h/ ],
                 [ 'model_trusted_certificate no.pem;' => qr/is no file/ ],
                 [ 'model_secret acme sk-plain;' => qr/file:.PATH or env:NAME/ ],
                 [ 'model_secret acme file:no.key;' => qr/cannot be opened/ ],
                 [ 'model_secret acme env:NO_SUCH;' => qr/"NO_SUCH"/ ])
    {
        my $other = Gateway->new(database => 0, http => "    $bad->[0]\n");
        $other->allow(qr/emerg/);
        my ($ok, $text) = $other->test_conf;
        ok !$ok, $bad->[0];
        like $text, $bad->[1], 'with a reason';
        unlike $text, qr/sk-plain/, 'that shows no key';
    }
};


# What is left of "timeout=" is for all addresses of a fallback together.  These
# take no connection: their queues are full.

subtest 'addresses that are silent' => sub {
    my @dark = map { "127.0.0.$_" } 5, 6;
    my @full;

    for my $address (@dark) {
        socket my $s, PF_INET, SOCK_STREAM, 0 or die;
        setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
        bind $s, pack_sockaddr_in($port, inet_aton($address)) or die $!;
        listen $s, 0 or die;

        push @full, $s, map {
            IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port,
                                  Blocking => 0) } 1 .. 3;
    }

    $dns->set('dark.test' => { a => [@dark], ttl => 60 });
    made('providers', { id => 'dark', base_url => "http://dark.test:$port" });
    made('providers', { id => 'busy',
                        base_url => "http://long.test:$port/busy" });
    made('models', { id => "$_/m" }) for qw(dark busy);
    $gw->group('lost', {}, [ 'busy/m', 'champion', 100 ],
               [ 'dark/m', 'fallback', 0 ]);

    my $r;
    ok wait_until(sub {
        $r = $gw->fetch(POST => '/bound/v1/x', {}, { model => 'lost' });
        $r->{status} == 504;
    }), 'nobody answers' or diag "$r->{status} $r->{body}";
    is $r->{headers}{'x-model-variant'}, 'dark/m', 'the fallback last';

    my $asked = () = $gw->log
        =~ m{timed out[^\n]*http://127\.0\.0\.[56]:$port/}g;
    is $asked, 1, 'one of its addresses has had all of the time';
};

done_testing;
