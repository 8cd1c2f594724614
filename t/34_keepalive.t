#!/usr/bin/perl

# Connections to model servers are kept and reused, and closed when they have
# been idle for keepalive_timeout: without the first every request pays for a
# handshake, without the second a server's restart leaves dead ones behind.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep);

use Gateway;
use Host qw(free_port wait_until);

my $port = free_port();

my $gw = Gateway->new(http => <<'END', more => <<'END', servers => <<END);
    upstream short_backend { model_backend keepalive=8 keepalive_timeout=1s; }
END
        location /short/ {
            model_auth off;
            model_split on;
            rewrite ^/short(/.*)$ $1 break;
            include short_proxy.conf;
        }
END
    server {
        listen 127.0.0.1:$port;

        location /count { stub_status; }

        location / {
            default_type application/json;
            return 200 '{"connection":\$connection}';
        }
    }
END

my $proxy = Host::slurp($gw->dir . '/model_proxy.conf');
Host::spew($gw->dir . '/short_proxy.conf',
           $proxy =~ s!://model_backend!://short_backend!r);

$gw->start->wait_ready;

is $gw->api(POST => '/api/v1/providers', {
    id => 'one', name => 'One', protocol => 'openai',
    base_url => "http://127.0.0.1:$port/v1",
})->{status}, 201, 'provider';
is $gw->api(POST => '/api/v1/models', { id => 'one/m', name => 'M' })
      ->{status}, 201, 'model';
is $gw->api(POST => '/api/v1/model-groups', { name => 'one' })->{status},
   201, 'group';
is $gw->api(POST => '/api/v1/model-groups/one/models',
    [ { model_id => 'one/m', role => 'champion',
        traffic_percentage => 100 } ])->{status}, 200, 'member';


sub connection {
    my $r = $gw->fetch('POST', '/short/v1/chat/completions', {},
                       { model => 'one', messages => [] });

    return $r->{status} == 200 ? $r->{json}{connection} : undef;
}


# connections that the server has open, but for the one that asks

sub open_now {
    my $r = Wire::fetch($port, 'GET', '/count');

    return ($r->{body} =~ /Active connections: (\d+)/)[0] - 1;
}


ok wait_until(sub { connection() }), 'the group is in effect';

my %seen;

$seen{ connection() }++ for 1 .. 20;
cmp_ok scalar(keys %seen), '<', 20, 'connections are reused';
ok wait_until(sub { connection() && open_now() >= 1 }), 'one is kept';

ok wait_until(sub { open_now() == 0 }), 'and closed after its time';
ok connection(), 'a new one is made then';
ok wait_until(sub { open_now() == 0 }), 'and closed in turn';

done_testing;
