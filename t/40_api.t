#!/usr/bin/perl

# Every call of the control plane that writes or reads the database: what it
# answers, who may make it, what is in effect afterwards.  If this breaks, a
# token or key leaks, a viewer writes, a write is answered before it is
# committed, or a client gets an answer without the status, headers or error
# shape that the contract promises.  Bad input has a file of its own, 42.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Select;
use Test::More;

use Gateway;
use Host qw(wait_until);
use Services;
use Upstream;
use Wire;

my $UUID = qr/[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/;
my $TIME = qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

my $gw = Gateway->new;
$gw->start->wait_ready;


# the error shape: status, param (undef: any), what the message has to match

sub refused {
    my ($r, $status, $param, $text, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $e = $r->{json}{error} // {};
    my $ok = $r->{status} == $status
             && (!defined $param || ($e->{param} // '') eq $param)
             && ($e->{message} // '') =~ $text
             && $e->{type} && $e->{code}
             && exists $e->{param}
             && ($r->{headers}{'x-request-id'} // '') ne '';

    ok($ok, $name) or diag("$r->{status} $r->{body}");
}


# a GET that sees the change within a second of its commit

sub soon {
    my ($uri, $test) = @_;

    my $r;
    wait_until(sub { $r = $gw->api(GET => $uri); $test->($r) });
    return $r;
}


subtest 'tokens' => sub {
    my $r = $gw->api(POST => '/api/v1/tokens',
                     { name => 'reader', role => 'viewer' });
    is $r->{status}, 201, 'made';
    like $r->{json}{token}, qr/^mgw_[A-Za-z0-9_-]{43}$/, '256 bits, once';
    like $r->{json}{id}, qr/^$UUID$/, 'id';
    is $r->{json}{role}, 'viewer', 'role';
    like $r->{json}{created_at}, $TIME, 'time';
    is $r->{json}{expires_at}, undef, 'no end';
    is $r->{headers}{location}, "/api/v1/tokens/$r->{json}{id}", 'Location';

    my ($id, $token) = @{ $r->{json} }{qw(id token)};

    ok wait_until(sub {
        $gw->api(GET => '/api/v1/models', undef, $token)->{status} == 200;
    }), 'in effect';

    is $gw->sql_value("select count(*) from model.api_tokens
        where sha256 = sha256(convert_to(:'t', 'UTF8'))", t => $token), 1,
       'the database has its digest';

    $r = $gw->api(GET => '/api/v1/tokens');
    is $r->{status}, 200, 'list';
    my ($row) = grep { $_->{id} eq $id } @{ $r->{json}{tokens} };
    is $row->{name}, 'reader', 'it is listed';
    ok !exists $row->{token}, 'without the secret';
    unlike $r->{body}, qr/\Q$token\E/, 'which is nowhere in the answer';
    ok $r->{json}{pagination}{total} >= 2, 'total';

    $r = $gw->api(GET => '/api/v1/tokens?limit=1&page=2');
    is scalar @{ $r->{json}{tokens} }, 1, 'one a page';
    is $r->{json}{pagination}{page}, 2, 'the second';

    is $gw->api(DELETE => "/api/v1/tokens/$id")->{status}, 204, 'revoked';
    ok wait_until(sub {
        $gw->api(GET => '/api/v1/models', undef, $token)->{status} == 401;
    }), 'revocation is in effect';

    refused($gw->api(DELETE => "/api/v1/tokens/$id"), 404, undef, qr/token/,
            'it is gone');
    refused($gw->api(DELETE => '/api/v1/tokens/x'), 404, 'id', qr/"x"/,
            'no UUID');
    refused($gw->api(POST => '/api/v1/tokens', { name => 'a',
            role => 'root' }), 400, 'role', qr/inference, viewer/, 'role');
    refused($gw->api(POST => '/api/v1/tokens', { name => 'a',
            role => 'admin', expires_at => '2001-01-01T00:00:00Z' }),
            400, 'expires_at', qr/past/, 'in the past');

    $r = $gw->api(POST => '/api/v1/tokens', { name => 'e', role => 'viewer',
                  expires_at => '2099-01-31T12:00:00+01:00' });
    is $r->{json}{expires_at}, '2099-01-31T11:00:00.000Z', 'UTC';
    unlike $gw->log, qr/mgw_/, 'no token in the log';
};


subtest 'who may do what' => sub {
    my %calls = (
        viewer => [ GET => '/api/v1/model-groups' ],
        operator => [ POST => '/api/v1/model-groups', {} ],
        admin => [ POST => '/api/v1/providers', {} ],
    );
    my %allowed = (
        inference => [], viewer => ['viewer'],
        operator => [qw(viewer operator)],
        admin => [qw(viewer operator admin)],
    );

    for my $role (sort keys %allowed) {
        my %may = map { $_ => 1 } @{ $allowed{$role} };
        my $token = $gw->token($role);

        wait_until(sub {
            $gw->api(GET => '/v1/models', undef, $token)->{status} == 200;
        });

        for my $need (sort keys %calls) {
            my $r = $gw->api(@{ $calls{$need} }[0 .. 1], $calls{$need}[2],
                             $token);

            if ($may{$need}) {
                isnt $r->{status}, 403, "$role does what needs $need";

            } else {
                refused($r, 403, undef, qr/role "$role"/,
                        "$role does not what needs $need");
            }
        }
    }

    for (@calls{qw(viewer operator)}) {
        my $r = $gw->fetch($_->[0], $_->[1], undef, $_->[2]);
        refused($r, 401, undef, qr/token/, "$_->[0] without a token");
        like $r->{headers}{'www-authenticate'}, qr/^Bearer/, 'challenge';
    }

    refused($gw->api(GET => '/api/v1/jobs', undef, 'mgw_' . 'A' x 43), 401,
            undef, qr/token/, 'a token that nobody made');
    refused($gw->api(GET => '/api/v1/jobs', undef, "' or 1=1 --"), 401,
            undef, qr/token/, 'no token at all');
};


subtest 'providers' => sub {
    my $key = 'sk-live-0123456789-WXYZ';
    my $r = $gw->api(POST => '/api/v1/providers', {
        id => 'own', name => 'Own', protocol => 'openai',
        base_url => 'http://127.0.0.1:9/v1/', api_key => $key,
        headers => { 'X-Team' => 'blue' },
        timeouts => { connect_ms => 500 }, rate_limit => 60,
    });
    is $r->{status}, 201, 'made';
    is $r->{headers}{location}, '/api/v1/providers/own', 'Location';
    is $r->{json}{base_url}, 'http://127.0.0.1:9/v1', 'without the slash';
    is $r->{json}{api_key}, '...WXYZ', 'the key is shown by its end';
    is $r->{json}{source}, 'manual', 'by hand';
    is $r->{json}{timeouts}{connect_ms}, 500, 'time-out';
    unlike $r->{body}, qr/blue/, 'headers are not shown';
    is $r->{json}{max_concurrency}, undef, 'unknown is null';
    unlike $r->{body}, qr/0123456789/, 'and not more of it';

    my ($sealed) = $gw->sql("select octet_length(key_sealed),
        position(convert_to('0123456789', 'UTF8') in key_sealed)
        from model.provider_credentials where provider_id = 'own'");
    is_deeply $sealed, [ 29 + length $key, 0 ], 'stored, sealed';

    $r = soon('/api/v1/providers/own', sub { $_[0]{status} == 200 });
    is $r->{json}{name}, 'Own', 'in the catalog';
    unlike $r->{body}, qr/0123456789/, 'without the key';

    refused($gw->api(POST => '/api/v1/providers', { id => 'own' }), 409,
            undef, qr/own/, 'it exists');

    $r = $gw->api(PATCH => '/api/v1/providers/own', { name => 'Ours' });
    is $r->{status}, 200, 'changed';
    is $r->{json}{name}, 'Ours', 'what was named';
    is $r->{json}{api_key}, '...WXYZ', 'the key stays';
    is $r->{json}{rate_limit}, 60, 'so does the rest';

    $r = $gw->api(PATCH => '/api/v1/providers/own',
                  { api_key => 'sk-other-key-9876', rate_limit => undef });
    is $r->{json}{api_key}, '...9876', 'another key';
    is $r->{json}{rate_limit}, undef, 'no limit';

    refused($gw->api(PATCH => '/api/v1/providers/own', {}), 400, undef,
            qr/nothing to change/, 'nothing to change');
    refused($gw->api(PATCH => '/api/v1/providers/own', { id => 'x' }), 400,
            'id', qr/cannot be changed/, 'an id stays');
    refused($gw->api(PATCH => '/api/v1/providers/nobody', { name => 'x' }),
            404, undef, qr/nobody/, 'nobody');
    refused($gw->api(DELETE => '/api/v1/providers/nobody'), 404, undef,
            qr/nobody/, 'nobody to delete');
    refused($gw->api(POST => '/api/v1/providers',
                     { id => 'x', protocol => 'smoke-signals' }),
            400, 'protocol', qr/smoke-signals/, 'protocol');
    unlike $gw->log, qr/0123456789|other-key/, 'no key in the log';
};


subtest 'models' => sub {
    my $id = 'own/team/Llama-3:70b@q4~x';
    my $r = $gw->api(POST => '/api/v1/models', {
        id => $id, name => 'Llama', type => 'chat',
        capabilities => { vision => JSON::PP::false, streaming => 1 == 1
                          ? JSON::PP::true : undef },
        limits => { context => 8192 }, pricing => { input => '0.1' },
        details => { note => 'x' },
    });
    is $r->{status}, 201, 'made' or diag $r->{body};
    is $r->{headers}{location}, "/api/v1/models/$id", 'Location';
    is $r->{json}{provider_model_id}, 'team/Llama-3:70b@q4~x', 'its id there';
    is $r->{json}{pricing}{input}, 0.1, 'price';
    is $r->{json}{pricing}{output}, undef, 'unknown is null';
    is $r->{json}{limits}{context}, 8192, 'context';
    is $r->{json}{capabilities}{vision}, JSON::PP::false, 'false';
    is $r->{json}{capabilities}{audio}, undef, 'unknown';
    is_deeply $r->{json}{details}, { note => 'x' }, 'details';

    $r = soon("/api/v1/models/$id", sub { $_[0]{status} == 200 });
    is $r->{json}{name}, 'Llama', 'in the catalog';

    (my $encoded = $id) =~ s{/}{%2F}g;
    is $gw->api(GET => "/api/v1/models/$encoded")->{json}{id}, $id,
       'with %2F too';

    $r = $gw->api(PATCH => "/api/v1/models/$encoded", { name => 'Lama',
                  pricing => { output => 2 } });
    is $r->{status}, 200, 'changed' or diag $r->{body};
    is $r->{json}{name}, 'Lama', 'name';
    is $r->{json}{pricing}{input}, 0.1, 'the rest stays';
    is $r->{json}{pricing}{output}, 2, 'price';
    ok wait_until(sub {
        $gw->api(GET => "/api/v1/models/$id")->{json}{name} eq 'Lama';
    }), 'in effect';

    refused($gw->api(POST => '/api/v1/models', { id => $id }), 409, undef,
            qr/Llama-3/, 'it exists');
    refused($gw->api(POST => '/api/v1/models', { id => 'nobody/x' }), 400,
            'id', qr/"nobody"/, 'no such provider');
    refused($gw->api(PATCH => '/api/v1/models/own/nothing', { name => 'x' }),
            404, undef, qr{own/nothing}, 'nothing to change');

    is $gw->api(DELETE => "/api/v1/models/$id")->{status}, 204, 'deleted';
    ok wait_until(sub {
        $gw->api(GET => "/api/v1/models/$id")->{status} == 404;
    }), 'gone';
    refused($gw->api(DELETE => "/api/v1/models/$id"), 404, undef,
            qr/Llama-3/, 'nothing to delete');

    is $gw->api(POST => '/api/v1/models', { id => "own/$_" })->{status}, 201,
       "own/$_" for qw(a b c);
};


subtest 'groups' => sub {
    my $r = $gw->api(POST => '/api/v1/model-groups', {
        name => 'team/chat', description => "two\nlines",
        strategy => 'champion_challenger',
        traffic_config => { shadow => { percentage => 10 } },
    });
    is $r->{status}, 201, 'made' or diag $r->{body};
    is $r->{headers}{location}, '/api/v1/model-groups/team/chat', 'Location';
    like $r->{json}{id}, qr/^$UUID$/, 'id';
    like $r->{json}{inference_table}, qr/^inference_/, 'its table';
    is $gw->sql_value("select to_regclass('model.'
        || quote_ident(:'t')) is not null", t => $r->{json}{inference_table}),
       't', 'which is there';
    is_deeply $r->{json}{models}, [], 'no members';
    is_deeply $r->{json}{traffic_config}, { shadow => { percentage => 10 } },
        'config';
    is $r->{json}{promotion_rules}, undef, 'none';
    like $r->{json}{created_at}, $TIME, 'time';
    is $r->{headers}{etag}, qq("$r->{json}{version}"), 'ETag is the version';
    ok !exists $r->{json}{salt}, 'the salt is nobody\'s business';

    my $id = $r->{json}{id};
    my $version = $r->{json}{version};

    is $gw->api(GET => "/api/v1/model-groups/$_")->{json}{id}, $id, "get $_"
        for $id, 'team/chat', 'team%2Fchat';

    refused($gw->api(POST => '/api/v1/model-groups',
                     { name => 'team/chat' }),
            409, 'name', qr/team\/chat/, 'the name is taken');
    refused($gw->api(GET => '/api/v1/model-groups/none'), 404, undef,
            qr/none/, 'no such group');
    refused($gw->api(GET => '/api/v1/model-groups/'
                     . '00000000-0000-4000-8000-000000000000'), 404, undef,
            qr/00000000/, 'no such id');

    $r = $gw->api(POST => '/api/v1/model-groups/team/chat/models', [
        { model_id => 'own/a', role => 'champion', traffic_percentage => 90 },
        { model_id => 'own/b', role => 'challenger',
          traffic_percentage => '7.5' },
        { model_id => 'own/c', role => 'challenger',
          traffic_percentage => 2.5 } ]);
    is $r->{status}, 200, 'assigned' or diag $r->{body};
    is_deeply [ map { [ @$_{qw(model_id role traffic_percentage)} ] }
                @{ $r->{json}{models} } ],
        [ [ 'own/a', 'champion', 90 ], [ 'own/b', 'challenger', 7.5 ],
          [ 'own/c', 'challenger', 2.5 ] ], 'members, in their order';
    ok $r->{json}{version} > $version, 'a new version';
    $version = $r->{json}{version};

    is_deeply [ $gw->sql("select model_id, traffic_percentage,
        (select sum(upper(r) - lower(r)) from unnest(buckets) r)
        from model.model_group_memberships order by position") ],
        [ [ 'own/a', '90.00', 9000 ], [ 'own/b', '7.50', 750 ],
          [ 'own/c', '2.50', 250 ] ], 'buckets as the shares say';

    my ($before) = $gw->sql("select buckets from model.model_group_memberships
        where model_id = 'own/b'");

    refused($gw->api(POST => "/api/v1/model-groups/$id/models",
        [ { model_id => 'own/a', role => 'champion',
            traffic_percentage => 100 },
          { model_id => 'own/nothing', role => 'challenger',
            traffic_percentage => 0 } ]),
        400, 'model_id', qr{own/nothing}, 'one unknown model refuses all');
    is $gw->api(GET => "/api/v1/model-groups/$id")->{json}{version}, $version,
       'nothing was changed';

    is $gw->api(DELETE => "/api/v1/model-groups/team/chat/models/own/c")
          ->{status}, 204, 'a member leaves';
    $r = $gw->api(GET => "/api/v1/model-groups/$id");
    is_deeply [ map { $_->{traffic_percentage} } @{ $r->{json}{models} } ],
        [ 92.5, 7.5 ], 'its share goes to the champion';
    is_deeply $gw->sql("select buckets from model.model_group_memberships
        where model_id = 'own/b'"), $before, 'nobody else moves';

    refused($gw->api(DELETE => "/api/v1/model-groups/$id/models/own/a"), 409,
            'id', qr/champion/, 'the champion stays');
    refused($gw->api(DELETE => "/api/v1/model-groups/$id/models/own/z"), 404,
            'id', qr{own/z}, 'no such member');
    refused($gw->api(DELETE => '/api/v1/providers/own'), 409, undef,
            qr/./, 'a provider in use stays');
    refused($gw->api(DELETE => '/api/v1/models/own/a'), 409, undef, qr/./,
            'a model in use stays');

    $r = $gw->api(PATCH => "/api/v1/model-groups/$id",
                  { description => undef, status => 'paused' });
    is $r->{status}, 200, 'changed';
    is $r->{json}{description}, undef, 'null takes away';
    is $r->{json}{status}, 'paused', 'status';
    is_deeply $r->{json}{traffic_config}, { shadow => { percentage => 10 } },
        'rest stays';

    my $etag = $r->{headers}{etag};
    my %auth = (Authorization => 'Bearer ' . $gw->token('admin'));

    $r = $gw->fetch('PATCH', "/api/v1/model-groups/$id",
                    { %auth, 'If-Match' => '"1"' }, { status => 'active' });
    refused($r, 412, 'If-Match', qr/has version/, 'an old version');
    $r = $gw->fetch('PATCH', "/api/v1/model-groups/$id",
                    { %auth, 'If-Match' => $etag }, { status => 'active' });
    is $r->{status}, 200, 'the current one is taken';
    isnt $r->{headers}{etag}, $etag, 'and has a successor';
    $r = $gw->fetch('PATCH', "/api/v1/model-groups/$id",
                    { %auth, 'If-Match' => 'x' }, { status => 'active' });
    refused($r, 400, 'If-Match', qr/"x"/, 'no version');

    for my $tag ('"abc"', 'W/"5f-1"', '""', '"9223372036854775808"', '"0"') {
        $r = $gw->fetch('PATCH', "/api/v1/model-groups/$id",
                        { %auth, 'If-Match' => $tag }, { status => 'paused' });
        refused($r, 412, 'If-Match', qr/names none/, "the ETag $tag");
    }

    $r = $gw->fetch('PATCH', '/api/v1/model-groups/none',
                    { %auth, 'If-Match' => '"abc"' }, { status => 'paused' });
    refused($r, 404, 'group', qr/none/, 'of a group that is not there');

    $r = $gw->fetch('GET', "/api/v1/model-groups/$id", \%auth);
    is $gw->fetch('GET', "/api/v1/model-groups/$id",
                  { %auth, 'If-None-Match' => $r->{headers}{etag} })
          ->{status}, 304, 'not modified';

    $r = soon('/v1/models', sub {
        grep { $_->{id} eq 'team/chat' } @{ $_[0]{json}{data} // [] };
    });
    is $r->{json}{object}, 'list', 'served, in OpenAI\'s shape';

    is $gw->api(POST => '/api/v1/model-groups', { name => "g$_" })->{status},
       201, "g$_" for 1 .. 3;
    $r = $gw->api(GET => '/api/v1/model-groups?limit=2');
    is_deeply [ map { $_->{name} } @{ $r->{json}{groups} } ], [qw(g1 g2)],
        'two a page, by name';
    is_deeply $r->{json}{pagination},
        { page => 1, limit => 2, total => 4, total_pages => 2 }, 'paging';
    $r = $gw->api(GET => '/api/v1/model-groups?limit=2&page=2');
    is_deeply [ map { $_->{name} } @{ $r->{json}{groups} } ],
        [qw(g3 team/chat)], 'the second page';
    is scalar @{ $r->{json}{groups}[1]{models} }, 2, 'with members';
    $r = $gw->api(GET => '/api/v1/model-groups?page=9');
    is_deeply $r->{json}{groups}, [], 'beyond the last page';

    my $table = $gw->api(GET => '/api/v1/model-groups/g1')
                   ->{json}{inference_table};
    $r = $gw->api(DELETE => '/api/v1/model-groups/g1');
    is $r->{status}, 204, 'deleted';
    is $r->{body}, '', 'nothing to say';
    refused($gw->api(DELETE => '/api/v1/model-groups/g1'), 404, undef,
            qr/g1/, 'once');
    is $gw->sql_value("select to_regclass('model.' || quote_ident(:'t'))
        is not null", t => $table), 't', 'its table stays';
    ok $gw->sql_value("select count(*) from model.model_group_events
        where group_name = 'team/chat'") >= 4, 'the audit trail';
    is $gw->sql_value("select count(*) from model.model_group_events
        where token_id is null"), 0, 'says who';
};


subtest 'validation' => sub {
    my $up = Upstream->new(sub {
        my ($req) = @_;

        if ($req->{uri} =~ m{/models$}) {
            return { json => { object => 'list', data => [
                map { { id => "v$_", object => 'model' } } 1 .. 8 ] } };
        }

        return { delay => 0.3, json => { id => 'x', object =>
            'chat.completion', model => 'v', choices => [ { index => 0,
            finish_reason => 'stop', message => { role => 'assistant',
            content => 'a' } } ] } };
    });

    is $gw->api(POST => '/api/v1/providers', { id => 'val',
        protocol => 'openai', base_url => $up->url . '/v1' })->{status}, 201,
        'provider';
    is $gw->api(POST => '/api/v1/models', { id => "val/v$_",
        type => 'chat' })->{status}, 201, "val/v$_" for 1 .. 4;

    refused($gw->api(GET => '/api/v1/providers/val/validation-status'), 404,
            undef, qr/val/, 'never validated');
    refused($gw->api(POST => '/api/v1/providers/nobody/validate-models'),
            404, undef, qr/nobody/, 'nobody');
    refused($gw->api(POST => '/api/v1/providers/val/validate-models?only=x'),
            400, 'only', qr/"x"/, 'only what?');

    my $r = $gw->api(POST => '/api/v1/providers/val/validate-models');
    is $r->{status}, 202, 'begun' or diag $r->{body};
    is $r->{json}{status}, 'pending', 'pending';
    ok exists $r->{json}{total}, 'total';
    is $r->{json}{status_url}, '/api/v1/providers/val/validation-status',
       'where to look';
    my $id = $r->{json}{id};
    is $r->{headers}{location}, "/api/v1/validations/$id", 'Location';

    $r = soon('/api/v1/providers/val/validation-status',
              sub { $_[0]{json}{status} eq 'completed' });
    is $r->{json}{status}, 'completed', 'completed';
    is $r->{json}{validated}, $r->{json}{total}, 'all of them';
    is $r->{json}{available} + $r->{json}{unavailable},
       $r->{json}{validated}, 'the counts add up';
    ok $r->{json}{available} >= 4, 'they answer';
    is $r->{json}{estimated_seconds}, 0, 'nothing left';
    like $r->{json}{$_}, $TIME, $_
        for qw(started_at completed_at last_updated_at);

    $r = $gw->api(GET => "/api/v1/validations/$id?limit=3");
    is scalar @{ $r->{json}{results} }, 3, 'three results a page';
    is $r->{json}{pagination}{total}, $r->{json}{total}, 'of all';
    my $one = $r->{json}{results}[0];
    like $one->{model_id}, qr{^val/}, 'model';
    is $one->{available}, JSON::PP::true, 'available';
    ok $one->{latency_ms} >= 300, 'latency';
    is $one->{status_code}, 200, 'status';

    $r = $gw->api(GET => '/api/v1/providers/val/validations');
    is $r->{json}{validations}[0]{id}, $id, 'history';
    is $r->{json}{pagination}{total}, 1, 'of one';

    $r = soon('/api/v1/jobs?kind=validate',
              sub { $_[0]{json}{jobs}[0]{status} eq 'completed' });
    is $r->{json}{jobs}[0]{status}, 'completed', 'its job, soon after';
    my $job = $r->{json}{jobs}[0]{id};
    is $gw->api(GET => "/api/v1/jobs/$job")->{json}{kind}, 'validate', 'kind';
    refused($gw->api(POST => "/api/v1/jobs/$job/cancel"), 409, undef, qr/./,
            'too late to cancel');
    refused($gw->api(POST => "/api/v1/validations/$id/cancel"), 409, undef,
            qr/./, 'the same for the run');
    refused($gw->api(GET => '/api/v1/jobs?kind=x'), 400, 'kind', qr/"x"/,
            'no such kind');

    for my $what (qw(jobs validations)) {
        refused($gw->api(GET => "/api/v1/$what/$_"), 404,
                /-/ ? undef : 'id', qr/\Q$_\E/, "$what: no $_")
            for 'x', '00000000-0000-4000-8000-000000000000';
    }

    # a server that is too slow to be done before it is cancelled

    my $slow = Upstream->new(sub { return { hang => 1 } });
    is $gw->api(POST => '/api/v1/providers', { id => 'slow',
        base_url => $slow->url . '/v1' })->{status}, 201, 'a slow one';
    is $gw->api(POST => '/api/v1/models', { id => "slow/v$_",
        type => 'chat' })->{status}, 201, "slow/v$_" for 1 .. 4;

    $r = $gw->api(POST => '/api/v1/providers/slow/validate-models');
    is $r->{status}, 202, 'begun' or diag $r->{body};
    $id = $r->{json}{id};

    $r = $gw->api(POST => '/api/v1/providers/slow/validate-models');
    refused($r, 409, undef, qr/./, 'one at a time');
    is $r->{json}{id}, $id, 'the answer names the running one';
    is $r->{headers}{location}, "/api/v1/validations/$id", 'and where it is';

    $r = $gw->api(POST => "/api/v1/validations/$id/cancel");
    is $r->{status}, 202, 'cancelled' or diag $r->{body};
    is soon("/api/v1/validations/$id",
            sub { $_[0]{json}{status} eq 'cancelled' })->{json}{status},
       'cancelled', 'it ends so';
    $_->stop for $up, $slow;
};


subtest 'refresh without a source' => sub {
    refused($gw->api(POST => '/api/v1/models/refresh'), 409, undef,
            qr/model_catalog_source/, 'nothing to refresh from');

    my $r = $gw->api(GET => '/api/v1/models/refresh/status?limit=5');
    is $r->{status}, 200, 'history';
    is_deeply $r->{json}{history}, [], 'of nothing';
    refused($gw->api(GET => '/api/v1/models/refresh/status?limit=101'), 400,
            'limit', qr/between 1 and 100/, 'bounded');
};


subtest 'every answer has a request id' => sub {
    my $r = $gw->get('/health', { 'X-Request-Id' => 'abc-123' });
    is $r->{headers}{'x-request-id'}, 'abc-123', 'that of the client';
    $r = $gw->get('/health', { 'X-Request-Id' => "a b'<" });
    like $r->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}$/,
         'its own for one that is not sane';
    my $id = $gw->get('/nothing')->{headers}{'x-request-id'};
    is $gw->api(DELETE => '/api/v1/model-groups/g2')
          ->{headers}{'x-request-id'} ne '', 1, 'with 204 too';
};


subtest 'a full queue answers at once' => sub {
    my $name = $gw->{dbname};
    my $locked = $gw->hold('model_groups', 'access exclusive', 60);
    my $token = $gw->token('admin');
    my @wires = map {
        my $w = $gw->wire;
        $w->request('GET', '/api/v1/model-groups',
                    { Authorization => "Bearer $token" });
        $w;
    } 1 .. 90;

    # those that have a place wait for the table

    my $set = IO::Select->new(map { $_->socket } @wires);
    my ($first) = $set->can_read(30 * $Host::patience);
    my ($out) = grep { $first && $_->socket == $first } @wires;
    ok $out, 'a call is answered' or return;
    @wires = grep { $_ != $out } @wires;

    my $r = $out->response;
    $r->{json} = eval { Wire::decode($r) };
    refused($r, 503, undef, qr/queue/, 'says so');
    is $r->{headers}{'retry-after'}, 1, 'and when to come back';
    is $gw->get('/health')->{status}, 200, 'the loop is free';
    is $gw->api(GET => '/api/v1/models')->{status}, 200, 'reads go on';

    kill 'TERM', $locked;
    waitpid $locked, 0;
    $gw->sql("select pg_terminate_backend(pid) from pg_stat_activity
        where datname = '$name' and application_name = 'psql'
        and pid <> pg_backend_pid()");

    my %seen;
    $seen{ $_->response->{status} }++ for @wires;
    ok $seen{200}, 'those that had a place were served';
    ok $seen{503}, 'and others refused';

    # 504: on a slow machine some have waited for as long as they may
    is_deeply [ grep { !/^(?:200|503|504)$/ } keys %seen ], [], 'no more';
};


subtest 'the database is away' => sub {
    my $postgres = Services::conninfo('postgres');
    my $name = $gw->{dbname};

    $gw->token('viewer');
    Services::query($postgres,
        "alter database $name with allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '$name'");

    my $r;
    ok wait_until(sub {
        $r = $gw->get('/api/v1/admin/ready');
        ($r->{json}{database} // '') eq 'away';
    }), 'readiness says so';
    is $r->{status}, 200, 'and stays ready';
    is $r->{json}{ready}, JSON::PP::true, 'it is';
    ok $r->{json}{catalog_age_seconds} >= 0, 'with the age of the catalog';
    is $gw->get('/health')->{status}, 200, 'healthy';
    is $gw->get('/health')->{json}{database}, 'away', 'as it says';

    for ([ GET => '/api/v1/model-groups' ], [ GET => '/api/v1/jobs' ],
         [ POST => '/api/v1/model-groups', { name => 'away' } ],
         [ POST => '/api/v1/tokens', { name => 'x', role => 'viewer' } ],
         [ POST => '/api/v1/providers/own/validate-models' ])
    {
        $r = $gw->api(@$_);
        refused($r, 503, undef, qr/database/, "$_->[0] $_->[1]");
        like $r->{headers}{'retry-after'}, qr/^\d+$/, 'Retry-After';
    }

    is $gw->api(GET => $_)->{status}, 200, "$_ goes on"
        for '/api/v1/models', '/api/v1/providers/own', '/v1/models';
    is $gw->metric('nginx_model_database_up'), 0, 'the metric says so';

    Services::query($postgres,
        "alter database $name with allow_connections true");
    ok wait_until(sub {
        $gw->api(POST => '/api/v1/model-groups', { name => 'back' })
            ->{status} == 201;
    }), 'it recovers by itself';
};


done_testing();
