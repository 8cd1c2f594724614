#!/usr/bin/perl

# Each record says what its inference cost, by the prices of the variant that
# served it.  What would break: cached tokens counted twice, an unknown price
# taken for zero, a price that somebody has changed and nobody heard of, the
# price of the model that was assigned instead of the one that served.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(slurp wait_until);
use JSON::PP;
use Upstream;

my %usage = (
    plain  => { prompt_tokens => 100, completion_tokens => 10,
                total_tokens => 110,
                prompt_tokens_details => { cached_tokens => 40 } },
    long   => { prompt_tokens => 300_000, completion_tokens => 10,
                total_tokens => 300_010 },
);

my $up = Upstream->new(sub {
    my ($req) = @_;
    my $body = decode_json($req->{body});

    return { status => 503, json => { error => { message => 'busy' } } }
        if $body->{model} eq 'down';

    my $usage = $usage{ $body->{user} // 'plain' };

    return { json => { object => 'chat.completion', choices => [],
                       usage => $usage } }
        if !$body->{stream};

    return { headers => [ 'Content-Type', 'text/event-stream' ],
             body => join '', map { "data: $_\n\n" }
                 encode_json({ choices => [ { finish_reason => 'stop' } ] }),
                 encode_json({ choices => [], usage => $usage }), '[DONE]' };
});

my $gw = Gateway->new(http => "    log_format cost '\$model_inference_id "
    . "\$model_cost';\n", more => <<'END');
        location /open/ {
            rewrite ^/open(/.*) $1 break;
            model_auth off;
            model_split on;
            model_fallback on;
            access_log logs/cost.log cost;
            include model_proxy.conf;
        }
END
$gw->start->wait_ready;

is $gw->api(POST => '/api/v1/providers', { id => 'p', name => 'P',
    protocol => 'openai', base_url => $up->url . '/v1' })->{status}, 201,
    'provider';

my %pricing = (
    priced  => { input => 2.5, output => 10, cache_read => 1.25 },
    free    => { input => 0, output => 0, cache_read => 0 },
    partial => { input => 2.5, output => 10 },
    unknown => {},
    down    => { input => 1000, output => 1000, cache_read => 1000 },
);

for my $name (sort keys %pricing) {
    is $gw->api(POST => '/api/v1/models', { id => "p/$name", name => $name,
        type => 'chat', pricing => $pricing{$name} })->{status}, 201, $name;
}

for my $name (sort keys %pricing) {
    is $gw->api(POST => '/api/v1/model-groups', { name => $name })->{status},
       201, "group $name";
    is $gw->api(POST => "/api/v1/model-groups/$name/models", [
        { model_id => "p/$name", role => 'champion',
          traffic_percentage => 100 },
        $name eq 'down' ? { model_id => 'p/priced', role => 'fallback' } : (),
    ])->{status}, 200, 'its member';
}


# the cost in the record of one request, nano-USD; '' is null

sub cost {
    my ($group, %body) = @_;
    my $r;

    wait_until(sub {
        $r = $gw->fetch('POST', '/open/v1/chat/completions', {},
                        { model => $group, %body });
        $r->{status} == 200;
    });

    my $id = $r->{headers}{'x-inference-id'} // return "status $r->{status}";
    my $table = $gw->sql_value("select inference_table from
        model.model_groups where name = '$group'");

    return wait_until(sub {
        my $cost = $gw->sql_value("select coalesce(cost_nano_usd::text,
            'unknown') from model.$table where inference_id = '$id'");
        return defined $cost && { cost => $cost, id => $id };
    }) || {};
}


subtest 'what is known' => sub {
    # 60 x 2.5 + 40 x 1.25 + 10 x 10 USD a million tokens
    is cost('priced')->{cost}, 300_000, 'cached tokens count once';
    is cost('priced', stream => JSON::PP::true)->{cost}, 300_000,
       'so they do in a stream';
    is cost('free')->{cost}, 0, 'a price of zero is a price';
};


subtest 'what is not' => sub {
    is cost('unknown')->{cost}, 'unknown', 'no price, no cost';
    is cost('partial')->{cost}, 'unknown', 'one price is missing';
    is cost('partial', user => 'long')->{cost}, 300_000 * 2500 + 10 * 10_000,
       'where nothing needs it, the rest will do';
};


subtest 'who served' => sub {
    is cost('down')->{cost}, 300_000, 'the fallback is what is paid';
};


subtest 'in the access log' => sub {
    my $one = cost('priced');
    ok wait_until(sub {
        slurp($gw->dir . '/logs/cost.log') =~ /^\Q$one->{id}\E 0\.000300000$/m;
    }), '$model_cost is in USD';
    my $none = cost('unknown');
    ok wait_until(sub {
        slurp($gw->dir . '/logs/cost.log') =~ /^\Q$none->{id}\E -$/m;
    }), 'and empty where it is not known';
};


subtest 'a price that changes' => sub {
    is $gw->api(PATCH => '/api/v1/models/p/priced', { pricing =>
        { input => 5, output => 10, cache_read => 1.25 } })->{status}, 200,
        'changed';
    ok wait_until(sub { (cost('priced')->{cost} // '') eq 450_000 }, 20),
       'is the price of what comes';

    is $gw->api(PATCH => '/api/v1/models/p/priced', { price_tiers => [
        { tier => { type => 'context', size => 200_000 },
          input => 10, output => 20 } ] })->{status}, 200, 'a tier';
    ok wait_until(sub {
        (cost('priced', user => 'long')->{cost} // '')
            eq 300_000 * 10_000 + 10 * 20_000;
    }, 20), 'holds for a long input';
    is cost('priced')->{cost}, 450_000, 'and for no other';
};

$up->stop;

done_testing;
