#!/usr/bin/perl

# Clients and model servers that do everything wrong, at the proxy and at the
# control plane, and the way from a failed variant to the champion.  If this
# breaks, a client gets other bytes than the model server sent or later than it
# sent them, a body reaches the server changed in more than its model, a
# connection hangs or is used for somebody else's answer, or a worker dies.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(free_port slurp spew wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;


# a model server that says what it got: the digest of the body and its length

sub faithful {
    my ($req) = @_;
    my $body = $req->{body};

    utf8::encode($body) if utf8::is_utf8($body);
    return { json => { digest => sha256_hex($body), length => length $body,
                       headers => $req->{headers},
                       model => $body =~ /"model":"([^"]*)"/ ? $1 : undef,
                       usage => { prompt_tokens => 1,
                                  completion_tokens => 1 } } };
}


# a server on bare sockets: the code gets the socket when a request has come

my @bare;

sub bare {
    my ($code) = @_;

    my $port = free_port();
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 128, ReuseAddr => 1) or die "$port: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        setpgrp 0, 0;
        $SIG{CHLD} = 'IGNORE';

        while (1) {
            my $socket = $listen->accept or next;
            my $child = fork;

            if (defined $child && $child == 0) {
                $SIG{PIPE} = sub { POSIX::_exit(0) };
                close $listen;
                my $in = '';
                my $req = Upstream::read_request($socket, \$in);
                $code->($socket, $req) if $req;
                POSIX::_exit(0);
            }

            close $socket;
        }
    }

    push @bare, $pid;
    return $port;
}

END { local $?; kill 'KILL', -$_, $_ for @bare; waitpid $_, 0 for @bare; }


sub put { my ($s, $bytes) = @_; syswrite $s, $bytes; }


my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
my $sse = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
my $chunked = "Transfer-Encoding: chunked\r\n";

# said where the next request must not meet the connection as it closes: a POST
# that was sent on it is not repeated
my $close = "Connection: close\r\n";

my $event = qq(data: {"choices":[{"delta":{"content":"x"}}]}\n\n);
my $seen = Services::base() . "/seen.$$";

my %hostile = (
    'no answer' => sub { },
    'half a header' => sub { put($_[0], "HTTP/1.1 200 OK\r\nContent-Ty") },
    'half a body' => sub {
        put($_[0], "${head}Content-Length: 100\r\n\r\n" . '{"a":1')
    },
    'half a chunk' => sub { put($_[0], "$head$chunked\r\n40\r\n{\"a\":1") },
    'chunks without end' => sub { put($_[0], "$head$chunked\r\n2\r\n{}\r\n") },
    'a wrong chunk' => sub { put($_[0], "$head$chunked\r\nzz\r\n{}\r\n") },
    'a huge chunk' => sub {
        put($_[0], "$head$chunked\r\nffffffffffffffffff\r\n{}\r\n")
    },
    'rubbish' => sub { put($_[0], "\0\1\2 rubbish \xff" x 100) },
    'SSH' => sub { put($_[0], "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") },
    'headers that steer nginx' => sub {
        put($_[0], "$head${close}X-Accel-Redirect: /secret\r\n"
            . "X-Accel-Limit-Rate: 1\r\nX-Accel-Buffering: yes\r\n"
            . "Content-Length: 9\r\n\r\n" . '{"own":1}')
    },
    'headers of the gateway' => sub {
        put($_[0], "$head${close}X-Model-Group: forged\r\n"
            . "X-Model-Variant: forged\r\nx-model-role: forged\r\n"
            . "X-INFERENCE-ID: forged\r\nSet-Cookie: session=theirs\r\n"
            . "Content-Length: 2\r\n\r\n{}")
    },
    'a large header' => sub {
        put($_[0], "$head${close}X-Large: " . 'h' x 12_000
            . "\r\nContent-Length: 2\r\n\r\n{}")
    },
    'a huge header' => sub {
        put($_[0], "${head}X-Huge: " . 'h' x 200_000 . "\r\n\r\n{}")
    },
    'many headers' => sub {
        put($_[0], $head . "X-Many: v\r\n" x 20_000 . "\r\n{}")
    },
    'a header with NUL' => sub {
        put($_[0], "${head}X-Request-Id: a\0b\r\nContent-Length: 2\r\n\r\n{}")
    },
    'two lengths' => sub {
        put($_[0], "${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}!")
    },
    'a negative length' => sub {
        put($_[0], "${head}Content-Length: -5\r\n\r\n{}")
    },
    'more than it said' => sub {
        put($_[0], "${head}Content-Length: 2\r\n\r\n{}"
            . "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
    },
    'no gzip' => sub {
        put($_[0], "${head}Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n"
            . 'not gzip!')
    },
    'status 99999' => sub { put($_[0], "HTTP/1.1 99999 X\r\n\r\n") },
    'a 101' => sub {
        put($_[0], "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
            . "Connection: Upgrade\r\n\r\nframes")
    },
    'a 204 with a body' => sub {
        put($_[0], "HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nbody")
    },
    'two 100s' => sub {
        put($_[0], "HTTP/1.1 100 Continue\r\n\r\n" x 2
            . "${head}Content-Length: 2\r\n\r\n{}")
    },
    'a line of 1 MB' => sub {
        put($_[0], "$sse\r\ndata: " . 'x' x 1_000_000 . "\n\ndata: [DONE]\n\n")
    },
    'deep JSON' => sub {
        put($_[0], "$head\r\n" . '[' x 500_000)
    },
    'bad UTF-8 and NUL' => sub {
        put($_[0], "$sse\r\ndata: {\"usage\":\xff\xfe\0}\n\n" x 50)
    },
    'usage beyond int64' => sub {
        put($_[0], "$head\r\n" . '{"usage":{"prompt_tokens":1' . '0' x 400
            . ',"completion_tokens":-1e999}}')
    },
    'silence' => sub { sleep 3600 },
    'silence after the header' => sub { put($_[0], "$sse\r\n"); sleep 3600 },
    'a byte at a time' => sub {
        put($_[0], $_) for split //, "$sse$chunked$close\r\n";

        for my $byte (split //, $event x 2) {
            put($_[0], "1\r\n$byte\r\n");
            sleep 0.002;
        }

        put($_[0], "0\r\n\r\n");
    },
    'an event now and then' => sub {
        put($_[0], "$sse$chunked$close\r\n");

        for my $piece (Upstream::in_turn($seen, ($event) x 8)) {
            ref $piece ? $piece->()
                       : put($_[0], sprintf("%x\r\n%s\r\n", length $piece,
                                            $piece));
        }

        put($_[0], "0\r\n\r\n");
    },
);

my $up = Upstream->new(\&faithful);
my $mean = bare(sub {
    my ($socket, $req) = @_;
    my $how = eval { $json->decode($req->{body})->{how} } // '';

    $hostile{$how}->($socket) if $hostile{$how};
});

my $gw = Gateway->new(workers => 2, server => $Gateway::locations . <<'END');
        location /open/ {
            model_auth off;
            model_split on;
            rewrite ^/open(/.*)$ $1 break;
            include large_proxy.conf;
            client_max_body_size 12m;
        }

        location /short/ {
            model_auth off;
            model_split on;
            rewrite ^/short(/.*)$ $1 break;
            include short_proxy.conf;
            proxy_read_timeout 1500ms;
        }

        location /again/ {
            model_auth off;
            model_split on;
            rewrite ^/again(/.*)$ $1 break;
            include short_proxy.conf;
            proxy_read_timeout 1500ms;
            proxy_intercept_errors on;
            error_page 502 503 504 = @model_fallback;
        }

        location @model_fallback {
            model_auth off;
            model_split on;
            include model_proxy.conf;
        }

        location = /secret {
            internal;
            return 200 "of others";
        }
END

my $proxy = slurp($gw->dir . '/model_proxy.conf');
spew($gw->dir . '/short_proxy.conf', $proxy =~ s/^proxy_read_timeout.*//mr);
spew($gw->dir . '/large_proxy.conf', $proxy =~ s/^client_max_body_size.*//mr);
$gw->start->wait_ready;


sub made {
    my ($what, $data) = @_;

    my $r = $gw->api(POST => "/api/v1/$what", $data);
    BAIL_OUT("$what: $r->{status} $r->{body}") if $r->{status} > 201;
    return $r->{json};
}

sub group {
    my ($name, @members) = @_;

    made('model-groups', { name => $name });
    made("model-groups/$name/models",
         [ map { { model_id => $_->[0], role => $_->[1],
                   traffic_percentage => $_->[2] } } @members ]);
}

made('providers', { id => 'true', base_url => $up->url,
                    protocol => 'openai' });
made('providers', { id => 'mean', base_url => "http://127.0.0.1:$mean",
                    protocol => 'openai' });
made('providers', { id => 'dead', base_url => 'http://127.0.0.1:1' });
made('models', { id => $_ }) for 'true/a-model-with-a-longer-name', 'mean/m',
                                 'dead/d';
my $name = 'a-model-with-a-longer-name';
group('chat', [ "true/$name", 'champion', 100 ]);
group('mean', [ 'mean/m', 'champion', 100 ]);
group('shaky', [ "true/$name", 'champion', 0 ],
      [ 'mean/m', 'challenger', 100 ]);
group('gone', [ "true/$name", 'champion', 0 ],
      [ 'dead/d', 'challenger', 100 ]);


sub infer {
    my ($body, $place, $headers) = @_;

    return $gw->fetch(POST => $place // '/open/v1/chat/completions', $headers,
                      $body);
}

ok wait_until(sub {
    4 == grep { Gateway::decided(infer({ model => $_, how => 'two 100s' })) }
         qw(chat mean shaky gone);
}), 'the groups are in effect';



# the record of an answer, once it is there

sub record {
    my ($r, $group) = @_;
    my $id = $r->{headers}{'x-inference-id'} // return {};
    my $t = $gw->sql_value("select inference_table from model.model_groups
                            where name = :'group'", group => $group);
    my $row;

    wait_until(sub {
        $row = $gw->sql_value("select row_to_json(t) from model.$t t
                               where inference_id = '$id'");
    });
    return $row ? JSON::PP->new->decode($row) : {};
}


sub workers { return join ' ', sort $gw->workers; }

my $workers = workers();


# -- bodies --

# what the server must have got: all bytes but the model's name

sub intact {
    my ($r, $body, $what) = @_;

    my $want = $body =~ s/"model":\s*\K"chat"/"$name"/r;

    is $r->{status}, 200, "$what: 200" or diag $r->{reason}, $r->{body};
    is $r->{json}{length}, length $want, "$what: its length";
    is $r->{json}{digest}, sha256_hex($want), "$what: its bytes";
}


subtest 'bodies of all sizes' => sub {
    my $k = 1024;

    for my $size (400, 1 * $k - 1, 1 * $k, 32 * $k, 256 * $k - 1, 256 * $k,
                  256 * $k + 1, 300 * $k, 1024 * $k, 9 * 1024 * $k)
    {
        for my $where ('front', 'end') {
            my $model = '"model":"chat"';
            my $text = '"t":"' . 'x' x ($size - 22) . '"';
            my $body = $where eq 'front' ? "{$model,$text}" : "{$text,$model}";

            intact(infer($body, undef, { 'Content-Type' =>
                'application/json' }), $body, "$size bytes, model at $where");
        }
    }

    # random bytes of valid JSON, so that a piece in the wrong place shows
    for my $size (250_000, 3_000_000) {
        my $text = '';
        $text .= join ',', map { int rand 1e9 } 1 .. 1000
            while length $text < $size;
        $text =~ s/,?$//;
        my $body = qq({"n":[$text],"model":"chat","m":[$text]});

        intact(infer($body, undef, {}), $body, "$size random bytes twice");

        my $w = $gw->wire;
        $w->request(POST => '/open/v1/x', { 'Transfer-Encoding' => 'chunked' });
        my $at = 0;

        while ($at < length $body) {
            my $piece = substr $body, $at, 1 + int rand 60_000;
            $at += length $piece;
            $w->send(sprintf "%x\r\n%s\r\n", length $piece, $piece);
        }

        $w->send("0\r\n\r\n");
        my $r = $w->response;
        $r->{json} = eval { $json->decode($r->{body}) };
        intact($r, $body, "$size random bytes in random chunks");
    }

    my $body = '{"t":"' . 'x' x (13 << 20) . '","model":"chat"}';
    is infer($body, undef, {})->{status}, 413, 'more than is allowed: 413';
};


# -- clients --

subtest 'clients that send badly' => sub {
    my $body = '{"model":"chat","x":"' . 'y' x 200 . '"}';
    my %type = ('Content-Type' => 'application/json');

    my $w = $gw->wire;
    $w->{method} = 'POST';
    $w->send_slowly(Wire::format_request(POST => '/open/v1/x', \%type, $body),
                    1, 0.0005);
    my $r = $w->response;
    $r->{json} = eval { $json->decode($r->{body}) };
    intact($r, $body, 'a byte at a time');

    # half-closed: for nginx a client that has gone
    $w = $gw->wire;
    $w->request(POST => '/open/v1/x', \%type, $body);
    $w->half_close;
    $r = $w->response(5);
    ok $r->{status} == 200 || $r->{status} == 0, 'half-closed: ends';

    $w = $gw->wire;
    $w->request(POST => '/open/v1/x', { %type, 'Content-Length' => 5000 },
                $body);
    $w->half_close;
    is $w->response(5)->{status} || 400, 400, 'less than Content-Length, gone';

    $w = $gw->wire;
    $w->request(POST => '/open/v1/x', { %type,
                'Content-Length' => length($body) - 10 }, $body);
    is $w->response->{status}, 400, 'more than Content-Length: not JSON';

    for my $length ('-1', '99999999999999999999', 'abc', '5, 5', '0x10', '') {
        $w = $gw->wire;
        $w->request(POST => '/open/v1/x', { %type,
                    'Content-Length' => $length }, $body);
        my $got = $w->response(5)->{status};
        like $got, qr/^4\d\d$/, qq(Content-Length "$length" is refused);
    }

    $w = $gw->wire;
    $w->send("POST /open/v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
             . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    is $w->response->{status}, 400, 'a length and chunks: refused';

    for my $bytes ("zz\r\n", "-1\r\n", "ffffffffffffffffff\r\n",
                   "5\r\nabcdefgh\r\n", "1", "\r\n\r\n\r\n",
                   "3;ext=" . 'e' x 100_000)
    {
        $w = $gw->wire;
        $w->request(POST => '/open/v1/x', { %type,
                    'Transfer-Encoding' => 'chunked' });
        $w->send("10\r\n{\"model\":\"chat\"\r\n$bytes");
        $w->half_close;
        my $got = $w->response(5)->{status};
        ok $got == 0 || $got =~ /^4/, 'rubbish for a chunk: ' . $got;
    }

    # two at once: one answer each, in order, from the right body
    $w = $gw->wire;
    my @both = map { qq({"model":"chat","n":"$_"}) } 'first', 'the second';
    $w->send(join '', map { Wire::format_request(POST => '/open/v1/x', \%type,
                                                 $_) } @both);
    for (@both) {
        $r = $w->response;
        $r->{json} = eval { $json->decode($r->{body}) };
        intact($r, $_, "pipelined $_");
    }

    # one that is refused does not make its body the next request
    $w = $gw->wire;
    my $trap = "GET /health HTTP/1.1\r\nHost: trap\r\n\r\n";
    $w->send(Wire::format_request(POST => '/v1/chat/completions', \%type,
                                  $trap . 'x' x 50)
             . Wire::format_request(POST => '/open/v1/x', \%type, $both[0]));
    is $w->response->{status}, 401, 'refused before its body was read';
    $r = $w->response;
    is $r->{status}, 200, 'the next on that connection is served';
    like $r->{body}, qr/"digest"/, 'by whom it asked for';

    for my $size (50, 600_000) {
        my $big = '{"model":"chat","x":"' . 'y' x $size . '"}';
        $w = $gw->wire;
        $w->request(POST => '/open/v1/x', { %type, Expect => '100-continue',
                    'Content-Length' => length $big });
        ok wait_until(sub { $w->fill(time + 0.1);
                            $w->pending =~ m{^HTTP/1.1 100 } }, 5),
           '100 Continue comes before the body';
        $w->send($big);
        $r = $w->response;
        $r->{json} = eval { $json->decode($r->{body}) };
        intact($r, $big, "Expect: 100-continue, $size bytes");
    }

    # gone in each phase
    for my $n (1 .. 40) {
        $w = $gw->wire;
        my $bytes = Wire::format_request(POST => '/open/v1/x', \%type,
            $n % 2 ? $body : '{"model":"chat","x":"' . 'y' x 400_000 . '"}');
        $w->send(substr $bytes, 0, 1 + rand length $bytes);
        sleep 0.001 * ($n % 4);
        $n % 3 ? $w->close : $w->reset;
    }

    for my $n (1 .. 40) {
        $w = $gw->wire;
        $w->request(POST => '/open/v1/x', \%type, '{"model":"chat","x":"'
                    . 'y' x (300_000 * ($n % 3)) . '"}');
        sleep 0.001 * ($n % 5);
        $n % 2 ? $w->close : $w->reset;
    }

    is infer($body, undef, \%type)->{status}, 200, 'served after all that';
    is workers(), $workers, 'by the same workers';
};


# -- abandoned calls --

subtest 'calls whose client has gone' => sub {
    my $token = $gw->token('admin');
    my $lock = $gw->hold('model_groups', 'access exclusive', 1.5);

    for my $n (1 .. 50) {
        my $w = $gw->wire;
        my @ask = $n % 2 ? ('GET', '/api/v1/model-groups')
                         : ('POST', '/api/v1/model-groups');
        $w->request(@ask, { Authorization => "Bearer $token" },
                    $n % 2 ? undef : { name => "left-$n" });
        sleep 0.005 * ($n % 4);
        $n % 3 ? $w->close : $w->reset;
    }

    waitpid $lock, 0;

    for my $n (1 .. 50) {
        my $w = $gw->wire;
        $w->request('GET', '/api/v1/model-groups',
                    { Authorization => "Bearer $token" });
        sleep 0.0005 * ($n % 6);
        $n % 3 ? $w->close : $w->reset;
    }

    ok wait_until(sub { $gw->api(GET => '/api/v1/model-groups')->{status}
                        == 200 }), 'calls are answered again';
    is workers(), $workers, 'by the same workers';
};


# -- model servers --

my %expect = (
    'no answer' => 502, 'half a header' => 502, 'rubbish' => 502,
    'SSH' => 502, 'a huge header' => 502, 'many headers' => 502,
    'two lengths' => qr/^(?:200|502)$/,
    'a negative length' => qr/^(?:200|502)$/, 'a header with NUL' => 502,
    'two 100s' => 502, 'a 101' => 502, 'status 99999' => 502,
    'half a body' => 'cut', 'half a chunk' => 'cut',
    'chunks without end' => 'cut', 'a wrong chunk' => 'cut',
    'a huge chunk' => 'cut', 'silence' => 504,
    'silence after the header' => 'cut',
    'a 204 with a body' => 204,
);

subtest 'model servers that answer badly' => sub {
    for my $how (sort keys %hostile) {
        # who is silent is not waited for; who is late, on a busy machine, is
        my $at = $how =~ /silence|now and then/ ? 'short' : 'open';
        my $r = infer({ model => 'mean', how => $how }, "/$at/v1/x");
        my $want = $expect{$how} // 200;

        if ($want eq 'cut') {
            ok !$r->{complete} || $r->{status} == 502,
               "$how: the client sees that it was cut"
               or diag "$r->{status} $r->{body}";

        } else {
            like $r->{status}, ref $want ? $want : qr/^$want$/, $how
                or diag "$r->{reason} $r->{body}";
        }

        next if $r->{status} == 0;

        is scalar(grep { lc $_->[0] eq 'x-inference-id' } @{ $r->{list} }), 1,
           "$how: the answer is the gateway's";

        my $rec = record($r, 'mean');
        is $rec->{status}, $r->{status}, "$how: recorded";
        ok $rec->{error_class}, "$how: as a failure"
            if $want eq 'cut' || $r->{status} >= 500;
    }

    my $steered = infer({ model => 'mean', how => 'headers that steer nginx' },
                        '/open/v1/x');
    is $steered->{body}, '{"own":1}', 'no location is reached by a header';
    is record($steered, 'mean')->{error_class}, undef, 'which is no failure';

    my $forged = infer({ model => 'mean', how => 'headers of the gateway' },
                       '/open/v1/x');
    is_deeply [ @{ $forged->{headers} }{qw(x-model-group x-model-variant
                                           x-model-role)} ],
        [ 'mean', 'mean/m', 'champion' ], 'only the gateway says who served';
    is $forged->{headers}{'set-cookie'}, undef, 'and what a client remembers';
    like $gw->log, qr/upstream sent an interim answer/,
         'an answer of 1xx is told of';

    my $w = $gw->wire;
    $w->request(POST => '/open/v1/x', {}, { model => 'mean',
                                            how => 'more than it said' });
    is $w->response->{body}, '{}', 'no more is passed on than was said';
    $w->request(POST => '/open/v1/x', {}, { model => 'chat' });
    like $w->response->{body}, qr/"digest"/,
         'and nothing is taken for the next answer';

    # streams arrive as they were sent
    $w = $gw->wire;
    $w->request(POST => '/open/v1/x', {}, { model => 'mean',
                how => 'an event now and then' });
    is $w->in_turn($seen, ($event) x 8), 8, 'each event before the next';
    is $w->response->{body}, $event x 8, 'each as it was';

    my $r;
    ok wait_until(sub {
        $r = infer({ model => 'mean', how => 'a byte at a time' });
        @{ $r->{pieces} } > 8;
    }), 'a byte at a time: in many pieces';
    is $r->{body}, $event x 2, 'the same bytes';

    is workers(), $workers, 'no worker was lost';
    is infer({ model => 'chat' })->{status}, 200, 'and the others go on';
};


# -- fallback --

subtest 'from a failed challenger to the champion' => sub {
    my %fails = ('no answer' => 502, 'half a header' => 502,
                 'rubbish' => 502, 'silence' => 504);

    for my $how (sort keys %fails) {
        for my $size (10, 100_000, 600_000) {
            my $body = qq({"model":"shaky","how":"$how","x":")
                       . 'z' x $size . '"}';
            my $want = $body =~ s/"shaky"/"$name"/r;
            my $r = infer($body, '/again/v1/x', {});

            is $r->{status}, 200, "$how, $size: served by the champion"
                or diag $r->{body};
            is $r->{json}{digest}, sha256_hex($want),
               "$how, $size: under its name, else unchanged";
            is $r->{headers}{'x-model-role'}, 'champion', 'the header says so';

            my $rec = record($r, 'shaky');
            is $rec->{model_assigned}, 'mean/m', 'recorded: assigned';
            is $rec->{model_served}, "true/$name", 'recorded: served';
            is $rec->{status}, 200, 'recorded: 200';
        }
    }

    my $r = infer({ model => 'gone' }, '/again/v1/x');
    is $r->{status}, 200, 'a dead challenger';
    is record($r, 'gone')->{model_served}, "true/$name", 'as recorded';

    # over chunks, and pipelined
    my $w = $gw->wire;
    my $body = '{"x":"' . 'c' x 500_000 . '","model":"shaky","how":"rubbish"}';
    $w->request(POST => '/again/v1/x', { 'Transfer-Encoding' => 'chunked' });
    $w->send(sprintf "%x\r\n%s\r\n0\r\n\r\n", length $body, $body);
    $w->request(POST => '/open/v1/x', {}, '{"model":"chat"}');
    $r = $w->response;
    my $got = eval { $json->decode($r->{body}) } // {};
    is $got->{digest}, sha256_hex($body =~ s/"shaky"/"$name"/r),
       'a chunked body, too';
    is $w->response->{status}, 200, 'the next on the connection is served';

    # the champion is as bad
    $r = infer({ model => 'mean', how => 'rubbish' }, '/again/v1/x');
    is $r->{status}, 502, 'nothing to fall back to';
    is workers(), $workers, 'no worker was lost';
};


done_testing;
