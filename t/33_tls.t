#!/usr/bin/perl

# Providers behind TLS: the name is sent and verified, a certificate for
# somebody else is refused, and a kept connection of one host is never given
# to another host at the same address, or a tenant's key would travel to a
# stranger.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(certificate free_port wait_until);

my $openssl = grep { -x "$_/openssl" } split /:/, $ENV{PATH};

plan skip_all => 'the command openssl is not installed' if !$openssl;

my $gw = Gateway->new;
my $dir = $gw->dir;
my ($good, $other) = map { free_port() } 1 .. 2;


sub tls_server {
    my ($port, $name) = @_;

    return <<END;
    server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate $dir/$name.pem;
        ssl_certificate_key $dir/$name.key;

        location / {
            default_type application/json;
            set \$seen '"sni":"\$ssl_server_name","connection":\$connection';
            return 200 '{\$seen,"key":"\$http_authorization"}';
        }
    }
END
}


# nginx verifies names only: an address must stand among them

certificate($dir, 'good', 'DNS:localhost,DNS:127.0.0.1');
certificate($dir, 'other', 'DNS:other.example');
system("cat $dir/good.pem > $dir/trusted.pem");

my $proxy = Host::slurp("$dir/model_proxy.conf");
$proxy =~ s{(proxy_ssl_trusted_certificate\s+)\S+;}{$1$dir/trusted.pem;}
    or die "no trusted certificate in model_proxy.conf\n";
Host::spew("$dir/model_proxy.conf", $proxy);

$gw->start(servers => tls_server($good, 'good') . tls_server($other, 'other'))
   ->wait_ready;

for my $p ([ name => "https://localhost:$good" ],
           [ address => "https://127.0.0.1:$good" ],
           [ stranger => "https://localhost:$other" ])
{
    my ($id, $url) = @$p;

    is $gw->api(POST => '/api/v1/providers', {
        id => $id, name => $id, protocol => 'openai', base_url => "$url/v1",
        api_key => "sk-secret-of-$id",
    })->{status}, 201, "provider $id";
    is $gw->api(POST => '/api/v1/models',
                { id => "$id/m", name => 'M' })->{status}, 201, 'its model';
    is $gw->api(POST => '/api/v1/model-groups', { name => $id })->{status},
       201, 'its group';
    is $gw->api(POST => "/api/v1/model-groups/$id/models",
        [ { model_id => "$id/m", role => 'champion',
            traffic_percentage => 100 } ])->{status}, 200, 'its member';
}


sub chat {
    my ($group) = @_;

    return $gw->fetch('POST', '/v1/chat/completions',
        { Authorization => 'Bearer ' . $gw->token('inference') },
        { model => $group, messages => [] });
}


$gw->allow(qr/certificate/i, qr/SSL/);
$gw->token('inference');

ok wait_until(sub { chat('stranger')->{status} == 502 }),
   'a certificate for another name is refused';
like $gw->log, qr/certificate/i, 'and the log says so';

my %seen;

for (1 .. 10) {
    for my $group (qw(name address)) {
        my $r = chat($group);
        is $r->{status}, 200, "$group answers" or diag $r->{body};
        is $r->{json}{key}, "Bearer sk-secret-of-$group", 'with its own key';
        is $r->{json}{sni}, $group eq 'name' ? 'localhost' : '',
           'and its own name';
        $seen{$group}{ $r->{json}{connection} }++;
    }
}

ok !(grep { $seen{address}{$_} } keys %{ $seen{name} }),
   'no connection served both, though they share an address';
cmp_ok scalar(keys %{ $seen{$_} }), '<', 10, "connections of $_ are kept"
    for qw(name address);
unlike $gw->log, qr/sk-secret/, 'no key in the log';

done_testing;
