#!/usr/bin/perl

# An application that uses the npm package "openai" must not notice that a
# gateway is in between: it lists, chats, streams, embeds, and gets an error
# it understands, all through a group that is split between two servers.
# Without node or the package this test says so and is skipped.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

BEGIN {
    chomp(my $node = `node --version 2>/dev/null` // '');

    plan skip_all => 'node 18 or later is not installed'
        if $node !~ /^v(\d+)/ || $1 < 18;
}

use Gateway;
use Host qw(free_port spew start_process top wait_until);
use JSON::PP;
use Wire;

my $packages = top() . '/build/openai';

if (!-d "$packages/node_modules/openai") {
    system("mkdir -p $packages && cp " . top() . '/t/openai/package.json '
           . top() . "/t/openai/client.mjs $packages/ && cd $packages"
           . ' && npm install --no-fund --no-audit --silent >npm.log 2>&1') == 0
        or plan skip_all => 'npm could not install the package "openai"';
}

system('cp', top() . '/t/openai/client.mjs', "$packages/");

my $gw = Gateway->new;
my @ports = map { free_port() } 1 .. 2;
my @servers;

for my $i (0, 1) {
    push @servers, start_process($gw->dir . "/demo$i.log",
        top() . '/tools/demo-model-server', '--port', $ports[$i],
        '--name', "demo-$i", '--models', "model-$i");
}

$gw->start->wait_ready;
ok wait_until(sub { Wire->new($_) }), "the server at $_ listens" for @ports;

for my $i (0, 1) {
    is $gw->api(POST => '/api/v1/providers', {
        id => "demo-$i", name => "Demo $i", protocol => 'openai',
        base_url => "http://127.0.0.1:$ports[$i]/v1", api_key => "key-$i",
    })->{status}, 201, "provider $i";

    is $gw->api(POST => '/api/v1/models', {
        id => "demo-$i/model-$i", name => "Model $i", type => 'chat',
    })->{status}, 201, "model $i";
}

is $gw->api(POST => '/api/v1/model-groups',
            { name => 'assistant', status => 'active' })->{status}, 201,
   'group';
is $gw->api(POST => '/api/v1/model-groups/assistant/models', [
    { model_id => 'demo-0/model-0', role => 'champion',
      traffic_percentage => 90 },
    { model_id => 'demo-1/model-1', role => 'challenger',
      traffic_percentage => 10 },
])->{status}, 200, 'members';

my $token = $gw->token('inference');

ok wait_until(sub {
    my $r = $gw->get('/v1/models', { Authorization => "Bearer $token" });
    $r->{status} == 200 && $r->{body} =~ /assistant/;
}), 'the group is listed';

my $text = `cd $packages && node client.mjs @{[ $gw->url('/v1') ]} \\
            $token assistant 2>&1`;
my $out = eval { decode_json($text) };

ok $out, 'the client ran to its end' or diag $text;
$out //= {};

is_deeply $out->{models}, ['assistant'], 'models.list()';
like $out->{content}, qr/\S/, 'chat has content';
cmp_ok $out->{usage}{total_tokens} // 0, '>', 0, 'chat has usage';
like $out->{streamed}, qr/\S/, 'stream has content';
cmp_ok $out->{chunks} // 0, '>', 2, 'stream came in chunks';
cmp_ok $out->{stream_usage}{total_tokens} // 0, '>', 0, 'stream has usage';
cmp_ok $out->{dimensions} // 0, '>', 0, 'embedding has dimensions';
is $out->{error}{status}, 404, 'unknown model is a 404 to the client';
is $out->{error}{code}, 'model_not_found', 'with its code';

kill 'TERM', @servers;
waitpid $_, 0 for @servers;

done_testing;
