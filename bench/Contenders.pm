package Contenders;

# The gateway and what it is measured against: each splits 90/10 over two mocks
# on one core.  Of the others only lua, njs and Portkey read the body; none looks at
# a token, counts tokens or keeps a record.  One that is not installed is named
# and left out.

use strict;
use warnings;

use Bench;
use Exporter qw(import);
use IO::Socket::INET;
use JSON::PP;
use Time::HiRes qw(sleep);

our @EXPORT = qw(
    gateway_proxy haproxy lua mock njs portkey split_group stock_proxy
);

my $answer = '{"id":"chatcmpl-1","object":"chat.completion","created":1,'
    . '"model":"m","choices":[{"index":0,"message":{"role":"assistant",'
    . '"content":"The quick brown fox jumps."},"finish_reason":"stop"}],'
    . '"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}';


# A mock: nginx on core 1 that answers with one completion on two ports, where
# it is wanted before all others that are on this core, as if it had its own.

sub mock {
    my (%o) = @_;
    my @ports = (free_port(), free_port());
    my $servers = join "\n", map { <<"END" } @ports;
    server {
        listen 127.0.0.1:$_ reuseport;
        client_max_body_size 30m;
        client_body_buffer_size 256k;
        location / { default_type application/json; return 200 '$answer'; }
    }
END

    my $pid = nginx("mock$ports[0]", 1, <<"END");
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
$servers
}
END

    if ($o{first}) {
        system("chrt -f -p 1 $_ >/dev/null 2>&1") for children($pid);
    }

    return @ports;
}


# With main => "thread_pool ...;" its workers have threads, though nothing to do
# for them: what a process with threads costs at all.

sub stock_proxy {
    my ($champion, $challenger, %o) = @_;
    my @mock = ($champion, $challenger);
    my $port = free_port();
    my $main = $o{main} // '';

    my $pid = nginx("stock$port", 0, <<"END");
$main
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_buffer_size 256k;
    client_max_body_size 30m;
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
    return { name => $o{name} // 'stock split_clients', pids => [$pid],
             port => $port };
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
    client_max_body_size 30m;
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


# njs: reads the body, changes the name, and sends it on as a subrequest, which
# is its way to give a proxied request another body.

sub njs {
    my (@mock) = @_;
    my $modules = '/usr/lib/nginx/modules';
    my $port = free_port();

    return absent('njs', 'libnginx-mod-http-js')
        unless -f "$modules/ngx_http_js_module.so";

    spit("$dir/split.js", <<'END');
function hash(s) {
    let h = 2166136261;

    for (let i = 0; i < s.length; i++) {
        h = Math.imul(h ^ s.charCodeAt(i), 16777619) >>> 0;
    }

    return h % 100;
}

async function split(r) {
    const body = JSON.parse(r.requestText);
    const key = r.headersIn['X-Session-Id'] || '';
    const target = hash(key) < 10 ? 'challenger' : 'champion';

    body.model = target;

    const answer = await r.subrequest('/' + target + r.uri,
        { method: r.method, body: JSON.stringify(body) });

    r.headersOut['Content-Type'] = answer.headersOut['Content-Type'];
    r.return(answer.status, answer.responseText);
}

export default { split };
END

    my $locations = join '', map { <<"END" } [ champion => $mock[0] ],
        location /$_->[0]/ {
            internal;
            proxy_pass http://$_->[0]/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
END
        [ challenger => $mock[1] ];

    my $pid = nginx("njs$port", 0, <<"END");
load_module $modules/ngx_http_js_module.so;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_buffer_size 256k;
    client_max_body_size 30m;
    subrequest_output_buffer_size 256k;
    upstream champion { server 127.0.0.1:$mock[0]; keepalive 64; }
    upstream challenger { server 127.0.0.1:$mock[1]; keepalive 64; }
    js_path $dir;
    js_import split.js;
    server {
        listen 127.0.0.1:$port;
        location /v1/ { js_content split.split; }
$locations
    }
}
END
    return { name => 'njs', pids => [$pid], port => $port };
}


# Portkey's gateway of npm, as its package starts it, without its web page.  It
# listens on all interfaces and has no option against it, so node is told to.

sub portkey {
    my (@mock) = @_;
    my $packages = "$top/build/portkey";
    my $server = "$packages/node_modules/\@portkey-ai/gateway/build"
        . '/start-server.js';
    my $port = free_port();

    if (!-f $server) {
        print "installing the npm package \@portkey-ai/gateway\n";
        system("mkdir -p $packages && cd $packages && npm install --no-fund"
               . ' --no-audit --silent @portkey-ai/gateway@1.15.2'
               . " >>$dir/output.log 2>&1");
    }

    return absent('Portkey', 'npm') unless -f $server;

    my @targets = map { {
        provider => 'openai', custom_host => "http://127.0.0.1:$mock[$_]/v1",
        api_key => "sk-mock-$_", weight => $_ ? 0.1 : 0.9,
        override_params => { model => "model-$_" },
    } } 0 .. 1;

    spit("$dir/loopback.cjs", <<'END');
const { Server } = require('net');
const listen = Server.prototype.listen;

Server.prototype.listen = function (port, ...rest) {
    const to = typeof port === 'object' ? port : { port };

    return listen.call(this, { ...to, host: '127.0.0.1' },
                       ...rest.filter((v) => typeof v === 'function'));
};
END

    local $ENV{NODE_ENV} = 'production';
    my $pid = start_pinned(0, 'node', '--require', "$dir/loopback.cjs",
                           $server, "--port=$port", '--headless');

    wait_for('Portkey', 20, sub {
        IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
    });
    return {
        name => 'Portkey', pids => [$pid], port => $port,
        headers => 'x-portkey-config: ' . encode_json({
            strategy => { mode => 'loadbalance' }, targets => \@targets,
        }),
    };
}


sub gateway_proxy {
    my (@mock) = splice @_, 0, 2;
    my ($more) = (@_, '');
    my $port = free_port();
    my $conninfo = database();
    my $token = token($conninfo);
    my $proxy = "$dir/model_proxy.conf";

    # as it is, but for larger bodies

    system("sed s/client_max_body_size.*/'client_max_body_size 30m;'/"
           . " $top/conf/model_proxy.conf >$proxy") == 0
        or die "bench: sed\n";

    my $pid = nginx("gateway$port", 0, gateway_conf($conninfo, <<"END"));
    upstream model_backend { model_backend keepalive=128; }
    server {
        listen 127.0.0.1:$port;
        location /v1/ {
            model_split on;
            $more
            include $proxy;
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


1;
