package Gateway;

# One nginx with the module, for one test file, with a database of its own.
#
#     use lib 't/lib';
#     use Gateway;
#     use Test::More;
#
#     my $gw = Gateway->new(http => '...', server => '...');
#     $gw->start->wait_ready;
#     my $r = $gw->get('/health');               # see Wire for the answer
#     my $r = $gw->api('POST', '/api/v1/providers', { id => 'acme', ... });
#     is(scalar @{ $r->{json}{data} }, 2, 'two models');
#     done_testing;
#
# nginx runs as "nobody" when the test is root, on a port of 127.0.0.1 and on a
# unix socket.  At the end of every test end_checks() runs by itself: it looks
# for alerts and sanitizer reports, for lost workers, leaked descriptors,
# database sessions and processes, and quits nginx within its deadline.
#
# Environment:
#     TEST_NGINX_BINARY   another nginx
#     TEST_NGINX_MODULE   another ngx_http_model_module.so
#     TEST_NGINX_SAN      1: the module has ASan, the binary has not; native: both
#                         have; tsan: both have TSan
#     TEST_NGINX_DEBUG    1: error_log at level debug
#     TEST_KEEP           1: the directory stays

use v5.28;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(sleep time);

use Host qw(alive as_nobody children free_port holders nobody slurp spew
            start_process top wait_until);
use Services;
use Upstream ();
use Wire;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @all;


# what a deployment has as a rule; a test replaces it by its own "server"

our $locations = <<'END';
        client_max_body_size 10m;
        error_page 400 413 414 429 494 500 501 502 503 504 /model-error;
        location = /model-error { internal; model_api; }

        location /v1/ {
            model_auth inference;
            model_split on;
            include model_proxy.conf;
        }

        location = /v1/models { model_api; }
        location /v1/models/ { model_api; }
        location = /api.json { model_api; }
        location /api/ { model_api; client_body_buffer_size 1m; }
        location = /health { model_api; }
        location = /metrics { model_api; }
END


# Options:
#   module     0: nginx alone, without the module
#   database   0: none; a conninfo: that one; else one is made from the template
#   connections    to it, of a worker (as by default)
#   redis      0: none
#   catalog    what model_catalog_source names; "bundled": the models.dev document
#   workers    how many (1)
#   zone       size of model_zone (64m)
#   allow_private    model_allow_private (on: scripted upstreams are on loopback)
#   main, http, server, servers    lines of configuration in those places;
#              "server" replaces the locations, "more" is added to them
#   conf       the whole http {} block, instead of all that

sub new {
    my ($class, %options) = @_;

    my $base = Services::base();
    my $name = basename($0) =~ s/\.t$//r =~ s/\W/_/gr;
    state $count = 0;
    $count++;

    my $self = bless { workers => 1, database => 1, redis => 1, module => 1,
                       allow_private => 'on', zone => '64m',
                       more => '', main => '', http => '', servers => '',
                       %options, owner => $$, killed => {}, allowed => [],
                       pids => {} }, $class;

    $self->{name} = "t$$" . "_$count";
    $self->{dir} = "$base/$self->{name}";
    $self->{label} = "$name" . ($count > 1 ? "-$count" : '');
    $self->{port} //= free_port();
    $self->{socket} = "$self->{dir}/http";

    make_path(map { "$self->{dir}/$_" } qw(logs tmp state));
    copy(top() . '/conf/model_proxy.conf', "$self->{dir}/model_proxy.conf");
    spew("$self->{dir}/secret.key", join '', map { unpack 'H*', chr rand 256 }
                                              1 .. 32);
    chmod 0600, "$self->{dir}/secret.key";

    if ($self->{module}) {
        $self->{so} = "$self->{dir}/ngx_http_model_module.so";
        my $so = $ENV{TEST_NGINX_MODULE} || module_path();
        copy($so, $self->{so}) or die "$so: $!; build it first, with make\n";
        chmod 0755, $self->{so};

        if (($self->{catalog} // '') eq 'bundled') {
            $self->{catalog} = "$self->{dir}/models.json";
            copy(top() . '/conf/models.dev/api.json', $self->{catalog});
        }

        if ($self->{database} eq '1') {
            $self->{dbname} = $self->{name};
            $self->{database} = Services::create_database($self->{dbname});
        }
    }

    $self->own;
    push @all, $self;
    return $self;
}


sub module_path {
    my $san = $ENV{TEST_NGINX_SAN} ? 'asan/' : '';

    return top() . "/build/${san}ngx_http_model_module.so";
}


# gives the directory to the user that nginx runs as

sub own {
    my ($self) = @_;

    return if !nobody();
    my $dir = $self->{dir};
    chown 65534, 65534, $dir, glob("$dir/*"), glob("$dir/*/*");
}


sub dir { return $_[0]{dir}; }
sub port { return $_[0]{port}; }
sub socket { return $_[0]{socket}; }
sub url { return "http://127.0.0.1:$_[0]{port}" . ($_[1] // ''); }
sub conninfo { return $_[0]{database}; }
sub pid { return $_[0]{pid}; }
sub log { return slurp("$_[0]{dir}/logs/error.log"); }


sub http_block {
    my ($self) = @_;

    return $self->{conf} if defined $self->{conf};

    my $model = '';

    if ($self->{module}) {
        my $n = $self->{connections} ? " connections=$self->{connections}" : '';
        $model .= qq(    model_database "$self->{database}"$n;\n)
            if $self->{database};
        $model .= '    model_redis ' . Services::redis() . ";\n"
            if $self->{redis};
        $model .= qq(    model_catalog_source "$self->{catalog}";\n)
            if $self->{catalog};
        $model .= <<END;
    model_state_path $self->{dir}/state;
    model_zone model:$self->{zone};
    model_secret_key_file $self->{dir}/secret.key;
    model_allow_private $self->{allow_private};

    upstream model_backend { model_backend keepalive=64; }
END
    }

    my $server = $self->{server} // ($self->{module} ? $locations : '');

    return <<END;
$model
$self->{http}

    server {
        listen 127.0.0.1:$self->{port};
        listen unix:$self->{socket};
        server_name localhost;

$server
$self->{more}
    }

$self->{servers}
END
}


sub write_conf {
    my ($self, %changes) = @_;

    @$self{ keys %changes } = values %changes;

    my $dir = $self->{dir};
    my $level = $ENV{TEST_NGINX_DEBUG} ? 'debug' : 'info';
    my $load = '';

    if ($self->{module}) {
        $load = "load_module $self->{so};\n"
                . "thread_pool model_db threads=4 max_queue=64;\n"
                . "thread_pool model_jobs threads=2 max_queue=16;\n";
    }

    spew("$dir/nginx.conf", <<END);
${load}daemon off;
worker_processes $self->{workers};
pid $dir/nginx.pid;
error_log $dir/logs/error.log $level;
$self->{main}

events {
    worker_connections 1024;
}

http {
    access_log $dir/logs/access.log;
    client_body_temp_path $dir/tmp/body;
    proxy_temp_path $dir/tmp/proxy;
    fastcgi_temp_path $dir/tmp/fastcgi;
    uwsgi_temp_path $dir/tmp/uwsgi;
    scgi_temp_path $dir/tmp/scgi;

@{[ $self->http_block ]}
}
END

    return $self;
}


# the command line of nginx, with the environment of the sanitizers

sub command {
    my ($self, @args) = @_;

    my $binary = $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx';
    my $san = $ENV{TEST_NGINX_SAN} // '';
    my $supp = top() . '/tools';
    my @env = ('env', 'LC_ALL=C');

    if ($san eq '1') {
        my @libs = map { abs_path(`gcc -print-file-name=$_` =~ s/\s+$//r) }
                   qw(libasan.so libubsan.so);
        push @env, 'LD_PRELOAD=' . join(':', @libs),
             'ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0',
             'UBSAN_OPTIONS=print_stacktrace=1';

    } elsif ($san eq 'native') {
        copy("$supp/lsan.supp", "$self->{dir}/lsan.supp");
        # nginx -t exits without freeing what it has read
        my $leaks = grep({ $_ eq '-t' } @args) ? 0 : 1;
        # gcc 12's runtime takes thread-local memory of a library that nginx
        # loads late (16 bytes of GnuTLS) for a block of the C library's, if it
        # lies 16 bytes into a page, reads its own header as address and size,
        # and "Tracer caught signal 11" as it looks for pointers there; without
        # the last option all such memory is searched by way of its allocation
        push @env, "ASAN_OPTIONS=detect_leaks=$leaks:detect_odr_violation=0"
             . ':intercept_tls_get_addr=0',
             "LSAN_OPTIONS=suppressions=$self->{dir}/lsan.supp",
             'UBSAN_OPTIONS=print_stacktrace=1';

    } elsif ($san eq 'tsan') {
        copy("$supp/tsan.supp", "$self->{dir}/tsan.supp");
        # remembers more, so that a report has both stacks
        push @env, "TSAN_OPTIONS=suppressions=$self->{dir}/tsan.supp"
             . ':history_size=5';
        @env = ('setarch', '-R', @env);
    }

    return (as_nobody(), @env, $binary, '-p', "$self->{dir}/",
            '-e', "$self->{dir}/logs/error.log",
            '-c', "$self->{dir}/nginx.conf", @args);
}


# nginx -t; its output, and whether it liked the configuration

sub test_conf {
    my ($self, %changes) = @_;

    $self->write_conf(%changes);
    $self->own;

    my $file = "$self->{dir}/test.out";
    unlink $file;
    my $pid = start_process($file, $self->command('-t'));
    waitpid $pid, 0;
    my $ok = $? == 0;
    return wantarray ? ($ok, slurp($file)) : $ok;
}


# starts nginx and waits until it answers; dies with its log if it does not

sub start {
    my ($self, %changes) = @_;

    $self->write_conf(%changes);
    $self->own;

    my $output = "$self->{dir}/logs/stderr";
    $self->{pid} = start_process($output, $self->command);

    wait_until(sub {
        waitpid($self->{pid}, 1) == $self->{pid}
            || -s "$self->{dir}/nginx.pid"
               && $self->workers >= $self->{workers} && $self->answers;
    });

    if (!alive($self->{pid}) || !$self->answers) {
        my $text = slurp($output) . $self->log;
        kill 'KILL', $self->{pid};
        delete $self->{pid};
        $self->{broken} = 1;
        die "nginx did not start:\n$text\n";
    }

    $self->{files} = $self->open_files;
    return $self;
}


# somebody accepts connections on our socket

sub answers {
    my ($self) = @_;

    return 1 if defined $self->{conf};

    my $wire = Wire->new($self->{socket}) or return 0;
    $wire->close;
    return 1;
}


# the pids of the workers, old ones of a reload included

sub workers {
    my ($self) = @_;

    return if !$self->{pid};

    my @pids = grep { slurp("/proc/$_/cmdline") =~ /worker process/ }
               children($self->{pid});
    $self->{pids}{$_} = 1 for @pids;
    return @pids;
}


# waits until the gateway says that it is ready; dies if it does not

sub wait_ready {
    my ($self, $seconds) = @_;

    my $r;

    wait_until(sub {
        $r = $self->get('/api/v1/admin/ready',
                        { Authorization => 'Bearer ' . $self->token('admin') });
        $r->{status} == 200;
    }, $seconds // 60);

    if ($r->{status} == 200) {
        $self->wait_token($_) for values %{ $self->{token} };
        return $self;
    }

    die "not ready: $r->{status} $r->{reason} $r->{body}\n" . $self->log;
}


# SIGHUP, and waits for the new workers; { wait_old => 1 }: and for the end of
# the old ones.  Returns the pids of the old ones

sub reload {
    my ($self, %changes) = @_;

    my $wait_old = delete $changes{wait_old};
    my @old = $self->workers;
    my %old = map { $_ => 1 } @old;
    my $before = () = $self->log =~ /\[emerg\]/g;

    $self->write_conf(%changes);
    kill 'HUP', $self->{pid};

    my $new = wait_until(sub {
        my $emerg = () = $self->log =~ /\[emerg\]/g;
        return -1 if $emerg > $before;
        return $self->{workers} == grep { !$old{$_} } $self->workers;
    });

    if (!$new || $new < 0) {
        die "reload failed:\n" . $self->log;
    }

    wait_until(sub { !grep { alive($_) } @old }) if $wait_old;
    return @old;
}


# kill -9 of a worker (the first, or that pid), and waits for its successor

sub kill_worker {
    my ($self, $pid) = @_;

    my @before = $self->workers;
    $pid //= $before[0];
    $self->{killed}{$pid} = 1;
    kill 'KILL', $pid;

    my %before = map { $_ => 1 } @before;
    wait_until(sub { !alive($pid) && grep { !$before{$_} } $self->workers })
        or die "no worker came after $pid was killed\n";
    return $pid;
}


# ends nginx with a signal; seconds until it was gone, undef if it did not go

sub end_with {
    my ($self, $signal, $seconds) = @_;

    my $pid = $self->{pid} or return 0;
    my $began = time;

    # nginx kills what has not stopped after two seconds; looking for leaks at
    # its end, or a machine that is busy, may take longer
    my @children = children($pid);
    @{ $self->{killed} }{@children} = (1) x @children if $signal eq 'TERM';

    kill $signal, $pid;

    my $gone = wait_until(sub { waitpid($pid, 1) == $pid }, $seconds);
    $self->{exit} = $? if $gone;
    return undef if !$gone;

    delete $self->{pid};
    return time - $began;
}


sub quit { return $_[0]->end_with('QUIT', $_[1] // 20); }
sub stop { return $_[0]->end_with('TERM', $_[1] // 20); }


# kill -9 of nginx as a whole, as when the machine goes down

sub kill_all {
    my ($self) = @_;

    my @pids = ($self->{pid}, $self->workers);
    $self->{killed}{$_} = 1 for @pids;
    kill 'KILL', @pids;
    waitpid $self->{pid}, 0;
    wait_until(sub { !grep { alive($_) } @pids });
    delete $self->{pid};

    # nobody was left to unlink it, and nginx does not start where one lies
    unlink $self->{socket};
}


# requests, each on a connection of its own; "json" is the body as data, if it
# is JSON

sub fetch {
    my ($self, @request) = @_;

    my $r = Wire::fetch($self->{socket}, @request);

    if (($r->{headers}{'content-type'} // '') =~ m{^application/json}) {
        $r->{json} = eval { $json->decode($r->{body}) };
    }

    return $r;
}


sub get {
    my ($self, $uri, $headers) = @_;

    return $self->fetch('GET', $uri, $headers);
}


# a call of the control plane as admin, or with the token that is given

sub api {
    my ($self, $method, $uri, $data, $token) = @_;

    $token //= $self->token('admin');
    return $self->fetch($method, $uri, { Authorization => "Bearer $token" },
                        $data);
}


# what a test needs to be there: the answer's JSON, or the end of all tests

sub made {
    my ($self, $path, $data) = @_;

    my $r = $self->api(POST => "/api/v1/$path", $data);
    Test::More::BAIL_OUT("$path: $r->{status} $r->{body}")
        if $r->{status} > 201;
    return $r->{json};
}


# a group with these members: [ model, role, percentage ]

sub group {
    my ($self, $name, $data, @members) = @_;

    my $group = $self->made('model-groups', { name => $name, %$data });
    $self->made("model-groups/$name/models",
                [ map { { model_id => $_->[0], role => $_->[1],
                          traffic_percentage => $_->[2] // 0 } } @members ]);
    return $group;
}


# whether an answer is of a group that is there with its members, which are
# assigned by a call of their own

sub decided {
    my ($r) = @_;

    return $r->{status} != 404 && $r->{body} !~ /has no models yet/;
}


sub wire { return Wire->new($_[0]{socket}); }


# a token with that role, made at the first call

sub token {
    my ($self, $role) = @_;

    return $self->{token}{$role} //= do {
        my $token = `@{[top()]}/tools/token '$self->{database}' test-$role $role`;
        die "no token with the role $role\n" if $?;
        chomp $token;
        $self->wait_token($token) if $self->{pid};
        $token;
    };
}


# waits until the worker that answers us knows a token that was just made

sub wait_token {
    my ($self, $token) = @_;

    wait_until(sub {
        $self->get('/v1/models', { Authorization => "Bearer $token" })
             ->{status} !~ /^(?:0|401)$/;
    });
}


# SQL in this gateway's database: rows; the first value; see Services::query

sub sql {
    my ($self, @query) = @_;

    return Services::query($self->{database}, @query);
}


sub sql_value {
    my ($self, @query) = @_;

    my ($row) = $self->sql(@query);
    return $row ? $row->[0] : undef;
}


# A process that holds a lock of a table for so many seconds, and has it.  mode:
# "access exclusive", "exclusive", "access share".

sub hold {
    my ($self, $table, $mode, $seconds) = @_;

    my $pid = start_process("$self->{dir}/lock.out", 'psql', '-X', '-q', '-d',
        $self->{database}, '-c', "begin; lock table model.$table in $mode mode;
        select pg_sleep($seconds)");
    my $name = join '', map { ucfirst } split(' ', $mode), 'lock';

    wait_until(sub {
        $self->sql_value("select count(*) from pg_locks where granted
            and mode = :'mode' and relation = 'model.$table'::regclass",
            mode => $name);
    }) or die "nobody got the $mode lock of $table\n";

    return $pid;
}


# a database that nobody can reach, and one that answers again

sub away {
    my ($self) = @_;
    my $name = $self->{dbname};

    Services::query(Services::conninfo('postgres'),
        "alter database $name with allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity
         where datname = '$name'");
    return $self;
}


sub back {
    my ($self) = @_;

    Services::query(Services::conninfo('postgres'),
        "alter database $self->{dbname} with allow_connections true");
    return $self;
}


# a metric's value: metric('nginx_model_requests_total', variant => 'a'), summed
# over the series that have these labels; undef if there is none

sub metric {
    my ($self, $name, %labels) = @_;

    my $sum;
    my $r = $self->get('/metrics',
                       { Authorization => 'Bearer ' . $self->token('admin') });

    LINE: for (split /\n/, $r->{body}) {
        my ($set, $value) = /^\Q$name\E(?:\{(.*)\})? (\S+)/ or next;

        for my $label (keys %labels) {
            next LINE if index(",$set", qq(,$label="$labels{$label}")) < 0;
        }

        $sum += $value;
    }

    return $sum;
}


# lines of the error log that the test expects although they look bad

sub allow {
    my ($self, @patterns) = @_;

    push @{ $self->{allowed} }, @patterns;
    return $self;
}


# the regular files that each worker has open, counted

sub open_files {
    my ($self) = @_;

    my $n = 0;

    for my $pid ($self->workers) {
        $n += grep { m{^/} && !m{^/dev/} }
              map { readlink($_) // () } glob "/proc/$pid/fd/*";
    }

    return $n;
}


# What is wrong with the log, as lines; a sanitizer's report is one of them, as
# long as it is, since the log goes with the test.

sub bad_lines {
    my ($self) = @_;

    my $sanitizer = qr/ERROR: |WARNING: ThreadSanitizer|runtime error|SUMMARY:/;
    my (@bad, $report);

    for (split /\n/, $self->log . slurp("$self->{dir}/logs/stderr")) {
        my $line = $_;

        # what the leak check of a process says that has found nothing
        next if /^-{20,}$|^Suppressions used:|^ +count +bytes +template$/
                || /^ +\d+ +\d+ \w+$/;

        # workers that have nothing to report go on writing in between
        if (defined $report && !m{^\d{4}/\d\d/\d\d }) {
            $bad[$report] .= "\n$line";
            undef $report if $line =~ /^SUMMARY:/;
            next;
        }

        next if !/\[(?:alert|emerg)\]|signal 11|exited on/
                && !/exited with code [1-9]/ && !/$sanitizer/;

        # what a kill -9 of the test's own leaves in the log
        next if /(?:worker|cache \w+) process (\d+) exited on signal 9/
                && $self->{killed}{$1};
        next if /was locked by (\d+)/ && $self->{killed}{$1};

        next if grep { $line =~ $_ } @{ $self->{allowed} };
        push @bad, $line;
        $report = $#bad if $line =~ /(?:ERROR|WARNING): \w+Sanitizer/;
    }

    return @bad;
}


# Runs by itself at the end of a test; a list of what is wrong, empty if nothing.

sub problems {
    my ($self) = @_;

    my @problems;

    if ($self->{pid}) {
        my @workers = $self->workers;
        push @problems, 'nginx runs no worker' if !@workers;

        my $files = $self->open_files - $self->{files};
        push @problems, "$files more files are open than at the start"
            if $files > 16 * (@workers || 1);

        if (!defined $self->quit) {
            push @problems, 'nginx did not quit within its deadline';
            kill 'KILL', $self->{pid}, $self->workers;
            waitpid delete $self->{pid}, 0;

        } elsif ($self->{exit}) {
            push @problems, "nginx exited with status $self->{exit}";
        }
    }

    push @problems, map { "in the log: $_" } $self->bad_lines;

    my @left;
    wait_until(sub { !(@left = holders($self->{dir})) }, 2);

    for my $pid (@left) {
        my $command = slurp("/proc/$pid/cmdline") =~ tr/\0/ /r;
        push @problems, "process $pid was left behind: $command";
        kill 'KILL', $pid;
    }

    if ($self->{dbname}) {
        my @sessions;
        wait_until(sub { !(@sessions = Services::sessions($self->{dbname})) },
                   5);
        push @problems, map { "database session left: @{[ map { $_ // '' } @$_ ]}" }
                        @sessions;
    }

    return @problems;
}


sub remove {
    my ($self) = @_;

    Services::drop_database($self->{dbname}) if $self->{dbname};
    remove_tree($self->{dir}) if !$ENV{TEST_KEEP};
    $self->{removed} = 1;
}


# one line of TAP for a gateway; the test's plan is printed after it

sub end_checks {
    my ($self) = @_;

    return if $self->{removed};

    my @problems = $self->problems;
    my $ok = Test::More::ok(!@problems, "$self->{label}: left nothing bad");

    if (!$ok) {
        Test::More::diag($_) for @problems;
        Test::More::diag("the log ends:\n", tail($self->log)) if @problems;
    }

    $self->remove;
    return $ok;
}


sub tail {
    my ($text) = @_;

    my @lines = split /\n/, $text;
    splice @lines, 0, @lines - 30 if @lines > 30;
    return join "\n", @lines, '';
}


sub end_all {
    Upstream::stop_all();
    $_->end_checks for grep { $_->{owner} == $$ && !$_->{removed} } @all;
}


# done_testing() runs the checks first, so that they are part of the plan.

{
    no warnings qw(once redefine);
    my $done = \&Test::More::done_testing;

    my $checked = sub {
        end_all();
        @_ = ();
        goto &$done;
    };

    *Test::More::done_testing = $checked;
    *main::done_testing = $checked;
}


# a test that dies still takes down what it has started

END {
    my $status = $?;

    for my $self (grep { $_->{owner} == $$ && !$_->{removed} } @all) {
        Test::More::diag("the log ends:\n", tail($self->log)) if $status;
        my @problems = $self->problems;
        $self->remove;
        $status ||= 1 if @problems;
        Test::More::diag($_) for @problems;
    }

    $? = $status;
}


1;
