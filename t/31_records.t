#!/usr/bin/perl

# One record for each inference.  If this breaks, requests are missing from
# the audit trail after a reload, a quit, a killed worker or an outage of the
# database, stand in it twice, or say what did not happen: a cut stream that
# counts as success, tokens that nobody stated, a client that stayed.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(alive wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;


# An OpenAI-compatible server that does as "mode" says.

my $up = Upstream->new(sub {
    my ($req) = @_;
    my $body = eval { $json->decode($req->{body}) } // {};
    my $mode = $body->{mode} // '';
    my $usage = { prompt_tokens => 100, completion_tokens => 20,
                  total_tokens => 120,
                  prompt_tokens_details => { cached_tokens => 60 } };
    my @sse = ('Content-Type', 'text/event-stream');
    my $event = sub { 'data: ' . $json->encode(@_) . "\n\n" };
    my $delta = $event->({ choices => [ { delta => { content => 'x' } } ],
                           usage => undef });
    my $last = $event->({ choices => [], usage => $usage });

    my %answers = (
        '' => { json => { model => $body->{model}, usage => $usage },
                headers => [ 'X-Request-Id', 'req_up_1' ],
                delay => $body->{delay} },
        stream => { headers => \@sse, chunks => [ $delta, \0.2, $delta,
                    $last, "data: [DONE]\n\n" ] },
        cut => { headers => \@sse, chunks => [ $delta, \0.1, $delta, $last ],
                 cut => 80 },
        late => { headers => \@sse, chunks => [ $delta, $last,
                  "data: [DONE]\n\n", \10 ] },
        undone => { headers => \@sse, chunks => [ $delta, $last ] },
        broken => { headers => \@sse, chunks => [ $delta,
                    $event->({ error => { message => 'overloaded' } }) ] },
        slow => { headers => \@sse, chunks => [ ($delta, \0.1) x 100 ] },
        429 => { status => 429, json => { error => { message => 'slow' } } },
        500 => { status => 500, json => { error => { message => 'oops' } } },
        none => { json => { data => [] } },
        gzip => { headers => [ 'Content-Encoding', 'gzip' ],
                  json => { usage => $usage } },
        same => { headers => [ 'Content-Encoding', 'Identity' ],
                  json => { usage => $usage } },
        padded => { json => { usage => { %$usage, pad => 'x' x 5000 } } },
        empty => { status => 503, body => '',
                   headers => [ 'Content-Type', 'application/json' ] },
        499 => { status => 499, json => { error => { message => 'gone' } } },
        large => { headers => \@sse, chunks => [ $delta, map { ($_, \0.05) }
                   unpack '(a4000)*', 'data: {"type":"response.completed",'
                   . '"text":"' . 'x' x 30_000 . '","response":{"usage":'
                   . $json->encode($usage) . "}}\n\n" ] },
        within => { headers => \@sse, chunks => [ $delta,
                    'data: {"type":"response.completed","response":{"id":' ] },
        drop => { drop => 1 },
        hang => { hang => 1 },
    );

    return $answers{$mode} // $answers{''};
});

my $gw = Gateway->new(workers => 2, server => $Gateway::locations . <<'END');
        location /open/ {
            model_auth off;
            model_split on;
            rewrite ^/open(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /short/ {
            model_auth off;
            model_split on;
            rewrite ^/short(/.*)$ $1 break;
            include short_proxy.conf;
            proxy_read_timeout 300ms;
        }
END

my $proxy = Host::slurp($gw->dir . '/model_proxy.conf');
$proxy =~ s/^proxy_read_timeout.*//m;
Host::spew($gw->dir . '/short_proxy.conf', $proxy);

$gw->start->wait_ready;

sub made { return $gw->made(@_); }

made('providers', { id => 'demo', base_url => $up->url, protocol => 'openai' });
made('providers', { id => 'dead', base_url => 'http://127.0.0.1:1' });
made('models', { id => $_ }) for 'demo/model', 'dead/model';

my %group;
for my $name ('chat', 'dead') {
    $group{$name} = made('model-groups', { name => $name })->{id};
    made("model-groups/$name/models",
         [ { model_id => ($name eq 'dead' ? 'dead' : 'demo') . '/model',
             role => 'champion', traffic_percentage => 100 } ]);
}

my ($table) = map { $_->[0] } $gw->sql("select inference_table
    from model.model_groups where name = 'chat'");


# an inference; its answer

sub infer {
    my ($body, $headers, $uri) = @_;

    return $gw->fetch(POST => $uri // '/open/v1/chat/completions', $headers,
                      { model => 'chat', %{ $body || {} } });
}

ok wait_until(sub { infer({})->{status} == 200 }), 'the groups are in effect';


# the record of an inference, as a hash, once it is there

sub record {
    my ($id, $name) = @_;

    my $t = $name ? $gw->sql_value("select inference_table
                        from model.model_groups where name = '$name'")
                  : $table;
    my $row;

    wait_until(sub {
        $row = $gw->sql_value("select row_to_json(t) from model.$t t
                               where inference_id = '$id'");
    });
    return $row ? $json->decode(Encode::encode_utf8($row)) : {};
}

require Encode;


sub rows {
    return $gw->sql_value("select count(*) from model.$table");
}


# ids of answers that are not in the table exactly once, after a while

sub missing {
    my ($ids, $seconds) = @_;

    my @missing;

    wait_until(sub {
        my %count = map { @$_ } $gw->sql("select inference_id, count(*)
            from model.$table group by 1");
        @missing = grep { ($count{$_} // 0) != 1 } @$ids;
        return !@missing;
    }, $seconds // 20);

    return @missing;
}

sub ids {
    return map { $_->{headers}{'x-inference-id'} } @_;
}


subtest 'a plain answer' => sub {
    my $r = infer({ user => 'u-1' }, { 'X-Request-Id' => 'from-client',
        traceparent => '00-0af7651916cd43dd8448eb211c80319c-'
                       . 'b7ad6b7169203331-01' },
        '/open/v1/chat/completions?key=secret-argument');
    is $r->{status}, 200, 'served';

    my $rec = record(ids($r));
    my %want = (
        group_id => $group{chat}, group_name => 'chat',
        model_requested => 'chat', model_assigned => 'demo/model',
        model_served => 'demo/model', upstream_model => 'model',
        provider_id => 'demo', role => 'champion', key_source => 'body',
        token_id => undef, request_id => 'from-client',
        upstream_request_id => 'req_up_1', method => 'POST',
        path => '/v1/chat/completions', status => 200,
        upstream_status => 200, error_class => undef, attempts => 1,
        input_tokens => 100, input_uncached_tokens => 40,
        cache_read_tokens => 60, cache_write_tokens => undef,
        output_tokens => 20, reasoning_tokens => undef,
        usage_source => 'provider', cost_nano_usd => undef,
        request_bytes => length($json->encode({ model => 'chat',
                                                user => 'u-1' })),
        response_bytes => length $r->{body},
        upstream_addr => '127.0.0.1:' . $up->port,
    );

    is $rec->{$_}, $want{$_}, $_ for sort keys %want;
    ok !$rec->{stream} && !$rec->{truncated}, 'no stream, not truncated';
    like $rec->{key_hash}, qr/^\\x[0-9a-f]{32}$/, 'hash of the key';
    like $rec->{traceparent}, qr/^00-0af7/, 'traceparent';
    cmp_ok $rec->{bucket}, '>=', 0, 'bucket';
    cmp_ok $rec->{ttft_us}, '<=', $rec->{latency_us}, 'ttft within latency';
    cmp_ok $rec->{ttft_us}, '>', 0, 'ttft';

    my $all = join '', map { $_->[0] } $gw->sql("select t::text
        from model.$table t");
    unlike $all, qr/secret-argument/, 'no arguments of the URI';
    unlike $all, qr/u-1/, 'no key';
};


subtest 'who asked' => sub {
    my $token = $gw->token('inference');
    my $r;

    ok wait_until(sub {
        $r = infer({}, { Authorization => "Bearer $token" },
                   '/v1/chat/completions');
        $r->{status} == 200;
    }), 'with a token';

    my $rec = record(ids($r));
    is $rec->{token_id}, $gw->sql_value("select id from model.api_tokens
        where name = 'test-inference'"), 'token';
    is $rec->{key_source}, 'token', 'it is the sticky key, too';
    unlike $json->encode($rec), qr/\Q$token\E/, 'not the token itself';
};


subtest 'how it ended' => sub {
    my %cases = (
        stream => [ 200, '', 0, 'provider', 20 ],
        undone => [ 200, 'truncated', 1, 'partial', 20 ],
        cut => [ 200, 'truncated', 1, undef, undef ],
        broken => [ 200, 'upstream_error', 0, undef, undef ],
        429 => [ 429, 'upstream_4xx', 0, undef, undef ],
        500 => [ 500, 'upstream_5xx', 0, undef, undef ],
        none => [ 200, '', 0, undef, undef ],
        gzip => [ 200, '', 0, undef, undef ],
        same => [ 200, '', 0, 'provider', 20 ],
        padded => [ 200, '', 0, undef, undef ],
        empty => [ 503, 'upstream_5xx', 0, undef, undef ],
        499 => [ 499, 'upstream_4xx', 0, undef, undef ],
        within => [ 200, 'truncated', 1, undef, undef ],
        drop => [ 502, 'bad_answer', 0, undef, undef ],
    );

    for my $mode (sort keys %cases) {
        my ($status, $class, $truncated, $source, $output) =
            @{ $cases{$mode} };
        my $r = infer({ mode => $mode, stream => JSON::PP::true });
        my $rec = record(ids($r));

        is $rec->{status}, $status, "$mode: status";
        is $rec->{error_class} // '', $class, "$mode: class";
        ok !!$rec->{truncated} == $truncated, "$mode: truncated $truncated";
        is $rec->{usage_source}, $source, "$mode: source of usage";
        is $rec->{output_tokens}, $output, "$mode: output";
        ok $rec->{stream}, "$mode: a stream was asked for";
    }

    is $gw->metric('nginx_model_tap_lost_total'), 2,
       'compressed, and too long: counted, not read';

    my $r = infer({ mode => 'hang' }, {}, '/short/v1/x');
    is $r->{status}, 504, 'time-out';
    is record(ids($r))->{error_class}, 'timeout', 'timeout';

    $r = infer({ model => 'dead' });
    is $r->{status}, 502, 'nobody listens';
    my $rec = record(ids($r), 'dead');
    is $rec->{error_class}, 'connect', 'connect';
    is $rec->{upstream_status}, undef, 'no status of an upstream';
    is $rec->{ttft_us}, undef, 'no first token';

    my $wire = $gw->wire;
    $wire->request(POST => '/open/v1/x', {},
                   { model => 'chat', mode => 'slow',
                     stream => JSON::PP::true });
    wait_until(sub { $wire->fill(time + 0.1);
                     $wire->pending =~ /\r\n\r\n.*\n\n/s });
    my ($id) = $wire->pending =~ /X-Inference-Id: (\S+)/i;
    $wire->close;

    $rec = record($id);
    is $rec->{status}, 499, 'the client left in the middle';
    is $rec->{error_class}, 'client_closed', 'which is no fault';
    ok $rec->{truncated}, 'truncated';
    cmp_ok $rec->{response_bytes}, '>', 0, 'part of it was sent';
    cmp_ok $rec->{latency_us}, '<', 10e6,
        'and it was noticed before the stream had come to its end';

    $wire = $gw->wire;
    my $before = rows();
    $up->forget;
    $wire->request(POST => '/open/v1/x', {},
                   { model => 'chat', delay => 20 });
    ok $up->wait_requests(1), 'one under way';
    $wire->close;
    ok wait_until(sub { rows() > $before }), 'one that left before';
    is $gw->sql_value("select status from model.$table
                       order by inference_id desc limit 1"), 499, 'is a 499';
};


subtest 'metrics' => sub {
    is $gw->metric('nginx_model_requests_total', group => 'dead',
                   status_class => '5xx'), 1, 'by group and status';
    is $gw->metric('nginx_model_errors_total', group => 'dead',
                   variant => 'dead/model', role => 'champion'), 1, 'errors';
    cmp_ok $gw->metric('nginx_model_tokens_total', group => 'chat',
                       type => 'input'), '>=', 300, 'tokens';
    is $gw->metric('nginx_model_records_total', outcome => 'dropped'), 0,
       'no record was dropped';
};


# Requests on $n connections until stop() is called; then all answers.

sub load {
    my ($n, $body) = @_;

    pipe my $from, my $to or die;
    my $pid = fork // die "fork: $!";

    if (!$pid) {
        close $from;
        my $on = 1;
        $SIG{TERM} = sub { $on = 0 };
        my @kids;

        for (1 .. $n) {
            my $kid = fork;
            if (!$kid) {
                my @got;
                while ($on) {
                    my $r = Wire::fetch($gw->socket, POST => '/open/v1/x', {},
                                        { model => 'chat', %$body });
                    push @got, $r->{headers}{'x-inference-id'}
                        if $r->{complete} && $r->{status} == 200;
                    sleep 0.002;
                }
                syswrite $to, join('', map { "$_\n" } @got);
                POSIX::_exit(0);
            }
            push @kids, $kid;
        }

        while ($on) { select undef, undef, undef, 0.05 }
        kill 'TERM', @kids;
        waitpid $_, 0 for @kids;
        POSIX::_exit(0);
    }

    close $to;
    return sub {
        kill 'TERM', $pid;
        my @ids = <$from>;
        waitpid $pid, 0;
        chomp @ids;
        return @ids;
    };
}

require POSIX;


# Waits until so many more requests have found their model: on a busy machine a
# time says nothing of what was done in it.

sub more {
    my ($n) = @_;

    my $count = sub { $gw->metric('nginx_model_split_requests_total') // 0 };
    my $begin = $count->();

    return wait_until(sub { $count->() >= $begin + $n });
}


subtest 'reload, kill -9, quit while requests run' => sub {
    my $stop = load(4, {});
    more(15);
    $gw->reload(wait_old => 1);
    more(15);
    my @ids = $stop->();
    cmp_ok scalar(@ids), '>', 20, @ids . ' requests over a reload';
    is_deeply [ missing(\@ids) ], [], 'each is recorded once';

    $stop = load(4, {});
    more(10);
    for (1 .. 3) {
        $gw->kill_worker(($gw->workers)[$_ % 2]);
        more(10);
    }
    @ids = $stop->();
    cmp_ok scalar(@ids), '>', 20, @ids . ' requests over three kills';

    is_deeply [ missing(\@ids) ], [], 'each is recorded once';

    # the worker with number 0, which sweeps and replays, among them
    $stop = load(4, {});
    more(15);
    my @workers = $gw->workers;
    $gw->kill_worker($_) for @workers;
    more(15);
    @ids = $stop->();
    is_deeply [ missing(\@ids) ], [],
        'all workers killed, each is recorded once';

    # a client that has its answer, before nginx knows that nothing follows
    my @wires = map {
        my $w = $gw->wire;
        $w->request(POST => '/open/v1/x', {}, { model => 'chat',
                    mode => 'late', stream => JSON::PP::true });
        $w;
    } 1 .. 4;

    my @late = map {
        my $w = $_;
        wait_until(sub { $w->fill(time + 0.1); $w->pending =~ /\[DONE\]/ });
        $w->pending =~ /X-Inference-Id: (\S+)/i;
    } @wires;

    $gw->kill_worker($_) for $gw->workers;
    is scalar(@late), 4, 'four streams have said that they are done';
    is_deeply [ missing(\@late) ], [], 'and are recorded though killed then';
    my $rec = record($late[0]);
    is $rec->{error_class}, undef, 'as what they were';
    is $rec->{output_tokens}, 20, 'with what they told';
    is $rec->{response_bytes}, length(($wires[0]->pending =~
        /\r\n\r\n(.*)/s)[0] =~ s/(?:^|\r\n)[0-9a-f]+\r\n//gr =~ s/\r\n$//r),
       'and all their bytes';

    # a stream that goes on while its worker leaves
    my $wire = $gw->wire;
    $wire->request(POST => '/open/v1/x', {},
                   { model => 'chat', mode => 'stream',
                     stream => JSON::PP::true });
    sleep 0.1;
    $gw->reload;
    my $r = $wire->response;
    ok $r->{complete}, 'an old worker ends its stream';
    is_deeply [ missing([ ids($r) ]) ], [], 'and records it';

    $stop = load(4, {});
    more(20);
    my $seconds = $gw->quit;
    @ids = $stop->();
    ok defined $seconds, 'quit';
    cmp_ok scalar(@ids), '>', 10, @ids . ' requests before a quit';
    $gw->start->wait_ready;
    is_deeply [ missing(\@ids) ], [], 'each is recorded once';

    # nginx kills a worker that does not end in two seconds, which only a
    # machine that stands still makes it do

    for (1 .. 3) {
        my $killed = () = $gw->log =~ /exited on signal 9/g;
        $stop = load(4, {});
        more(20);
        $gw->stop;
        @ids = $stop->();
        $killed -= () = $gw->log =~ /exited on signal 9/g;
        $gw->start->wait_ready;
        last if !$killed;
    }

    cmp_ok scalar(@ids), '>', 10, @ids . ' requests before a stop';
    is_deeply [ missing(\@ids) ], [], 'each is recorded once';
};


sub away {
    my ($allow) = @_;

    Services::query(Services::conninfo('postgres'),
        "alter database $gw->{dbname} with allow_connections $allow;
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '$gw->{dbname}'");
}


subtest 'the database is away' => sub {
    away('false');
    sleep 0.3;

    my @answers = Wire::many($gw->port, [ map { [ POST => '/open/v1/x', {},
        { model => 'chat' } ] } 1 .. 500 ], 8);
    my @ids = ids(@answers);
    is scalar(grep { $_->{status} == 200 } @answers), 500,
       'inference goes on';

    my @files;
    ok wait_until(sub {
        @files = glob $gw->dir . '/state/spool/*.rec';
        my $size = 0;
        $size += -s for @files;
        $size > 500 * 300;
    }), 'records are in the spool';

    # some of them have been stored already: a replay that was cut off
    Host::spew($gw->dir . '/keep', Host::slurp($files[0]));

    $gw->kill_worker(($gw->workers)[0]);
    my @more = ids(Wire::many($gw->port, [ map { [ POST => '/open/v1/x', {},
        { model => 'chat' } ] } 1 .. 50 ], 8));

    away('true');
    is_deeply [ missing([ @ids, @more ], 30) ], [],
        'replayed, each once';
    ok wait_until(sub { !(() = glob $gw->dir . '/state/spool/*') }),
       'the spool is empty';

    my $before = rows();
    my $copy = $gw->dir . '/state/spool/0-1.rec';
    Host::spew($copy . '.tmp', Host::slurp($gw->dir . '/keep') . 'rubbish');
    chown 65534, 65534, "$copy.tmp" if Host::nobody();

    # the connection is lost as they are stored: what was read is read again

    my $ended = sub {
        my ($which) = @_;
        return $gw->sql_value("select count(pg_terminate_backend(pid))
            from pg_stat_activity where datname = current_database()
            and pid <> pg_backend_pid() and $which");
    };
    my $pid = $gw->hold($table, 'access exclusive', 600);

    rename "$copy.tmp", $copy;
    ok wait_until(sub { $ended->("wait_event_type = 'Lock'") }),
       'the same records again' for 1, 2;
    $ended->("query like '%pg_sleep(600)%'");
    waitpid $pid, 0;
    ok wait_until(sub { !(() = glob $gw->dir . '/state/spool/0-1*') }),
       'are done with';
    is rows(), $before, 'are stored once';
    is scalar(() = $gw->log =~ /damaged inference records/g), 1,
       'rubbish is left out';
    is $gw->metric('nginx_model_records_total', outcome => 'dropped'), 1,
       'and counted once';
    cmp_ok $gw->metric('nginx_model_records_total', outcome => 'replayed'),
           '>=', 500, 'replayed is counted';
    cmp_ok $gw->metric('nginx_model_records_total', outcome => 'spooled'),
           '>=', 500, 'spooled is counted';
};


subtest 'prices, traces and bodies' => sub {
    made('models', { id => 'demo/priced',
                     pricing => { input => 2, output => 8,
                                  cache_read => 0.5 } });
    made('model-groups', { name => 'full', traffic_config => { records =>
        { request_body => JSON::PP::true, response_body => JSON::PP::true,
          max_bytes => 65536 } } });
    made('model-groups/full/models', [ { model_id => 'demo/priced',
        role => 'champion', traffic_percentage => 100 } ]);

    my $r;
    my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    my $ask = sub {
        my ($text) = @_;
        $r = infer({ model => 'full', text => $text },
                   { traceparent => $trace });
        return $r->{status} == 200;
    };

    ok wait_until(sub { $ask->("\t\x{e9}\x{20ac}") }), 'served';
    my $rec = record(ids($r), 'full');

    is $rec->{kind}, 'inference', 'a client\'s';
    is $rec->{shadow_of}, undef, 'no copy of another';
    ok !$rec->{forced} && !$rec->{dry_run}, 'neither forced nor dry';
    is $rec->{attempt_log}, undef, 'no failed attempt';
    is $rec->{usage_marks}, undef, 'nothing was put right';
    is $rec->{explanation}, undef, 'nor explained';
    is $rec->{trace_id}, substr($trace, 3, 32), 'the trace';

    is $rec->{cost_nano_usd}, 40 * 2000 + 60 * 500 + 20 * 8000, 'cost';
    is $rec->{cost_unknown}, undef, 'is known';
    my $prices;
    wait_until(sub {
        $prices = $gw->sql_value("select prices from model.price_versions
            where version = '$rec->{price_version}'");
    });
    is_deeply $json->decode($prices),
        { input => 2, output => 8, cache_read => 0.5 },
        'by a price list that is there';

    is_deeply eval { $json->decode(Encode::encode_utf8(
        $rec->{request_body})) },
        { model => 'full', text => "\t\x{e9}\x{20ac}" }, 'the request'
        or diag(Encode::encode_utf8($rec->{request_body}));
    is $rec->{response_body}, Encode::decode_utf8($r->{body}), 'the answer';

    # the last event is kept to its end, though it says first what it is
    $r = infer({ model => 'full', mode => 'large', stream => JSON::PP::true });
    $rec = record(ids($r), 'full');
    cmp_ok length($r->{body}), '>', 30_000, 'a long last event';
    like $rec->{response_body}, qr/^data: .*\{"usage":\{.*\}\}\n\n\z/s, 'is kept'
        or diag length $rec->{response_body}, ' of ', length $r->{body};
    is $rec->{input_tokens}, 100, 'and counted';

    # by way of the spool they are the same
    away('false');
    sleep 0.3;
    my $long = 'x' x 100_000;
    ok $ask->($long), 'served without a database';
    my ($id) = ids($r);
    my @short = ids(infer({}));
    ok wait_until(sub { glob $gw->dir . '/state/spool/*.rec' }),
       'it is in the spool';
    away('true');

    $rec = record($id, 'full');
    is length($rec->{request_body} // ''), 65536, 'cut, as the group says';
    is_deeply [ missing(\@short) ], [], 'others with it';

    # a list that nobody stated is no list, and why is said
    $rec = record($short[0]);
    is $rec->{price_version}, undef, 'no price list';
    is $rec->{cost_unknown}, 'no_price', 'no cost, for that reason';
    is $rec->{request_body}, undef, 'and no body where none is asked for';
};


subtest 'what the database refuses holds up nobody' => sub {
    $gw->sql("drop table model." . $gw->sql_value("select inference_table
        from model.model_groups where name = 'dead'") . ' cascade');

    my @ids = ids(infer({ model => 'dead' }));
    my @good = ids(infer({}));
    is_deeply [ missing(\@good) ], [], 'a table is gone: others are stored';
    ok wait_until(sub {
        $gw->sql_value("select count(*) from model.inference_unassigned
                        where inference_id = '$ids[0]'");
    }), 'its record is kept apart';

    $gw->sql("alter table model.$table add constraint odd
              check (path <> '/v1/odd')");
    @good = ids(map { infer({}, {}, $_) }
                ('/open/v1/x') x 5, '/open/v1/odd', ('/open/v1/x') x 5);
    my ($bad) = splice @good, 5, 1;
    is_deeply [ missing(\@good) ], [], 'a constraint: others are stored';
    is_deeply [ missing([$bad], 0.1) ], [$bad], 'the one is not';
    ok wait_until(sub {
        $gw->log =~ /refused an inference record for "$table"/;
    }), 'says the log';
    ok scalar(glob $gw->dir . '/state/spool/*.bad'), 'it is kept in a file';
    is $gw->metric('nginx_model_records_total', outcome => 'dropped'), 2,
       'and counted';
};

done_testing;
