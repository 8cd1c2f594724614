#!/usr/bin/perl

# A challenger is promoted and rolled back while requests pass, on two nodes.
# What would break: two champions or none, a request without an answer while
# roles swap, users moved who need not move, a change nobody can account for,
# two operators who undo each other's work, a node that goes on as before, a
# group that is served although it is a draft, members that cannot be meant.

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

my @up = map {
    my $name = $_;
    Upstream->new(sub {
        return { headers => [ 'Content-Type', 'application/json' ],
                 body => encode_json({ id => 'x', object => 'chat.completion',
                     model => $name, choices => [] }) };
    })
} qw(a b);

my $open = <<'END';
        location /open/ {
            rewrite ^/open(/.*) $1 break;
            model_auth off;
            model_split on;
            include model_proxy.conf;
        }
END

my $gw = Gateway->new(workers => 2, more => $open, http =>
    'gzip on; gzip_min_length 1; gzip_types application/json;');
$gw->start->wait_ready;

my $other = Gateway->new(database => $gw->conninfo, more => $open);
$other->start->wait_ready;

for my $i (0, 1) {
    my $name = (qw(a b))[$i];
    is $gw->api(POST => '/api/v1/providers', { id => "p$name", name => $name,
        protocol => 'openai', base_url => $up[$i]->url . '/v1' })->{status},
        201, "provider $name";
    is $gw->api(POST => '/api/v1/models', { id => "p$name/m", name => $name,
        type => 'chat' })->{status}, 201, "model $name";
}

is $gw->api(POST => '/api/v1/model-groups', { name => 'team/chat' })->{status},
   201, 'group';
is $gw->api(POST => '/api/v1/model-groups/team/chat/models', [
    { model_id => 'pa/m', role => 'champion', traffic_percentage => 80 },
    { model_id => 'pb/m', role => 'challenger', traffic_percentage => 20 },
])->{status}, 200, 'members';

my $group = '/api/v1/model-groups/team/chat';


# which variant a key gets, for 200 keys

sub assigned {
    my @answers = Wire::many($gw->port, [ map { [ POST =>
        '/open/v1/chat/completions', { 'X-Session-Id' => "key-$_" },
        { model => 'team/chat' } ] } 1 .. 200 ], 8);

    return map { $_->{headers}{'x-model-variant'} // "status $_->{status}" }
           @answers;
}


sub champion_is {
    my ($model, $node) = @_;
    $node //= $gw;

    return wait_until(sub {
        my %role;

        for (1 .. 40) {
            my $h = $node->fetch('POST', '/open/v1/chat/completions',
                { 'X-Session-Id' => "look-$_" }, { model => 'team/chat' })
                ->{headers};
            $role{ $h->{'x-model-role'} // '' }{ $h->{'x-model-variant'} // ''
                } = 1;
        }
        join(',', keys %{ $role{champion} // {} }) eq $model;
    }, 10);
}


sub refused {
    my ($r, $status, $param, $words, $name) = @_;

    subtest $name => sub {
        is $r->{status}, $status, 'status';
        is $r->{json}{error}{param}, $param, 'names what was wrong';
        like $r->{json}{error}{message} // '', $words, 'and says why';
    };
}


my (@before, @after);

subtest 'promote' => sub {
    ok champion_is('pa/m'), 'a is the champion';
    @before = assigned();
    is scalar(grep { /^status/ } @before), 0, 'all are answered';

    my $r = $gw->api(POST => "$group/promote");
    is $r->{status}, 200, 'promoted';
    is $r->{json}{version}, 3, 'a new version';
    is_deeply [ map { [ @$_{qw(model_id role)}, $_->{traffic_percentage} + 0 ] }
                @{ $r->{json}{models} } ],
              [ [ 'pa/m', 'challenger', 20 ], [ 'pb/m', 'champion', 80 ] ],
              'roles and shares have swapped';
    ok champion_is('pb/m'), 'and soon b is the champion of every worker';
    ok champion_is('pb/m', $other), 'and of every node';

    @after = assigned();
    is scalar(grep { $before[$_] eq 'pb/m' && $after[$_] ne 'pb/m' }
              0 .. $#before), 0, 'who had b keeps b';
};


subtest 'rollback' => sub {
    my $r = $gw->api(POST => "$group/rollback");
    is $r->{status}, 200, 'rolled back';
    ok champion_is('pa/m'), 'a is the champion again';
    ok champion_is('pa/m', $other), 'on every node';
    is_deeply [ assigned() ], \@before, 'and everybody has what he had';
    refused($gw->api(POST => "$group/rollback"), 409, undef,
            qr/no promotion/, 'only once');
};


# each promotion is undone once, the last one first

subtest 'one after the other' => sub {
    my $name = '/api/v1/model-groups/undo';
    $gw->group('undo', {}, [ 'pa/m', 'champion', 70 ],
               [ 'pb/m', 'challenger', 30 ]);

    my $state = sub {
        my $r = $gw->api(POST => "$name/$_[0]");
        return join ' ', $r->{status}, map { $_->{role} }
                         @{ $r->{json}{models} // [] };
    };

    my ($first, $second) = ('200 champion challenger',
                            '200 challenger champion');
    is $state->('promote'), $second, 'promoted';
    is $state->('promote'), $first, 'and back, by another promotion';
    is $state->('rollback'), $second, 'which is undone';
    is $state->('promote'), $first, 'made again';
    is $state->('rollback'), $second, 'undone again';
    is $state->('rollback'), $first, 'the first one as well';
    is $state->('rollback'), '409', 'and there is no other';
};


subtest 'what is asked for' => sub {
    my $r = $gw->api(POST => "$group/promote",
        { model_id => 'pb/m', traffic_percentage => 100 });
    is $r->{status}, 200, 'all traffic';
    is $r->{json}{models}[1]{traffic_percentage}, 100, 'to the new champion';
    is $gw->api(POST => "$group/rollback")->{status}, 200, 'back';

    refused($gw->api(POST => "$group/promote", { model_id => 'pa/m' }), 409,
            'model_id', qr/no challenger/, 'the champion himself');
    refused($gw->api(POST => "$group/promote", { modle_id => 'pb/m' }), 400,
            'modle_id', qr/not known/, 'an unknown member');
    refused($gw->api(POST => "$group/promote",
            { traffic_percentage => 101 }), 400, 'traffic_percentage',
            qr/100/, 'more than there is');
    refused($gw->api(POST => '/api/v1/model-groups/none/promote'), 404,
            'group', qr/none/, 'an unknown group');
    is $gw->fetch('POST', "$group/promote", { Authorization =>
        'Bearer ' . $gw->token('viewer') })->{status}, 403,
        'a viewer may not';
    is $gw->fetch('POST', "$group/promote", { 'Content-Type' => 'text/plain',
        Authorization => 'Bearer ' . $gw->token('operator') },
        '{"model_id":"pb/m"}')->{status}, 415, 'a body that is no JSON';
};


subtest 'two operators' => sub {
    my $etag = $gw->api(GET => $group)->{headers}{etag};
    my %auth = (Authorization => 'Bearer ' . $gw->token('operator'),
                'If-Match' => $etag);

    is $gw->fetch('POST', "$group/promote", \%auth)->{status}, 200, 'first';
    refused($gw->fetch('POST', "$group/promote", \%auth), 412, 'If-Match',
            qr/has changed it/, 'the second has read an old one');
    refused($gw->fetch('DELETE', $group, \%auth), 412, 'If-Match',
            qr/has changed it/, 'nor may he delete it');
    ok champion_is('pb/m'), 'what the first did holds';
    is $gw->api(POST => "$group/rollback")->{status}, 200, 'back';
};


# RFC 9110, 13.1.1: any of a list, strongly; 13.1.2: weakly

subtest 'lists of entity tags' => sub {
    my %auth = (Authorization => 'Bearer ' . $gw->token('operator'));
    my ($n) = $gw->api(GET => $group)->{headers}{etag} =~ /(\d+)/;
    my $send = sub {
        my ($match) = @_;
        return $gw->fetch(PATCH => $group, { %auth, 'If-Match' => $match },
                          { description => 'as it is' });
    };

    for (qq("1", "NOW"), qq("x,y",W/"1"\t, "NOW"), qq(,"NOW",,), '*',
         join ', ', (map { qq("x$_") } 1 .. 15), '"NOW"')
    {
        my $r = $send->(s/NOW/$n/r);
        is $r->{status}, 200, "one of $_" or diag $r->{body};
        $n++;
    }

    refused($send->($_), 412, 'If-Match', qr/has version $n.*read it again/,
            "none of $_")
        for qq("1", "2"), qq(W/"$n"), qq("x", W/"$n"), qq("0$n");
    refused($send->($_), 400, 'If-Match', qr/is no list of entity tags/,
            "no list: $_")
        for $n, qq("$n" "1"), qq("$n", *), qq("$n), ',', qq(w/"$n"),
            qq("$n";"1");
    refused($send->(join ',', map { qq("$_") } 1 .. 17), 400, 'If-Match',
            qr/more than 16/, 'too many');
    refused($gw->fetch(PATCH => '/api/v1/providers/pa',
                       { %auth, Authorization => 'Bearer '
                         . $gw->token('admin'), 'If-Match' => '"7"' },
                       { name => 'a' }), 400, 'If-Match',
            qr/only groups have versions/, 'where nothing would be compared');
    refused($gw->fetch(POST => "$group/retain", { %auth, 'If-Match' => '"7"' }),
            400, 'If-Match', qr/changes no group/, 'nor by a retention');

    is $gw->api(GET => $group)->{json}{version}, $n, 'nothing has changed';

    for my $uri ($group, '/api/v1/models/pa/m') {
        my $tag = $gw->api(GET => $uri)->{headers}{etag};
        my %none = (qq("x", $tag) => 304, qq(W/$tag) => 304,
                    qq("x",W/"y" , W/$tag, "z") => 304, '*' => 304,
                    qq("x", W/"y") => 200);

        is $gw->fetch(GET => $uri, { %auth, 'If-None-Match' => $_ })->{status},
           $none{$_}, "$uri, If-None-Match: $_" for sort keys %none;
    }

    like $gw->fetch(GET => $group, { %auth, 'Accept-Encoding' => 'gzip' })
            ->{headers}{etag}, qr/^"$n"$/, "strong, though nginx's gzip is on";
};


# what psql has changed, somebody has changed

subtest 'a change with SQL' => sub {
    my %auth = (Authorization => 'Bearer ' . $gw->token('operator'));
    my $read = sub { $gw->api(GET => $group) };
    my $members = "model.model_group_memberships m
        set traffic_percentage = case role when 'champion' then %d else %d end
        from model.model_groups g
        where g.id = m.group_id and g.name = 'team/chat'";
    my $who = $gw->sql_value('select session_user');

    for my $change (
        [ "update model.model_groups set description = 'by hand'
           where name = 'team/chat'", sub { $_[0]{description} }, 'as it is',
          'by hand' ],
        [ 'update ' . sprintf($members, 70, 30),
          sub { 0 + $_[0]{members}[1]{traffic_percentage} }, 20, 30 ],
        [ 'update ' . sprintf($members, 80, 20),
          sub { 0 + $_[0]{members}[1]{traffic_percentage} }, 30, 20 ],
    ) {
        my ($sql, $see, $before, $after) = @$change;
        my $old = $read->();

        $gw->sql($sql);

        my $new = $read->();
        is $new->{json}{version}, $old->{json}{version} + 1, 'another version';
        is $gw->fetch(PATCH => $group, { %auth, 'If-Match' =>
                      $old->{headers}{etag} }, { description => 'x' })
              ->{status}, 412, 'nobody overwrites it unseen';

        my $event = $gw->api(GET => "$group/events?limit=1")
                       ->{json}{events}[0];
        is $event->{event}, 'updated', 'an event';
        is $event->{version}, $new->{json}{version}, 'of this version';
        is $event->{token_id}, undef, 'nobody has sent a token';
        is $event->{database_role}, $who, 'but somebody was logged in';
        is $see->($event->{before}), $before, 'what was before';
        is $see->($event->{after}), $after, 'and after';

        is $gw->fetch(PATCH => $group, { %auth, 'If-Match' =>
                      $new->{headers}{etag} }, { description => 'as it is' })
              ->{status}, 200, 'who has read it may change it';
        is $read->()->{json}{version}, $new->{json}{version} + 1, 'once';
        is $gw->api(GET => "$group/events?limit=1")
              ->{json}{events}[0]{database_role}, undef, 'by a token';
    }

    my $now = $read->()->{json}{version};
    $gw->sql("update model.model_groups set status = status, name = name
              where name = 'team/chat'");
    is $read->()->{json}{version}, $now, 'what changes nothing is no change';
};


subtest 'states' => sub {
    refused($gw->api(PATCH => $group, { status => 'draft' }), 409, 'status',
            qr/active cannot become "draft"/, 'what runs is no draft');
    is $gw->api(PATCH => $group, { status => 'paused' })->{status}, 200,
       'paused';
    ok wait_until(sub {
        my %seen = map { $_ => 1 } assigned();
        join(',', keys %seen) eq 'pa/m';
    }, 10), 'the champion answers all';
    is $gw->api(PATCH => $group, { status => 'active' })->{status}, 200,
       'active';
};


subtest 'audit' => sub {
    my $r = $gw->api(GET => "$group/events?limit=100");
    is $r->{status}, 200, 'events';

    my @events = @{ $r->{json}{events} };
    my %n;
    $n{ $_->{event} }++ for @events;
    is $n{promoted}, 3, 'each promotion';
    is $n{rolled_back}, 3, 'and rollback';
    is $n{updated}, 13, 'and change of status or description';
    is $events[-1]{event}, 'created', 'from the beginning';
    is $events[-1]{before}, undef, 'when there was nothing before';
    is scalar(grep { !$_->{token_id} && !$_->{database_role} } @events), 0,
       'says who did it';
    is_deeply [ map { $_->{version} } @events ],
              [ reverse 1 .. scalar @events ], 'in order';

    my ($promoted) = grep { $_->{event} eq 'promoted' } @events;
    is $promoted->{before}{members}[0]{role}, 'champion', 'what was before';
    is $promoted->{after}{members}[0]{role}, 'challenger', 'and after';
    unlike encode_json($r->{json}), qr/salt|key_sealed/, 'and no secret';

    is $gw->api(DELETE => $group)->{status}, 204, 'deleted';
    is $gw->api(GET => "$group/events")->{json}{events}[0]{event}, 'deleted',
       'the trail stays';
};


# what somebody has read of one group must not pass for another of its name

subtest 'another group of the name' => sub {
    my $name = '/api/v1/model-groups/again';
    my %auth = (Authorization => 'Bearer ' . $gw->token('operator'));
    my $etag = sub {
        $gw->group($_[0], {}, [ 'pa/m', 'champion', 100 ]);
        return $gw->api(GET => $name)->{headers}{etag};
    };

    my $first = $etag->('again');
    is $gw->api(DELETE => $name)->{status}, 204, 'deleted';
    my $second = $etag->('again');
    isnt $second, $first, 'another version';
    is $gw->fetch(GET => $name, { %auth, 'If-None-Match' => $first })
          ->{status}, 200, 'which is not the one that was read';
    is $gw->fetch(DELETE => $name, { %auth, 'If-Match' => $first })->{status},
       412, 'nor is it deleted for it';

    is $gw->api(PATCH => $name, { name => 'moved' })->{status}, 200, 'renamed';
    $gw->group('other', {}, [ 'pa/m', 'champion', 100 ]);
    is $gw->api(PATCH => '/api/v1/model-groups/other', { name => 'again' })
          ->{status}, 200, 'another one takes the name';
    my ($was) = $second =~ /(\d+)/;
    cmp_ok $gw->api(GET => $name)->{json}{version}, '>', $was,
           'and goes on from there';
};

# members that a group cannot have; what was there stays

subtest 'roles' => sub {
    is $gw->api(POST => '/api/v1/model-groups', { name => 'roles' })->{status},
       201, 'group';

    my $path = '/api/v1/model-groups/roles/models';
    my $member = sub {
        my ($id, $role, $share) = @_;
        return { model_id => $id, role => $role,
                 defined $share ? (traffic_percentage => $share) : () };
    };

    is $gw->api(POST => $path, [ $member->('pa/m', 'champion', 100),
        $member->('pb/m', 'fallback') ])->{status}, 200, 'members';

    for (
        [ 'two champions', 'role', qr/2 champions/,
          [ 'pa/m', 'champion', 50 ], [ 'pb/m', 'champion', 50 ] ],
        [ 'no champion', 'role', qr/0 champions/,
          [ 'pa/m', 'challenger', 100 ] ],
        [ 'less than 100', 'traffic_percentage', qr/"99.99"/,
          [ 'pa/m', 'champion', 99.98 ], [ 'pb/m', 'challenger', 0.01 ] ],
        [ 'more than 100', 'traffic_percentage', qr/"100.01"/,
          [ 'pa/m', 'champion', 100 ], [ 'pb/m', 'challenger', 0.01 ] ],
        [ 'a model twice', 'model_id', qr/"pa\/m" is given twice/,
          [ 'pa/m', 'champion', 100 ], [ 'pa/m', 'fallback' ] ],
        [ 'a shadow with a share', 'traffic_percentage', qr/shadow/,
          [ 'pa/m', 'champion', 90 ], [ 'pb/m', 'shadow', 10 ] ],
        [ 'a fallback with a share', 'traffic_percentage', qr/fallback/,
          [ 'pa/m', 'champion', 90 ], [ 'pb/m', 'fallback', 10 ] ],
        [ 'a challenger without one', 'traffic_percentage', qr/missing/,
          [ 'pa/m', 'champion', 100 ], [ 'pb/m', 'challenger' ] ],
        [ 'no such role', 'role', qr/"king"/, [ 'pa/m', 'king', 100 ] ],
        [ 'nobody', 'models', qr/0 models/ ],
        [ 'seventeen', 'models', qr/17 models/, map { [ "pa/$_", 'shadow' ] }
          1 .. 17 ],
    ) {
        my ($name, $param, $words, @members) = @$_;
        refused($gw->api(POST => $path, [ map { $member->(@$_) } @members ]),
                400, $param, $words, $name);
    }

    is_deeply [ map { $_->{role} } @{ $gw->api(GET =>
        '/api/v1/model-groups/roles')->{json}{models} } ],
        [ 'champion', 'fallback' ], 'nothing of it was stored';
};


subtest 'sixteen variants by weight' => sub {
    for (1 .. 15) {
        is $gw->api(POST => '/api/v1/models', { id => "pa/v$_",
            name => "v$_", type => 'chat' })->{status}, 201, "v$_";
    }

    my $path = '/api/v1/model-groups/many';
    is $gw->api(POST => '/api/v1/model-groups', { name => 'many',
        strategy => 'weighted' })->{status}, 201, 'group';

    my $r = $gw->api(POST => "$path/models", [
        { model_id => 'pa/m', role => 'champion', traffic_percentage => 25 },
        map { { model_id => "pa/v$_", role => 'challenger',
                traffic_percentage => 5 } } 1 .. 15 ]);
    is $r->{status}, 200, 'as many as a group takes' or diag $r->{body};

    my %seen;
    ok wait_until(sub {
        $seen{ $_->{headers}{'x-model-variant'} // '' }++
            for Wire::many($gw->port, [ map { [ POST =>
                '/open/v1/chat/completions', { 'X-Session-Id' => rand },
                { model => 'many' } ] } 1 .. 100 ], 8);
        delete $seen{''};
        keys %seen == 16;
    }, 20), 'each gets requests' or diag join ' ', sort keys %seen;

    is_deeply [ map { $_->[0] } $gw->sql("select distinct
        (select sum(upper(b) - lower(b)) from unnest(m.buckets) b)
        from model.model_group_memberships m join model.model_groups g
        on g.id = m.group_id where g.name = 'many'
        and role = 'challenger'") ], [ 500 ], 'the same number of buckets';
};


subtest 'drafts and archives are not served' => sub {
    my $path = '/api/v1/model-groups/hidden';
    my $served = sub {
        return $gw->fetch('POST', '/open/v1/chat/completions', {},
                          { model => 'hidden' })->{status};
    };

    is $gw->api(POST => '/api/v1/model-groups', { name => 'hidden',
        status => 'draft' })->{status}, 201, 'a draft';
    is $gw->api(POST => "$path/models", [ { model_id => 'pa/m',
        role => 'champion', traffic_percentage => 100 } ])->{status}, 200,
        'with a member';
    is $served->(), 404, 'is unknown to clients';

    is $gw->api(PATCH => $path, { status => 'active' })->{status}, 200,
       'active';
    ok wait_until(sub { $served->() == 200 }, 10), 'and served';
    is $gw->api(PATCH => $path, { status => 'archived' })->{status}, 200,
       'archived';
    ok wait_until(sub { $served->() == 404 }, 10), 'and gone';
    refused($gw->api(PATCH => $path, { status => 'active' }), 409, 'status',
            qr/archived cannot become "active"/, 'it begins as a draft');
    is $gw->api(PATCH => $path, { status => 'draft' })->{status}, 200,
       'which it may';
};

$other->quit;
$_->stop for @up;

done_testing;
