#!/usr/bin/perl

# When the catalog hears what a validation has found out.  If this breaks, it is
# built anew with each save of a run, or what a killed worker had found out is
# not in it as long as the run goes on, or never.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Gateway;
use Host qw(wait_until);
use Upstream;

my %good = (id => 'x', object => 'chat.completion', model => 'm', choices => [
    { index => 0, finish_reason => 'stop',
      message => { role => 'assistant', content => 'a' } } ]);

my $gw = Gateway->new->start->wait_ready;


# lists so many models, and answers for each after a tenth of a second

sub server {
    my ($models) = @_;

    return Upstream->new(sub {
        my ($req) = @_;
        return { json => { data => [ map { { id => "m$_" } } 1 .. $models ] } }
            if $req->{uri} =~ /models$/;
        return { json => \%good, delay => 0.1 };
    });
}


sub begin {
    my ($id, $up, %more) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', { id => $id, name => $id,
        protocol => 'openai', base_url => $up->url . '/v1', %more });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
    $r = $gw->api(POST => "/api/v1/providers/$id/validate-models");
    is $r->{status}, 202, 'accepted' or diag $r->{body};
    return $r->{json}{id};
}


sub state_of { return $gw->api(GET => "/api/v1/validations/$_[0]")->{json} }


sub ended {
    my ($id, $status) = @_;

    ok wait_until(sub { state_of($id)->{status} eq $status }), $status;
    return state_of($id);
}


sub healthy {
    my ($where) = @_;

    return $gw->sql_value("select count(*) from model.models_metadata m
        where health_status = 'available' and $where");
}


subtest 'changes that come fast share snapshots' => sub {
    my $models = 600;
    my $up = server($models);
    my $builds = sub {
        $gw->metric('nginx_model_snapshot_builds_total') // 0 };
    my $before = $builds->();
    my $began = time;

    ended(begin('fast', $up, max_concurrency => 16), 'completed');
    my $took = time - $began;
    my $n = $builds->() - $before;

    diag sprintf '%d snapshots in %.1f s', $n, $took;
    cmp_ok $n, '<=', 5 + 3 * $took, 'two a second, and a few';
    ok wait_until(sub {
        $gw->api(GET => '/api/v1/models?provider=fast&limit=1000')
           ->{json}{pagination}{total} == $models;
    }), 'and the last one has it all';
    $up->stop;
};


subtest 'who takes a run over tells what was found out before' => sub {
    my $up = server(300);
    my $id = begin('taken', $up, max_concurrency => 1);

    ok wait_until(sub { state_of($id)->{available} >= 3 }), 'it runs';
    $gw->kill_worker;
    $gw->sql("update model.models_metadata set health_status = 'unknown'");
    $gw->sql("update model.jobs set lease_until = now() - interval '1 second'
              where state = 'in_progress'");
    my $before = "exists (select from model.ai_model_validation_results r
        where r.validation_id = '$id' and r.model_id = m.id
        and r.tested_at < timestamptz '"
        . $gw->sql_value('select now()') . "')";

    ok wait_until(sub { healthy($before) >= 3 }), 'the catalog hears of them';
    is state_of($id)->{status}, 'in_progress', 'while the run goes on';

    $gw->api(POST => "/api/v1/validations/$id/cancel");
    my $s = ended($id, 'cancelled');
    is healthy("provider_id = 'taken'"), $s->{available},
       'and in the end of all';
    $up->stop;
};


done_testing;
