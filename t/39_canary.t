#!/usr/bin/perl

# The share of a challenger grows by a schedule, with two gateways on one
# database.  What would break: a step too early, twice, or never; users who go
# back and forth while the share grows; a clock that runs on while the group is
# paused or is lost with a restart; a schedule that overrules an operator; a
# group whose members its strategy cannot use.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(wait_until);
use JSON::PP;
use Upstream;
use Wire;

my $KEYS = 300;

my @up = map {
    my $name = $_;
    Upstream->new(sub {
        return { headers => [ 'Content-Type', 'application/json' ],
                 body => encode_json({ id => 'x', object => 'chat.completion',
                     model => $name, choices => [] }) };
    })
} qw(a b c);

my $open = <<'END';
        location /open/ {
            rewrite ^/open(/.*) $1 break;
            model_auth off;
            model_split on;
            include model_proxy.conf;
        }
END

my $gw = Gateway->new(workers => 2, more => $open);
$gw->start->wait_ready;
my $other = Gateway->new(database => $gw->conninfo, more => $open);
$other->start->wait_ready;

for my $i (0 .. $#up) {
    my $name = (qw(a b c))[$i];
    is $gw->api(POST => '/api/v1/providers', { id => "p$name", name => $name,
        protocol => 'openai', base_url => $up[$i]->url . '/v1' })->{status},
        201, "provider $name";
    is $gw->api(POST => '/api/v1/models', { id => "p$name/m", name => $name,
        type => 'chat' })->{status}, 201, "model $name";
}


sub refused {
    my ($r, $status, $param, $words, $name) = @_;

    subtest $name => sub {
        is $r->{status}, $status, 'status' or diag $r->{body};
        is $r->{json}{error}{param}, $param, 'names what was wrong';
        like $r->{json}{error}{message} // '', $words, 'and says why';
    };
}


# a group with champion a and challengers of no share

sub make {
    my ($name, $config, @challengers) = @_;
    my $path = "/api/v1/model-groups/$name";

    my $r = $gw->api(POST => '/api/v1/model-groups', { name => $name,
        strategy => 'canary', status => 'draft',
        traffic_config => { canary => $config } });
    is $r->{status}, 201, "group $name" or diag $r->{body};

    $r = $gw->api(POST => "$path/models", [
        { model_id => 'pa/m', role => 'champion', traffic_percentage => 100 },
        map { { model_id => $_, role => 'challenger',
                traffic_percentage => 0 } } @challengers ]);
    is $r->{status}, 200, 'members' or diag $r->{body};

    return $path;
}


sub canary { return $gw->api(GET => $_[0])->{json}{canary}; }


sub reaches {
    my ($path, $state, $step) = @_;
    my $c;

    return wait_until(sub {
        $c = canary($path);
        $c && $c->{state} eq $state && $c->{step} == ($step // $c->{step});
    }, 30) || diag(encode_json($c // {})) && 0;
}


sub served {
    my ($gw, $name) = @_;

    return wait_until(sub {
        !grep { $_->{status} != 200 } Wire::many($gw->port, [ map { [ POST =>
            '/open/v1/chat/completions', {}, { model => $name } ] } 1 .. 40 ],
            8);
    }, 20);
}


# which of the keys get b, at a gateway

sub keys_of_b {
    my ($gw, $name) = @_;
    my @answers = Wire::many($gw->port, [ map { [ POST =>
        '/open/v1/chat/completions', { 'X-Session-Id' => "key-$_" },
        { model => $name } ] } 1 .. $KEYS ], 8);

    is scalar(grep { $_->{status} != 200 } @answers), 0, 'all are answered';

    return grep { ($answers[$_]{headers}{'x-model-variant'} // '') eq 'pb/m' }
           0 .. $#answers;
}


subtest 'a schedule' => sub {
    my $path = make('grow', { steps => [
        { percentage => 5, minutes => 0.05 },
        { percentage => 30, minutes => 0.05 },
        { percentage => 80 } ] }, 'pb/m');

    my $c = canary($path);
    is $c->{state}, 'waiting', 'a draft waits';
    like $c->{reason}, qr/draft/, 'and says why';
    is $c->{of}, 3, 'steps';
    is $gw->sql_value("select count(*) from model.model_group_events
        where event = 'canary_step'"), 0, 'nothing has happened';

    my $r = $gw->api(PATCH => $path, { status => 'active' });
    is $r->{status}, 200, 'active';
    is $r->{json}{canary}{state}, 'running', 'it has begun';
    ok served($_, 'grow'), 'every worker knows the group' for $gw, $other;

    my (@had, @has);

    for my $step (1 .. 3) {
        # a slow machine may be one further by now

        ok wait_until(sub { (canary($path)->{step} // 0) >= $step }),
           "step $step";

        $r = $gw->api(GET => $path)->{json};
        my ($share) = map { $_->{traffic_percentage} }
                      grep { $_->{model_id} eq 'pb/m' } @{ $r->{models} };

        ok $share >= (5, 30, 80)[$step - 1], "its share is $share";
        is $share, $r->{canary}{percentage}, 'as the schedule says';

        @has = keys_of_b($gw, 'grow');
        my %has = map { $_ => 1 } @has;
        is scalar(grep { !$has{$_} } @had), 0, 'who had b keeps b';
        @had = @has;
    }

    ok wait_until(sub { keys_of_b($gw, 'grow') > 0.6 * $KEYS }, 10),
       'most have it now';
    ok wait_until(sub {
        join(' ', keys_of_b($gw, 'grow')) eq join(' ',
            keys_of_b($other, 'grow'))
    }, 10), 'the same ones on both nodes';

    my $g = $r->{id};
    my @steps = $gw->sql("select version, token_id is null,
        after #>> '{members,1,traffic_percentage}',
        extract(epoch from created_at - lag(created_at) over (order by id))
        from model.model_group_events
        where group_id = :'g' and event = 'canary_step' order by id",
        g => $g);

    is_deeply [ map { $_->[2] } @steps ], [ '5.00', '30.00', '80.00' ],
              'each step once, although there are two nodes';
    is scalar(grep { $_->[1] ne 't' } @steps), 0, 'by nobody\'s token';
    cmp_ok $steps[$_][3], '>=', 2.9, 'not before its time' for 1, 2;

    is $r->{canary}{next_at}, undef, 'no step is to come';
    is $gw->api(GET => "$path/events?limit=1")->{json}{events}[0]{event},
       'canary_step', 'the trail tells of it';
};


subtest 'the clock' => sub {
    my $path = make('clock', { steps => [
        { percentage => 10, minutes => 0.1 },
        { percentage => 20, minutes => 60 }, { percentage => 30 } ] },
        'pb/m');

    is $gw->api(PATCH => $path, { status => 'active' })->{status}, 200,
       'active';
    ok reaches($path, 'running', 1), 'the first step';

    my $c = $gw->api(PATCH => $path, { status => 'paused' })
               ->{json}{canary};
    is $c->{state}, 'paused', 'paused';
    is $c->{next_at}, undef, 'no time is set';
    cmp_ok $c->{remaining_seconds}, '<=', 6, 'but what was left is kept';
    sleep 7;
    is canary($path)->{step}, 1, 'its time does not pass';

    is $gw->api(PATCH => $path, { status => 'active' })->{json}{canary}
          ->{state}, 'running', 'it runs again';
    ok reaches($path, 'running', 2), 'and goes on';

    # both nodes are down when the step is due

    my $due = canary($path)->{next_at};
    like $due, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'next_at';
    $gw->quit;
    $other->quit;
    $gw->sql("update model.model_group_canaries
        set next_at = clock_timestamp() where state = 'running'");
    $_->start->wait_ready for $gw, $other;
    ok reaches($path, 'completed', 3), 'it is taken after the start';
    is $gw->sql_value("select count(*) from model.model_group_events v
        join model.model_groups g on g.id = v.group_id
        where g.name = 'clock' and event = 'canary_step'"), 3, 'once';
};


subtest 'operators come first' => sub {
    my @steps = ({ percentage => 10, minutes => 60 }, { percentage => 20 });
    my $path = make('by-hand', { steps => \@steps }, 'pb/m');

    $gw->api(PATCH => $path, { status => 'active' });
    ok reaches($path, 'running', 1), 'the first step';

    my $r = $gw->api(POST => "$path/models", [
        { model_id => 'pa/m', role => 'champion', traffic_percentage => 85 },
        { model_id => 'pb/m', role => 'challenger',
          traffic_percentage => 15 } ]);
    is $r->{json}{canary}{state}, 'ended', 'another share ends it';
    like $r->{json}{canary}{reason}, qr/from 10 to 15/, 'and it says so';

    # another schedule begins with what is there

    $r = $gw->api(PATCH => $path, { traffic_config => { canary => {
        steps => [ { percentage => 5, minutes => 60 },
                   { percentage => 25, minutes => 60 },
                   { percentage => 50 } ] } } });
    is $r->{status}, 200, 'another one' or diag $r->{body};
    ok reaches($path, 'running', 2), 'what is less than it has is left out';
    is canary($path)->{percentage}, 25, 'it grows on';

    $r = $gw->api(POST => "$path/promote");
    is $r->{status}, 200, 'promoted';
    is $r->{json}{canary}{state}, 'ended', 'which ends it, too';
    like $r->{json}{canary}{reason}, qr/promoted/, 'and it says so';
    is $gw->api(POST => "$path/rollback")->{json}{canary}{state}, 'ended',
       'for good';

    $r = $gw->api(PATCH => $path, { traffic_config => undef });
    is $r->{json}{canary}, undef, 'without a schedule there is none';

    # with psql

    $gw->api(PATCH => $path, { traffic_config => { canary => {
        steps => [ { percentage => 30, minutes => 60 },
                   { percentage => 50 } ] } } });
    ok reaches($path, 'running', 1), 'again';
    $gw->sql("update model.model_group_memberships m
        set traffic_percentage = case role when 'champion' then 60 else 40 end
        from model.model_groups g where g.id = m.group_id
        and g.name = 'by-hand'");
    is canary($path)->{state}, 'ended', 'a change by psql counts';
    is $gw->api(DELETE => $path)->{status}, 204, 'deleted';
    is $gw->sql_value('select count(*) from model.model_group_canaries c
        left join model.model_groups g on g.id = c.group_id
        where g.id is null'), 0, 'with its schedule';
};


subtest 'one that cannot go on' => sub {
    my $path = make('stuck', { steps => [
        { percentage => 10, minutes => 60 }, { percentage => 90 } ] },
        'pb/m');

    $gw->api(PATCH => $path, { status => 'active' });
    ok reaches($path, 'running', 1), 'the first step';

    my $r = $gw->api(POST => "$path/models", [
        { model_id => 'pa/m', role => 'champion', traffic_percentage => 10 },
        { model_id => 'pb/m', role => 'challenger',
          traffic_percentage => 10 },
        { model_id => 'pc/m', role => 'challenger',
          traffic_percentage => 80 } ]);
    is $r->{json}{canary}{state}, 'running', 'its share is as it was';

    $gw->sql("update model.model_group_canaries set next_at = now()
        where state = 'running' and step = 1");
    ok reaches($path, 'ended'), 'the champion has not enough to give';
    like canary($path)->{reason}, qr/20 percent together/, 'which it says';

    # it was waited for by others

    my $waits = make('which', { steps => [ { percentage => 50 } ] }, 'pb/m',
                     'pc/m');
    $gw->api(PATCH => $waits, { status => 'active' });
    like canary($waits)->{reason}, qr/2 challengers; name one/,
         'one of two: it waits';
    $r = $gw->api(PATCH => $waits, { traffic_config => { canary => {
        model_id => 'pc/m', steps => [ { percentage => 50 } ] } } });
    is $r->{status}, 200, 'named';
    ok reaches($waits, 'completed'), 'and it goes on';
    is_deeply [ map { $_->{traffic_percentage} }
                @{ $gw->api(GET => $waits)->{json}{models} } ],
              [ 50, 0, 50 ], 'with who was named';
};


subtest 'what cannot be carried out is refused' => sub {
    my $path = make('rules', { steps => [ { percentage => 50 } ] }, 'pb/m');

    for (
        [ { canary => { steps => [ { percentage => 5 },
                                   { percentage => 7 } ] } },
          'traffic_config.canary.minutes', qr/step 1 .*no minutes/ ],
        [ { canary => { steps => [ { percentage => 5, minutes => 1 },
                                   { percentage => 5 } ] } },
          'traffic_config.canary.percentage', qr/grow/ ],
        [ { canary => { model_id => 'pc/m', steps => [
            { percentage => 5 } ] } },
          'traffic_config.canary.model_id', qr{"pc/m" .*no challenger} ],
        [ { canary => { stpes => [] } }, 'traffic_config.canary.stpes',
          qr/known are model_id, steps/ ],
        [ { canray => {} }, 'traffic_config.canray', qr/known are canary/ ],
        [ { records => { retention_days => -1 } },
          'traffic_config.records.retention_days', qr/"-1"/ ],
    ) {
        refused($gw->api(PATCH => $path, { traffic_config => $_->[0] }), 400,
                $_->[1], $_->[2], encode_json($_->[0]));
    }

    is $gw->api(GET => $path)->{json}{canary}{state}, 'waiting',
       'nothing of it was stored';

    refused($gw->api(PATCH => $path, { strategy => 'shadow' }), 409,
            'strategy', qr/"?shadow"? has a champion who answers everybody/,
            'a strategy that cannot use the members');
    is $gw->api(PATCH => $path, { strategy => 'ab_test' })->{status}, 200,
       'one that can';
    refused($gw->api(DELETE => "$path/models/pb/m"), 409, 'strategy',
            qr/exactly one challenger/, 'the other side of a comparison');
    refused($gw->api(POST => "$path/models", [
        { model_id => 'pa/m', role => 'champion', traffic_percentage => 50 },
        { model_id => 'pb/m', role => 'challenger',
          traffic_percentage => 25 },
        { model_id => 'pc/m', role => 'challenger',
          traffic_percentage => 25 } ]), 400, 'strategy',
        qr/exactly one challenger/, 'a third one');
    is $gw->api(GET => $path)->{json}{canary}, undef,
       'another strategy has no schedule';

    for (
        [ "update model.model_groups set strategy = 'shadow'
           where name = 'rules'", qr/shadow/ ],
        [ "insert into model.model_group_memberships (group_id, model_id,
           role) select id, 'pc/m', 'challenger' from model.model_groups
           where name = 'rules'", qr/exactly one challenger/ ],
    ) {
        eval { $gw->sql($_->[0]) };
        like $@, $_->[1], 'nor with psql';
    }
};

$other->quit;
$_->stop for @up;

done_testing;
