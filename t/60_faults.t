#!/usr/bin/perl

# What must hold while things break: a database that is away at start, with
# and without a snapshot on disk; away while traffic flows (records wait in the
# spool and are stored once); reload, quit and kill -9 with a validation
# running (it resumes, nothing is lost, nothing is tested twice without need);
# a client that leaves in the middle of a stream.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);

use Gateway;
use Host qw(wait_until);
use Services;
use Upstream;
use Wire;


# a model server: lists as many models as it is told, answers after a delay

sub model_server {
    my ($models, $delay) = @_;

    return Upstream->new(sub {
        my ($req) = @_;

        if ($req->{uri} =~ m{/models$}) {
            return { json => { object => 'list', data => [
                map { { id => "model-$_", object => 'model', created => 1,
                        owned_by => 'test' } } 1 .. $models ] } };
        }

        if ($req->{body} =~ /"stream":\s*true/) {
            return {
                headers => [ 'Content-Type', 'text/event-stream' ],
                chunks => [ map { (qq(data: {"choices":[{"index":0,"delta":)
                                   . qq({"content":"w$_"}}]}\n\n), \0.1) }
                            1 .. 50 ],
            };
        }

        return { delay => $delay, json => {
            id => 'x', object => 'chat.completion', created => 1, model => 'm',
            choices => [ { index => 0, finish_reason => 'stop', message =>
                           { role => 'assistant', content => 'hi' } } ],
            usage => { prompt_tokens => 3, completion_tokens => 2,
                       total_tokens => 5 },
        } };
    });
}


sub provider {
    my ($gw, $id, $up) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', {
        id => $id, name => $id, protocol => 'openai',
        base_url => $up->url . '/v1', api_key => "sk-$id",
    });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
}


sub group {
    my ($gw, $name, $provider) = @_;

    is $gw->api(POST => '/api/v1/models', {
        id => "$provider/model-1", name => 'Model 1', type => 'chat',
    })->{status}, 201, 'model';
    is $gw->api(POST => '/api/v1/model-groups',
                { name => $name, status => 'active' })->{status}, 201, 'group';
    my $r = $gw->api(POST => "/api/v1/model-groups/$name/models",
        [ { model_id => "$provider/model-1", role => 'champion',
            traffic_percentage => 100 } ]);
    is $r->{status}, 200, 'member' or diag $r->{body};

    ok wait_until(sub { chat($gw, $name)->{status} == 200 }),
       'the group is in effect';
}


sub chat {
    my ($gw, $name, %more) = @_;

    return $gw->fetch('POST', '/v1/chat/completions',
        { Authorization => 'Bearer ' . $gw->token('inference') },
        { model => $name, messages => [ { role => 'user', content => 'hi' } ],
          %more });
}


sub stored {
    my ($gw) = @_;

    my $table = $gw->sql_value(
        "select inference_table from model.model_groups limit 1");
    return $gw->sql_value("select count(*) from model.$table");
}


sub run_state {
    my ($gw, $provider) = @_;

    return $gw->api(GET => "/api/v1/providers/$provider/validation-status")
              ->{json} // {};
}


# -- the database is away at start, nothing is on disk --

subtest 'away at start, no snapshot' => sub {
    my $gw = Gateway->new;
    my $admin = $gw->token('admin');
    $gw->token('inference');

    $gw->away;
    $gw->start;

    is $gw->get('/health')->{status}, 200, 'it lives';

    my $r = $gw->get('/api/v1/admin/ready',
                     { Authorization => "Bearer $admin" });
    is $r->{status}, 425, 'it is not ready';
    is $r->{json}{phase}, 'connecting', 'and says what it waits for';
    like $r->{headers}{'retry-after'}, qr/^\d+$/, 'and when to come back';

    $r = $gw->api(GET => '/api/v1/models');
    is $r->{status}, 503, 'the catalog is unavailable';
    like $r->{headers}{'retry-after'}, qr/^\d+$/, 'with Retry-After';

    $r = chat($gw, 'any');
    is $r->{status}, 503, 'so is the data plane';

    ok wait_until(sub { $gw->log =~ /database/ }), 'the log says so';

    $gw->back;
    $gw->wait_ready;
    is $gw->api(GET => '/api/v1/models')->{status}, 200,
       'it recovers by itself';
    $gw->allow(qr/database/);
};


# -- a snapshot is on disk --

subtest 'away at start, with a snapshot; records wait' => sub {
    my $up = model_server(1, 0);
    my $gw = Gateway->new->start->wait_ready;

    provider($gw, 'one', $up);
    group($gw, 'assistant', 'one');
    ok wait_until(sub { stored($gw) >= 1 }), 'records arrive';

    my $before = stored($gw);

    $gw->quit;
    $gw->away;
    $gw->start;

    ok wait_until(sub { chat($gw, 'assistant')->{status} == 200 }),
       'the split works from the file';
    my $sent = 1;

    for (1 .. 20) {
        $sent++ if chat($gw, 'assistant')->{status} == 200;
    }

    is $sent, 21, 'every request is proxied';

    my $r = $gw->api(POST => '/api/v1/model-groups', { name => 'other' });
    is $r->{status}, 503, 'a write is refused';
    like $r->{headers}{'retry-after'}, qr/^\d+$/, 'with Retry-After';

    $gw->quit;
    $gw->back;
    is stored($gw), $before, 'nothing was stored meanwhile';

    $gw->start->wait_ready;
    ok wait_until(sub { stored($gw) >= $before + $sent }),
       'the records are replayed';
    is stored($gw), $before + $sent, 'each of them once';
    ok wait_until(sub { !(() = glob $gw->dir . '/state/spool/*') }),
       'the spool is empty';
};


# -- validation and the ends of workers --

subtest 'reload and quit with a validation running' => sub {
    my $models = 60;
    my $up = model_server($models, 0.5);
    my $gw = Gateway->new(http =>
                              'model_validate_concurrency 4;');
    $gw->start->wait_ready;
    provider($gw, 'many', $up);

    my $r = $gw->api(POST => '/api/v1/providers/many/validate-models');
    is $r->{status}, 202, 'accepted';
    my $id = $r->{json}{id};

    ok wait_until(sub { (run_state($gw, 'many')->{validated} // 0) >= 6 }),
       'it has begun';
    is $gw->api(POST => '/api/v1/providers/many/validate-models')->{status},
       409, 'a second one is refused';

    $gw->reload(wait_old => 1);
    my $mark = run_state($gw, 'many')->{validated};
    ok wait_until(sub { run_state($gw, 'many')->{validated} > $mark + 4 }),
       'it goes on in the new worker';

    ok defined $gw->quit, 'quit does not wait for it';
    $gw->start->wait_ready;

    my $s;
    ok wait_until(sub {
        $s = run_state($gw, 'many');
        ($s->{status} // '') eq 'completed';
    }), 'it completes after a restart';
    is $s->{total}, $models, 'all models';
    is $s->{validated}, $models, 'all validated';
    is $s->{available} + $s->{unavailable}, $models, 'the counts add up';
    is $gw->sql_value("select count(*) from"
           . " model.ai_model_validation_results where available"),
       $s->{available}, 'and equal the rows';

    my $asked = grep { $_->{method} eq 'POST' } $up->requests;
    cmp_ok $asked, '<=', $models + 2 * 4,
           'only what was in flight was asked twice';
};


subtest 'kill -9 of the worker that validates' => sub {
    my $models = 24;
    my $up = model_server($models, 0.5);
    my $gw = Gateway->new(http =>
                              'model_validate_concurrency 2;');
    $gw->start->wait_ready;
    provider($gw, 'many', $up);

    is $gw->api(POST => '/api/v1/providers/many/validate-models')->{status},
       202, 'accepted';
    ok wait_until(sub { (run_state($gw, 'many')->{validated} // 0) >= 4 }),
       'it has begun';

    $gw->kill_worker;

    my $s;
    ok wait_until(sub {
        $s = run_state($gw, 'many');
        ($s->{status} // '') eq 'completed';
    }, 60), 'it completes after its lease';
    is $s->{validated}, $models, 'all validated';
    is $s->{available}, $models, 'all available';
};


# -- a client that leaves --

subtest 'client leaves in the middle of a stream' => sub {
    my $up = model_server(1, 0);
    my $gw = Gateway->new->start->wait_ready;

    provider($gw, 'one', $up);
    group($gw, 'assistant', 'one');

    my $wire = $gw->wire;
    $wire->request('POST', '/v1/chat/completions',
        { Authorization => 'Bearer ' . $gw->token('inference') },
        { model => 'assistant', stream => JSON::PP::true,
          messages => [ { role => 'user', content => 'hi' } ] });
    wait_until(sub { $wire->fill(time + 0.1); $wire->pending =~ /data: / });
    $wire->close;

    my $table = $gw->sql_value('select inference_table from model.model_groups');
    ok wait_until(sub {
        $gw->sql_value("select count(*) from model.$table where status = 499");
    }), 'it is recorded with 499';
    is $gw->get('/health')->{status}, 200, 'and nothing else happened';
};


done_testing;
