#!/usr/bin/perl

# The examples in conf and conf/examples, as somebody would use them.  What would break:
# a configuration that nginx refuses, a script whose calls the control plane
# refuses, a group that does not do what its example says.

use v5.28;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(slurp spew start_process top wait_until);
use JSON::PP;
use Upstream;
use Wire;

my $examples = top() . '/conf/examples';

my ($one, $two) = map {
    my $name = $_;
    Upstream->new(sub {
        my ($request) = @_;

        return { headers => [ 'Content-Type', 'application/json' ],
                 body => encode_json({ id => $name,
                     object => 'chat.completion', choices => [],
                     model_name => $name, outputs => [],
                     path => $request->{uri},
                     authorization => $request->{headers}{authorization},
                     usage => { prompt_tokens => 10,
                                completion_tokens => 5 } }) };
    })
} qw(one two);


# an example's file as it is for this machine

sub here {
    my ($gw, $text) = @_;
    my $dir = $gw->dir;
    my ($port, $socket, $database) = ($gw->port, $gw->socket, $gw->conninfo);

    $text =~ s{modules/(ngx_http_model_module\.so)}{$dir/$1};
    $text =~ s{^user www-data;\n}{}m;
    $text =~ s{/var/log/nginx}{$dir/logs};
    $text =~ s{/var/lib/nginx/model}{$dir/state};
    $text =~ s{/etc/nginx/(?=model-)}{$dir/}g;
    $text =~ s{"host=[^"]*"}{"$database"};
    $text =~ s{listen 127\.0\.0\.1:8080;}{listen 127.0.0.1:$port;
        listen unix:$socket;};
    return $text;
}


# the example on a gateway of its own, with what its script makes

sub example {
    my ($name, %env) = @_;
    my $gw = Gateway->new(workers => 2, redis => 0);
    my $dir = $gw->dir;

    mkdir "$dir/examples";
    spew($_->[1], here($gw, slurp($_->[0])))
        for map { [ $_, "$dir/examples/" . s{.*/}{}r ] } <$examples/*.conf>;
    rename "$dir/secret.key", "$dir/model-secret.key";

    # the user that the tests run as has no folders of nginx's own

    my $conf = slurp("$dir/examples/$name.conf");
    my $temp = join '', map { "    ${_}_temp_path $dir/tmp/$_;\n" }
                        qw(client_body proxy fastcgi uwsgi scgi);
    spew("$dir/$name.conf", $conf =~ s/^http \{\n\K/$temp/mr);
    $gw->own;

    my $pid = start_process("$dir/test.out", $gw->command('-t', '-p', "$dir/",
        '-c', "$dir/$name.conf", '-g', "pid $dir/test.pid;"));
    waitpid $pid, 0;
    is $?, 0, 'nginx -t' or diag slurp("$dir/test.out");
    unlike slurp("$dir/test.out"), qr/\[warn\]/, 'without a warning';

    my ($http) = $conf =~ /^http \{\n(.*)^\}\n/ms;
    $gw->start(conf => $http)->wait_ready;

    local @ENV{ 'GATEWAY', 'TOKEN', keys %env } =
        ($gw->url, $gw->token('admin'), values %env);

    for my $pass ('once', 'twice') {
        is system("$examples/$name.sh"), 0, "its script runs $pass";
    }

    return $gw;
}


# asks until every worker knows the group; the answers

sub ask {
    my ($gw, @requests) = @_;
    my @answers;
    my $auth = 'Bearer ' . $gw->token('inference');

    $_->[2]{Authorization} = $auth for @requests;

    ok wait_until(sub {
        @answers = Wire::many($gw->port, \@requests, 8);
        !grep { $_->{status} != 200 } @answers;
    }, 20), 'all are answered' or diag $answers[0]{body};

    return @answers;
}


sub by_variant {
    my %n;
    $n{ $_->{headers}{'x-model-variant'} }++ for @_;
    return \%n;
}


my %chat = (model => 'assistant', messages => []);


subtest 'self-hosted-pair' => sub {
    my $gw = example('self-hosted-pair', SERVER_A => $one->url,
                     SERVER_B => $two->url);
    my $path = '/api/v1/model-groups/assistant';

    ok wait_until(sub {
        ($gw->api(GET => $path)->{json}{canary}{step} // 0) == 1;
    }, 20), 'the canary has begun';

    my $r = $gw->api(GET => $path)->{json};
    is_deeply [ @{ $r->{canary} }{qw(state of percentage model_id)} ],
        [ 'running', 3, 1, 'server-b/llama-3.3-70b-instruct' ], 'with 1 %';

    my $n = by_variant(ask($gw, map { [ POST => '/v1/chat/completions',
        { 'X-Session-Id' => $_ }, \%chat ] } 1 .. 100));
    cmp_ok $n->{'server-a/llama-3.1-8b-instruct'}, '>=', 90,
        'most are served by the champion';

    $one->stop;
    $n = by_variant(ask($gw, map { [ POST => '/v1/chat/completions',
        {}, \%chat ] } 1 .. 5));
    is $n->{'server-b/llama-3.3-70b-instruct'}, 5, 'and the other stands in';
    $one->start;
    $gw->quit;
};


subtest 'openai-anthropic' => sub {
    my $gw = example('openai-anthropic', OPENAI_URL => $one->url,
        ANTHROPIC_URL => $two->url, OPENAI_API_KEY => 'sk-one',
        ANTHROPIC_API_KEY => 'sk-two');

    my @answers = ask($gw, map { [ POST => '/v1/chat/completions',
        { 'X-User-Id' => "user-$_" }, \%chat ] } 1 .. 60);
    my $n = by_variant(@answers);
    cmp_ok $n->{'openai/gpt-4.1'}, '>', 10, 'one half here';
    cmp_ok $n->{'anthropic-chat/claude-sonnet-4-5'}, '>', 10,
        'the other there';

    for (@answers) {
        my $first = $_->{headers}{'x-model-variant'} =~ /^openai/;
        $_->{wrong} = decode_json($_->{body})->{authorization} ne
            ($first ? 'Bearer sk-one' : 'Bearer sk-two');
    }

    is scalar(grep { $_->{wrong} } @answers), 0, 'each with its key';

    my @again = ask($gw, map { [ POST => '/v1/chat/completions',
        { 'X-User-Id' => "user-$_" }, \%chat ] } 1 .. 60);
    is_deeply [ map { $_->{headers}{'x-model-variant'} } @again ],
              [ map { $_->{headers}{'x-model-variant'} } @answers ],
              'a user stays on one side';
    is_deeply [ $gw->sql('select count(*) from model.models_metadata
        where price_output is null') ], [ [ 0 ] ], 'both have prices';
    $gw->quit;
};


subtest 'kserve-path' => sub {
    my $gw = example('kserve-path', TRITON => $one->url);
    my @answers = ask($gw, map { [ POST => '/v2/models/credit-risk/infer',
        { 'X-Customer' => $_ }, { inputs => [] } ] } 1 .. 200);

    is_deeply [ sort keys %{ by_variant(@answers) } ],
        [ map { "triton/credit-$_" } qw(gradient-boosting logistic
                                        transformer) ], 'all three serve';
    is scalar(grep { my ($model) = $_->{headers}{'x-model-variant'}
                         =~ m{^triton/(.*)};
                     decode_json($_->{body})->{path}
                         ne "/v2/models/$model/infer" } @answers), 0,
       'asked for by path';
    $gw->quit;
};


subtest 'shadow-only' => sub {
    my $gw = example('shadow-only', SERVER_A => $one->url,
                     SERVER_B => $two->url, SHADOW_PERCENTAGE => 100);
    $_->forget for $one, $two;

    my @answers = ask($gw, map { [ POST => '/v1/chat/completions',
        { 'X-Session-Id' => $_ }, \%chat ] } 1 .. 20);
    is_deeply [ keys %{ by_variant(@answers) } ],
        [ 'server-a/llama-3.1-8b-instruct' ], 'one answers everybody';
    ok wait_until(sub { @{[ $two->requests ]} >= 20 }, 20),
       'the other is asked as well';
    $gw->quit;
};

# as its first lines say, in the example of a whole configuration

subtest 'model_jobs.conf' => sub {
    my $file = top() . '/conf/model_jobs.conf';
    my ($pool) = slurp($file) =~ /^#\s+(thread_pool .*;)$/m;
    my $example = slurp(top() . '/conf/nginx.conf.example');

    like $example, qr/^\Q$pool\E$/m, 'nginx.conf.example has its threads';
    like $example, qr/^\s+include model_jobs\.conf;/m, 'and includes it';

    my $gw = Gateway->new(workers => 2, http => "    include $file;\n");

    my ($ok, $said) = $gw->test_conf;
    ok $ok, 'nginx -t' or diag $said;
    unlike $said, qr/\[warn\]/, 'without a warning';

    $gw->start->wait_ready;
    is $gw->api(POST => '/api/v1/providers', { id => 'own', protocol => 'openai',
        base_url => $one->url . '/v1' })->{status}, 201, 'a provider';
    is $gw->api(POST => '/api/v1/models', { id => 'own/m', type => 'chat' })
           ->{status}, 201, 'with a model';

    my $last;
    ok wait_until(sub {
        $last = $gw->api(GET => '/api/v1/providers/own/validation-status');
        return ($last->{json}{status} // '') eq 'completed';
    }, 60), 'is validated by itself' or diag $last->{body};
    is $gw->api(GET => '/api/v1/jobs?kind=validate')->{json}{pagination}{total},
       1, 'once';
    $gw->quit;
};

subtest 'what is installed' => sub {
    my $from = top();

    plan skip_all => 'nothing is built below build/'
        if !-f "$from/build/ngx_http_model_module.so";

    my $dest = tempdir(CLEANUP => 1);
    is system("$from/tools/install", $dest, '/usr'), 0, 'tools/install';

    my $below = "$dest/usr/share/doc/nginx-model/examples";
    my %there = map { s{.*/}{}r => 1 } <$dest/etc/nginx/*>, <$below/*>;
    my @files = map { s{.*/}{}r } <$from/conf/examples/*>,
                <$from/conf/*.conf>, <$from/conf/*.yaml>;

    is_deeply [ grep { !$there{$_} } @files ], [], 'with every example';
};

$_->stop for $one, $two;

done_testing;
