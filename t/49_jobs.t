#!/usr/bin/perl

# The job engine: two nodes on one database.  If this breaks, a job is run by
# two nodes at once or by none, the wrong one comes first, a failure is tried
# again at once or for ever, a request that is sent twice has its effect twice,
# or a worker that leaves, or a clock that jumps, costs a job; or jobs keep the
# API from the database.

use v5.28;
use warnings;

use FindBin;
use List::Util qw(max min uniq);
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(alive slurp spew start_process top wait_until);
use Upstream;


# -- two nodes, and a log of what jobs have become, by the database's clock --

my $gw = Gateway->new(http => 'model_jobs concurrency=1;', workers => 1);

sub node {
    my (%options) = @_;

    my $n = Gateway->new(database => $gw->conninfo, %options);
    spew("$n->{dir}/secret.key", slurp("$gw->{dir}/secret.key"));
    $n->{token} = $gw->{token};
    return $n;
}


$gw->sql(<<'END');
create table public.job_log (
    n bigint generated always as identity, id uuid, kind text, old text,
    new text, attempt int, owner text, at timestamptz);

create function public.job_log() returns trigger language plpgsql as $$
begin
    insert into public.job_log (id, kind, old, new, attempt, owner, at)
    values (new.id, new.kind, old.state, new.state, new.attempt,
            coalesce(new.lease_owner, old.lease_owner), clock_timestamp());
    return null;
end
$$;

create trigger job_log after update of state, lease_owner on model.jobs
    for each row when (old.state <> new.state
                       or old.lease_owner is distinct from new.lease_owner)
    execute function public.job_log();
END

$gw->start->wait_ready;
$gw->token('admin');

# seconds that the scripted server takes, in a file: it has processes of its own

my $delay = $gw->dir . '/delay';
sub delay { spew("$delay.new", $_[0]); rename "$delay.new", $delay }
delay(1.2);

my $up = Upstream->new(sub {
    my ($req) = @_;
    my ($model) = $req->{body} =~ /"model":\s*"([^"]+)"/;

    return { status => 404, json => {} } if !$model;
    return { delay => $model =~ /^fast/ ? 0.1 : slurp($delay),
             json => { id => 'x', object => 'chat.completion',
        model => 'm', choices => [ { index => 0, finish_reason => 'stop',
            message => { role => 'assistant', content => 'a' } } ] } };
});

sub provider {
    my ($id, $url, @models) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', { id => $id, name => $id,
        protocol => 'openai', base_url => $url, max_concurrency => 1 });
    is $r->{status}, 201, "provider $id" or diag $r->{body};

    for (@models) {
        $gw->api(POST => '/api/v1/models', { id => "$id/$_",
                                             type => 'chat' });
    }
}


# a validation that takes long; its job

sub begin {
    my ($provider) = @_;

    my $r = $gw->api(POST => "/api/v1/providers/$provider/validate-models");
    is $r->{status}, 202, "$provider is validated" or diag $r->{body};
    return $r->{json}{job_id};
}


sub job { return $gw->api(GET => "/api/v1/jobs/$_[0]")->{json} // {} }

sub wait_for {
    my ($id, $state, $seconds) = @_;

    ok wait_until(sub { job($id)->{status} eq $state }, $seconds),
       "it is $state" or diag explain job($id);
}


sub cancel {
    my ($id) = @_;

    $gw->api(POST => "/api/v1/jobs/$id/cancel");
    wait_for($id, 'cancelled');
}


# jobs that fail at once: a source that nobody knows; their ids

sub quick {
    my ($n, $more) = @_;

    return map { $_->[0] } $gw->sql("insert into model.jobs
        (kind, payload, priority) select 'sync', '{\"source\": \"none\"}',
        " . ($more // 0) . " from generate_series(1, $n) i returning id");
}


sub history {
    my ($id) = @_;

    return $gw->sql("select old, new, attempt, owner,
        extract(epoch from at) from public.job_log where id = '$id'
        order by n");
}


subtest 'priorities, kinds, lists' => sub {
    provider('slow', $up->url . '/v1', map { "m$_" } 1 .. 20);

    my $busy = begin('slow');
    wait_for($busy, 'in_progress');
    is job($busy)->{priority}, 10, 'what a person asks for comes first';

    my ($low) = quick(1);
    my ($high) = quick(1, 50);
    my ($mid) = quick(1, 20);
    my ($later) = quick(1, 100);
    $gw->sql("update model.jobs set run_after = now() + interval '1 h'
              where id = '$later'");
    my ($alien) = map { $_->[0] } $gw->sql("insert into model.jobs
        (kind, priority) values ('dream', 100) returning id");

    my $list = sub {
        my $r = $gw->api(GET => "/api/v1/jobs?$_[0]");
        is $r->{status}, 200, $_[0];
        return map { $_->{id} } @{ $r->{json}{jobs} };
    };

    is_deeply [ $list->('state=in_progress') ], [ $busy ], 'who is at work';
    is_deeply [ $list->('status=in_progress') ], [ $busy ], 'by either name';
    is_deeply [ $list->('key=slow') ], [ $busy ], 'by its key';
    is_deeply [ sort($list->('kind=sync&state=pending')) ],
              [ sort $low, $high, $mid, $later ], 'who waits';
    is_deeply [ $list->('since=2999-01-01T00:00:00Z') ], [], 'since then';
    ok scalar($list->('since=2020-01-01T00:00:00Z')), 'since long ago';

    for ([ 'state=done', qr/"done" is not known; give one of pending, / ],
         [ 'status=done', qr/status "done" is not known; give one of pen/ ],
         [ 'status=failed&state=failed', qr/two names of one thing; give/ ],
         [ 'kind=dream', qr/"dream" is not known; give one of sync, / ],
         [ 'since=noon', qr/"noon" is no time; give one such as/ ]) {
        my $r = $gw->api(GET => "/api/v1/jobs?$_->[0]");
        is $r->{status}, 400, "$_->[0] is refused";
        like $r->{json}{error}{message}, $_->[1], 'in words';
    }

    is job($low)->{status}, 'pending', 'there is one place on the node';
    cancel($busy);
    wait_for($_, 'failed') for $low;

    my %at = map { my $id = $_;
                   $id => (map { $_->[4] } grep { $_->[1] eq 'in_progress' }
                           history($id))[0] } $low, $mid, $high;
    cmp_ok $at{$high}, '<', $at{$mid}, 'the highest was the first';
    cmp_ok $at{$mid}, '<', $at{$low}, 'the lowest the last';
    is job($later)->{status}, 'pending', 'what is not due waits';
    is job($later)->{attempt}, 0, 'and was not begun';
    is_deeply [ history($alien) ], [], 'nobody touches an unknown kind';
    $gw->sql("update model.jobs set state = 'cancelled',
        completed_at = now() where id = '$later'");
};


subtest 'another attempt, and nobody waits for it' => sub {
    # a day of records that is to go, in a table that somebody reads

    my $g = $gw->api(POST => '/api/v1/model-groups', { name => 'busy',
        traffic_config => { records => { retention_days => 7 } } });
    is $g->{status}, 201, 'a group' or diag $g->{body};
    is $gw->api(POST => '/api/v1/model-groups/busy/models',
        [ { model_id => 'slow/m1', role => 'champion',
            traffic_percentage => 100 } ])->{status}, 200, 'of one model';

    my $table = $gw->sql_value("select inference_table
        from model.model_groups where name = 'busy'");
    $gw->sql("select model.make_inference_partition('$table',
        model.inference_stem('$table'), current_date - 20)");

    my $reader = $gw->hold($table, 'access share', 600);
    my $r = $gw->api(POST => '/api/v1/model-groups/busy/retain');
    is $r->{status}, 202, 'its retention' or diag $r->{body};
    my $id = $r->{json}{id};

    my $j;
    ok wait_until(sub { $j = job($id);
                        $j->{status} eq 'pending' && $j->{attempt} >= 1 }),
       'it is pending again' or diag explain $j;
    ok $j->{run_after}, "not before $j->{run_after}";
    ok $j->{error}, "it says why: $j->{error}";

    my ($other) = quick(1, -5);
    wait_for($other, 'failed');
    isnt job($id)->{status}, 'failed', 'others are run meanwhile';

    wait_for($id, 'failed');
    is job($id)->{attempt}, 3, 'after three attempts';
    kill 'TERM', $reader;
    waitpid $reader, 0;

    my @begun = map { $_->[4] } grep { $_->[1] eq 'in_progress' }
                history($id);
    my @ended = map { $_->[4] } grep { $_->[0] eq 'in_progress' }
                history($id);
    is scalar(@begun), 3, 'each was begun once';
    cmp_ok $begun[1] - $ended[0], '>=', 0.99, 'a second after the first';
    cmp_ok $begun[2] - $ended[1], '>=', 1.99, 'two after the second';
    like $gw->get('/metrics', { Authorization => 'Bearer '
             . $gw->token('admin') })->{body},
         qr/^nginx_model_jobs_retried_total 2$/m, 'which is counted';
};


subtest 'a request that is sent twice' => sub {
    provider('once', $up->url . '/v1', 'fast1');

    my $send = sub {
        my ($key, $uri) = @_;
        return $gw->fetch('POST', $uri // '/api/v1/providers/once/validate'
            . '-models', { Authorization => 'Bearer ' . $gw->token('admin'),
                           'Idempotency-Key' => $key });
    };

    my $first = $send->('key-1');
    is $first->{status}, 202, 'a validation' or diag $first->{body};
    is $first->{headers}{'idempotent-replayed'}, undef, 'made now';
    wait_for($first->{json}{job_id}, 'completed');

    my $again = $send->('key-1');
    is $again->{status}, 202, 'the same request';
    is $again->{json}{id}, $first->{json}{id}, 'has the same answer';
    is $again->{headers}{location}, $first->{headers}{location}, 'Location';
    is $again->{headers}{'idempotent-replayed'}, 'true', 'and says so';
    is $again->{json}{status}, 'completed', 'as it is now';

    my $other = $send->('key-1', '/api/v1/providers/slow/validate-models');
    is $other->{status}, 409, 'another request with the key';
    is $other->{json}{error}{param}, 'Idempotency-Key', 'what is wrong';
    like $other->{json}{error}{message}, qr/"key-1".*a key of its own/,
         'in words';
    isnt $send->('key-2')->{json}{id}, $first->{json}{id}, 'another key';

    is $send->("k\xe4y")->{status}, 400, 'not ASCII';
    is $send->('k' x 256)->{status}, 400, 'too long';

    # many at once: one run

    ok wait_until(sub { !$gw->sql_value("select count(*) from model.jobs
        where key = 'once' and state in ('pending', 'in_progress')") }),
       'nothing runs';
    my @wires = map { $gw->wire } 1 .. 20;
    my $token = $gw->token('admin');

    for (@wires) {
        $_->send("POST /api/v1/providers/once/validate-models HTTP/1.1\r\n"
            . "Host: a\r\nAuthorization: Bearer $token\r\n"
            . "Idempotency-Key: key-3\r\nContent-Length: 0\r\n\r\n");
    }

    my @answers = map { $_->response } @wires;
    is_deeply [ uniq map { $_->{status} } @answers ], [ 202 ],
              'twenty at once are accepted';
    is scalar(uniq map { $_->{body} =~ /"id":\s*"([^"]+)"/ } @answers), 1,
       'and are one run';
};


subtest 'two nodes' => sub {
    my $second = node(http => 'model_jobs concurrency=1;');
    $second->start->wait_ready;

    my @jobs = quick(400);
    ok wait_until(sub { !$gw->sql_value("select count(*) from model.jobs
        where kind = 'sync' and state in ('pending', 'in_progress')") }, 60),
       'four hundred jobs are run';

    my $in = join ',', map { "'$_'" } @jobs;
    is $gw->sql_value("select count(*) from public.job_log
        where id in ($in) and new = 'in_progress'"), 400, 'each of them once';
    is $gw->sql_value("select max(attempt) from model.jobs
        where id in ($in)"), 1, 'in one attempt';

    # one that hears of them first may have them all

    my $began = sub {
        my $workers = join '|', $_[0]->workers;
        return $gw->sql_value("select count(*) from public.job_log
            where new = 'in_progress' and owner ~ ':($workers):'");
    };

    ok wait_until(sub {
        quick(50) if !$began->($second);
        $began->($gw) && $began->($second);
    }), 'both nodes take jobs';

    # killed: the other node has it when the lease has run out

    delay(0.4);
    my $id = begin('slow');
    wait_for($id, 'in_progress');
    my ($pid) = $gw->sql_value("select lease_owner from model.jobs
        where id = '$id'") =~ /:(\d+):/;
    my ($owner) = grep { grep { $_ == $pid } $_->workers } $gw, $second;
    my $left = $owner == $gw ? $second : $gw;
    $up->forget;
    ok wait_until(sub { $up->requests > 2 }), 'it asks';

    $owner->allow(qr/exited on signal 9|was locked by/);
    $owner->{killed}{$_} = 1 for $owner->{pid}, $owner->workers;
    kill 'STOP', $owner->{pid};
    kill 'KILL', $owner->workers;
    my $lease = $gw->sql_value("select extract(epoch from lease_until)
        from model.jobs where id = '$id'");

    ok wait_until(sub {
        $gw->sql_value("select count(*) from public.job_log
            where id = '$id' and new = 'in_progress'") == 2;
    }, 40), 'the other node takes it over';
    my ($taken) = map { $_->[4] } (grep { $_->[1] eq 'in_progress' }
                                   history($id))[1];
    diag sprintf 'taken over %.1f s after its lease', $taken - $lease;
    cmp_ok $taken, '>=', $lease, 'not before the lease ran out';
    ok grep({ (history($id))[-1][3] =~ /:$_:/ } $left->workers),
       'by a worker of the other node';
    kill 'CONT', $owner->{pid};

    wait_for($id, 'completed', 60);
    my %asked;
    $asked{$_}++ for map { $_->{body} =~ /"model":\s*"([^"]+)"/ }
                     $up->requests;
    cmp_ok max(values %asked), '<=', 2, 'no model is asked more than twice';
    cmp_ok scalar(grep { $_ > 1 } values %asked), '<=', 2,
           'and only what was in flight, or not saved yet';

    # a run that moves on is not given up, however often it is lost

    delay(1);
    $id = begin('slow');

    for (1 .. 5) {
        ok wait_until(sub { ($gw->sql_value("select moved from model.jobs
            where id = '$id' and state = 'in_progress'") // '') eq 't' }),
           'it gets further' or last;
        $gw->sql("update model.jobs set lease_until = now() - interval '1 s',
            lease_owner = 'nobody' where id = '$id'
            and state = 'in_progress'");
        ok wait_until(sub { ($gw->sql_value("select lease_owner
            from model.jobs where id = '$id'") // '') ne 'nobody' }),
           'and is taken over';
        last if job($id)->{status} eq 'completed';
    }

    delay(0.05);
    wait_for($id, 'completed', 60);
    is job($id)->{attempt}, 1, 'its attempts were counted anew';
    delay(1.2);

    # two POSTs at once on two nodes: one run

    my @r = map { my $n = $_; my $w = $n->wire;
                  $w->send("POST /api/v1/providers/slow/validate-models"
                      . " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
                      . $gw->token('admin')
                      . "\r\nContent-Length: 0\r\n\r\n");
                  $w } $gw, $second;
    is_deeply [ sort map { $_->response->{status} } @r ], [ 202, 409 ],
              'one of two is refused';
    $id = $gw->sql_value("select id from model.jobs where key = 'slow'
        and state in ('pending', 'in_progress')");
    cancel($id);

    $second->quit;
};


subtest 'reload and quit hand over' => sub {
    # whoever waited for an answer would be late
    delay(30);
    my $id = begin('slow');
    my @took;

    for my $signal (qw(HUP HUP HUP QUIT QUIT QUIT)) {
        ok wait_until(sub { job($id)->{status} eq 'in_progress' }),
           'it runs';
        my $n = history($id);
        my ($pid) = $gw->workers;
        my $began;

        if ($signal eq 'HUP') {
            kill 'HUP', $gw->{pid};
            wait_until(sub { $gw->log =~ /\Q$pid\E#\d+: gracefully/ });
            $began = 0;

        } else {
            $began = $gw->sql_value('select extract(epoch from
                                     clock_timestamp())');
            kill 'QUIT', $pid;
        }

        ok wait_until(sub { history($id) >= $n + 2 }), "$signal: handed over";
        my ($over, $on) = (history($id))[$n, $n + 1];
        is $over->[1], 'pending', 'given back';
        is $on->[1], 'in_progress', 'and taken up';
        isnt $on->[3], $over->[3], 'by another worker';
        is $on->[2], 1, 'it costs no attempt';
        push @took, $over->[4] - $began if $began;
        wait_until(sub { !alive($pid) });
    }

    diag sprintf 'handed over after %s ms',
         join ', ', map { int 1000 * $_ } @took;
    cmp_ok max(@took), '<', 15, 'none waits for what is under way';
    cancel($id);

    my @asked = grep { $_->{body} } $up->requests;
    ok scalar(@asked), 'and the models were asked';
};


SKIP: {
    skip 'the sanitizer has the place of the clock', 1
        if $ENV{TEST_NGINX_SAN};

    subtest 'a clock that jumps' => sub {
        my $so = $gw->dir . '/clock.so';
        my $cc = join ' ', 'cc -shared -fPIC -O1 -o', $so,
                 top() . '/t/lib/clock.c', '-ldl';
        is system($cc), 0, 'a clock is built' or return;
        my $file = spew($gw->dir . '/clock', pack 'q', 0);
        chmod 0644, $file;

        local $ENV{LD_PRELOAD} = $so;
        local $ENV{CLOCK_FILE} = $file;
        my $second = node(http => 'model_jobs concurrency=2;');
        $second->start;
        delete local $ENV{LD_PRELOAD};

        my $jump = sub {
            open my $fh, '+<:raw', $file or die "$file: $!\n";
            syswrite $fh, pack 'q', $_[0];
        };

        delay(1.2);
        my $id = begin('slow');
        wait_for($id, 'in_progress');
        my $held = 0;

        for my $seconds (86400, -86400, 0, 3600, -7200) {
            $jump->($seconds);
            sleep 0.5;
            $second->wire->close;          # which it logs, with the time
            sleep 0.2;
            my $lease = $gw->sql_value("select extract(epoch from
                lease_until - now()) from model.jobs where id = '$id'");
            $held++ if defined $lease && $lease > 0 && $lease <= 10.01;
        }

        is $held, 5, 'the lease is what it is by the clock of the database';
        is scalar(grep { $_->[1] eq 'in_progress' } history($id)), 1,
           'and nobody takes the job from who has it';

        # the node whose clock is wrong runs jobs like others

        my @jobs = quick(20);
        my $in = join ',', map { "'$_'" } @jobs;
        ok wait_until(sub { $gw->sql_value("select count(*) from model.jobs
            where id in ($in) and state = 'failed'") == 20 }),
           'jobs are run';
        is $gw->sql_value("select max(attempt) from model.jobs
            where id in ($in)"), 1, 'once each';
        like $second->log, qr/^(?!@{[ (gmtime)[5] + 1900 ]}.\d\d.@{[
            sprintf '%02d', (localtime)[3] ]})\d{4}/m,
             'though its log has other days';

        cancel($id);
        $jump->(0);
        $second->quit;
    };
}


subtest 'by the clock: validations, and the end of history' => sub {
    delay(0.05);
    $gw->sql("update model.providers set active = false
              where id <> 'once'");

    # what ended long ago

    my ($old) = quick(1);
    my ($young) = quick(1);
    wait_for($_, 'failed') for $old, $young;
    $gw->sql("update model.jobs set completed_at = now() - interval '50 h'
        where id = '$old'");
    $gw->sql("update model.jobs set completed_at = now() - interval '40 h'
        where id = '$young'");

    my $before = $gw->sql_value('select count(*) from
                                 model.ai_model_validation_progress');
    my $conf = 'model_jobs concurrency=2 history=2d;'
               . 'model_validate on interval=2s jitter=0s providers=once,no;';
    my $second = node(http => $conf);
    $second->start;
    $gw->reload(http => $conf, wait_old => 1);

    ok wait_until(sub { $gw->sql_value("select count(*) from
        model.ai_model_validation_progress") >= $before + 4 }),
       'it is validated again and again';
    $second->quit;
    $gw->reload(http => 'model_jobs concurrency=2;', wait_old => 1);

    my @times = map { $_->[0] } $gw->sql("select extract(epoch from
        v.created_at) from model.ai_model_validation_progress v
        join model.jobs j on j.id = v.job_id and j.token_id is null
        where v.provider_id = 'once' order by 1");
    my @gaps = map { $times[$_] - $times[$_ - 1] } 1 .. $#times;
    cmp_ok scalar(@times), '>=', 4, 'by the schedule';
    cmp_ok min(@gaps), '>=', 1.999, 'never before its time, by either node';

    is $gw->sql_value("select count(*) from model.jobs where id = '$old'"),
       0, 'a job that ended long ago is gone';
    is $gw->sql_value("select count(*) from model.jobs where id = '$young'"),
       1, 'a younger one is there';
    is $gw->api(GET => "/api/v1/jobs/$old")->{status}, 404, 'not found';
};


subtest 'how many at once on a node' => sub {
    delay(0.4);
    $gw->sql('update model.providers set active = true');
    $gw->reload(workers => 2, wait_old => 1);
    $gw->sql('truncate public.job_log');

    my @jobs;

    for my $i (1 .. 5) {
        provider("p$i", $up->url . '/v1', 'm');
        push @jobs, begin("p$i");
    }

    wait_for($_, 'completed') for @jobs;
    my ($n, $most) = (0, 0);

    for ($gw->sql('select old, new from public.job_log order by at, n')) {
        $n += ($_->[1] eq 'in_progress') - ($_->[0] eq 'in_progress');
        $most = $n if $n > $most;
    }

    is $most, 2, 'two, whichever workers they are';
};


subtest 'more jobs than connections' => sub {
    $gw->{connections} = 3;
    delay(1);
    $gw->reload(workers => 1, wait_old => 1, http => 'model_jobs concurrency=2;');

    my @jobs;

    for my $id (qw(c1 c2)) {
        provider($id, $up->url . '/v1', map { "m$_" } 1 .. 5);
        push @jobs, begin($id);
    }

    wait_for($_, 'in_progress') for @jobs;

    # one of them at a time waits for a lock, for long
    my $locked = $gw->dir . '/locked';
    my $pid = start_process($locked, 'psql', '-qAtX', '-d', $gw->conninfo, '-c',
        "begin; select count(*) from (select 1
             from model.ai_model_validation_progress for update) v;
         select pg_sleep(8)");
    ok wait_until(sub { 1 <= ($gw->sql("select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and datname = current_database()"))[0][0]
    }), 'a job waits for the database';

    my @status = map {
        $gw->api(GET => '/api/v1/providers?limit=1')->{status}
    } 1 .. 20;

    is_deeply [ grep { $_ != 200 } @status ], [], 'the API has a connection';
    kill 'TERM', $pid;
    waitpid $pid, 0;
    wait_for($_, 'completed') for @jobs;
    $gw->{connections} = 0;
};


subtest 'directives' => sub {
    my $n = node(main => 'thread_pool other threads=2;');
    $n->allow(qr/\[emerg\]/);

    for ([ 'model_jobs concurrency=0;', qr/"concurrency=0" is not between 1/ ],
         [ 'model_jobs history=1h;', qr/"history=1h" is not a number of wh/ ],
         [ 'model_jobs threads=1;', qr/"threads=1" is no parameter of "mode/ ],
         [ 'model_jobs pool=none;', qr/thread pool "none".*add "thread_pool/ ],
         [ 'model_jobs concurrency=1; model_jobs concurrency=1;',
           qr/"model_jobs" directive is duplicate/ ],
         [ 'model_jobs_concurrency 1; model_jobs concurrency=1;',
           qr/model_jobs_concurrency" has said already; remove that/ ],
         [ 'model_validate maybe;', qr/"maybe" is neither "on" nor "off"/ ],
         [ 'model_validate on interval=0s;', qr/"interval=0s" is no time/ ],
         [ 'model_validate on jitter=x;', qr/"jitter=x" is no time/ ],
         [ 'model_validate on providers=a,,b;', qr/"providers=a,,b" is neit/ ],
         [ 'model_validate on models=a;', qr/"models=a" is no parameter/ ]) {
        my ($ok, $text) = $n->test_conf(http => $_->[0]);
        ok !$ok, $_->[0];
        like $text, $_->[1], 'in words';
    }

    my ($ok, $text) = $n->test_conf(http =>
        'model_jobs pool=other concurrency=4 history=90d;'
        . 'model_validate on interval=1d jitter=1h providers=all;');
    ok $ok, 'all of them' or diag $text;
    ($ok, $text) = $n->test_conf(http => 'model_jobs_concurrency 4;');
    ok $ok, 'the older spelling' or diag $text;
};

done_testing();
