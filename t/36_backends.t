#!/usr/bin/perl

# What a provider gets beside the body.  If this breaks, a key travels under a
# name that its provider does not read, a client's credentials or one provider's
# headers reach another provider, an operator's header is lost or loses to the
# client's, or a header can be stored that breaks the request.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(free_port wait_until);
use Upstream;

my $up = Upstream->new(sub {
    my ($req) = @_;
    return { json => { uri => $req->{uri}, headers => $req->{headers} } };
});

my $gw = Gateway->new(server => $Gateway::locations . <<'END');
        location /open/ {
            model_auth off;
            model_split on;
            rewrite ^/open(/.*)$ $1 break;
            include model_proxy.conf;
            error_page 502 504 = @other;
        }

        location @other {
            model_auth off;
            model_split on;
            include model_proxy.conf;
        }
END

$gw->allow(qr/Connection refused/);
$gw->start->wait_ready;


# a provider with one model, and a group of its name that serves it

sub made { return $gw->made(@_); }

sub provider {
    my ($id, $protocol, %more) = @_;

    made('providers', { id => $id, protocol => $protocol,
                        base_url => $up->url, %more });
    made('models', { id => "$id/m" });
    group($id, [ $id, 'champion', 100 ]);
}

sub group {
    my ($name, @members) = @_;

    $gw->group($name, {}, map { [ "$_->[0]/m", @$_[1, 2] ] } @members);
}

provider('bearer', 'openai', api_key => 'sk-bearer');
provider('claude', 'anthropic', api_key => 'sk-claude');
provider('gemini', 'google', api_key => 'sk-gemini');
provider('azure', 'azure', api_key => 'sk-azure');
provider('local', 'ollama');
provider('team', 'openai', api_key => 'sk-team',
         headers => { 'X-Team' => 'ours', 'OpenAI-Organization' => 'org: 1',
                      'User-Agent' => 'gateway' });
provider('dated', 'anthropic', api_key => 'sk-dated',
         headers => { 'Anthropic-Version' => '2030-01-01' });
provider('dead', 'google', api_key => 'sk-dead',
         base_url => 'http://127.0.0.1:' . free_port(),
         headers => { 'X-Of-The-Dead' => '1' });
group('moved', [ 'dead', 'champion', 100 ], [ 'azure', 'fallback', 0 ]);


sub sent {
    my ($group, %headers) = @_;

    my $r = $gw->fetch(POST => '/open/v1/x', { Authorization => undef,
                                               %headers },
                       { model => $group });
    return $r->{json}{headers} // {};
}

ok wait_until(sub { $gw->fetch(POST => '/open/v1/x', {},
                               { model => 'moved' })->{status} == 200 }),
   'the groups are in effect';

my %names = (bearer => 'authorization', claude => 'x-api-key',
             gemini => 'x-goog-api-key', azure => 'api-key', local => '',
             team => 'authorization', dated => 'x-api-key');

my @credentials = qw(authorization x-api-key x-goog-api-key api-key
                     proxy-authorization);


subtest 'the key, and the client\'s never' => sub {
    my %theirs = map { $_ => 'mine' } @credentials;

    for my $group (sort keys %names) {
        for my $client ({}, \%theirs) {
            my $got = sent($group, %$client);
            my $name = $names{$group};
            my %want = $name eq '' ? ()
                : ($name => ($name eq 'authorization' ? 'Bearer ' : '')
                            . "sk-$group");

            is_deeply { map { $got->{$_} ? ($_ => $got->{$_}) : () }
                        @credentials }, \%want,
                "$group, " . (%$client ? 'client with keys' : 'bare client');
        }
    }
};


subtest 'a key that is taken away' => sub {
    my $r = $gw->api(PATCH => '/api/v1/providers/bearer', { api_key => undef });
    is $r->{status}, 200, 'taken away';
    is $r->{json}{api_key}, undef, 'nothing is shown of it';
    ok wait_until(sub {
        my $sent = sent('bearer');
        return %$sent && !defined $sent->{authorization};
    }), 'and no longer sent';
    is $gw->sql_value("select count(*) from model.provider_credentials
                       where provider_id = 'bearer'"), 0, 'nor kept';

    is $gw->api(PATCH => '/api/v1/providers/bearer',
                { api_key => 'sk-bearer' })->{status}, 200, 'another one';
    ok wait_until(sub {
        (sent('bearer')->{authorization} // '') eq 'Bearer sk-bearer';
    }), 'is used';
};


subtest 'the version that Anthropic wants' => sub {
    is sent('claude')->{'anthropic-version'}, '2023-06-01', 'by default';
    is sent('claude', 'Anthropic-Version' => '2024-10-22')
           ->{'anthropic-version'}, '2024-10-22', "the client's";
    is sent('dated')->{'anthropic-version'}, '2030-01-01', "the provider's";
    is sent('dated', 'Anthropic-Version' => '2024-10-22')
           ->{'anthropic-version'}, '2030-01-01', 'which wins';
    is sent('bearer')->{'anthropic-version'}, undef, 'nobody else gets one';
};


subtest 'headers of a provider' => sub {
    my $got = sent('team', 'X-Team' => 'theirs', 'User-Agent' => 'client',
                   'X-More' => 'kept');

    is $got->{'x-team'}, 'ours', "it wins over the client's";
    is $got->{'user-agent'}, 'gateway', 'also where nginx knows the name';
    is $got->{'openai-organization'}, 'org: 1', 'a value with a colon';
    is $got->{'x-more'}, 'kept', 'others of the client go on';
    is sent('bearer')->{'x-team'}, undef, 'no other provider gets it';

    is $gw->api(PATCH => '/api/v1/providers/team',
                { headers => { 'X-Team' => 'new' } })->{status}, 200,
       'changed';
    ok wait_until(sub { sent('team')->{'x-team'} eq 'new' }), 'in effect';
    is sent('team')->{'openai-organization'}, undef, 'the others are gone';
};


subtest 'another provider after a failure' => sub {
    my $got = sent('moved', 'x-api-key' => 'mine', 'X-More' => 'kept');

    is $got->{'api-key'}, 'sk-azure', 'its own key';
    is $got->{'x-goog-api-key'}, undef, 'not that of the first';
    is $got->{'x-of-the-dead'}, undef, 'none of its headers';
    is $got->{'x-api-key'}, undef, "none of the client's";
    is $got->{'x-more'}, 'kept', 'what the client sent is still there';
};


subtest 'what cannot be stored' => sub {
    my $put = sub {
        my $r = $gw->api(PATCH => '/api/v1/providers/team',
                         { headers => $_[0] });
        return "$r->{status} $r->{json}{error}{message}";
    };

    for my $name ('Host', 'content-length', 'Connection', 'TE', 'Keep-Alive',
                  'Transfer-Encoding', 'Authorization', 'X-Goog-Api-Key',
                  'api-key', 'Accept-Encoding', 'X-Request-Id', 'Expect',
                  'Traceparent')
    {
        like $put->({ $name => 'x' }),
             qr/^400 header .*is the gateway's to set/, $name;
    }

    like $put->({ "X-A\r\nX-B" => 'x' }), qr/^400 header name/, 'a name';
    like $put->({ 'X-A' => "x\r\nX-B: y" }), qr/^400 header "X-A"/, 'a value';
    like $put->({ 'X-A' => 'x' x 1025 }), qr/^400 .*1024/, 'too long';
    like $put->({ map { ("X-$_" => 'x') } 1 .. 9 }), qr/^400 .*at most 8/,
         'too many';

    $gw->sql(q{update model.providers set headers =
        '{"Host": "evil", "X-Team": "sql", "X-B": "1\nX-Evil: 1"}'
        where id = 'team'});
    ok wait_until(sub { sent('team')->{'x-team'} eq 'sql' }), 'past the API';
    is sent('team')->{host}, '127.0.0.1:' . $up->port, 'Host is as it was';
    is sent('team')->{'x-evil'}, undef, 'nothing got in with a value';
};


unlike $gw->log, qr/sk-(?!placeholder)/, 'no key in the log';

done_testing;
