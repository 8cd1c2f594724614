#!/usr/bin/perl

# Everything that a provider may do to a request, one row each.  If this breaks,
# a client gets other bytes than a provider has sent, is told the wrong variant
# or that a cut answer was whole; a provider is asked more often than it should
# be; or the record tells another story than the client: another variant,
# attempts that were not made, tokens that nobody has used, or a cost that is
# counted twice.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use H2;
use Host qw(free_port slurp spew wait_until);
use Services;
use Upstream;
use Wire;

my $json = JSON::PP->new->utf8->canonical;
my $tokens = 60;
my @sse = ('Content-Type', 'text/event-stream');

# what the champion "a" and the fallback "b" count and cost, nano-USD a token

my %says = (a => { input => 7, output => $tokens, price => [ 1000, 2000 ] },
            b => { input => 9, output => $tokens, price => [ 5000, 9000 ] });


# -- what a provider sends --

sub usage {
    my ($who) = @_;
    my ($in, $out) = @{ $says{$who} }{qw(input output)};

    return { prompt_tokens => $in, completion_tokens => $out,
             total_tokens => $in + $out };
}


sub event { return 'data: ' . $json->encode($_[0]) . "\n\n"; }


sub token {
    my ($who, $n) = @_;

    return event({ id => 'c', object => 'chat.completion.chunk', choices => [
        { index => 0, delta => { content => "$who$n " },
          finish_reason => undef } ] });
}


sub finish {
    my ($reason) = @_;

    return event({ id => 'c', choices => [ { index => 0, delta => {},
                                             finish_reason => $reason } ] });
}


# The pieces of a whole stream.  asked: with the usage that the gateway asks
# for and takes out again; reason: why the model has stopped.

sub stream {
    my ($who, %how) = @_;

    return ((map { token($who, $_) } 1 .. $tokens),
            finish($how{reason} // 'stop'),
            $how{asked} ? event({ id => 'c', choices => [],
                                  usage => usage($who) }) : (),
            $how{open} ? () : "data: [DONE]\n\n");
}


sub plain {
    my ($who, $reason) = @_;

    return $json->encode({ id => 'c', object => 'chat.completion',
        choices => [ { index => 0, finish_reason => $reason // 'stop',
                       message => { content => "$who " x $tokens } } ],
        usage => usage($who) });
}


sub failure {
    my ($status, $code, @headers) = @_;

    return { status => $status, headers => [ 'Content-Type',
                                             'application/json', @headers ],
             body => failed($code) };
}


# what somebody says who has failed; a usage in it is nobody's to pay

sub failed {
    my ($code) = @_;

    return $json->encode({ error => { message => $code, code => $code },
                           usage => usage('a') });
}


# Answers by name; each gets who is asked and whether a stream is.

my %acts;

# seconds of a pause that is asked for: what is to come in it does, however busy
# the machine is

my $pause = 4;

%acts = (
    ok => sub {
        my ($who, $stream) = @_;
        return { headers => [ @sse ], chunks => [ stream($who, asked => 1) ] }
            if $stream;
        return { headers => [ 'Content-Type', 'application/json' ],
                 body => plain($who) };
    },
    busy => sub { failure(429, 'rate_limit', 'Retry-After', $pause) },
    limit => sub { failure(429, 'rate_limit') },
    error => sub { failure(500, 'oops') },
    down => sub { failure(503, 'overloaded') },
    context => sub { failure(400, 'context_length_exceeded') },
    refusal => sub { failure(400, 'content_filter') },
    reset => sub { { reset => 1 } },
    drop => sub { { drop => 1 } },
    silent => sub { { hang => 1 } },
    noise => sub { { raw => [ "\x16\x03\x01 no HTTP\r\n\r\n" ] } },
    half => sub { { raw => [ "HTTP/1.1 200 OK\r\nContent-Ty" ] } },

    # the first byte comes late, or the first token behind a head in time
    late => sub { return { %{ $acts{ok}->(@_) }, delay => 0.6 } },
    head => sub {
        my ($who) = @_;
        return { headers => [ @sse ],
                 chunks => [ \0.6, stream($who, asked => 1) ] };
    },
    mute => sub { { headers => [ @sse ], chunks => [ \3600 ] } },
    patience => sub {
        my ($who, $stream) = @_;
        return { %{ $acts{ok}->(@_) }, delay => 20 } if !$stream;
        return { headers => [ @sse ],
                 chunks => [ \20, stream($who, asked => 1) ] };
    },

    # the middle
    cut => sub {
        my ($who, $stream) = @_;
        return { headers => [ 'Content-Type', 'application/json' ],
                 body => plain($who), cut => 100 } if !$stream;
        return { headers => [ @sse ], cut => length(first($who, 40)),
                 chunks => [ stream($who, asked => 1) ] };
    },
    torn => sub {
        my ($who) = @_;
        return { headers => [ @sse ], reset => 1,
                 chunks => [ (stream($who))[0 .. 39], \3 ] };
    },
    line => sub {
        my ($who) = @_;
        return { headers => [ @sse ], cut => length(first($who, 40)) - 20,
                 chunks => [ stream($who, asked => 1) ] };
    },
    stall => sub {
        my ($who) = @_;
        return { headers => [ @sse ],
                 chunks => [ (stream($who))[0 .. 39], \3600 ] };
    },
    pause => sub {
        my ($who) = @_;
        my @all = stream($who, asked => 1);
        return { headers => [ @sse ],
                 chunks => [ @all[0 .. 39], \0.6, @all[40 .. $#all] ] };
    },
    frame => sub {
        my ($who) = @_;
        return { raw => [ "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream"
            . "\r\nTransfer-Encoding: chunked\r\n\r\n",
            (map { sprintf "%x\r\n%s\r\n", length $_, $_ }
             (stream($who))[0 .. 39]), \1, "zz\r\nnonsense\r\n", \0.5 ] };
    },

    # the end
    syntax => sub {
        my ($who) = @_;
        my @all = stream($who, asked => 1);
        return { headers => [ @sse ], chunks => [ @all[0 .. 19],
                 bad(), @all[20 .. $#all] ] };
    },
    open => sub {
        my ($who) = @_;
        return { headers => [ @sse ],
                 chunks => [ stream($who, asked => 1, open => 1) ] };
    },
    nothing => sub {
        my ($who) = @_;
        return { headers => [ @sse ], chunks => [ (stream($who))[0 .. 39] ] };
    },
    inside => sub {
        my ($who) = @_;
        return { headers => [ @sse ], chunks => [ (stream($who))[0 .. 39],
                 event({ error => { code => 'overloaded' } }) ] };
    },
    filter => sub {
        my ($who, $stream) = @_;
        return { headers => [ @sse ], chunks => [
                 stream($who, asked => 1, reason => 'content_filter') ] }
            if $stream;
        return { headers => [ 'Content-Type', 'application/json' ],
                 body => plain($who, 'content_filter') };
    },
    claude => sub {
        my ($who) = @_;
        return { headers => [ @sse ], cut => length(claude($who)),
                 chunks => [ claude($who), "event: ping\n" ] };
    },
);


sub bad { return qq(data: {"id":"c","choices":[{"delta":{"content":"x\n\n); }


sub first {
    my ($who, $n) = @_;
    return join '', map { token($who, $_) } 1 .. $n;
}


# the beginning of Anthropic's stream, which tells the input at once

sub claude {
    my ($who) = @_;

    return join '', map { "event: $_->{type}\n" . event($_) }
        { type => 'message_start', message => { type => 'message', usage => {
            input_tokens => $says{$who}{input}, output_tokens => 1 } } },
        map { { type => 'content_block_delta', index => 0,
                delta => { type => 'text_delta', text => "t$_ " } } } 1 .. 40;
}


# -- the rows --

# a, b     what champion and fallback do, request by request; the last act goes
#          on; b does "ok" unless stated; b => 'nobody': there is no fallback;
#          b => 'absent': nobody listens where it should be
# how      "stream", "plain", or both, one after the other with groups of
#          their own; streams of %over_h2 over HTTP/2 as well
# early    1: sent before all rows, and looked at in its turn
# see      what each request comes to:
#   wait     seconds before it; again: until the first one is asked
#   asked    who gets it, in this order
#   served   the variant that the client is told
#   status   200 unless stated
#   body     bytes; unless stated the whole answer of who served
#   cut      1: the answer ends before its end
#   since    the first byte comes after so many seconds at least
#   class    error_class of the record
#   usage    provider (unless stated), partial, none
#   failed   attempt_log: [ who, status or undef, class ], ...

my $by_b = sub {
    my ($status, $class) = @_;
    return { asked => 'ab', served => 'b', failed => [ [ 'a', $status,
                                                         $class ] ] };
};

my %by_a = (asked => 'a', served => 'a');
my %half = (%by_a, body => first('a', 40), cut => 1, class => 'truncated',
            usage => 'none', how => 'stream');

sub said {
    my ($who, $status, $code, $class) = @_;
    return { asked => $who, served => $who, status => $status,
             body => failed($code), class => $class, usage => 'any' };
}

my @rows = (
    { name => 'all is well', a => 'ok', see => [ { %by_a } ] },

    { name => '429 with Retry-After, once', a => [ 'busy', 'ok' ],
      see => [ $by_b->(429, 'upstream_4xx'),
               { asked => 'b', served => 'b' },
               { %by_a, wait => $pause + .3 }, { %by_a } ] },
    { name => '429 with Retry-After, always', a => 'busy',
      see => [ $by_b->(429, 'upstream_4xx'),
               { asked => 'b', served => 'b' },
               { %{ $by_b->(429, 'upstream_4xx') }, wait => $pause + .3 },
               { asked => 'b', served => 'b' } ] },
    { name => '429 without', a => [ 'limit', 'ok' ],
      see => [ $by_b->(429, 'upstream_4xx'), { %by_a } ] },
    { name => '429, nobody else', a => 'busy', b => 'nobody',
      see => [ (said('a', 429, 'rate_limit', 'upstream_4xx')) x 2 ] },
    { name => '500, once', a => [ 'error', 'ok' ],
      see => [ $by_b->(500, 'upstream_5xx'), { %by_a } ] },
    { name => '503, always', a => 'down',
      see => [ ($by_b->(503, 'upstream_5xx')) x 4 ] },
    { name => '503, nobody else', a => 'down', b => 'nobody',
      see => [ (said('a', 503, 'overloaded', 'upstream_5xx')) x 2 ] },

    { name => 'reset before the head', a => [ 'reset', 'ok' ],
      see => [ $by_b->(undef, 'bad_answer'), { %by_a } ] },
    { name => 'closed before the head', a => [ 'drop', 'ok' ],
      see => [ $by_b->(undef, 'bad_answer'), { %by_a } ] },
    { name => 'closed in the head', a => [ 'half', 'ok' ],
      see => [ $by_b->(undef, 'bad_answer'), { %by_a } ] },
    { name => 'reset, nobody else', a => 'reset', b => 'nobody',
      see => [ { asked => 'a', served => 'a', status => 502, own => 1,
                 class => 'bad_answer', usage => 'none' } ] },
    { name => 'no HTTP', a => [ 'noise', 'ok' ],
      see => [ $by_b->(undef, 'bad_answer'), { %by_a } ] },
    { name => 'no HTTP, nobody else', a => 'noise', b => 'nobody',
      see => [ { asked => 'a', served => 'a', status => 502, own => 1,
                 class => 'bad_answer', usage => 'none' } ] },
    { name => 'silence', where => 'brief', a => [ 'silent', 'ok' ],
      see => [ $by_b->(undef, 'timeout'), { %by_a } ] },
    { name => 'silence, nobody else', where => 'brief', a => 'silent',
      b => 'nobody',
      see => [ { asked => 'a', served => 'a', status => 504, own => 1,
                 class => 'timeout', usage => 'none' } ] },

    { name => 'the first byte is late', a => 'late', see => [ { %by_a } ] },
    { name => 'the first token is late', a => 'head', how => 'stream',
      see => [ { %by_a } ] },
    { name => 'a head, and silence', where => 'brief', a => 'mute',
      how => 'stream',
      see => [ { %half, body => '' } ] },

    { name => 'cut after 40 of 60 tokens', a => 'cut', how => 'stream',
      see => [ { %half } ] },
    { name => 'cut within a line', a => 'line', how => 'stream',
      see => [ { %half, body => substr first('a', 40), 0, -20 } ] },
    { name => 'reset after 40 of 60 tokens', a => 'torn', how => 'stream',
      see => [ { %half } ] },
    { name => 'cut in a document', a => 'cut', how => 'plain',
      see => [ { %half, body => substr plain('a'), 0, 100 } ] },
    { name => 'a stall that ends', a => 'pause', how => 'stream',
      see => [ { %by_a } ] },
    { name => 'a stall that does not', where => 'brief', a => 'stall',
      how => 'stream',
      see => [ { %half } ] },
    { name => 'a malformed chunk of the framing', a => 'frame',
      how => 'stream', see => [ { %half } ] },
    { name => 'a malformed chunk of the stream', a => 'syntax',
      how => 'stream',
      see => [ { %by_a, body => first('a', 20) . bad()
                         . substr join('', stream('a')),
                                  length first('a', 20) } ] },
    { name => 'no [DONE]', a => 'open', how => 'stream',
      see => [ { %by_a, body => join '', stream('a', open => 1) } ] },
    { name => 'no end at all', a => 'nothing', how => 'stream',
      see => [ { %half, cut => 0, truncated => 1 } ] },
    { name => 'an error inside', a => 'inside', how => 'stream',
      see => [ { %by_a, body => first('a', 40)
                         . event({ error => { code => 'overloaded' } }),
                 class => 'upstream_error', usage => 'none' } ] },

    { name => 'context_length_exceeded', a => 'context',
      see => [ (said('a', 400, 'context_length_exceeded', 'upstream_4xx'))
               x 2 ] },
    { name => 'a content filter refuses', a => 'refusal',
      see => [ said('a', 400, 'content_filter', 'upstream_4xx') ] },
    { name => 'a content filter stops', a => 'filter',
      see => [ { %by_a, reason => 'content_filter' } ] },

    { name => 'a fallback that refuses', a => 'down', b => 'busy',
      see => [ { %{ said('b', 429, 'rate_limit', 'upstream_4xx') },
                 asked => 'ab', failed => [ [ 'a', 503, 'upstream_5xx' ] ] },
               { %{ said('a', 503, 'overloaded', 'upstream_5xx') } } ] },
    { name => 'a fallback that says no', a => 'down', b => 'context',
      see => [ { %{ said('b', 400, 'context_length_exceeded',
                         'upstream_4xx') },
                 asked => 'ab', failed => [ [ 'a', 503, 'upstream_5xx' ] ] } ]
    },
    { name => 'a fallback that resets', a => 'down', b => 'reset',
      see => [ { asked => 'ab', served => 'b', status => 502, own => 1,
                 class => 'bad_answer', usage => 'none',
                 failed => [ [ 'a', 503, 'upstream_5xx' ] ] } ] },
    { name => 'a fallback that is not there', a => 'down', b => 'absent',
      see => [ { asked => 'a', served => 'b', status => 502, own => 1,
                 class => 'connect', usage => 'none',
                 failed => [ [ 'a', 503, 'upstream_5xx' ] ] } ] },
    { name => 'a fallback that is cut', a => 'down', b => 'cut',
      how => 'stream',
      see => [ { %half, asked => 'ab', served => 'b', body => first('b', 40),
                 failed => [ [ 'a', 503, 'upstream_5xx' ] ] } ] },

    { name => 'the primary is back after its pause', where => 'breaker',
      a => [ ('down') x 4, 'ok' ],
      see => [ ($by_b->(503, 'upstream_5xx')) x 3,
               ({ asked => 'b', served => 'b' }) x 3,
               { %{ $by_b->(503, 'upstream_5xx') }, again => 1 },
               { asked => 'b', served => 'b' },
               { %by_a, again => 1 }, { %by_a } ] },
    { name => 'the primary is back, without a word', where => 'breaker',
      a => [ ('reset') x 3, 'ok' ],
      see => [ ($by_b->(undef, 'bad_answer')) x 3,
               ({ asked => 'b', served => 'b' }) x 2,
               { %by_a, again => 1 }, { %by_a } ] },

    { name => 'usage so far of a stream that is cut', a => 'claude',
      protocol => 'anthropic', how => 'stream',
      see => [ { %half, body => claude('a'), usage => 'partial',
                 tokens => [ 7, 1 ] } ] },

    { name => 'the first token after 20 s', where => 'patient', early => 1,
      a => 'patience', see => [ { %by_a, since => 20 } ] },
);


my %over_h2 = map { $_ => 1 } 'all is well', '429 with Retry-After, once',
    '503, always', 'reset before the head', 'silence, nobody else',
    'cut after 40 of 60 tokens', 'reset after 40 of 60 tokens',
    'a stall that does not', 'a malformed chunk of the framing', 'no [DONE]',
    'an error inside', 'context_length_exceeded', 'a fallback that refuses',
    'a fallback that is cut';


# -- the providers --

# Where a request goes tells the case: /CASE/v1/chat/completions.

my (%cases, %up);
my $dir = Services::base() . "/scenarios.$$";
mkdir $dir;

sub provider {
    my ($who) = @_;
    my $record = "$dir/asked.$who";

    return Upstream->new(sub {
        my ($req) = @_;
        my ($id) = $req->{uri} =~ m{^/([^/]+)/};
        my $acts = $cases{$id}{row}{$who} // 'ok';
        my $body = eval { $json->decode($req->{body}) } // {};
        my @all = ref $acts ? @$acts : $acts;
        my $n = () = slurp($record) =~ m{"uri":"/\Q$id\E/}g;

        return $acts{ $all[ $n > @all ? -1 : $n - 1 ] }->($who,
                                                          $body->{stream});
    }, record => $record);
}


# who was asked for a case so far, in order of time

sub asked {
    my ($id) = @_;

    my @all = map { my $who = $_;
                    map { [ $_->{time}, $who ] }
                    grep { $_->{uri} =~ m{^/\Q$id\E/} }
                    $up{$who}->requests } qw(a b);
    return join '', map { $_->[1] } sort { $a->[0] <=> $b->[0] } @all;
}


for my $i (0 .. $#rows) {
    for my $way (qw(plain stream h2)) {
        my $row = $rows[$i];
        my $how = $way eq 'h2' ? 'stream' : $way;
        next if ($row->{how} // $how) ne $how
                || $way eq 'h2' && !$over_h2{$row->{name}};
        $cases{"c$i-$way"} = { row => $row, how => $how, id => "c$i-$way",
                               way => $way, name => "$row->{name}, $way",
                               n => $i };
    }
}

%up = map { $_ => provider($_) } qw(a b);


# -- the gateway --

my $h2 = free_port();
my $server = $Gateway::locations . join '', map {
    my ($where, $options, $proxy) = @$_;
    <<END } [ 'rows', 'breaker=200', 'ample' ],
        location /$where/ {
            model_auth off;
            model_split on;
            model_fallback on budget=100% $options;
            rewrite ^/$where(/.*)\$ \$1 break;
            include ${proxy}_proxy.conf;
        }
END
    [ 'brief', 'breaker=200', 'quick' ],
    [ 'breaker', "breaker=3 pause=${pause}s", 'ample' ],
    [ 'patient', 'timeout=5s', 'model' ];

my $gw = Gateway->new(server => $server,
    servers => "    server { listen 127.0.0.1:$h2 http2; $server }\n");

my $proxy = slurp($gw->dir . '/model_proxy.conf');
$proxy =~ s/proxy_read_timeout .*/proxy_read_timeout 1600ms;/;
spew($gw->dir . '/quick_proxy.conf', $proxy);
$proxy =~ s/timeout 1600ms/timeout 20s/;
spew($gw->dir . '/ample_proxy.conf', $proxy);
$gw->start->wait_ready;


sub made {
    my ($path, $data) = @_;

    my $r = $gw->api(POST => "/api/v1/$path", $data);
    BAIL_OUT("$path: $r->{status} $r->{body}") if $r->{status} > 201;
    return $r->{json};
}

my $nobody = free_port();

for my $case (map { $cases{$_} } sort keys %cases) {
    my $id = $case->{id};
    my $b = $case->{row}{b} // 'ok';
    my @who = $b eq 'nobody' ? 'a' : qw(a b);

    for my $who (@who) {
        my $url = $who eq 'b' && $b eq 'absent' ? "http://127.0.0.1:$nobody"
                                                : $up{$who}->url;
        my @price = map { $_ / 1000 } @{ $says{$who}{price} };

        made('providers', { id => "$id-$who", base_url => "$url/$id",
            protocol => $case->{row}{protocol} // 'openai' });
        made('models', { id => "$id-$who/m", type => 'chat',
            pricing => { input => $price[0], output => $price[1] } });
    }

    $case->{table} = made('model-groups', { name => $id })->{inference_table};
    made("model-groups/$id/models", [ map {
        { model_id => "$id-$_/m", role => $_ eq 'a' ? 'champion' : 'fallback',
          traffic_percentage => $_ eq 'a' ? 100 : 0 } } @who ]);
}

ok wait_until(sub {
    my $n = $gw->sql_value("select generation from model.catalog_generation
                            where name = 'routing'");
    ($gw->metric('nginx_model_snapshot_generation', kind => 'routing') // 0)
        >= $n;
}), 'the groups are in effect';


# -- request and record --

sub infer {
    my ($case) = @_;

    my $uri = '/' . ($case->{row}{where} // 'rows') . '/v1/chat/completions';
    my $body = { model => $case->{id}, messages => [],
                 $case->{how} eq 'stream' ? (stream => JSON::PP::true) : () };

    return over_h2($uri, $body) if $case->{way} eq 'h2';
    return $gw->fetch(POST => $uri, {}, $body) if !$case->{row}{early};
    return (delete $case->{wire})->response if $case->{wire};

    $case->{wire} = $gw->wire;
    $case->{wire}->request(POST => $uri, {}, $body);
}


sub over_h2 {
    my ($uri, $body) = @_;

    my $c = H2->new($h2);
    $c->request({ ':path' => $uri, 'content-type' => 'application/json' },
                $json->encode($body));
    my ($r) = $c->responses(1);
    return { %$r, complete => $r->{ended} && !defined $r->{reset} };
}


# the records of a case by their ids, as soon as each request has one

sub records {
    my ($case) = @_;

    my @rows;
    wait_until(sub {
        @rows = map { JSON::PP->new->decode($_->[0]) } $gw->sql(
            "select row_to_json(t)::text from model.$case->{table} t");
        return @rows >= $case->{requests};
    });
    return \@rows;
}


# where two texts begin to differ

sub excerpt {
    my ($got, $want) = @_;

    my $at = 0;
    $at++ while $at < length $got && substr($got, $at, 1)
                                     eq substr($want, $at, 1);
    return join "\n", map { sprintf 'of %d bytes, from %d: "%.200s"', length,
                            $at, substr $_, $at < length ? $at : length }
           $got, $want;
}


sub same {
    my ($got, $want, $what) = @_;

    ok $got eq $want, $what or diag excerpt($got, $want);
}


# what the client must see

sub check_client {
    my ($case, $see, $r) = @_;

    my $who = $see->{served};
    my $body = $see->{body}
               // ($case->{how} eq 'stream'
                   ? join '', stream($who, reason => $see->{reason})
                   : plain($who, $see->{reason}));

    is $r->{status}, $see->{status} // 200, 'status';
    is $r->{headers}{'x-model-variant'}, "$case->{id}-$who/m", 'variant'
        if $r->{headers};
    is !!$r->{complete}, !$see->{cut}, $see->{cut} ? 'cut' : 'whole';

    if ($see->{own}) {
        ok eval { $json->decode($r->{body})->{error}{message} },
           "the gateway's words";
        return;
    }

    same($r->{body}, $body, 'bytes');
}


# what is on record

sub check_record {
    my ($case, $see, $rec) = @_;

    my $who = $see->{served};
    my $failed = $see->{failed} // [];
    my $log = $rec->{attempt_log} // [];

    is $rec->{status}, $see->{status} // 200, 'record: status';
    is $rec->{upstream_status}, $see->{own} ? undef : $see->{status} // 200,
       'record: status of who served';
    is $rec->{error_class}, $see->{class}, 'record: class';
    is !!$rec->{truncated}, !!($see->{cut} || $see->{truncated}),
       'record: truncated';
    is !!$rec->{stream}, $case->{how} eq 'stream', 'record: stream';
    is $rec->{model_assigned}, "$case->{id}-a/m", 'record: assigned';
    is $rec->{model_served}, "$case->{id}-$who/m", 'record: served';
    is $rec->{role}, $who eq 'a' ? 'champion' : 'fallback', 'record: role';
    is $rec->{attempts}, 1 + @$failed, 'record: attempts';
    is_deeply [ map { [ @$_{qw(variant status error)} ] } @$log ],
       [ map { [ "$case->{id}-$_->[0]/m", @$_[1, 2] ] } @$failed ],
       'record: those that failed';
    cmp_ok $rec->{ttft_us} // 0, '>=', $see->{since} * 1e6, 'record: ttft'
        if $see->{since};
    check_cost($see, $rec);
}


sub check_cost {
    my ($see, $rec) = @_;

    my $usage = $see->{usage} // 'provider';
    my $says = $says{ $see->{served} };
    my @tokens = @{ $see->{tokens} // [ @$says{qw(input output)} ] };
    my @price = @{ $says->{price} };

    return if $usage eq 'any';

    if ($usage eq 'none') {
        is $rec->{usage_source}, undef, 'record: nobody stated a usage';
        is $rec->{input_tokens}, undef, 'record: no tokens';
        is $rec->{cost_nano_usd}, undef, 'record: no cost';
        is $rec->{cost_unknown}, 'no_usage', 'record: why';
        return;
    }

    is $rec->{usage_source}, $usage, 'record: usage';
    is_deeply [ @$rec{qw(input_tokens output_tokens)} ], \@tokens,
       'record: tokens of who served';
    is $rec->{cost_nano_usd}, $tokens[0] * $price[0] + $tokens[1] * $price[1],
       'record: cost, once';
}


# One request of a row, as it is stated; how to look at its record, for when the
# others have gone: pauses and breakers have times of their own.

sub check {
    my ($case, $see) = @_;

    my ($r, $asked);
    my $first = substr $see->{asked}, 0, 1;
    sleep $see->{wait} if $see->{wait};

    # what goes elsewhere until the pause is over is no part of the row
    wait_until(sub {
        my $before = $case->{row}{early} ? '' : asked($case->{id});
        $r = infer($case);
        $case->{requests}++;
        $asked = substr asked($case->{id}), length $before;
        return !$see->{again} || $asked =~ /^$first/;
    });

    is $asked, $see->{asked}, 'who was asked';
    check_client($case, $see, $r);
    my $n = $case->{requests};
    return sub {
        my ($by_id) = @_;

        # H2 reads no headers; ids grow with time
        my $id = $r->{headers} ? $r->{headers}{'x-inference-id'}
                               : (sort keys %$by_id)[$n - 1];
        check_record($case, $see, $by_id->{$id} // {});
    };
}


my @in_order = sort { $a->{n} <=> $b->{n} || $a->{how} cmp $b->{how} }
               values %cases;

infer($_) for grep { $_->{row}{early} } @in_order;

for my $case (@in_order) {
    subtest $case->{name} => sub {
        push @{ $case->{later} }, check($case, $_) for @{ $case->{row}{see} };
    };
}

for my $case (@in_order) {
    subtest "$case->{name}: records" => sub {
        my $rows = records($case);
        my %by_id = map { $_->{inference_id} => $_ } @$rows;

        is scalar(@$rows), $case->{requests}, 'one for each request';
        $_->(\%by_id) for @{ $case->{later} };
    };
}

my $sums = join ' union all ', map {
    "select coalesce(sum(input_tokens), 0) as i from model.$_->{table}"
} values %cases;

is $gw->metric('nginx_model_tokens_total', type => 'input'),
   $gw->sql_value("select sum(i) from ($sums) s"),
   'what is counted is what is on record';
is $gw->metric('nginx_model_tap_lost_total'), 0, 'all answers were read';

done_testing;
