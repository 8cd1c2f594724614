#!/usr/bin/perl

# Validation of a provider's models, as a user sees it.  If this breaks, a run
# hangs or says the wrong thing about a model, counts do not add up, a model that
# nobody can ask is called available, a model that does not answer stays in a
# split or never comes back, a server is asked more at once than allowed or one
# model after the other, a run cannot be stopped, or a key is told to somebody.

use v5.28;
use warnings;

use FindBin;
use JSON::PP ();
use List::Util qw(max);
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(free_port slurp wait_until);
use Upstream;
use Wire;

my $KEY = 'sk-validation-0123456789abcdefghijklmnopqrstuvwxyz';

my $gw = Gateway->new(http => 'model_validate_timeout 8s;');
$gw->start->wait_ready;

my $dir = $gw->dir . '/up';
mkdir $dir;
chmod 0777, $dir;

my %good = (id => 'x', object => 'chat.completion', model => 'm', choices => [
    { index => 0, finish_reason => 'stop',
      message => { role => 'assistant', content => 'a' } } ]);


# what the model servers do, by the model's name: [ first answer, later ones ]

my %acts = (
    ok => { json => \%good },
    auth => { status => 401, json => { error => { code => 'invalid_api_key',
        message => "Incorrect API key provided: $KEY. Bearer $KEY" } } },
    forbidden => { status => 403, json => { error => {
        message => ('x' x 280) . " $KEY" } } },
    missing => { status => 404, json => { error => {
        message => 'The model `missing` does not exist' } } },
    limited => [ { status => 429, headers => [ 'Retry-After', 1 ],
                   json => { error => { message => 'slow down' } } },
                 { json => \%good } ],
    exhausted => { status => 429, headers => [ 'Retry-After', 3600 ],
        json => { error => { code => 'insufficient_quota',
                             message => 'pay first' } } },
    flaky => [ { status => 503, body => 'busy' }, { json => \%good } ],
    overloaded => { status => 503, body => "<html>$KEY</html>" },
    broken => { status => 500, json => { error => 'oops' } },
    slow => { hang => 1 },
    garbage => { headers => [ 'Content-Type', 'application/json' ],
                 body => "\x00\xff<html>{{{" },
    other => { json => { hello => [ 1 ] } },
    inside => { json => { error => { message => "no: $KEY" } } },
    cut => { json => \%good, cut => 20 },
    dropped => { drop => 1 },
    endless => { headers => [ 'Content-Type', 'application/json' ],
                 chunks => [ ('[' x 65536) x 20 ] },
);

# available, class, status, requests
my %verdicts = (
    ok => [ 1, undef, 200, 1 ],
    auth => [ 0, 'auth', 401, 1 ],
    forbidden => [ 0, 'auth', 403, 1 ],
    missing => [ 0, 'not_found', 404, 1 ],
    limited => [ 1, undef, 200, 2 ],
    exhausted => [ 0, 'quota', 429, 1 ],
    flaky => [ 1, undef, 200, 2 ],
    overloaded => [ 0, 'overloaded', 503, 2 ],
    broken => [ 0, 'bad_answer', 500, 2 ],
    slow => [ 0, 'timeout', undef, 1 ],
    garbage => [ 0, 'bad_answer', 200, 1 ],
    other => [ 0, 'bad_answer', 200, 1 ],
    inside => [ 0, 'bad_answer', 200, 1 ],
    cut => [ 0, 'connect', undef, 2 ],
    dropped => [ 0, 'connect', undef, 2 ],
    endless => [ 0, 'bad_answer', undef, 1 ],
);


sub model_of {
    my ($req) = @_;
    return $req->{body} =~ /"model":\s*"([^"]+)"/ ? $1 : '';
}


# a server that lists the models (or refuses), and acts by their names

sub server {
    my (%o) = @_;

    my $n = 0;

    return Upstream->new(sub {
        my ($req) = @_;

        if ($req->{uri} =~ m{/models(?:\?(.*))?$}) {
            return $o{pages}->($1 // '') if $o{pages};
            return $o{list} if $o{list};
            return { json => { object => 'list', data => [
                map { { id => $_, object => 'model' } } @{ $o{models} } ] } };
        }

        return { json => { data => [ { embedding => [ 0.5 ] } ] } }
            if $req->{uri} =~ m{/embeddings$};

        wait_until(sub { !-e "$dir/hold" }, 120);
        my $name = model_of($req);
        my $act = $acts{$name} // { json => \%good,
                                    delay => slurp("$dir/delay") || 0 };

        return $act if ref $act eq 'HASH';
        return $act->[mkdir("$dir/$name") ? 0 : 1];
    });
}


sub provider {
    my ($id, $up, %more) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', {
        id => $id, name => $id, protocol => 'openai', api_key => $KEY,
        ($up ? (base_url => ref $up ? $up->url . '/v1' : $up) : ()), %more });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
}


sub add_models {
    my ($provider, @ids) = @_;

    my $bad = grep { $_->{status} != 201 }
              map { $gw->api(POST => '/api/v1/models',
                             { id => "$provider/$_", type => 'chat' }) } @ids;
    is $bad, 0, "models of $provider";
}


my $said = '';       # all that was answered, to look for keys in it

sub api {
    my ($method, $uri, @body) = @_;

    my $r = $gw->api($method, $uri, @body);
    $said .= $r->{body} // '';
    return $r;
}


sub begin {
    my ($provider, $query, @body) = @_;

    my $r = api(POST => "/api/v1/providers/$provider/validate-models"
                        . ($query // ''), @body);
    is $r->{status}, 202, "$provider: accepted" or diag $r->{body};
    is $r->{json}{status}, 'pending', 'pending';
    is $r->{json}{status_url},
       "/api/v1/providers/$provider/validation-status", 'where to look';
    is $r->{headers}{location}, "/api/v1/validations/$r->{json}{id}",
       'Location';
    return $r->{json}{id};
}


sub state_of { return api(GET => "/api/v1/validations/$_[0]")->{json} // {} }


# waits for the end of a run, and checks its sums

sub finish {
    my ($id, $status, $seconds) = @_;

    my $s;
    wait_until(sub {
        $s = state_of($id);
        ($s->{status} // '') !~ /^(?:pending|in_progress)?$/;
    }, $seconds);

    is $s->{status}, $status, "it ends as $status" or diag explain $s;
    is $s->{validated},
       $s->{available} + $s->{unavailable} + $s->{unverified},
       'the counts add up';

    my %rows = map { $_->[0] => $_->[1] } $gw->sql("select result, count(*)
        from model.ai_model_validation_results where validation_id = '$id'
        and result is not null group by 1");
    is $s->{$_}, $rows{$_} // 0, "and equal the rows: $_"
        for qw(available unavailable unverified);
    is $s->{phase}, 'ended', 'its phase has ended, too';
    is $s->{estimated_seconds}, 0, 'nothing is left';
    is $s->{total}, $s->{validated}, 'all of them'
        if $status eq 'completed';

    # which ends behind it, by another statement

    my $job;
    wait_until(sub {
        $job = api(GET => "/api/v1/jobs/$s->{job_id}")->{json};
        $job->{status} ne 'in_progress';
    });
    is $job->{status}, $status, 'so does its job';
    return $s;
}


# how many requests were under way at the same time, each lasting so long

sub at_once {
    my ($up, $delay) = @_;

    my @times = sort { $a <=> $b } map { $_->{time} }
                grep { $_->{method} eq 'POST' } $up->requests;
    my $most = 0;

    for my $i (0 .. $#times) {
        my $n = grep { $_ > $times[$i] - $delay && $_ <= $times[$i] } @times;
        $most = $n if $n > $most;
    }

    return $most;
}


sub results {
    my ($id) = @_;

    return map { $_->{model_id} => $_ }
           @{ api(GET => "/api/v1/validations/$id?limit=1000")
                  ->{json}{results} };
}


subtest 'every kind of answer' => sub {
    my $up = server(models => [ sort keys %acts ]);
    provider('mixed', $up);

    my $id = begin('mixed');
    my $s = finish($id, 'completed');
    is $s->{total}, scalar keys %acts, 'all that the server lists';
    is $s->{error}, undef, 'nothing is wrong with the run';

    my %results = results($id);
    my %asked;
    push @{ $asked{model_of($_)} }, $_ for grep { $_->{method} eq 'POST' }
                                           $up->requests;

    for my $name (sort keys %verdicts) {
        my ($available, $class, $status, $requests) =
            @{ $verdicts{$name} };
        my $r = $results{"mixed/$name"} or fail("$name has a result"), next;

        is $r->{available} ? 1 : 0, $available, "$name: available?";
        is $r->{error_class}, $class, "$name: class" or diag $r->{error};
        is $r->{status_code}, $status, "$name: status";

        # the client library itself repeats what an idle connection swallowed
        cmp_ok scalar @{ $asked{$name} }, $name eq 'dropped' ? '>=' : '==',
               $requests, "$name: requests";
        ok $available || $r->{error}, "$name: a reason";
        like $r->{tested_at}, qr/^\d{4}-\d\d-\d\dT.*Z$/, "$name: when";
    }

    my ($first, $second) = map { $_->{time} } @{ $asked{limited} };
    cmp_ok $second - $first, '>=', 0.95, 'Retry-After is respected';
    cmp_ok $results{'mixed/ok'}{latency_ms}, '>', 0, 'latency';
    is $results{'mixed/slow'}{latency_ms}, undef, 'none without an answer';
    like $results{'mixed/missing'}{error}, qr/does not exist/,
         'the words of the provider';
    is $asked{ok}[0]{headers}{authorization}, "Bearer $KEY",
       'the key was sent';

    is $gw->sql_value("select string_agg(provider_model_id, ' '
        order by provider_model_id)
        from model.models_metadata where provider_id = 'mixed'
        and health_status = 'available'"), 'flaky limited ok',
       'health is kept with the models';
    ok wait_until(sub {
        (api(GET => '/api/v1/models/mixed/auth')->{json}{health_status}
         // '') eq 'unavailable';
    }), 'and served';

    # once more what failed: the server has got better, but for one

    my @failed = grep { !$verdicts{$_}[0] } keys %verdicts;
    $up->stop;
    $up->forget;

    my $better = Upstream->new(sub {
        return model_of($_[0]) eq 'broken' ? $acts{missing}
                                           : { json => \%good };
    }, port => $up->port);

    my $again = begin('mixed', '?only=failed');
    $s = finish($again, 'completed');
    is $s->{total}, scalar @failed, 'only what failed';
    is $s->{available}, @failed - 1, 'all but one are available now';
    is scalar(grep { $_->{method} eq 'GET' } $better->requests), 0,
       'the list is not asked for';
    is_deeply [ sort map { model_of($_) } $better->requests ],
              [ sort @failed ], 'each of them once';

    # history and pages

    my $r = api(GET => '/api/v1/providers/mixed/validations');
    is_deeply [ map { $_->{id} } @{ $r->{json}{validations} } ],
              [ $again, $id ], 'history, the newest first';
    $r = api(GET => '/api/v1/providers/mixed/validations?limit=1&page=2');
    is_deeply [ map { $_->{id} } @{ $r->{json}{validations} } ], [ $id ],
              'by pages';
    is $r->{json}{pagination}{total}, 2, 'of two';

    my @ids;

    for my $page (1 .. 4) {
        $r = api(GET => "/api/v1/validations/$id?limit=5&page=$page");
        push @ids, map { $_->{model_id} } @{ $r->{json}{results} };
    }

    is $r->{json}{pagination}{total}, scalar keys %acts, 'results, counted';
    is_deeply [ sort @ids ], [ sort map { "mixed/$_" } keys %acts ],
              'each on one page';
    is_deeply api(GET => "/api/v1/validations/$id?limit=5&page=9")
        ->{json}{results}, [], 'nothing behind the last';
    is api(GET => '/api/v1/providers/mixed/validation-status')->{json}{id},
       $again, 'the status is that of the newest';
    $better->stop;

    # nothing has failed in the end

    $gw->sql("update model.models_metadata set health_status = 'available'");
    is api(POST => '/api/v1/providers/mixed/validate-models?only=failed')
       ->{status}, 409, 'nothing is left to retry';
};


subtest 'sixty-four at once, through one thread' => sub {
    my $up = server(models => [ map { "m$_" } 1 .. 200 ]);
    provider('many', $up);

    # nobody is answered before all have been asked who are to be
    $gw->reload(http => 'model_validate_timeout 60s;', wait_old => 1);
    Host::spew("$dir/delay", '0.8');
    Host::spew("$dir/hold", '');
    my $asked = sub {
        return scalar grep { $_->{method} eq 'POST' } $up->requests;
    };

    my ($worker) = $gw->workers;
    my $threads = sub { scalar(() = glob "/proc/$worker/task/*") };
    my $before = $threads->();

    my $id = begin('many');
    my (@seen, @threads);

    ok wait_until(sub { $asked->() >= 64 }), 'sixty-four are asked';
    sleep 0.5;
    is $asked->(), 64, 'and no more at once';
    unlink "$dir/hold";

    wait_until(sub {
        my $s = api(GET => '/api/v1/providers/many/validation-status')
                    ->{json};
        push @seen, $s if $s->{status} eq 'in_progress';
        push @threads, $threads->();
        sleep 0.1;
        return $s->{status} eq 'completed';
    });

    my $s = finish($id, 'completed');
    is $s->{available}, 200, 'all answer';

    # a build of the catalog has two of its own for a moment
    cmp_ok max(@threads), '<=', $before + 3, 'through the thread of the job';

    my @progress = grep { $_->{validated} > 0 && $_->{validated} < 200 }
                   @seen;
    ok @progress, 'progress is seen';
    ok !(grep { $_->{validated} != $_->{available} + $_->{unavailable}
                                   + $_->{unverified} } @seen),
       'the counts add up all the time';
    ok !(grep { $seen[$_]{validated} < $seen[$_ - 1]{validated} }
         1 .. $#seen), 'and never go back';
    like $progress[0]{current_model_id}, qr{^many/m\d+$}, 'who is asked';
    is $progress[-1]{total}, 200, 'of how many';
    ok defined $progress[-1]{estimated_seconds}, 'an estimate';

    Host::spew("$dir/delay", '0.2');
    $up->forget;
    is $gw->api(PATCH => '/api/v1/providers/many',
                { max_concurrency => 5 })->{status}, 200, 'a bound of its own';
    finish(begin('many'), 'completed');
    cmp_ok at_once($up, 0.15), '<=', 5, 'is kept';
    $up->stop;
    $gw->reload(http => 'model_validate_timeout 8s;', wait_old => 1);
};


subtest 'a list of several pages' => sub {
    my $up = server(pages => sub {
        my ($page) = $_[0] =~ /page=(\d+)/;
        $page //= 0;
        return { json => { data => [ { id => "ok-$page" } ],
            links => { next => $page < 4 ? '/v1/models?page=' . ($page + 1)
                                         : undef } } };
    });
    provider('several', $up, protocol => 'openrouter');

    my $s = finish(begin('several'), 'completed');
    is $s->{total}, 5, 'the models of all pages are asked';
    is $s->{error}, undef, 'nothing is wrong';

    $up = server(pages => sub {
        return { json => { data => [ { id => 'ok-round' } ],
            links => { next => '/v1/models?page=1' } } };
    });
    provider('round', $up, protocol => 'openrouter');
    add_models('round', 'ok');
    $s = finish(begin('round'), 'completed');
    is $s->{total}, 1, 'of a list without an end nothing is taken';
    like $s->{error}, qr/in a circle/, 'which the run remembers';
    is scalar(grep { $_->{method} eq 'GET' } $up->requests), 2,
       'it is not followed for ever';
};


subtest 'who has the wrong key, or no server' => sub {
    my $up = server(list => $acts{auth});
    provider('wrong-key', $up);
    add_models('wrong-key', 'auth', 'inside');

    my $id = begin('wrong-key');
    my $s = finish($id, 'completed');
    like $s->{error}, qr/list of models.*401/, 'the list was refused';
    is $s->{total}, 2, 'the models that are known are asked';
    my %results = results($id);
    is $results{'wrong-key/auth'}{error_class}, 'auth', 'wrong key';

    provider('refused-list', server(list => $acts{missing}));
    add_models('refused-list', 'ok');
    $s = finish(begin('refused-list'), 'completed');
    is $s->{available}, 1, 'a server without a list';
    like $s->{error}, qr/404/, 'which the run remembers';

    provider('garbage-list', server(list => $acts{garbage}));
    $s = finish(begin('garbage-list'), 'failed');
    like $s->{error}, qr/no model.*known/, 'neither list nor models';

    provider('nobody', 'http://127.0.0.1:' . free_port()
                       . '/v1');
    add_models('nobody', 'a', 'b');
    $id = begin('nobody');
    $s = finish($id, 'completed');
    is $s->{unavailable}, 2, 'nobody listens';
    %results = results($id);
    is $results{"nobody/$_"}{error_class}, 'connect', 'class' for qw(a b);

    provider('no-url', undef);
    add_models('no-url', 'a');
    $s = finish(begin('no-url'), 'failed');
    like $s->{error}, qr/"no-url" has no base URL; set base_url/,
         'no URL: what to do';

    provider('foreign', $up);
    $gw->sql("update model.providers set protocol = 'gopher'
              where id = 'foreign'");
    $s = finish(begin('foreign'), 'failed');
    like $s->{error}, qr/protocol "gopher" of provider "foreign" is not/,
         'a protocol that is not known';
    $_->stop for $up;
};


subtest 'a server of the V2 protocol' => sub {
    my $up = Upstream->new(sub {
        my ($req) = @_;
        my $asked = "$req->{method} $req->{uri}";

        return { json => [ map { { name => $_, version => '1',
                                   state => 'READY' } } qw(fraud loading) ] }
            if $asked eq 'POST /v2/repository/index' && $req->{body} eq '{}';
        return { body => '' } if $asked eq 'GET /v2/models/fraud/ready';
        return { status => 400, json => { error => 'unknown model' } }
            if $asked eq 'GET /v2/models/gone/ready';
        return { status => 503, body => '' };
    });

    provider('triton', $up->url, protocol => 'kserve_v2');
    add_models('triton', 'gone');
    my $id = begin('triton');
    my $s = finish($id, 'completed');
    my %results = results($id);

    is $results{'triton/fraud'}{available}, JSON::PP::true, 'ready';
    is $results{'triton/loading'}{error_class}, 'overloaded', 'not yet';
    is $results{'triton/gone'}{error_class}, 'not_found', 'not known';
    is $results{'triton/gone'}{error}, 'unknown model', 'in its words';
    $up->stop;
};


subtest 'one at a time, and cancelled' => sub {
    my $up = server(models => [ map { "c$_" } 1 .. 400 ]);
    provider('cancelled', $up, max_concurrency => 8);
    Host::spew("$dir/delay", '0.3');

    my $id = begin('cancelled');
    ok wait_until(sub { (state_of($id)->{validated} // 0) >= 10 }), 'it runs';
    ok wait_until(sub {
        $gw->sql_value("select count(*) from model.models_metadata
            where provider_id = 'cancelled' and health_status = 'available'")
    }), 'the catalog hears of it';
    is state_of($id)->{status}, 'in_progress', 'which goes on';

    my $r = api(POST => '/api/v1/providers/cancelled/validate-models');
    is $r->{status}, 409, 'a second one is refused';
    is $r->{json}{id}, $id, 'by the name of the first';
    is $r->{json}{status}, 'in_progress', 'which runs';
    is $r->{headers}{location}, "/api/v1/validations/$id", 'and its address';
    like $r->{json}{error}{message}, qr/cancelled.*running/, 'in words';

    my $began = time;
    $r = api(POST => "/api/v1/validations/$id/cancel");
    is $r->{status}, 202, 'cancelled';
    my $s = finish($id, 'cancelled');
    my $took = time - $began;
    diag sprintf 'it ended %.2f s after it was cancelled', $took;
    cmp_ok $s->{validated}, '<', 400, 'not all were asked';
    ok $s->{completed_at}, 'with the time';

    # what was cut off may still be written down
    sleep 0.5;
    my $asked = $up->requests;
    sleep 1;
    is scalar(my @now = $up->requests), $asked, 'nobody is asked any more';

    is $gw->sql_value("select count(*) from model.models_metadata
        where provider_id = 'cancelled' and health_status = 'available'"),
       $s->{available}, 'what was found out is kept';

    is api(POST => "/api/v1/validations/$id/cancel")->{status}, 409,
       'it cannot be cancelled twice';

    # the job's own address does the same

    $id = begin('cancelled');
    my $job = state_of($id)->{job_id};
    is api(POST => "/api/v1/jobs/$job/cancel")->{status}, 202,
       'cancelled as a job';
    finish($id, 'cancelled');
    $up->stop;
};


# a server whose list says of which type each model is

sub typed {
    my (%types) = @_;

    return server(list => { json => { object => 'list', data => [
        map { { id => $_, type => $types{$_} } } sort keys %types ] } });
}


my %types = (talks => 'chat', vectors => 'embedding', paints => 'image',
             sings => 'audio', ranks => 'rerank');

subtest 'each model by what it is' => sub {
    my $up = typed(%types);
    provider('types', $up);
    is $gw->api(POST => '/api/v1/models', { id => "types/$_->[0]",
        type => $_->[1] })->{status}, 201, "$_->[0] by hand"
        for [ 'unlisted', 'image' ], [ 'paints', 'image' ];

    my $id = begin('types');
    my $s = finish($id, 'completed');
    my %results = results($id);
    my %says = map { s{^types/}{}r => $results{$_}{result} } keys %results;

    is_deeply \%says, { talks => 'available', vectors => 'available',
        paints => 'unverified', sings => 'unverified',
        ranks => 'unverified', unlisted => 'unavailable' },
        'asked what can be asked, the others by the list'
        or diag explain \%results;
    is $s->{unverified}, 3, 'and counted';
    is $results{'types/paints'}{available}, undef, 'neither yes nor no';
    like $results{'types/paints'}{error}, qr/type image.*lists it/, 'why';
    is $results{'types/unlisted'}{error_class}, 'not_found', 'not listed';
    is_deeply [ sort map { model_of($_) } grep { $_->{method} eq 'POST' }
                $up->requests ], [ 'talks', 'vectors' ],
              'nobody was asked for a picture';
    is $gw->sql_value("select string_agg(health_status, ' ' order by id)
        from model.models_metadata where provider_id = 'types'"),
       'unknown unknown unknown available unavailable available',
       'health';
    is $gw->metric('nginx_model_validated_models_total',
                   result => 'unverified'), 3, 'metric';

    my $r = api(GET => "/api/v1/validations/$id?result=unverified&limit=2");
    is_deeply [ map { $_->{model_id} } @{ $r->{json}{results} } ],
              [ 'types/paints', 'types/ranks' ], 'results of one kind';
    is $r->{json}{pagination}{total}, 3, 'counted';
    is api(GET => "/api/v1/validations/$id?result=good")->{status}, 400,
       'there is no such kind';

    my $all = api(GET => "/api/v1/validations/$id?limit=1")->{json};
    delete @$all{qw(results pagination)};
    is_deeply $all,
        api(GET => '/api/v1/providers/types/validation-status')->{json},
        'the state is the same everywhere';
    is_deeply $all, JSON::PP->new->utf8->decode($gw->sql_value(
        "select model.validation_status_json(v) from
         model.ai_model_validation_progress v where id = '$id'")),
        'also where the database tells it';
    $up->stop;
};


subtest 'what the provider no longer lists' => sub {
    my @many = map { "g$_" } 1 .. 10;
    my $up = server(models => [ @many ]);
    provider('goes', $up);
    is finish(begin('goes'), 'completed')->{missing}, 0, 'all are there';

    $up->stop;
    $up = Upstream->new(sub {
        return { status => 404, json => { error => { message => 'gone' } } }
            if model_of($_[0]) eq 'g10';
        return { json => { %good, object => 'list',
            data => [ map { { id => $_ } } @many[0 .. 8] ] } };
    }, port => $up->port);
    my $id = begin('goes');
    my $s = finish($id, 'completed');
    is $s->{missing}, 1, 'one is missing';
    is $s->{total}, 10, 'and tested all the same';
    my %results = results($id);
    is $results{'goes/g10'}{error_class}, 'not_found', 'it is not found';
    is $gw->sql_value("select active from model.models_metadata
        where id = 'goes/g10'"), 'f', 'and marked in the catalog';
    is finish(begin('goes'), 'completed')->{total}, 9, 'one less';

    $up->stop;
    $up = Upstream->new(sub { return { json => { %good, object => 'list',
        data => [ { id => 'g1' } ] } } }, port => $up->port);
    $s = finish(begin('goes'), 'completed');
    is $s->{missing}, 0, 'so many at once are not believed to be gone';
    is $s->{total}, 9, 'and stay';
    $up->stop;
};


subtest 'chosen models, one model, all providers' => sub {
    my $up = typed(%types);
    is $gw->api(PATCH => '/api/v1/providers/types',
                { base_url => $up->url . '/v1' })->{status}, 200, 'it is back';

    my $id = begin('types', '', { models => [ 'talks', 'types/talks',
                                              'types/vectors' ] });
    my $s = finish($id, 'completed');
    is $s->{total}, 2, 'two were named';
    ok $s->{chosen}, 'and chosen';
    is scalar(my @r = $up->requests), 2, 'nothing else is asked';

    $s = finish(begin('types', '', { models => [ 'sings' ] }), 'completed');
    is $s->{unverified}, 1, 'one that only the list can tell of';
    is scalar(grep { $_->{method} eq 'GET' } $up->requests), 1,
       'for which it is read';

    for my $bad ([ { models => [ 'talks', 'types/nobody' ] }, 404, 'models',
                   qr/no active model "types\/nobody"/ ],
                 [ { models => [ 'mixed/ok' ] }, 404, 'models', qr/mixed/ ],
                 [ { models => [] }, 400, 'models', qr/names 0 models/ ],
                 [ { models => [ 1 ] }, 400, 'models', qr/no id/ ],
                 [ { models => 'talks' }, 400, 'models', qr/an array/ ],
                 [ { model => [ 'talks' ] }, 400, 'model', qr/model/ ]) {
        my ($body, $status, $param, $words) = @$bad;
        my $r = api(POST => '/api/v1/providers/types/validate-models',
                    $body);
        is $r->{status}, $status, 'refused' or diag $r->{body};
        is $r->{json}{error}{param}, $param, 'by its name';
        like $r->{json}{error}{message}, $words, 'with a reason';
    }

    is api(POST => '/api/v1/providers/types/validate-models?only=failed',
           { models => [ 'talks' ] })->{status}, 400, 'one or the other';

    my $r = api(POST => '/api/v1/models/types/talks/validate');
    is $r->{status}, 202, 'one model' or diag $r->{body};
    is $r->{json}{total}, 1, 'alone';
    is finish($r->{json}{id}, 'completed')->{available}, 1, 'answers';
    is api(POST => '/api/v1/models/types/nobody/validate')->{status}, 404,
       'one that is not there';
    is api(POST => '/api/v1/models/nobody/x/validate')->{status}, 404,
       'of a provider that is not there';

    $r = api(POST => '/api/v1/validations',
             { providers => [ "types", "stranger" ] });
    is $r->{status}, 202, 'several providers' or diag $r->{body};
    my ($first, $second) = @{ $r->{json}{validations} };
    like $second->{error}{message}, qr/no provider "stranger"/,
         'one is not there' or diag $r->{body};
    is $second->{provider_id}, "stranger", "and named";
    finish($first->{id}, 'completed');

    $gw->sql("update model.providers set active = false
              where id not in ('types', 'goes')");
    $r = api(POST => '/api/v1/validations');
    is_deeply [ map { $_->{provider_id} } @{ $r->{json}{validations} } ],
              [ 'goes', 'types' ], 'all that can be asked';
    finish($_->{id}, 'completed') for @{ $r->{json}{validations} };
    $gw->sql('update model.providers set active = true');

    $r = api(GET => '/api/v1/validations?limit=3&status=completed'
                    . '&provider=types');
    is scalar(@{ $r->{json}{validations} }), 3, 'history of all, filtered';
    is api(GET => '/api/v1/validations?status=done')->{status}, 400,
       'no such status';
    $up->stop;
};


subtest 'the row tells what goes on' => sub {
    my $up = server(models => [ map { "t$_" } 1 .. 6 ]);
    provider('told', $up, max_concurrency => 2);
    Host::spew("$dir/delay", '1');
    $gw->sql("create table public.told (at timestamptz default
                  clock_timestamp(), phase text, left_s bigint,
                  validated bigint);
              create function public.tell() returns trigger
              language plpgsql as 'begin insert into public.told
                  (phase, left_s, validated)
                  values (new.phase, new.estimated_seconds,
                          new.validated_count); return null; end';
              create trigger tell after insert or update
              on model.ai_model_validation_progress for each row
              when (new.provider_id = 'told')
              execute function public.tell()");
    finish(begin('told'), 'completed');

    my @phases = map { $_->[0] } $gw->sql('select phase from (select phase,
        lag(phase) over (order by at) as before, at from public.told) t
        where before is distinct from phase order by at');
    is_deeply \@phases, [ qw(waiting discovering testing finishing ended) ],
              'every phase' or diag explain \@phases;

    my ($row) = $gw->sql("select count(*), extract(epoch from max(gap)),
        extract(epoch from percentile_disc(0.5) within group (order by gap))
        from (select at - lag(at) over (order by at) as gap from public.told
              where phase in ('discovering', 'testing')) t");
    diag "the row was written $row->[0] times, $row->[1] s apart at most,"
         . " $row->[2] s as a rule";
    cmp_ok $row->[0], '>=', 10, 'written also while nothing is found out';
    cmp_ok $row->[2], '<', 0.9, 'more than once in the second of an answer';

    my @left = map { $_->[0] } $gw->sql("select distinct left_s
        from public.told where phase = 'testing' and validated = 2
        and left_s is not null");
    ok @left && !(grep { $_ < 2 || $_ > 7 } @left),
       'four models at two a second: ' . join ' ', @left;
    $gw->sql('drop trigger tell on model.ai_model_validation_progress;
              drop table public.told');
    $up->stop;
};


subtest 'out of the split, and back' => sub {
    my $open = <<'END';
        location /open/ {
            rewrite ^/open(/.*) $1 break;
            model_auth off;
            model_split on;
            include model_proxy.conf;
        }
END
    $gw->reload(more => $open, wait_old => 1);
    my $broken = "$dir/broken-down";

    for my $name (qw(ea eb ec)) {
        my $up = Upstream->new(sub {
            return { status => 503, body => 'down' } if -e "$broken-$name";
            return { json => { %good, object => 'list',
                               data => [ { id => 'm', type => 'chat' } ] } };
        });
        provider($name, $up);
        finish(begin($name), 'completed');
    }

    my $path = '/api/v1/model-groups/ejects';
    my $r = $gw->api(POST => '/api/v1/model-groups', { name => 'ejects',
        strategy => 'weighted', status => 'draft',
        traffic_config => { validation => { eject => JSON::PP::true } } });
    is $r->{status}, 201, 'a group that asks for it' or diag $r->{body};
    is $gw->api(POST => "$path/models", [
        { model_id => 'ea/m', role => 'champion', traffic_percentage => 60 },
        { model_id => 'eb/m', role => 'challenger',
          traffic_percentage => 30 },
        { model_id => 'ec/m', role => 'challenger',
          traffic_percentage => 10 } ])->{status}, 200, 'members';
    is $gw->api(PATCH => $path, { status => 'active' })->{status}, 200,
       'active';

    my $spread = sub {
        my @answers = Wire::many($gw->port, [ map { [ POST =>
            '/open/v1/chat/completions', { 'X-Model-Sticky' => "u$_" },
            { model => 'ejects', user => "u$_", messages => [] } ] }
            1 .. 200 ], 4);
        return [ map { $_->{headers}{'x-model-variant'} // $_->{status} }
                 @answers ];
    };
    my $kinds = sub { my %n; $n{$_}++ for @{ $_[0] }; \%n };
    my $first;
    ok wait_until(sub { $first = $spread->(); !grep { /^\d+$/ } @$first }),
       'it is served';
    is scalar(keys %{ $kinds->($first) }), 3, 'by all three'
        or diag explain $kinds->($first);

    my $take = sub {
        my ($name, $down) = @_;
        $down ? Host::spew("$broken-$name", '') : unlink "$broken-$name";
        finish(begin($name), 'completed');
    };
    my $without = sub {
        my ($name) = @_;
        my $now;
        ok wait_until(sub { $now = $spread->();
            !grep { $_ eq "$name/m" } @$now }), "$name is out"
            or diag explain $kinds->($now);
        return $now;
    };

    $take->('eb', 1);
    my $now = $without->('eb');
    ok !(grep { $first->[$_] ne 'eb/m' && $first->[$_] ne $now->[$_] }
         0 .. $#$now), 'nobody else moved';
    my %where = map { $now->[$_] => 1 }
                grep { $first->[$_] eq 'eb/m' } 0 .. $#$now;
    is_deeply [ sort keys %where ], [ 'ea/m', 'ec/m' ],
              'both others took over';
    is_deeply [ map { [ @$_{qw(model_id traffic_percentage)} ] }
                @{ $gw->api(GET => $path)->{json}{models} } ],
              [ [ 'ea/m', 60 ], [ 'eb/m', 30 ], [ 'ec/m', 10 ] ],
              'what was agreed is still agreed';

    $take->('ea', 1);
    $now = $without->('ea');
    ok !(grep { $_ eq 'eb/m' } @$now), 'the other has not come back';
    ok wait_until(sub { !grep { $_ ne 'ec/m' } @{ $now = $spread->() } }),
       'one is left' or diag explain $kinds->($now);
    $take->('ec', 1);
    ok wait_until(sub { (grep { $_ ne 'ec/m' } @{ $spread->() }) > 0 }),
       'when none is left nobody is out';

    $take->($_, 0) for qw(ea eb ec);
    ok wait_until(sub { "@{ $spread->() }" eq "@$first" }),
       'all are back, and every user where he was';
    is $gw->api(PATCH => $path, { traffic_config =>
        { validation => { eject => 'yes' } } })->{status}, 400,
       'true or false';
};


subtest 'no key anywhere' => sub {
    my $secret = substr $KEY, 0, 20;

    like $said, qr/"error_class"/, 'answers were kept';
    unlike $said, qr/\Q$secret\E/, 'not in an answer';
    unlike $gw->log, qr/\Q$secret\E/, 'not in the error log';

    my @tables = map { $_->[0] } $gw->sql("select format('%I.%I',
        table_schema, table_name) from information_schema.tables
        where table_schema = 'model' and table_type = 'BASE TABLE'");
    cmp_ok scalar @tables, '>', 5, 'tables';

    for my $table (@tables) {
        is $gw->sql_value("select count(*) from $table t
            where t::text like '%$secret%'"), 0, "not in $table";
    }
};


done_testing;
