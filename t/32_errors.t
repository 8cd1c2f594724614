#!/usr/bin/perl

# An error that nginx itself makes (a backend that refuses, a body over the
# limit, a broken request) must reach the client in the one error shape, with
# its status kept, and name the inference it belongs to: client libraries
# read error.message and nothing else.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(free_port wait_until);


my $gw = Gateway->new->start->wait_ready;
my $port = free_port();

is $gw->api(POST => '/api/v1/providers', {
    id => 'dead', name => 'Dead', protocol => 'openai',
    base_url => "http://127.0.0.1:$port/v1",
})->{status}, 201, 'a provider where nobody listens';
is $gw->api(POST => '/api/v1/models',
            { id => 'dead/one', name => 'One' })->{status}, 201, 'its model';
is $gw->api(POST => '/api/v1/model-groups', { name => 'dead' })->{status},
   201, 'a group';
is $gw->api(POST => '/api/v1/model-groups/dead/models',
    [ { model_id => 'dead/one', role => 'champion',
        traffic_percentage => 100 } ])->{status}, 200, 'with this member';


sub chat {
    my ($model, $more) = @_;

    return $gw->fetch('POST', '/v1/chat/completions',
        { Authorization => 'Bearer ' . $gw->token('inference') },
        { model => $model, messages => [], more => $more // '' });
}


sub shape {
    my ($r, $status, $name) = @_;

    is $r->{status}, $status, "$name: status";
    like $r->{headers}{'content-type'}, qr{^application/json},
         "$name: JSON";
    like $r->{json}{error}{message}, qr/\S/, "$name: a message";
    ok exists $r->{json}{error}{$_}, "$name: $_" for qw(type param code);
}


$gw->allow(qr/Connection refused/);
$gw->token('inference');

my $r;

ok wait_until(sub { ($r = chat('dead'))->{status} == 502 }),
   'the backend refuses';
shape($r, 502, 'refused');
is $r->{headers}{'x-model-group'}, 'dead', 'refused: the group is named';
like $r->{headers}{'x-inference-id'}, qr/^[0-9a-f-]{36}$/,
     'refused: the inference is named';

shape(chat('nobody'), 404, 'unknown group');
shape(chat('dead', 'x' x 11_000_000), 413, 'body over the limit');
shape($gw->fetch('GET', '/health', { 'Content-Length' => 'many' }), 400,
      'a header that makes no sense');
shape($gw->fetch('GET', '/api/v1/nothing', {
    Authorization => 'Bearer ' . $gw->token('admin') }), 404, 'unknown path');

done_testing;
