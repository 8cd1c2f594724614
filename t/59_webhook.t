#!/usr/bin/perl

# The end of a validation is told to an address.  If this breaks, nobody hears of
# it, somebody else can say it in the gateway's name, a receiver that is away for
# a moment misses it, or the gateway can be made to call into its own network.

use v5.28;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use Gateway;
use Host qw(spew wait_until);
use Upstream;

my $SECRET = 'whsec-0123456789abcdef0123456789abcdef';
my $json = JSON::PP->new->utf8;

my $provider = Upstream->new(sub {
    my ($req) = @_;
    return { json => { object => 'list',
                       data => [ { id => 'm1', object => 'model' } ] } }
        if $req->{uri} =~ /models$/;
    return { json => { id => 'x', object => 'chat.completion', model => 'm1',
        choices => [ { index => 0, finish_reason => 'stop',
            message => { role => 'assistant', content => 'a' } } ] } };
});

# /no never takes it, /else sends it on

my $receiver = Upstream->new(sub {
    my ($req) = @_;
    return { status => 403 } if $req->{uri} eq '/no';
    return { status => 307, headers => [ Location => '/other' ] }
        if $req->{uri} eq '/else';
    return { status => 204 };
});

# takes it the second time

my $seen = Services::base() . "/busy.$$";
my $busy = Upstream->new(sub {
    return { status => 503 } if mkdir $seen;
    return { status => 200, body => 'thanks' };
});

my $gw = Gateway->new;
spew($gw->dir . '/hook', "$SECRET\n");
chmod 0600, $gw->dir . '/hook';
$gw->start(http => 'model_webhook secret_file=' . $gw->dir . '/hook url='
                   . $receiver->url . '/all;')->wait_ready;


sub provider {
    my ($id) = @_;

    my $r = $gw->api(POST => '/api/v1/providers', { id => $id, name => $id,
        protocol => 'openai', api_key => 'sk-1',
        base_url => $provider->url . '/v1' });
    is $r->{status}, 201, "provider $id" or diag $r->{body};
}


sub validate {
    my ($id, $url) = @_;

    my $r = $gw->api(POST => "/api/v1/providers/$id/validate-models",
                     $url ? { webhook => $url } : undef);
    is $r->{status}, 202, 'accepted' or diag $r->{body};
    return $r->{json}{id};
}


# the job that tells of a run, when it has ended

sub told {
    my ($run, $state) = @_;

    wait_until(sub { ($gw->sql_value("select state from model.jobs
        where kind = 'webhook' and key = '$run'") // '') eq $state });
    my ($row) = $gw->sql("select state, attempt, error, id from model.jobs
                          where kind = 'webhook' and key = '$run'");
    is $row->[0], $state, "the job has $state";
    return $row;
}


subtest 'a run is told' => sub {
    provider('acme');
    my $run = validate('acme');
    my $job = told($run, 'completed');
    my ($req) = grep { $_->{uri} eq '/all' } $receiver->requests;

    is $req->{method}, 'POST', 'by POST';
    my $body = $json->decode($req->{body});
    is $body->{type}, 'validation.completed', 'what it is';
    is $body->{id}, $job->[3], 'an id';
    is $req->{headers}{'webhook-id'}, $body->{id}, 'in a header, too';
    is_deeply $body->{data}, $gw->api(GET =>
        '/api/v1/providers/acme/validation-status')->{json},
        'the state as by polling';

    my $when = $req->{headers}{'webhook-timestamp'};
    cmp_ok abs(time - $when), '<', 60 * $Host::patience, 'when it was sent';
    is $req->{headers}{'webhook-signature'},
       'v1=' . hmac_sha256_hex("$when.$req->{body}", $SECRET), 'signed';
};

subtest 'an address of its own' => sub {
    my $run = validate('acme', $busy->url . '/busy');
    my $job = told($run, 'completed');
    is $job->[1], 2, 'is asked again when it is busy';
    my @got = $busy->requests;
    is scalar @got, 2, 'twice in all';
    is $got[0]{headers}{'webhook-id'}, $got[1]{headers}{'webhook-id'},
       'with one id';

    $run = validate('acme', $receiver->url . '/no');
    like told($run, 'failed')->[2], qr/403/, 'no is an answer';
    $run = validate('acme', $receiver->url . '/else');
    like told($run, 'failed')->[2], qr/307/, 'a redirect is not followed';
    ok !grep({ $_->{uri} eq '/other' } $receiver->requests), 'indeed';
};

subtest 'bad addresses' => sub {
    for my $url ('ftp://x/', 'file:///etc/passwd', 'x', 'http://',
                 'http://user:word@127.0.0.1/', 'http://a b/', 'http://x:0x/',
                 'http://' . 'x' x 2100)
    {
        my $r = $gw->api(POST => '/api/v1/providers/acme/validate-models',
                         { webhook => $url });
        is $r->{status}, 400, substr $url, 0, 30;
        is $r->{json}{error}{param}, 'webhook', 'and which member';
        unlike $r->{body}, qr/word/, 'and no password';
    }
};

subtest 'private addresses' => sub {
    my $before = $receiver->requests;
    $gw->reload(wait_old => 1, allow_private => 'off');
    my $run = $gw->sql_value("insert into model.ai_model_validation_progress
        (provider_id, webhook) values ('acme', '" . $receiver->url . "/in')
        returning id");
    $gw->sql("update model.ai_model_validation_progress
              set status = 'cancelled', completed_at = now()
              where id = '$run'");
    like told($run, 'failed')->[2], qr/private|loopback/i,
       'are refused unless allowed';
    is scalar $receiver->requests, $before, 'and nothing was sent';
};

subtest 'configuration' => sub {
    my ($ok, $text) = $gw->test_conf(http => 'model_webhook url=http://x/;');
    ok !$ok, 'no secret';
    like $text, qr/secret_file/, 'and what is missing';
    ($ok, $text) = $gw->test_conf(http =>
        'model_webhook secret_file=/nowhere/at/all;');
    ok !$ok, 'a file that is not there';
    ($ok, $text) = $gw->test_conf(http =>
        'model_webhook url=http://x:99999/ secret_file=/nowhere;');
    ok !$ok, 'an address that nobody can have';
    like $text, qr/webhook "http:\/\/x:99999\/" has/, 'and what is wrong';
    ($ok, $text) = $gw->test_conf(http => 'model_events per_client=0;');
    ok !$ok, 'limits of streams';
    like $text, qr/per_client=0.*between 1 and/, 'and what they may be';
    ($ok, $text) = $gw->test_conf(http => 'model_events x=1;');
    like $text, qr/heartbeat=/, 'which there are';
    $gw->reload(http => '', wait_old => 1);
    $gw->allow(qr/\[emerg\].*(?:webhook|model_events|secret)/);
    is $gw->api(POST => '/api/v1/providers/acme/validate-models',
                { webhook => 'http://x/' })->{status}, 400,
       'without a secret none is taken';
};

done_testing;
