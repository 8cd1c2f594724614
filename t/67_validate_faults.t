#!/usr/bin/perl

# Validations among bad servers and broken nodes.  If this breaks, a server that
# hangs, floods, lies or redirects stops a run or is called available; a cancel
# that comes late leaves a run in two states; two nodes run the same validation;
# a run is lost with the database or with a worker, or asks a model again and
# again because its workers are killed.

use v5.28;
use warnings;

use FindBin;
use IO::Socket::INET;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(slurp top wait_until);
use Services;
use Upstream;

my %good = (id => 'x', object => 'chat.completion', model => 'm', choices => [
    { index => 0, finish_reason => 'stop',
      message => { role => 'assistant', content => 'a' } } ]);

my $gw = Gateway->new(http => 'model_validate_timeout 5s;');
$gw->start->wait_ready;

my $dir = $gw->dir . '/up';
mkdir $dir;
chmod 0777, $dir;


sub model_of { return $_[0]{body} =~ /"model":\s*"([^"]+)"/ ? $1 : '' }


sub provider {
    my ($gw, $id, $up, @models) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', { id => $id, name => $id,
        protocol => 'openai', base_url => ref $up ? $up->url . '/v1' : $up });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
    $gw->api(POST => '/api/v1/models', { id => "$id/$_", type => 'chat' })
        for @models;
}


sub begin {
    my ($gw, $provider) = @_;

    my $r = $gw->api(POST => "/api/v1/providers/$provider/validate-models");
    is $r->{status}, 202, "$provider: accepted" or diag $r->{body};
    return $r->{json}{id};
}


sub ended {
    my ($gw, $id, $seconds) = @_;
    my $s;

    wait_until(sub {
        $s = $gw->api(GET => "/api/v1/validations/$id?limit=1000")->{json};
        ($s->{status} // '') =~ /^(?:completed|failed|cancelled)$/;
    }, $seconds);

    my %rows = map { $_->[0] => $_->[1] } $gw->sql("select result, count(*)
        from model.ai_model_validation_results where validation_id = '$id'
        and result is not null group by 1");
    is $s->{$_}, $rows{$_} // 0, "$_: as many as there are rows"
        for qw(available unavailable unverified);
    is $s->{validated},
       $s->{available} + $s->{unavailable} + $s->{unverified}, 'sum';
    return $s;
}


# what bad servers answer, and what that is called

my @html = (headers => [ 'Content-Type', 'text/html' ],
            body => '<html><body>Welcome to nginx!</body></html>');
my %bad = (
    hangs => [ { hang => 1 }, 'timeout' ],
    drips => [ { headers => [ 'Content-Type', 'application/json' ],
                 chunks => [ map { ('{', \0.3) } 1 .. 100 ] }, 'timeout' ],
    closes => [ { drop => 1 }, 'connect' ],
    cuts => [ { json => \%good, cut => 20 }, 'connect' ],
    floods => [ { headers => [ 'Content-Type', 'application/json' ],
                  chunks => [ (' ' x 65536) x 600 ] }, 'bad_answer' ],
    'floods-headers' => [ { headers => [ map { ("X-$_", 'x' x 4000) }
                                         1 .. 600 ], json => \%good },
                          qr/^(?:bad_answer|connect)$/ ],
    redirects => [ { status => 302, headers => [ 'Location',
                     'http://127.0.0.1:1/v1/other' ] }, 'bad_answer',
                   qr/redirect/ ],
    'lies-short' => [ { headers => [ 'Content-Length', 30 ],
                        json => \%good }, 'bad_answer' ],
    'lies-long' => [ { headers => [ 'Content-Length', 100000 ],
                       json => \%good, close => 1 },
                     qr/^(?:connect|timeout)$/ ],
    'error-inside' => [ { json => { error => { message => 'no such luck',
                          type => 'server_error' } } }, 'bad_answer',
                        qr/no such luck/ ],
    'error-text' => [ { json => { error => 'out of luck' } }, 'bad_answer',
                      qr/out of luck/ ],
    html => [ { @html }, 'bad_answer', qr/JSON/ ],
    'html-404' => [ { status => 404, @html }, 'not_found' ],
    empty => [ { body => '' }, 'bad_answer' ],
    null => [ { json => undef }, 'bad_answer' ],
    deep => [ { headers => [ 'Content-Type', 'application/json' ],
                body => '[' x 100000 }, 'bad_answer' ],
    teapot => [ { status => 418, json => {} }, 'bad_answer' ],
    'not-http' => [ undef, 'connect' ],
);


# a server that does not speak HTTP

sub noise {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 64, ReuseAddr => 1) // die "listen: $!\n";
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        while (1) {
            my $s = $listen->accept or next;
            syswrite $s, "\x16\x03\x01 SSH-2.0-noise\r\n\x00\xff\r\n\r\n";
            close $s;
        }
    }

    return ($pid, 'http://127.0.0.1:' . $listen->sockport . '/v1');
}


subtest 'bad servers, list and models' => sub {
    my (%ids, @ups, $noise);

    for my $name (sort keys %bad) {
        my $answer = $bad{$name}[0];
        my $url;

        if ($answer) {
            push @ups, Upstream->new(sub { return $answer });
            $url = $ups[-1];

        } else {
            ($noise, $url) = noise();
        }

        provider($gw, $name, $url, 'one', 'two');
        $ids{$name} = begin($gw, $name);
    }

    for my $name (sort keys %bad) {
        my (undef, $class, $words) = @{ $bad{$name} };
        my $s = ended($gw, $ids{$name}, 60);

        is $s->{status}, 'completed', "$name: the run ends"
            or diag explain $s;
        is $s->{unavailable}, 2, 'both are unavailable';
        ok $s->{error}, 'the list could not be had';

        for my $r (@{ $s->{results} }) {
            like $r->{error_class}, ref $class ? $class : qr/^$class$/,
                 "$r->{model_id}: class" or diag $r->{error};
            like $r->{error}, $words // qr/./, 'words';
        }
    }

    is scalar(my @workers = $gw->workers), 1, 'the worker lives';
    kill 'KILL', $noise;
    waitpid $noise, 0;
    $_->stop for @ups;
};


subtest 'nobody, no key, no models' => sub {
    is $gw->api(POST => '/api/v1/providers/unknown/validate-models')
       ->{status}, 404, 'an unknown provider';

    my $up = Upstream->new(sub {
        my ($req) = @_;
        return { status => 401, json => { error => {
            message => 'You did not provide an API key' } } }
            if !$req->{headers}{authorization};
        return { json => { data => [] } };
    });
    provider($gw, 'keyless', $up, 'a');
    my $s = ended($gw, begin($gw, 'keyless'));
    is $s->{results}[0]{error_class}, 'auth', 'without a key: auth';
    like $s->{results}[0]{error}, qr/did not provide an API key/, 'words';

    my $empty = Upstream->new(sub { return { json => { data => [] } } });
    provider($gw, 'empty-list', $empty);
    $s = ended($gw, begin($gw, 'empty-list'));
    is $s->{status}, 'completed', 'a provider without models';
    is $s->{total}, 0, 'none';
    $_->stop for $up, $empty;
};


subtest 'a cancel that races the end' => sub {
    my $up = Upstream->new(sub {
        return { json => { %good, data => [ map { { id => "r$_" } } 1 .. 4 ] },
                 delay => 0.02 };
    });
    provider($gw, 'races', $up);
    my %ends;

    for my $i (1 .. 16) {
        my $id = $gw->api(POST => '/api/v1/providers/races/validate-models')
                     ->{json}{id} or fail('accepted'), last;
        sleep $i * 0.012;
        my $r = $gw->api(POST => "/api/v1/validations/$id/cancel");
        my $s;
        wait_until(sub {
            $s = $gw->api(GET => "/api/v1/validations/$id")->{json};
            $s->{completed_at};
        });
        my $job;
        wait_until(sub {
            $job = $gw->api(GET => "/api/v1/jobs/$s->{job_id}")->{json};
            $job->{completed_at};
        });
        ok $r->{status} == 202 || $r->{status} == 409 && $s->{status}
           eq 'completed', "run $i: $r->{status}, $s->{status}";
        is $job->{status}, $s->{status}, 'run and job agree';
        is $s->{validated}, $s->{available}, 'what was tested counts';
        $ends{ $s->{status} }++;
    }

    diag explain \%ends;
    is $gw->sql_value("select count(*)
        from model.ai_model_validation_progress
        where status in ('pending', 'in_progress')"), 0, 'nothing is left';
    $up->stop;
};


subtest 'two nodes, one run' => sub {
    # a busy machine may take its time; that is the bad servers' test
    my @patient = (http => 'model_validate_timeout 60s;');
    $gw->reload(@patient, wait_old => 1);
    my $other = Gateway->new(database => $gw->conninfo, @patient);
    $other->start->wait_ready;
    $_->token('admin') for $gw, $other;

    # no run ends before both have asked for it
    my $up = Upstream->new(sub {
        wait_until(sub { !-e "$dir/closed" });
        return { json => { %good, data => [ { id => 'only' } ] } };
    });
    provider($gw, 'twice', $up);

    for my $round (1 .. 6) {
        my @pids;
        Host::spew("$dir/closed", '');

        for my $i (0, 1) {
            my $pid = fork // die "fork: $!\n";

            if ($pid == 0) {
                my $r = ($gw, $other)[$i]->api(POST =>
                    '/api/v1/providers/twice/validate-models');
                Host::spew("$dir/post-$i",
                           "$r->{status} " . ($r->{json}{id} // ''));
                POSIX::_exit(0);
            }

            push @pids, $pid;
        }

        waitpid $_, 0 for @pids;
        unlink "$dir/closed";
        my @got = map { [ split / /, slurp("$dir/post-$_") ] } 0, 1;
        is join(' ', sort map { $_->[0] } @got), '202 409',
           "round $round: one of them";
        is $got[0][1], $got[1][1], 'both name the same run';
        is ended($gw, $got[0][1])->{available}, 1, 'which ends';
    }

    my @asked = grep { $_->{method} eq 'POST' } $up->requests;
    is scalar @asked, 6, 'the model was asked once a run';
    $up->stop;
    $other->quit;
};


# -- a database and workers that go --

sub many {
    my ($n) = @_;

    return Upstream->new(sub {
        return { json => { data => [ map { { id => "k$_" } } 1 .. $n ] } }
            if $_[0]{uri} =~ m{/models};
        return { json => \%good, delay => slurp("$dir/delay") || 0 };
    });
}


sub asked {
    my ($up) = @_;
    my %n;

    $n{ model_of($_) }++ for grep { $_->{method} eq 'POST' } $up->requests;
    return \%n;
}


subtest 'PostgreSQL restarted in the middle' => sub {
    my $own = $gw->dir . '/pg';
    mkdir $own;
    chmod 0755, $own;
    my $tool = top() . '/tools';
    # what is committed is to be there afterwards
    local $ENV{MODEL_FAST} = '';
    my $services = sub { system("$tool/services $_[0] $own >/dev/null 2>&1") };
    is $services->('start'), 0, 'a server of our own';
    my ($conninfo) = `$tool/services env $own` =~ /^MODEL_DATABASE=(.*)/m;
    $conninfo =~ s/\\(.)/$1/g;
    $conninfo =~ s/^'(.*)'$/$1/;
    Services::query("$conninfo dbname=postgres", 'create database mine');
    is system("$tool/migrate '$conninfo dbname=mine' >/dev/null"), 0,
       'migrated';

    my $mine = Gateway->new(database => "$conninfo dbname=mine");
    $mine->allow(qr/terminating connection|the database/);
    $mine->start->wait_ready;
    Host::spew("$dir/delay", '0.2');
    my $up = many(150);
    provider($mine, 'restart', $up);
    $mine->api(PATCH => '/api/v1/providers/restart', { max_concurrency => 8 });
    my $id = begin($mine, 'restart');
    ok wait_until(sub {
        ($mine->api(GET => "/api/v1/validations/$id")->{json}{validated} // 0)
            >= 10 }), 'it runs';
    is $services->('stop'), 0, 'stopped';
    sleep 1;
    is $services->('start'), 0, 'and started';
    my $s = ended($mine, $id, 120);
    is $s->{status}, 'completed', 'the run ends' or diag explain
        { map { $_ => $s->{$_} } grep { !ref $s->{$_} } keys %$s };
    is $s->{available}, 150, 'with all models';
    is scalar(grep { $_ > 1 } values %{ asked($up) }), 0,
       'none was asked twice';
    $mine->quit;
    $services->('stop');
    $up->stop;
};


subtest 'a worker that is killed again and again' => sub {
    my $kills = $ENV{TEST_KILLS} || ($ENV{TEST_NGINX_SAN} ? 12 : 50);
    my $n = 20 * $kills;
    Host::spew("$dir/delay", '0.15');
    my $up = many($n);
    provider($gw, 'killed', $up);
    $gw->api(PATCH => '/api/v1/providers/killed', { max_concurrency => 3 });
    my $id = begin($gw, 'killed');
    my $job = $gw->api(GET => "/api/v1/validations/$id")->{json}{job_id};

    my $state = sub { $gw->sql_value("select state || ' ' || attempt
        from model.jobs where id = '$job'") };
    my $killed = 0;

    for my $i (1 .. $kills) {
        wait_until(sub { $gw->sql_value("select count(*) from model.jobs
            where id = '$job' and state = 'in_progress'
            and lease_until > now()") });
        last if $state->() !~ /^in_progress/;
        sleep 0.5 + rand 0.7;
        $gw->kill_worker;
        $killed++;

        # the lease is another test's
        $gw->sql("update model.jobs set lease_until = now()
                  - interval '1 second' where id = '$job'
                  and state = 'in_progress'");
    }

    is $killed, $kills, "killed $kills times while it ran";
    Host::spew("$dir/delay", '0.02');
    my $s = ended($gw, $id, 120);
    is $s->{status}, 'completed', 'it ends all the same'
        or diag $s->{error} // '';
    is $s->{total}, $n, 'with all models';
    is $s->{validated}, $n, 'each has a result';
    is $s->{available} + $s->{unverified}, $n,
       'available, or interrupted twice';
    my @left = grep { $_->{result} eq 'unverified' } @{ $s->{results} };
    is scalar(grep { $_->{error_class} ne 'interrupted' } @left), 0,
       'which it says';
    cmp_ok scalar @left, '<', $n / 4, 'of which there are few';

    my $asked = asked($up);
    my @twice = grep { $asked->{$_} > 1 } keys %$asked;
    diag sprintf '%d asked twice, %d interrupted twice', scalar @twice,
         scalar @left;
    is scalar keys %$asked, $n, 'each was asked';
    is scalar(grep { $_ > 2 } values %$asked), 0, 'none more than twice';
    $up->stop;
};


subtest 'reload again and again' => sub {
    Host::spew("$dir/delay", '0.3');
    my $up = many(120);
    provider($gw, 'reloaded', $up);
    $gw->api(PATCH => '/api/v1/providers/reloaded', { max_concurrency => 8 });
    my $id = begin($gw, 'reloaded');

    for (1 .. 5) {
        sleep 1;
        $gw->reload;
    }

    my $s = ended($gw, $id, 120);
    is $s->{status}, 'completed', 'it ends';
    is $s->{available}, 120, 'and nothing was lost';
    $up->stop;
};


done_testing;
