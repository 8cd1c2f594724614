#!/usr/bin/perl

# What a validation leaves behind when it ends or loses its worker.  If this
# breaks, a run does not end because its scores take long, two threads of one
# worker ask the same models, what a killed worker had begun is forgotten by the
# next reload and asked a third time, one refusal loses the provider's list, a
# list without end fills the catalog, thousands of models cannot be named, a
# provider that was deleted is still asked, or what has ended begins anew.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(slurp spew wait_until);
use Upstream;

my %good = (id => 'x', object => 'chat.completion', model => 'm', choices => [
    { index => 0, finish_reason => 'stop',
      message => { role => 'assistant', content => 'a' } } ]);

my $gw = Gateway->new(http => 'model_validate_timeout 60s;');
$gw->start->wait_ready;

my $dir = $gw->dir . '/up';
mkdir $dir;
chmod 0777, $dir;
spew("$dir/delay", 0);

my $up = Upstream->new(sub {
    my ($req) = @_;
    return { json => { data => [ map { { id => "m$_" } } 1 .. 6 ] } }
        if $req->{uri} =~ /models$/;
    return { json => \%good, delay => slurp("$dir/delay") };
});


sub provider {
    my ($id, $up, %more) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', { id => $id, name => $id,
        protocol => 'openai', base_url => $up->url . '/v1', %more });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
}


sub begin {
    my ($provider, $body) = @_;

    my $r = $gw->api(POST => "/api/v1/providers/$provider/validate-models",
                     $body);
    is $r->{status}, 202, "$provider: accepted" or diag $r->{body};
    return $r->{json}{id};
}


sub ended {
    my ($id, $seconds) = @_;
    my $s;

    wait_until(sub {
        $s = $gw->api(GET => "/api/v1/validations/$id?limit=1000")->{json};
        ($s->{status} // '') =~ /^(?:completed|failed|cancelled)$/;
    }, $seconds);
    return $s;
}


sub begun {
    my ($id) = @_;

    return map { $_->[0] } $gw->sql("select model_id
        from model.ai_model_validation_results where validation_id = '$id'
        and begun > 0 and result is null order by 1");
}


subtest 'a run ends before its scores are there' => sub {
    provider('scored', $up);
    is ended(begin('scored'))->{available}, 6, 'all is known';
    ok wait_until(sub { $gw->sql_value("select count(*) from model.jobs
        where kind = 'score' and state = 'completed'") == 1 }),
       'and scored';
    $gw->sql("delete from model.model_sources where source = 'inferred'");

    my $pid = $gw->hold('model_sources', 'exclusive', 600);
    my $id = begin('scored', { models => [ 'm1', 'm2' ] });
    my $s = ended($id);
    is $s->{status}, 'completed', 'the run ends all the same';
    is $s->{available}, 2, 'with its results';
    is ended(begin('scored', { models => [ 'm1' ] }))->{status}, 'completed',
       'and the next one begins and ends';

    $gw->sql("select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database()
              and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()");
    waitpid $pid, 0;
    ok wait_until(sub { $gw->sql_value("select count(*) from model.jobs
        where kind = 'score' and state = 'completed'") == 3 }),
       'scores come later';
    is $gw->sql_value("select reliability_score from model.models_metadata
        where id = 'scored/m2'"), 100000, 'reliability';
};


subtest 'two threads of one worker' => sub {
    $gw->allow(qr/the lease was lost/);
    spew("$dir/delay", 1);
    provider('leased', $up, max_concurrency => 1);
    my $id = begin('leased');
    my $job = $gw->api(GET => "/api/v1/validations/$id")->{json}{job_id};
    my $owner = sub { $gw->sql_value("select lease_owner from model.jobs
        where id = '$job' and state = 'in_progress'") // '' };
    my ($first, $now, $other);
    ok wait_until(sub { $first = $owner->() }), 'a thread has it';

    # as if that one had been held up for longer than its lease; who looks
    # for a job takes it

    for my $i (1 .. 40) {
        $gw->sql("update model.jobs set lease_until = now()
                  - interval '1 second' where id = '$job'
                  and state = 'in_progress'");
        $other = $gw->api(POST => '/api/v1/providers/scored/validate-models');
        wait_until(sub { ($now = $owner->()) ne $first }, 0.2);
        last if $now ne $first;
    }

    ok $now && $now ne $first, "another thread has it now, and says so";
    is ended($id)->{status}, 'completed', 'the run ends';
    ok wait_until(sub { $gw->log =~
        /job \Q$job\E: the lease was lost/ }), 'the first one stopped';
    spew("$dir/delay", 0);
    wait_until(sub { !$gw->sql_value("select count(*) from model.jobs
        where state in ('pending', 'in_progress')") });
};


subtest 'what was begun, after a kill and a reload' => sub {
    spew("$dir/delay", 20);
    provider('handed', $up, max_concurrency => 2);
    my $id = begin('handed');
    my @killed;
    ok wait_until(sub { (@killed = begun($id)) == 2 }), 'two are begun';
    $gw->kill_worker;
    $gw->sql("update model.jobs set lease_until = now() - interval '1 second'
              where state = 'in_progress'");
    my @all;
    ok wait_until(sub { (@all = begun($id)) == 4 }), 'then two others';
    # what the worker that leaves had begun is as it was before; nobody takes
    # the job meanwhile

    $gw->sql("update model.providers set max_concurrency = 1
              where id = 'handed'");
    $gw->reload(wait_old => 1);
    ok wait_until(sub { (@all = begun($id)) == 3 }),
       'and after a reload one, for there is room for one' or diag "@all";
    my %left = map { $_ => 1 } @all;
    is scalar(grep { $left{$_} } @killed), 2,
       'what the killed one had begun stays begun' or diag "@killed / @all";
    spew("$dir/delay", 0);
    $gw->api(POST => "/api/v1/validations/$id/cancel");
    ended($id);
};


subtest 'workers that are killed before they save anything' => sub {
    spew("$dir/delay", 20);
    provider('early', $up, max_concurrency => 2);
    my $id = begin('early');
    my $begun = sub { $gw->sql_value("select coalesce(sum(begun), 0)
        from model.ai_model_validation_results
        where validation_id = '$id'") };
    my $before = 0;

    for my $i (1 .. 4) {
        ok wait_until(sub { $begun->() > $before }), "worker $i begins";
        $before = $begun->();
        spew("$dir/delay", 0) if $i == 4;
        $gw->kill_worker;
        $gw->sql("update model.jobs set lease_until = now()
                  - interval '1 second' where state = 'in_progress'");
    }

    my $s = ended($id);
    is $s->{status}, 'completed', 'the run ends all the same'
        or diag $s->{error};
    is $s->{validated}, 6, 'with all models';
};


subtest 'a clock that was set back' => sub {
    $gw->sql("insert into model.jobs (kind, key, payload, run_after)
              values ('score', 'clock', '{\"provider_id\": \"scored\"}',
              now() + interval '1 hour')");
    $gw->sql("update model.jobs set state = 'in_progress',
              lease_owner = 'nobody', lease_until = now() + interval '1 hour'
              where key = 'clock'");
    ok wait_until(sub { $gw->sql_value("select state from model.jobs
        where key = 'clock'") eq 'completed' }),
       'a worker that is gone has no lease for an hour';
};


subtest 'a list that is refused once' => sub {
    my $twice = Upstream->new(sub {
        my ($req) = @_;
        return { json => \%good } if $req->{uri} !~ /models$/;
        return { status => 503 } if mkdir "$dir/refused";
        return { json => { data => [ { id => 'late' } ] } };
    });
    provider('refused', $twice);
    my $s = ended(begin('refused'));
    is $s->{status}, 'completed', 'is asked for again' or diag $s->{error};
    is $s->{available}, 1, 'with what is on it';
    $twice->stop;
};


subtest 'a list without end' => sub {
    my $endless = Upstream->new(sub {
        my ($req) = @_;
        return { json => \%good } if $req->{uri} !~ /models/;
        my ($page) = $req->{uri} =~ /after_id=p(\d+)/;
        $page = ($page // 0) + 1;
        return { headers => [ 'Content-Type', 'application/json' ],
                 body => '{"data":['
                     . join(',', map { qq({"id":"p$page-$_"}) } 1 .. 9000)
                     . qq(],"has_more":true,"last_id":"p$page"}) };
    });
    provider('endless', $endless, protocol => 'anthropic');
    my $s = ended(begin('endless'), 120);
    is $s->{status}, 'failed', 'is given up';
    like $s->{error}, qr/more than 100000 models/, 'and why';
    is $gw->sql_value("select count(*) from model.models_metadata
        where provider_id = 'endless'"), 0, 'nothing of it is kept';
    $endless->stop;
};


subtest 'a list that takes long' => sub {
    my $late = Upstream->new(sub { return { hang => 1 } });
    provider('awaited', $late);
    my $id = begin('awaited');
    my $s;
    ok wait_until(sub {
        $s = $gw->api(GET => "/api/v1/validations/$id")->{json};
        $s->{phase} eq 'discovering' && $late->requests;
    }), 'it is waited for';
    sleep 0.5;
    $s = $gw->api(GET => "/api/v1/validations/$id")->{json};
    is $s->{total}, 0, 'nothing is known yet';
    is $s->{estimated_seconds}, undef, 'nor how long it takes';
    $gw->api(POST => "/api/v1/validations/$id/cancel");
    is ended($id)->{status}, 'cancelled', 'and it is cancelled';
    $late->stop;
};


subtest 'a provider that is deleted' => sub {
    spew("$dir/delay", 0.5);
    provider('deleted', $up, max_concurrency => 1);
    my $id = begin('deleted');
    ok wait_until(sub { begun($id) }), 'it is being asked';
    is $gw->api(DELETE => '/api/v1/providers/deleted')->{status}, 204,
       'deleted';
    my $s = ended($id);
    is $s->{status}, 'cancelled', 'its run ends' or diag explain $s;
    cmp_ok $s->{validated}, '<', 6, 'before all models were asked';

    provider('deleted', $up);
    spew("$dir/delay", 0);
    is ended(begin('deleted'))->{available}, 6, 'made anew, it is validated';

    # one that waits

    $gw->sql("insert into model.jobs (kind, key, run_after) values
              ('sync', 'sync:provider:deleted', now() + interval '1 hour')");
    is $gw->api(DELETE => '/api/v1/providers/deleted')->{status}, 204,
       'deleted again';
    is $gw->sql_value("select state from model.jobs
        where key = 'sync:provider:deleted'"), 'cancelled',
       'nobody reads its list later';
};


subtest 'providers that are not there' => sub {
    my $path = '/api/v1/providers/nobody';

    for ("$path/validations", "$path/validation-status") {
        my $r = $gw->api(GET => $_);
        is $r->{status}, 404, $_;
        is $r->{json}{error}{message}, 'there is no provider "nobody"',
           'in words';
    }

    provider('new', $up);
    $path = '/api/v1/providers/new';
    is_deeply $gw->api(GET => "$path/validations")->{json}{validations}, [],
              'one that is new has no history';
    like $gw->api(GET => "$path/validation-status")->{json}{error}{message},
         qr/"new" has not been validated/, 'and no state';
    cmp_ok scalar @{ $gw->api(GET => '/api/v1/providers/deleted/validations')
        ->{json}{validations} }, '>', 0, 'one that was deleted has its own';
};


subtest 'what has ended' => sub {
    my $id = $gw->sql_value("select id
        from model.ai_model_validation_progress where status = 'completed'
        limit 1");

    for my $state (qw(pending in_progress failed cancelled)) {
        $gw->sql("do \$\$ begin
            update model.ai_model_validation_progress
            set status = '$state' where id = '$id';
            exception when check_violation then null; end \$\$");
        is $gw->sql_value("select status
            from model.ai_model_validation_progress where id = '$id'"),
           'completed', "is not $state afterwards";
    }
};


subtest 'as many as may be named' => sub {
    provider('named', $up);
    $gw->sql("insert into model.models_metadata (id, provider_id,
        provider_model_id, name, model_type, source)
        select 'named/m' || i, 'named', 'm' || i, 'm' || i, 'chat', 'manual'
        from generate_series(1, 10000) i");

    # half of them with the provider's name

    my $r = $gw->api(POST => '/api/v1/providers/named/validate-models',
        { models => [ map { ($_ % 2 ? 'named/' : '') . "m$_" }
                      1 .. 10000 ] });
    is $r->{status}, 202, 'of as many' or diag $r->{body};
    is $r->{json}{total}, 10000, 'are found';
    $gw->api(POST => "/api/v1/validations/$r->{json}{id}/cancel");
    ended($r->{json}{id});
};


subtest 'a key of another request' => sub {
    my $send = sub {
        my ($body) = @_;
        return $gw->fetch(POST => '/api/v1/validations', {
            Authorization => 'Bearer ' . $gw->token('admin'),
            'Idempotency-Key' => 'all-1' }, $body);
    };

    provider('first', $up);
    my $r = $send->({ providers => [ 'first' ] });
    is $r->{status}, 202, 'a validation of one provider' or diag $r->{body};
    my $id = $r->{json}{validations}[0]{id};
    ended($id);
    is $send->({ providers => [ 'first' ] })->{json}{validations}[0]{id},
       $id, 'the same request has the same run';

    for ([ 'new' ], [ 'new', 'first' ], [ 'first', 'new' ]) {
        $r = $send->({ providers => $_ });
        is $r->{status}, 409, "one of @$_";
        is $r->{json}{error}{param}, 'Idempotency-Key', 'what is wrong';
    }

    is $gw->sql_value("select count(*)
        from model.ai_model_validation_progress where provider_id = 'new'"),
       0, 'nothing was begun';
};


$up->stop;
done_testing;
