#!/usr/bin/perl

# State that is pushed.  If this breaks, a watcher hears nothing, hears another
# provider's or an old state, hangs when it ought to be sent away, or one client
# can take the memory, the connections or the event loop of a worker: by reading
# slowly, by frames that break the rules, or by being half gone.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use H2;
use Host qw(wait_until);
use Stream;
use Upstream;
use Wire;

my $gw = Gateway->new(
    workers => 2,
    http => 'model_events per_client=40 heartbeat=4s timeout=2s;',
    more => '        location /ws/ { model_api; }
        location /slow/ { rewrite ^/slow(/.*) $1 break;
                          limit_rate 8k; model_api; }
        location /open/ { rewrite ^/open(/.*) $1 break;
                          model_auth off; model_api; }');

$gw->start->wait_ready;

my $admin = 'Bearer ' . $gw->token('admin');
my $viewer = $gw->token('viewer');
my $sse = '/api/v1/providers/acme/validation-events';
my $ws = '/ws/providers/acme/validation';

for my $id (qw(acme other)) {
    my $r = $gw->api(POST => '/api/v1/providers', { id => $id, name => $id,
        protocol => 'openai', api_key => 'sk-1',
        base_url => 'http://127.0.0.1:1/v1' });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
}


sub events {
    my ($uri, $headers) = @_;

    return Stream::events($gw->socket, $uri // $sse,
                          { Authorization => $admin, %{ $headers // {} } });
}


sub socket_to {
    my ($uri, $headers) = @_;

    return Stream::socket($gw->socket, $uri // $ws,
                          { Authorization => $admin, %{ $headers // {} } });
}


# a run by hand: its row is all that streams know of

sub run_of {
    my ($provider) = @_;

    return $gw->sql_value("insert into model.ai_model_validation_progress
        (provider_id) values ('$provider') returning id");
}


sub now_at {
    my ($run, $model) = @_;

    $gw->sql("update model.ai_model_validation_progress
              set current_model_id = '$model', last_updated_at = now()
              where id = '$run'");
}


sub till {
    my ($s, $model) = @_;

    my $method = $s->{status} == 101 ? 'message' : 'event';

    while (my $e = $s->$method(10)) {
        my $j = $e->{json} // $e;
        return $e if ($j->{current_model_id} // '') eq $model;
    }

    return undef;
}


my $run;

subtest 'server-sent events' => sub {
    my $s = events();
    is $s->{status}, 200, 'a provider that was never validated: it waits';
    is $s->{headers}{'content-type'}, 'text/event-stream', 'type';
    is $s->{headers}{'cache-control'}, 'no-store', 'not to be kept';
    ok $s->{headers}{'x-request-id'}, 'X-Request-Id';

    $run = run_of('acme');
    my $e = $s->event;
    is $e->{json}{id}, $run, 'told of the run';
    is $e->{json}{status}, 'pending', 'that is pending';
    like $e->{id}, qr/^\d+$/, 'a number for coming back';

    my $poll = $gw->api(GET => '/api/v1/providers/acme/validation-status');
    is_deeply $e->{json}, $poll->{json}, 'the same as by polling';

    now_at($run, 'acme/one');
    my $t = time;
    $e = till($s, 'acme/one');
    ok $e, 'told of a change';

    my $again = events($sse, { 'Last-Event-ID' => $e->{id} });
    my $late = events($sse, { 'Last-Event-ID' => $e->{id} - 1 });
    is_deeply till($late, 'acme/one')->{json}, $e->{json},
       'who comes later hears the state';
    now_at($run, 'acme/two');
    is $again->event->{json}{current_model_id}, 'acme/two',
       'who has heard it does not hear it again';
    is till($s, 'acme/two')->{id}, till($late, 'acme/two')->{id}, 'one id';
    $_->close for $s, $again, $late;
};

subtest 'WebSocket' => sub {
    my $s = socket_to();
    is $s->{status}, 101, 'switched';
    is $s->{headers}{upgrade}, 'websocket', 'Upgrade';
    is lc $s->{headers}{connection}, 'upgrade', 'Connection';
    is $s->{headers}{'sec-websocket-accept'},
       Stream::accept_of($Stream::KEY), 'accept';

    my $m = $s->message;
    is_deeply $m,
       $gw->api(GET => '/api/v1/providers/acme/validation-status')->{json},
       'the same as by polling';

    now_at($run, 'acme/three');
    ok till($s, 'acme/three'), 'told of a change';

    $s->frame(0x9, 'are you there');
    my ($opcode, $payload);
    do { ($opcode, $payload) = $s->next }
        until !defined $opcode || $opcode != 9;
    is $opcode, 10, 'a ping is answered';
    is $payload, 'are you there', 'with what it held';

    $s->frame(0x8, pack 'n', 1000);
    is $s->code, 1000, 'a close is returned';
    ok $s->ended, 'and the connection ends';
};

subtest 'only what concerns one' => sub {
    my ($a, $b) = (events(),
                   events('/api/v1/providers/other/validation-events'));
    my $other = run_of('other');
    now_at($other, 'other/one');
    now_at($run, 'acme/four');
    ok till($a, 'acme/four'), 'a run of this provider';
    is till($b, 'other/one')->{json}{provider_id}, 'other', 'and of that';
    $_->close for $a, $b;
};


# -- what a client may do wrong --

subtest 'handshakes' => sub {
    my $token = { Authorization => $admin };
    my %bad = (
        'no upgrade' => [ 426, { Upgrade => undef } ],
        'another upgrade' => [ 426, { Upgrade => 'h2c' } ],
        'no connection' => [ 426, { Connection => 'keep-alive' } ],
        'version 8' => [ 426, { 'Sec-WebSocket-Version' => 8 } ],
        'no version' => [ 426, { 'Sec-WebSocket-Version' => undef } ],
        'no key' => [ 400, { 'Sec-WebSocket-Key' => undef } ],
        'a short key' => [ 400, { 'Sec-WebSocket-Key' => 'dGhl' } ],
        'a key that is no base64' =>
            [ 400, { 'Sec-WebSocket-Key' => '!!!!!!!!!!!!!!!!!!!!!!==' } ],
        'no token' => [ 401, { Authorization => undef } ],
        'a wrong token' => [ 401, { Authorization => 'Bearer x' } ],
    );

    for my $name (sort keys %bad) {
        my ($status, $headers) = @{ $bad{$name} };
        my $s = socket_to($ws, $headers);
        is $s->{status}, $status, $name;
        ok $s->{json}{error}{message}, 'and why';
        is $s->{headers}{'sec-websocket-version'}, 13, 'and which'
            if $name =~ /version/;
    }

    is socket_to('/ws/providers/nobody/validation')->{status}, 404,
       'no such provider';
    is events('/api/v1/providers/nobody/validation-events')->{status}, 404,
       'by SSE neither';
    is events($sse, { Authorization => undef })->{status}, 401, 'no token';
    is $gw->api(POST => $ws)->{status}, 405, 'POST';
    is $gw->api(GET => "$ws?x=1")->{status}, 400, 'a query parameter';
    is $gw->fetch('HEAD', $sse, $token)->{status}, 200, 'HEAD';

    is socket_to($ws, { Upgrade => 'h2c, WebSocket',
                        Connection => 'keep-alive, UPGRADE' })->{status}, 101,
       'lists, in any case';
};

subtest 'tokens of pages' => sub {
    my $s = socket_to($ws, { Authorization => undef, Origin => 'https://evil',
        'Sec-WebSocket-Protocol' => "model, bearer.$viewer" });
    is $s->{status}, 101, 'a token among the protocols';
    is $s->{headers}{'sec-websocket-protocol'}, 'model', 'is not told again';

    is socket_to("/open$ws", { Authorization => undef })->{status}, 101,
       'open to all where reading is';
    is socket_to("/open$ws", { Authorization => undef,
                               Origin => 'http://localhost' })->{status}, 101,
       'to pages of this host';
    is socket_to("/open$ws", { Authorization => undef,
                               Origin => 'http://evil' })->{status}, 403,
       'not to those of others';
};

subtest 'frames' => sub {
    my %bad = (
        'unmasked' => [ 1002, sub { $_[0]->frame(1, 'x', mask => 0) } ],
        'reserved bits' => [ 1002, sub { $_[0]->frame(1, 'x', rsv => 4) } ],
        'unknown opcode' => [ 1002, sub { $_[0]->frame(3, 'x') } ],
        'a ping in pieces' => [ 1002, sub { $_[0]->frame(9, 'x', fin => 0) } ],
        'a long ping' => [ 1002, sub { $_[0]->frame(9, 'x' x 126) } ],
        'a continuation of nothing' => [ 1002, sub { $_[0]->frame(0, 'x') } ],
        'a message in a message' => [ 1002, sub {
            $_[0]->frame(1, 'x', fin => 0); $_[0]->frame(1, 'y') } ],
        'no UTF-8' => [ 1007, sub { $_[0]->frame(1, "\xff\xfe") } ],
        'a huge one' => [ 1009, sub {
            $_[0]->frame(2, 'x' x 100, length => 1 << 40) } ],
        'a large one in pieces' => [ 1009, sub {
            $_[0]->frame(2, 'x' x 700, fin => 0);
            $_[0]->frame(0, 'x' x 700) } ],
        'a close with a bad code' => [ 1002, sub {
            $_[0]->frame(8, pack 'n', 999) } ],
        'pings without end' => [ 1008, sub {
            my $s = shift;
            $s->frame(9, '') for 1 .. 1100 } ],
    );

    for my $name (sort keys %bad) {
        my ($code, $act) = @{ $bad{$name} };
        my $s = socket_to();
        is $s->{status}, 101, $name;
        $act->($s);
        is $s->code, $code, "is closed with $code";
        ok $s->ended, 'and ends';
    }

    my $s = socket_to();
    $s->frame(1, 'hello');
    $s->frame(2, "\xff" x 1000);
    $s->frame(1, "\xc3", fin => 0);
    $s->frame(9, 'in between');
    $s->frame(0, "\xa4");
    now_at($run, 'acme/five');
    ok till($s, 'acme/five'), 'messages are read and do no harm';

    $s = socket_to();
    $s->frame(1, 'hello', cut => 3);
    now_at($run, 'acme/six');
    ok till($s, 'acme/six'), 'half a frame keeps nobody waiting';
    $s->wire->reset;

    $s = socket_to();
    $s->wire->half_close;
    ok $s->ended, 'a client that sends no more is let go';
};

subtest 'half-open peers' => sub {
    my $silent = socket_to();
    my $alive = socket_to();
    my $before = $gw->metric('nginx_model_streams_closed_total',
                             cause => 'silent');
    my $sse = events();
    my $until = time + 60 * $Host::patience;
    $alive->message(0.1) while time < $until && $before == $gw->metric(
        'nginx_model_streams_closed_total', cause => 'silent');
    is $gw->metric('nginx_model_streams_closed_total', cause => 'silent'),
       $before + 1, 'one that answers no ping is cut';
    ok $silent->ended, 'without a word';
    now_at($run, 'acme/seven');
    ok till($alive, 'acme/seven'), 'one that does is served';
    ok till($sse, 'acme/seven'), 'as are server-sent events';
    ok $sse->{comments} >= 1, 'which have a heartbeat';
};

subtest 'slow readers' => sub {
    my $before = $gw->metric('nginx_model_streams_closed_total',
                             cause => 'slow');
    my @slow = (events(), socket_to());
    my $long = 'acme/' . 'x' x 900;
    my $end = time + 60 * $Host::patience;

    # until the socket's buffers are full

    while (time < $end) {
        $gw->sql("do \$\$ begin for i in 1 .. 10 loop
            update model.ai_model_validation_progress
            set current_model_id = '$long' || i where id = '$run';
            commit; perform pg_sleep(0.025); end loop; end \$\$");
        last if $gw->metric('nginx_model_streams_closed_total',
                            cause => 'slow') >= $before + 2;
        $slow[1]->frame(10, '');
    }

    is $gw->metric('nginx_model_streams_closed_total', cause => 'slow'),
       $before + 2, 'are cut';
    my $s = events();
    ok till($s, "${long}10"), 'others are served';
};

subtest 'limit_rate' => sub {
    my $s = events("/slow$sse");
    my $w = socket_to("/slow$ws");

    my $long = 'acme/' . 'r' x 400;
    now_at($run, "$long$_") for 1 .. 3;
    ok till($s, "${long}3"), 'an event that was slowed down goes out';
    ok till($w, "${long}3"), 'WebSockets are not held up';

    # what would be slow is slow each time
    my @took = sort { $a <=> $b } map {
        my $began = time;
        now_at($run, "$long$_");
        till($s, "$long$_");
        time - $began;
    } 4 .. 6;
    cmp_ok $took[0], '<', 0.6 * $Host::patience,
       'and the next waits for no time-out';
    $_->close for $s, $w;
};

subtest 'limits' => sub {
    wait_until(sub { $gw->metric('nginx_model_streams_opened_total')
                     == $gw->metric('nginx_model_streams_closed_total') });
    is $gw->metric('nginx_model_streams_opened_total'),
       $gw->metric('nginx_model_streams_closed_total'), 'all have ended';

    my @open = map { events() } 1 .. 90;
    my @no = grep { $_->{status} != 200 } @open;
    is @no, 50, 'a client has so many on the node and no more';
    is $no[0]{status}, 429, 'too many';
    ok $no[0]{headers}{'retry-after'}, 'Retry-After';
    like $no[0]{json}{error}{message}, qr/40 streams/, 'and why';
    $_->close for @open;
    ok wait_until(sub { my $s = events(); $s->{status} == 200 }), 'later again';

    # by each worker
    wait_until(sub { $gw->metric('nginx_model_streams_opened_total')
                     == $gw->metric('nginx_model_streams_closed_total') });

    my @held = map { events() } 1 .. 30;
    is scalar(grep { $_->{status} == 200 } @held), 30, 'streams are open';
    $gw->kill_worker($_) for $gw->workers;
    my @after = map { events() } 1 .. 40;
    is scalar(grep { $_->{status} == 200 } @after), 40,
       'what killed workers held is free';
    $_->close for @held, @after;
};

subtest 'readiness' => sub {
    my $ready = $gw->get('/api/v1/admin/ready')->{json};
    my $s = Stream::events($gw->socket, '/api/v1/admin/ready/events');
    my $e = $s->event;
    is $e->{json}{status}, 'ready', 'without a token';
    is_deeply [ sort keys %{ $e->{json} } ], [ sort keys %$ready ],
       'the same members as by polling';
    is $e->{id}, 'ready', 'the last event has an id';
    ok !$s->event(5) && $s->{last}, 'then the stream ends';

    my $r = $gw->get('/api/v1/admin/ready/events',
                     { 'Last-Event-ID' => 'ready' });
    is $r->{status}, 204, 'a client that comes again with it is told to stop';

    $s = Stream::socket($gw->socket, '/ws/init/page-1');
    is $s->message->{ready}, JSON::PP::true, 'WebSocket';
    is $s->code, 1000, 'ends as well';
    ok $s->ended, 'and closes';
    is Stream::socket($gw->socket, '/ws/init/' . 'x' x 200)->{status}, 400,
       'a long name';
};

subtest 'a token that is revoked' => sub {
    my $token = $gw->api(POST => '/api/v1/tokens', { name => 'short',
        role => 'viewer' })->{json};
    ok wait_until(sub { $gw->api(GET => '/api/v1/models?limit=1', undef,
                                 $token->{token})->{status} == 200 }), 'works';
    my %auth = (Authorization => "Bearer $token->{token}");
    my ($a, $b) = (events($sse, \%auth), socket_to($ws, \%auth));
    is "$a->{status} $b->{status}", '200 101', 'opens streams';
    my $began = time;
    is $gw->api(DELETE => "/api/v1/tokens/$token->{id}")->{status}, 204,
       'revoked';
    is $b->code(15), 1008, 'the WebSocket is closed';
    1 while $a->event(15);
    ok $a->{last}, 'the stream ends';
    cmp_ok time - $began, '<', 15 * $Host::patience, 'soon';
};

subtest 'HTTP/2' => sub {
    my $port = Host::free_port();
    $gw->reload(wait_old => 1, servers => "server {
        listen 127.0.0.1:$port http2;
        location / { model_auth off; model_api; } }");
    my $c = H2->new($port) or die;
    $c->request({ ':method' => 'GET', ':scheme' => 'http', ':path' => $ws,
                  ':authority' => 'localhost' });
    my ($r) = $c->responses(1);
    like $r->{body}, qr/HTTP.1\.1/, 'no WebSocket, and why';
    like $r->{body}, qr/upgrade_required/, 'its code';

    # server-sent events, of a connection whose window is never opened again,
    # and of one that is read

    my $slow = $gw->metric('nginx_model_streams_closed_total',
                           cause => 'slow');
    my @c = map { H2->new($port) or die } 1, 2;
    my %ask = (':method' => 'GET', ':path' => $sse);
    $c[1]->frame(SETTINGS => 0, 0, pack 'nN', 4, 1 << 30);
    $c[1]->frame(WINDOW_UPDATE => 0, 0, pack 'N', 1 << 30);
    $c[0]->request(\%ask) for 1 .. 20;
    my $gone = $c[1]->request(\%ask);
    $c[1]->request(\%ask) for 1 .. 9;
    $c[1]->frame(RST_STREAM => 0, $gone, pack 'N', 8);

    my $n = 0;

    ok wait_until(sub {
        now_at($run, 'acme/' . 'h' x 400 . $n++);
        $c[1]->responses(1, 0.02);
        return $gw->metric('nginx_model_streams_closed_total',
                           cause => 'slow') >= $slow + 20;
    }, 60), 'streams of a connection that takes nothing are cut';
    now_at($run, 'acme/h2');
    my $s = events();
    ok till($s, 'acme/h2'), 'others are served';
    close $c[0]{socket};
    $gw->reload(wait_old => 1);
    my @ended = $c[1]->responses(9, 5);
    is scalar(grep { $_->{body} =~ /^retry: \d+$/m } @ended), 9,
       'those of the other connection end as they should';
};

subtest 'a reload' => sub {
    my @sse = map { events() } 1 .. 5;
    my @ws = map { socket_to() } 1 .. 5;
    $_->event for @sse;
    $_->message for @ws;

    my $began = time;
    $gw->reload(wait_old => 1);
    cmp_ok time - $began, '<', 15 * $Host::patience,
       'no stream holds a worker';

    is $_->code, 1012, 'closed with 1012' for @ws;

    for my $s (@sse) {
        1 while $s->event(10);
        ok $s->{last}, 'ends as it should';
        ok $s->{retry} >= 500, 'says when to come again';
    }

    my $s = events();
    ok $s->event, 'and a new one is served';
    now_at($run, 'acme/reloaded');
    ok till($s, 'acme/reloaded'), 'with what happens now';
};

subtest 'a reload with many' => sub {
    $gw->reload(wait_old => 1,
        http => 'model_events per_client=300 heartbeat=1m timeout=2s;');
    my @sse = map { events() } 1 .. 150;
    my @ws = map { socket_to() } 1 .. 150;

    # longer than a slice of the event loop

    $gw->reload(wait_old => 1);
    is scalar(grep { ($_->code // 0) == 1012 } @ws), 150,
       'each WebSocket is closed with 1012';

    for my $s (@sse) { 1 while $s->event(10); }
    is scalar(grep { $_->{last} && $_->{retry} } @sse), 150,
       'each stream ends as it should';
    cmp_ok keys %{ { map { $_->{retry} => 1 } @sse } }, '>=', 3,
       'and not all come again together';
};

subtest 'a worker that is killed' => sub {
    $gw->kill_worker($_) for $gw->workers;
    my $s = events();
    ok $s->event, 'its successor serves';
    now_at($run, 'acme/killed');
    ok till($s, 'acme/killed'), 'and hears';
};

subtest 'validations' => sub {
    my $up = Upstream->new(sub {
        my ($req) = @_;
        return { json => { object => 'list', data => [
            map { { id => "m$_", object => 'model' } } 1 .. 12 ] } }
            if $req->{uri} =~ /models$/;
        return { delay => 0.15, json => { id => 'x', model => 'm',
            object => 'chat.completion', choices => [ { index => 0,
            finish_reason => 'stop', message => { role => 'assistant',
                                                  content => 'a' } } ] } };
    });
    is $gw->api(POST => '/api/v1/providers', { id => 'real', name => 'real',
        protocol => 'openai', api_key => 'sk-1', max_concurrency => 2,
        base_url => $up->url . '/v1' })->{status}, 201, 'a provider';
    my $s = events('/api/v1/providers/real/validation-events');
    my $w = socket_to('/ws/providers/real/validation');
    is $gw->api(POST => '/api/v1/providers/real/validate-models')->{status},
       202, 'a run';

    my (@sse, @ws);

    # in turns, since pings are to be answered

    wait_until(sub {
        while (my $e = $s->event(0.05)) { push @sse, $e->{json}; }
        while (my $m = $w->message(0.05)) { push @ws, $m; }
        return @sse && @ws && $sse[-1]{status} eq 'completed'
               && $ws[-1]{last_updated_at} eq $sse[-1]{last_updated_at};
    });

    cmp_ok scalar @sse, '>=', 2, 'several events';
    is $sse[-1]{validated}, 12, 'all models at the end';
    is_deeply $ws[-1], $sse[-1], 'the same for both';
    is_deeply $sse[-1], $gw->api(GET =>
        '/api/v1/providers/real/validation-status')->{json}, 'and by polling';

    my $sorted = 1;
    $sse[$_]{validated} >= $sse[$_ - 1]{validated} or $sorted = 0
        for 1 .. $#sse;
    ok $sorted, 'counts only grow';
};

subtest 'a run that is taken out' => sub {
    my $s = events('/api/v1/providers/other/validation-events');
    my $w = socket_to('/ws/providers/other/validation');
    ok $s->event && $w->message, 'its state is known';
    $gw->sql("delete from model.ai_model_validation_progress
              where provider_id = 'other'");

    # longer than the silence after which the database is asked

    my ($until, @told) = time + 6;

    while (time < $until) {
        push @told, grep { $_ } eval { $s->event(0.1) }, $@,
                                eval { $w->message(0.1) }, $@;
    }

    is_deeply \@told, [], 'nothing is pushed that is no state';
    my $next = run_of('other');
    is $s->event->{json}{id}, $next, 'the next run is';
    is $w->message->{id}, $next, 'to all';
};

subtest 'the database is away' => sub {
    my $s = events();
    ok $s->event, 'a stream is open';
    $gw->away;
    is events('/api/v1/providers/third/validation-events')->{status}, 503,
       'what nobody knows cannot be answered';
    my $late = events();
    is $late->{status}, 200, 'what is known can';
    $gw->back;
    now_at($run, 'acme/back');
    ok till($s, 'acme/back'), 'when it is back, the state comes';
    ok till($late, 'acme/back'), 'to all';
};

subtest 'many providers' => sub {
    my $one = Gateway->new(workers => 1,
                           http => 'model_events per_client=200;');
    $one->start->wait_ready;
    $one->token('admin');

    for my $n (1 .. 110) {
        my $r = $one->api(POST => '/api/v1/providers', { id => "p$n",
            name => "p$n", protocol => 'openai', api_key => 'sk-1',
            base_url => 'http://127.0.0.1:1/v1' });
        $r->{status} == 201 or return fail("provider $n: $r->{body}");
    }

    my $auth = { Authorization => 'Bearer ' . $one->token('viewer') };
    my @s = map { Stream::events($one->socket,
                      "/api/v1/providers/p$_/validation-events", $auth) }
            1 .. 110;
    is scalar(grep { $_->{status} == 200 } @s), 110, 'each is watched';

    # nobody knows what was missed meanwhile: all of them are asked for

    my $listener = "from pg_stat_activity where datname = current_database()
                    and application_name = 'nginx-model-listener'";
    my $old = $one->sql_value("select pid $listener");
    $one->sql("select pg_terminate_backend(pid) $listener");
    wait_until(sub { ($one->sql_value("select pid $listener") || $old)
                     != $old });

    for my $n (1, 55, 110) {
        $one->sql("insert into model.ai_model_validation_progress
                   (provider_id) values ('p$n')");
        is $s[$n - 1]->event->{json}{provider_id}, "p$n", "p$n is told";
    }

    unlike $one->log, qr/queue overflow/, 'calls have found room';
};

done_testing;
