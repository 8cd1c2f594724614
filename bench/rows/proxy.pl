# bench/rows/proxy.pl: an inference through the split, next to nginx without the
# module, HAProxy and lua.

use strict;
use warnings;

use Bench;
use IO::Socket::INET;
use Time::HiRes qw(sleep);

row('proxy-1k', sub { proxy(1024, 64, 256, 1.3) });
row('proxy-100k', sub { proxy(102400, 16, 64, 2.5) });

my $answer = '{"id":"chatcmpl-1","object":"chat.completion","created":1,'
    . '"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    . '"content":"The quick brown fox jumps."},"finish_reason":"stop"}],'
    . '"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}';


# A mock: nginx on core 1 that answers with one completion on two ports.

sub mock {
    my @ports = (free_port(), free_port());
    my $servers = join "\n", map { <<"END" } @ports;
    server {
        listen 127.0.0.1:$_ reuseport;
        client_max_body_size 10m;
        client_body_buffer_size 256k;
        location / { default_type application/json; return 200 '$answer'; }
    }
END

    nginx("mock$ports[0]", 1, <<"END");
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
$servers
}
END
    return @ports;
}


# -- proxying with a 90/10 split --

sub stock_proxy {
    my (@mock) = @_;
    my $port = free_port();

    my $pid = nginx("stock$port", 0, <<"END");
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_buffer_size 256k;
    client_max_body_size 10m;
    split_clients "\$http_x_session_id" \$target {
        10% challenger;
        *   champion;
    }
    upstream champion { server 127.0.0.1:$mock[0]; keepalive 64; }
    upstream challenger { server 127.0.0.1:$mock[1]; keepalive 64; }
    server {
        listen 127.0.0.1:$port;
        location /v1/ {
            proxy_pass http://\$target;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
END
    return { name => 'stock split_clients', pids => [$pid], port => $port };
}


sub absent {
    my ($name, $packages) = @_;

    print "$name is left out; to have it: apt-get install $packages\n";
    return;
}


sub haproxy {
    my (@mock) = @_;
    my $port = free_port();

    return absent('HAProxy', 'haproxy') unless -x '/usr/sbin/haproxy';

    spit("$dir/haproxy.cfg", <<"END");
global
    nbthread 1
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    http-reuse always
frontend in
    bind 127.0.0.1:$port
    default_backend out
backend out
    balance roundrobin
    server champion 127.0.0.1:$mock[0] weight 90
    server challenger 127.0.0.1:$mock[1] weight 10
END
    my $pid = start_pinned(0, '/usr/sbin/haproxy', '-db', '-f',
                           "$dir/haproxy.cfg");
    wait_for('haproxy', 5, sub {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
    });
    return { name => 'HAProxy weights', pids => [$pid], port => $port };
}


# Lua with cjson: decodes the body, changes the name, encodes it again.

sub lua {
    my (@mock) = @_;
    my $modules = '/usr/lib/nginx/modules';
    my $port = free_port();

    return absent('lua + cjson', 'libnginx-mod-http-lua lua-cjson')
        unless -f "$modules/ngx_http_lua_module.so";

    my $pid = nginx("lua$port", 0, <<"END");
load_module $modules/ndk_http_module.so;
load_module $modules/ngx_http_lua_module.so;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_buffer_size 256k;
    client_max_body_size 10m;
    upstream champion { server 127.0.0.1:$mock[0]; keepalive 64; }
    upstream challenger { server 127.0.0.1:$mock[1]; keepalive 64; }
    init_by_lua_block { cjson = require "cjson" }
    server {
        listen 127.0.0.1:$port;
        location /v1/ {
            set \$target champion;
            rewrite_by_lua_block {
                ngx.req.read_body()
                local body = cjson.decode(ngx.req.get_body_data())
                local key = ngx.var.http_x_session_id or ""
                if ngx.crc32_short(key) % 100 < 10 then
                    ngx.var.target = "challenger"
                end
                body.model = ngx.var.target
                ngx.req.set_body_data(cjson.encode(body))
            }
            proxy_pass http://\$target;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
END
    return { name => 'lua + cjson', pids => [$pid], port => $port };
}


sub gateway_proxy {
    my (@mock) = @_;
    my $port = free_port();
    my $conninfo = database();
    my $token = token($conninfo);

    my $pid = nginx("gateway$port", 0, gateway_conf($conninfo, <<"END"));
    upstream model_backend { model_backend keepalive=128; }
    server {
        listen 127.0.0.1:$port;
        location /v1/ {
            model_split on;
            include $top/conf/model_proxy.conf;
        }
        location /api/ { model_api; }
        location = /metrics { model_api; model_auth off; }
    }
END
    my $base = "http://127.0.0.1:$port";
    ready($base, $token);
    split_group($base, $token, 'bench', @mock);

    return {
        name => 'gateway', pids => [$pid], port => $port, token => $token,
        database => $conninfo,
    };
}


sub split_group {
    my ($base, $token, $group, @mock) = @_;
    my @roles = ([ champion => 90 ], [ challenger => 10 ]);
    my @members;

    for my $i (0 .. $#mock) {
        api($base, $token, POST => '/api/v1/providers', {
            id => "mock-$i", name => "mock $i", protocol => 'openai',
            base_url => "http://127.0.0.1:$mock[$i]/v1",
            api_key => "sk-mock-$i",
        });
        api($base, $token, POST => '/api/v1/models', {
            id => "mock-$i/model-$i", name => "Model $i", type => 'chat',
        });
        push @members, {
            model_id => "mock-$i/model-$i", role => $roles[$i][0],
            traffic_percentage => $roles[$i][1],
        };
    }

    api($base, $token, POST => '/api/v1/model-groups',
        { name => $group, status => 'active' });
    api($base, $token, POST => "/api/v1/model-groups/$group/models",
        \@members);
    sleep 1.5;
}


sub proxy {
    my ($size, $connections, $keys, $bar) = @_;
    my @mock = mock();
    my @contenders = (stock_proxy(@mock), gateway_proxy(@mock),
                      haproxy(@mock), lua(@mock));

    for my $c (@contenders) {
        $c->{run} = sub {
            wrk("http://127.0.0.1:$c->{port}", 'post.lua', $seconds,
                $connections, BENCH_BODY => $size, BENCH_KEYS => $keys,
                BENCH_TOKEN => $c->{token} // 'none');
        };
    }

    my $thrown = rounds($rounds, @contenders);

    print "proxy, $size bytes, $connections connections, 90/10, one core",
          " ($thrown rounds thrown away)\n";
    compare($contenders[0], \@contenders, { gateway => $bar });
    records($contenders[1]);
}


# Every request that was answered has its row.

sub records {
    my ($c) = @_;

    sleep 2;

    my $metrics = HTTP::Tiny->new
        ->get("http://127.0.0.1:$c->{port}/metrics")->{content};
    my ($split) = $metrics =~ /^nginx_model_split_requests_total (\d+)/m;
    my %n = $metrics =~ /^nginx_model_records_total\{outcome="(\w+)"\} (\d+)/mg;
    printf "  records: %d requests split, %s\n", $split // -1,
           join ', ', map { "$n{$_} $_" } sort keys %n;
}


1;
