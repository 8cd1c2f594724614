#!/usr/bin/perl

# Streams.  If this breaks, a client gets other bytes than its provider would
# have sent it, gets them late, or is told that a cut stream was whole; or the
# usage of a stream is not known, because nobody has asked for it.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(free_port slurp spew wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;
my @sse = ('Content-Type', 'text/event-stream; charset=utf-8');


# What a server of the OpenAI protocol sends, to one that asked for usage and to
# one that did not, in any style.

my %styles = (
    plain => [ "\n", '', ':', ',' ],
    crlf => [ "\r\n", '', ':', ',' ],
    spaced => [ "\n", ' ', ': ', ', ' ],
);

sub stream {
    my ($asked, $style) = @_;
    my ($eol, $pad, $colon, $comma) = @{ $styles{$style // 'plain'} };

    my $event = sub {
        my @members = map { qq("$_->[0]"$colon$_->[1]) } @_;
        return "data: {$pad" . join($comma, @members) . "$pad}$eol$eol";
    };
    my @null = $asked ? [ usage => 'null' ] : ();
    my @head = ([ id => '"chatcmpl-1"' ], [ object => '"x"' ]);

    my @all = (
        $event->([ choices => '[]' ], [ prompt_filter_results => '[{}]' ],
                 @null),
        map({ $event->(@head, [ choices => qq([{"delta":{"content":"$_"}}]) ],
                       @null, [ obfuscation => '"x8"' ]) }
            qw(Hello), ', \"usage\":null', '}'),
        ": KEEPALIVE$eol$eol",
        $event->(@null, @head, [ choices => '[{"finish_reason":"stop"}]' ]),
    );

    push @all, $event->(@head, [ choices => '[]' ],
        [ usage => '{"prompt_tokens":9,"completion_tokens":4,'
                   . '"total_tokens":13}' ]) if $asked;

    return (@all, "data: [DONE]$eol$eol");
}


my $seen = Services::base() . "/seen.$$";

# A provider: "do" of a request says how, "style" in which style.

sub provider {
    my ($name) = @_;

    return Upstream->new(sub {
        my ($req) = @_;
        my $body = eval { $json->decode($req->{body}) } // {};
        my $how = $body->{metadata}{do} // '';
        my $asked = ($body->{stream_options} // {})->{include_usage};
        my @all = stream($asked, $body->{metadata}{style});

        return { status => 503, json => { error => { message => 'no' } } }
            if $how eq "fail $name";
        return { json => { choices => [], usage => { prompt_tokens => 9,
                 completion_tokens => 4, total_tokens => 13 } } }
            if !$body->{stream} || $how eq 'json';
        return { headers => [ @sse, 'Content-Encoding', 'gzip' ],
                 body => join '', @all } if $how eq 'gzip';
        return { headers => [ @sse, ETag => '"abc"' ], body => join '', @all }
            if $how eq 'length';
        return { headers => [ @sse ], chunks => [ Upstream::in_turn($seen,
                 @all[0 .. 5], join '', @all[6 .. $#all]) ] }
            if $how eq 'in turn';
        return { headers => [ @sse ], chunks => \@all,
                 cut => $body->{metadata}{cut} } if $how eq 'cut';
        return { headers => [ @sse ], body => join('', @all),
                 close => 1 } if $how eq 'close';

        if ($how =~ /^pieces (\d+)/) {
            return { headers => [ @sse ],
                     chunks => [ map { ($_, \0.002) }
                                 join('', @all) =~ /(.{1,$1})/gs ] };
        }

        if ($how =~ /^file (\S+)/) {
            my $text = slurp("$FindBin::Bin/data/captures/streams/$1");
            return { headers => [ @sse ], chunks => [ $text =~ /(.{1,90})/gs ] };
        }

        return { headers => [ @sse ], chunks => \@all };
    });
}

my %up = map { $_ => provider($_) } qw(open mist);

my $gw = Gateway->new(server => $Gateway::locations . <<'END');
        location /open/ {
            model_auth off;
            model_split on;
            model_fallback on budget=100% breaker=200;
            rewrite ^/open(/.*)$ $1 break;
            include model_proxy.conf;
        }

        location /buffered/ {
            model_auth off;
            model_split on;
            rewrite ^/buffered(/.*)$ $1 break;
            include buffered_proxy.conf;
        }

        location /filed/ {
            model_auth off;
            model_split on;
            rewrite ^/filed(/.*)$ $1 break;
            include filed_proxy.conf;
            client_body_buffer_size 1k;
        }
END

my $proxy = slurp($gw->dir . '/model_proxy.conf');
spew($gw->dir . '/buffered_proxy.conf',
     $proxy =~ s/proxy_buffering .*/proxy_buffering on;/r);
spew($gw->dir . '/filed_proxy.conf', $proxy =~ s/client_body_buffer_size.*//r);

$gw->allow(qr/prematurely closed|Connection refused/);
$gw->start->wait_ready;

sub made { return $gw->made(@_); }

sub group {
    my ($name, @members) = @_;

    $gw->group($name, {}, @members);
}

made('providers', { id => 'open', base_url => $up{open}->url });
made('providers', { id => 'mist', base_url => $up{mist}->url,
                    protocol => 'mistral' });
made('providers', { id => 'dead',
                    base_url => 'http://127.0.0.1:' . free_port() });
made('models', { id => $_ }) for qw(open/m mist/m dead/m);
group('chat', [ 'open/m', 'champion', 100 ]);
group('mist', [ 'mist/m', 'champion', 100 ]);
group('gone', [ 'dead/m', 'champion', 100 ], [ 'mist/m', 'fallback', 0 ]);
group('down', [ 'open/m', 'champion', 100 ], [ 'mist/m', 'fallback', 0 ]);
group('up', [ 'mist/m', 'champion', 100 ], [ 'open/m', 'fallback', 0 ]);


# a request as it is spelt, with what stands in the place of MODEL

sub raw {
    my ($text, $uri) = @_;

    return $gw->fetch(POST => $uri // '/open/v1/chat/completions',
                      { 'Content-Type' => 'application/json' }, $text);
}

ok wait_until(sub { raw('{"model":"up"}')->{status} == 200 }), 'in effect';


# what the last request to a provider was

sub asked {
    my ($name) = @_;

    return ($up{$name}->requests)[-1]{body};
}

sub record {
    my ($r, $group) = @_;
    my $row;
    my $table = $gw->sql_value("select inference_table
        from model.model_groups where name = '$group'");

    wait_until(sub {
        $row = $gw->sql_value("select row_to_json(t)::text from model.$table t
            where inference_id = '$r->{headers}{'x-inference-id'}'");
    });
    return $row ? JSON::PP->new->decode($row) : {};
}

sub same {
    my ($got, $want, $what) = @_;

    ok $got eq $want, $what or diag "got:  $got\nwant: $want";
}


subtest 'usage is asked for, and taken out again' => sub {
    my $add = '"stream_options":{"include_usage":true}';
    my %forms = (
        'no options' => [
            '{"model":"chat","stream":true}',
            qq({"model":"m",$add,"stream":true}) ],
        'the model last, with spaces' => [
            "{ \"stream\" : true ,\n \"model\" : \"chat\" }",
            "{ \"stream\" : true ,\n \"model\" : \"m\",$add }" ],
        'empty options' => [
            '{"model":"chat","stream":true,"stream_options":{ }}',
            '{"model":"m","stream":true,"stream_options":'
            . '{"include_usage":true }}' ],
        'options in front' => [
            '{"stream_options":{},"model":"chat","stream":true}',
            '{"stream_options":{"include_usage":true},"model":"m",'
            . '"stream":true}' ],
        'other options' => [
            '{"stream":true,"stream_options":{"include_obfuscation":false},'
            . '"model":"chat"}',
            '{"stream":true,"stream_options":{"include_usage":true,'
            . '"include_obfuscation":false},"model":"m"}' ],
        'null' => [
            '{"stream":true,"stream_options":null,"model":"chat"}',
            '{"stream":true,"stream_options":{"include_usage":true},'
            . '"model":"m"}' ],
        'somebody else\'s options' => [
            '{"model":"chat","stream":true,"metadata":{"stream_options":'
            . '{"include_usage":false},"include_usage":true}}',
            qq({"model":"m",$add,"stream":true,"metadata":{"stream_options":)
            . '{"include_usage":false},"include_usage":true}}' ],
    );

    for my $form (sort keys %forms) {
        my ($text, $want) = @{ $forms{$form} };

        for my $where ('/open', '/buffered') {
            my $r = raw($text, "$where/v1/chat/completions");
            same(asked('open'), $want, "$form: asked for ($where)");
            same($r->{body}, join('', stream(0)), "$form: taken out");
            ok $r->{complete}, "$form: whole";
        }

        my $big = $text =~ s/^\{/'{"x":"' . 'y' x 5000 . '",'/er;
        for my $where ('/open', '/filed') {
            my $r = raw($big, "$where/v1/chat/completions");
            same(asked('open') =~ s/"x":"y+",//r, $want,
                 "$form: in a larger body ($where)");
            same($r->{body}, join('', stream(0)), "$form: taken out");
        }
    }

    my $r = raw('{"model":"chat","stream":true}', '/open/v1/completions');
    same($r->{body}, join('', stream(0)), 'completions');

    my $rec = record($r, 'chat');
    is $rec->{input_tokens}, 9, 'input';
    is $rec->{output_tokens}, 4, 'output';
    is $rec->{usage_source}, 'provider', 'source';
    is $rec->{error_class}, undef, 'no failure';
    is $rec->{response_bytes}, length(join '', stream(1)),
       'bytes of the provider';
};


subtest 'who asks for it gets it' => sub {
    for my $text ('{"model":"chat","stream":true,"stream_options":'
                  . '{"include_usage":true}}',
                  '{"stream_options":{"include_usage":true},"stream":true,'
                  . '"model":"chat"}') {
        my $r = raw($text);
        same(asked('open'), $text =~ s/"chat"/"m"/r, 'as it was asked');
        same($r->{body}, join('', stream(1)), 'as it was answered');
    }

    for my $options ('{"include_usage":false}', '{"include_usage":null}',
                     '{"include\u005fusage":false}', '[]', '7', '"x"') {
        my $text = qq({"model":"chat","stream":true,"stream_options":$options});
        raw($text);
        same(asked('open'), $text =~ s/"chat"/"m"/r, "$options: left alone");
    }

    for my $text ('{"model":"chat","stream":true,"stream_options":{},'
                  . '"stream_options":{}}',
                  '{"model":"chat","stream":false}', '{"model":"chat"}',
                  '{"model":"chat","stream":"true"}') {
        raw($text);
        same(asked('open'), $text =~ s/"chat"/"m"/r, 'left alone');
    }

    my $text = '{"model":"chat","stream":true}';
    raw($text, '/open/v1/responses');
    same(asked('open'), $text =~ s/"chat"/"m"/r, 'another protocol');

    my $r = raw($text =~ s/chat/mist/r);
    same(asked('mist'), $text =~ s/"chat"/"m"/r, 'another provider');
    same($r->{body}, join('', stream(0)), 'whose answer passes');
};


sub told {
    my ($do, %more) = @_;

    return $json->encode({ model => delete $more{model} // 'chat',
                           stream => JSON::PP::true,
                           metadata => { do => $do, %more } });
}


subtest 'in any style, cut anywhere' => sub {
    for my $style (sort keys %styles) {
        my $want = join '', stream(0, $style);

        for my $n (1, 7, 64, 500) {
            for my $where ('/open', '/buffered') {
                my $r = raw(told("pieces $n", style => $style),
                            "$where/v1/chat/completions");
                same($r->{body}, $want, "$style, pieces of $n, $where");
            }
        }
    }
};


subtest 'recorded streams' => sub {
    my $dir = "$FindBin::Bin/data/captures/streams";
    my @files = map { s{.*/}{}r } glob "$dir/*.sse";

    cmp_ok scalar @files, '>=', 37, scalar(@files) . ' files';

    for my $file (@files) {
        my $text = slurp("$dir/$file");
        my $r = raw(told("file $file"));

        # by plain search, as these have it

        $text =~ s/^data: [^\n]*"choices": ?\[\][^\n]*"usage": ?\{[^\n]*\n\n//mg;
        $text =~ s/,"usage":null//g;
        same($r->{body}, $text, $file);
        is $r->{complete}, 1, "$file: whole";
    }
};


subtest 'at once' => sub {
    my $wire = $gw->wire;
    my @want = stream(0);

    $wire->request(POST => '/open/v1/chat/completions',
                   { 'Content-Type' => 'application/json' }, told('in turn'));
    is $wire->in_turn($seen, @want), scalar @want,
       'each event before the next was sent';
    same($wire->response->{body}, join('', @want), 'all of it');
};


subtest 'answers that are no such stream' => sub {
    my $r = raw(told('json'));
    is $r->{json}{usage}{prompt_tokens}, 9, 'JSON keeps its usage';

    $r = raw(told('gzip'));
    same($r->{body}, join('', stream(1)), 'encoded bytes pass as they are');

    $r = raw(told('length'));
    same($r->{body}, join('', stream(0)), 'a stream with a length');
    is $r->{headers}{'content-length'}, undef, 'has none now';
    is $r->{headers}{etag}, 'W/"abc"', 'nor a strong tag';

    $r = raw(told('close'));
    same($r->{body}, join('', stream(0)), 'one that ends with its connection');

    $r = raw(told('fail open'));
    is $r->{status}, 503, 'an error';
    is $r->{json}{error}{message}, 'no', 'as it is';
};


subtest 'cut' => sub {
    my @all = stream(1);
    my @want = stream(0);
    my $first = length join '', @all[0 .. 1];

    for my $more (0, 1, 10, 60) {
        my $r = raw(told('cut', cut => $first + $more));
        my $part = substr $all[2], 0, $more;

        ok !$r->{complete}, "$more bytes more: not whole";
        same($r->{body}, join('', @want[0 .. 1]) . $part,
             'what came went on');
        unlike $r->{body}, qr/DONE/, 'and nothing else';

        my $rec = record($r, 'chat');
        is $rec->{error_class}, 'truncated', 'on record';
        ok $rec->{truncated}, 'as truncated';
    }

    my $r = raw(told('cut', cut => length(join '', @all[0 .. 6])));
    ok !$r->{complete}, 'behind the usage: not whole';
    same($r->{body}, join('', @want[0 .. 5]), 'without the usage');
    is record($r, 'chat')->{output_tokens}, 4, 'which is on record';
};


subtest 'a provider may be told' => sub {
    for my $case ([ 'open', 0 ], [ 'mist', 1 ], [ 'mist', 0 ]) {
        my ($name, $asked) = @$case;
        my $id = "$name-" . ($asked ? 'asked' : 'left');

        made('providers', { id => $id, base_url => $up{$name}->url,
            $name eq 'mist' ? (protocol => 'mistral') : (),
            stream_usage => $asked ? JSON::PP::true : JSON::PP::false });
        made('models', { id => "$id/m" });
        group("told-$id", [ "$id/m", 'champion', 100 ]);

        my $r;
        ok wait_until(sub {
            $r = raw(qq({"model":"told-$id","stream":true}));
            $r->{status} == 200;
        }), "$id: in effect";

        is !!$json->decode(asked($name))->{stream_options}, !!$asked,
           $asked ? 'it is asked' : 'it is not';
        same($r->{body}, join('', stream(0)), 'the client sees none');
    }

    my $r = $gw->api(GET => '/api/v1/providers/open-left');
    is $r->{json}{stream_usage}, JSON::PP::false, 'it is shown';
};


subtest 'another variant' => sub {
    my $r = raw(told('fail open', model => 'down'));
    is $r->{headers}{'x-model-variant'}, 'mist/m', 'one that is not asked';
    is $json->decode(asked('open'))->{stream_options}{include_usage}, 1,
       'after one that was';
    is $json->decode(asked('mist'))->{stream_options}, undef, 'is not asked';
    same($r->{body}, join('', stream(0)), 'and passes');

    $r = raw(told('fail mist', model => 'up'));
    is $r->{headers}{'x-model-variant'}, 'open/m', 'one that is asked';
    is $json->decode(asked('mist'))->{stream_options}, undef,
       'after one that was not';
    is $json->decode(asked('open'))->{stream_options}{include_usage}, 1,
       'is asked';
    same($r->{body}, join('', stream(0)), 'and it is taken out');
};


subtest 'a slow reader' => sub {
    my $before = $gw->metric('nginx_model_tap_lost_total');
    my $wire = $gw->wire;

    $wire->request(POST => '/open/v1/chat/completions',
                   { 'Content-Type' => 'application/json' },
                   told('pieces 33'));
    sleep 0.5;
    my $r = $wire->response;
    same($r->{body}, join('', stream(0)), 'gets all');
    is $gw->metric('nginx_model_tap_lost_total'), $before, 'none was passed';
};


# a group that keeps bodies

sub told_group {
    my ($name, $records) = @_;

    made('model-groups', { name => $name,
        traffic_config => { records => $records } });
    made("model-groups/$name/models", [ { model_id => 'open/m',
        role => 'champion', traffic_percentage => 100 } ]);
}


subtest 'bodies' => sub {
    told_group('kept', { request_body => JSON::PP::true,
        response_body => JSON::PP::true, redact => [ 'secret', 'usage' ] });
    told_group('half', { response_body => JSON::PP::true, max_bytes => 100 });
    ok wait_until(sub { raw('{"model":"kept"}')->{status} == 200
                        && raw('{"model":"half"}')->{status} == 200 }),
       'in effect';

    my $text = '{"model":"kept","secret":{"a":["hush","hush"]},"stream":true,'
               . '"sec\u0072et":"hush","user":"ada"}';
    my $r = raw($text);
    my $rec = record($r, 'kept');

    is $rec->{request_body}, '{"model":"kept","secret":"[redacted]",'
        . '"stream":true,"sec\u0072et":"[redacted]","user":"ada"}',
       'as the client sent it, without what is named';
    is $rec->{response_body},
       join('', stream(1)) =~ s/"usage":(null|\{[^}]*\})/"usage":"[redacted]"/gr,
       'as the provider sent it';
    is $rec->{input_tokens}, 9, 'what is counted is not what is kept';

    my $long = 'x' x 100_000;

    for my $where ('open', 'filed') {
        $r = raw(qq({"secret":"hush","a":"$long","model":"kept"}),
                 "/$where/v1/chat/completions");
        $rec = record($r, 'kept');
        is length $rec->{request_body}, 16384, "$where: no more than the limit";
        like $rec->{request_body}, qr/^\{"secret":"\[redacted\]","a":"x+$/,
             "$where: its beginning";
    }

    $r = raw('{"model":"half","stream":true}');
    $rec = record($r, 'half');
    is $rec->{request_body}, undef, 'what is not asked for is not kept';
    is $rec->{response_body}, substr(join('', stream(1)), 0, 100), 'a limit';

    is record(raw('{"model":"chat"}'), 'chat')->{response_body}, undef,
       'as in other groups';

    $r = raw('{"secret":"hush","inputs":[]}', '/open/v2/models/kept/infer');
    is record($r, 'kept')->{request_body},
       '{"secret":"[redacted]","inputs":[]}', 'a model named by path';

    my $all = join '', map { $_->[0] } $gw->sql("select t::text from model."
        . $gw->sql_value("select inference_table from model.model_groups
                          where name = 'kept'") . ' t');
    unlike $all, qr/hush/, 'no secret is in any record';
};


subtest 'traces' => sub {
    my ($trace, $span) = ('0af7651916cd43dd8448eb211c80319c',
                          'b7ad6b7169203331');
    my $send = sub {
        my ($header) = @_;
        my $r = $gw->fetch(POST => '/open/v1/chat/completions',
            { 'Content-Type' => 'application/json',
              defined $header ? (traceparent => $header) : () },
            '{"model":"chat"}');
        return (($up{open}->requests)[-1]{headers}{traceparent},
                record($r, 'chat'));
    };

    my ($sent, $rec) = $send->("00-$trace-$span-00");
    like $sent, qr/^00-$trace-[0-9a-f]{16}-00$/, 'the same trace and flags';
    unlike $sent, qr/$span/, 'another span';
    is $rec->{trace_id}, $trace, 'on record';
    is $rec->{span_id}, substr($sent, 36, 16), 'with the span';
    is $rec->{traceparent}, "00-$trace-$span-00", 'and what came';

    my %seen;
    for my $header (undef, 'nonsense', "00-$trace-0000000000000000-01",
                    "ff-$trace-$span-01") {
        ($sent, $rec) = $send->($header);
        like $sent, qr/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/, 'a trace of its own';
        unlike $sent, qr/$trace/, 'not the other';
        ok !$seen{$sent}++, 'not again';
        is $rec->{trace_id}, substr($sent, 3, 32), 'on record';
        is $rec->{trace_id}, $rec->{inference_id} =~ tr/-//dr, 'named as the inference';
    }
};


subtest 'attempts on record' => sub {
    my $rec = record(raw(told('fail open', model => 'down')), 'down');
    my $log = $rec->{attempt_log};

    is $rec->{model_served}, 'mist/m', 'what was served';
    is ref $log, 'ARRAY', 'the others are in a list' or return;
    is scalar @$log, 1, 'of one';
    is $log->[0]{variant}, 'open/m', 'variant';
    is $log->[0]{provider}, 'open', 'provider';
    is $log->[0]{status}, 503, 'status';
    is $log->[0]{error}, 'upstream_5xx', 'error';
    is $log->[0]{address}, '127.0.0.1:' . $up{open}->port, 'address';
    is record(raw('{"model":"down"}'), 'down')->{attempt_log}, undef,
       'where the first one answers there is none';
    is $rec->{cost_unknown}, 'no_usage', 'why there is no cost';
    is record(raw('{"model":"chat"}'), 'chat')->{cost_unknown}, 'no_price',
       'another reason';

    $rec = record(raw('{"model":"gone"}'), 'gone');
    is $rec->{model_served}, 'mist/m', 'nobody listens';
    is scalar @{ $rec->{attempt_log} }, 1, 'one attempt';
    is $rec->{attempt_log}[0]{error}, 'connect', 'error';
    is $rec->{attempt_log}[0]{variant}, 'dead/m', 'variant';
    ok !exists $rec->{attempt_log}[0]{status}, 'no status';
};


done_testing;
