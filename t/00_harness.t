# The tests' own tools.  If this breaks, the other tests may pass although the
# gateway crashed, lost a worker, left a process behind or leaked a database
# session; or they may measure arrival times that are not true.

use v5.28;
use warnings;

use lib 't/lib';

use Host qw(alive free_port holders slurp start_process wait_until);
use Gateway;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use Upstream;
use Wire;

# nginx without the module is enough to test the tests

sub gateway {
    my (%options) = @_;

    return Gateway->new(module => 0,
        server => 'location / { return 200 "hello\n"; }', %options)->start;
}


subtest 'a test that leaves nothing bad' => sub {
    my $gw = gateway(workers => 2);

    is(Wire::fetch($gw->port, 'GET', '/')->{body}, "hello\n", 'by TCP');
    is($gw->get('/')->{body}, "hello\n", 'by unix socket');
    is(scalar $gw->workers, 2, 'two workers');
    is_deeply([ $gw->problems ], [], 'no problems');
    $gw->remove;
    ok(!-e $gw->dir, 'the directory is gone');
};


subtest 'an alert, an emergency and a sanitizer line are caught' => sub {
    for my $line ('2026/01/01 00:00:00 [alert] 1#1: something',
                  '2026/01/01 00:00:00 [emerg] 1#1: something',
                  '==17==ERROR: AddressSanitizer: heap-use-after-free',
                  'src/base/mg_str.c:1:2: runtime error: signed integer',
                  'SUMMARY: AddressSanitizer: 8 byte(s) leaked')
    {
        my $gw = gateway();
        open my $log, '>>', $gw->dir . '/logs/error.log';
        say $log $line;
        close $log;
        is_deeply([ $gw->problems ], [ "in the log: $line" ], $line);
        $gw->remove;
    }

    # a report as a whole, not what else is in the log
    my @report = ('WARNING: ThreadSanitizer: data race (pid=17)',
                  '    #0 mg_str_eq src/base/mg_str.c:1',
                  'SUMMARY: ThreadSanitizer: data race in mg_str_eq');
    my $gw = gateway();
    open my $log, '>>', $gw->dir . '/logs/error.log';
    say $log $_ for @report[0, 1], '2026/01/01 00:00:00 [notice] 1#1: fine',
                    '-' x 53, 'Suppressions used:',
                    '  count      bytes template',
                    '      3     450560 ngx_event_process_init', '-' x 53,
                    $report[2], 'fine';
    close $log;
    is_deeply([ $gw->problems ], [ 'in the log: ' . join "\n", @report ],
              'a report with its stacks');
    $gw->remove;

    $gw = gateway()->allow(qr/expected thing/);
    open $log, '>>', $gw->dir . '/logs/error.log';
    say $log '[alert] expected thing';
    close $log;
    is_deeply([ $gw->problems ], [], 'but not one that was allowed');
    $gw->remove;
};


subtest 'a lost worker is caught, one that the test killed is not' => sub {
    my $gw = gateway();
    my ($pid) = $gw->workers;

    kill 'KILL', $pid;
    wait_until(sub { !alive($pid) && $gw->workers });
    like(join("\n", $gw->problems), qr/worker process $pid exited on signal 9/,
         'killed by somebody');
    $gw->remove;

    $gw = gateway();
    $pid = $gw->kill_worker;
    is($gw->get('/')->{status}, 200, 'its successor answers');
    is_deeply([ $gw->problems ], [], 'killed by the test');
    $gw->remove;

    $gw = gateway();
    ($pid) = $gw->workers;
    kill 'SEGV', $pid;
    wait_until(sub { !alive($pid) && $gw->workers });
    # a sanitizer handles the signal, reports, and exits with a code of its own
    like(join("\n", $gw->problems),
         qr/worker process $pid exited (?:on signal 11|with code [1-9])/,
         'a crash');
    $gw->remove;
};


subtest 'a process that was left behind is caught' => sub {
    my $gw = gateway();
    my $left = start_process($gw->dir . '/logs/left', 'sleep', '600');

    wait_until(sub { slurp("/proc/$left/cmdline") =~ /^sleep/ });
    like(join("\n", $gw->problems), qr/process $left was left behind: sleep/,
         'named');
    waitpid $left, 0;
    is_deeply([ holders($gw->dir) ], [], 'and ended');
    $gw->remove;
};


subtest 'a nginx that does not quit is caught' => sub {
    my $gw = gateway(server => 'location / { proxy_pass http://127.0.0.1:9; }');
    local $Host::patience = 0.02;

    kill 'STOP', $gw->pid;
    like(join("\n", $gw->problems), qr/did not quit within its deadline/,
         'named');
    $gw->remove;
};


subtest 'a database session that was left open is caught' => sub {
    my $gw = gateway();
    my $name = $gw->{dbname} = "left_$$";
    Services::create_database($name, template => 'template0');

    my $pid = start_process('/dev/null', 'psql', '-X', '-d',
        Services::conninfo($name) . ' application_name=left', '-c',
        'select pg_sleep(600)');

    ok(wait_until(sub {
        grep { ($_->[3] // '') =~ /pg_sleep/ } Services::sessions($name);
    }), 'it is there');
    local $Host::patience = 0.1;
    like(join("\n", $gw->problems), qr/database session left: .*left.*pg_sleep/,
         'named');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    $gw->remove;
};


subtest 'no port is given to two' => sub {
    my @ports = (free_port());
    pipe my $in, my $out or die "pipe: $!\n";
    pipe my $hold, my $release or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        close $release;
        syswrite $out, join(' ', map { free_port() } 1 .. 3) . "\n";
        <$hold>;
        POSIX::_exit(0);
    }

    close $out;
    push @ports, split ' ', <$in>;
    push @ports, map { free_port() } 1 .. 3;
    close $release;
    waitpid $pid, 0;

    my %seen = map { $_ => 1 } @ports;
    is(scalar keys %seen, 7, "seven of them: @ports");
};


subtest 'bad configuration' => sub {
    my $gw = Gateway->new(module => 0, server => 'no_such_directive on;');
    my ($ok, $text) = $gw->test_conf;

    ok(!$ok, 'refused');
    like($text, qr/unknown directive "no_such_directive" in .*nginx\.conf:\d+/,
         'with file and line');
    ok(!eval { $gw->start }, 'start dies');
    $gw->remove;
};


subtest 'reload' => sub {
    my $gw = gateway();
    my @old = $gw->reload(server => 'location / { return 200 "new\n"; }',
                          wait_old => 1);

    is(scalar @old, 1, 'one old worker');
    ok(!alive($old[0]), 'which is gone');
    is($gw->get('/')->{body}, "new\n", 'new configuration');
    ok(!eval { $gw->reload(server => 'bad;') }, 'a bad one is refused');
    $gw->allow(qr/unknown directive "bad"/);
    is_deeply([ $gw->problems ], [], 'no problems');
    $gw->remove;
};


subtest 'arrival times, and a connection that is kept' => sub {
    my $up = Upstream->new(sub {
        return { chunks => [ 'one', \0.2, 'two', \0.2, 'three' ] };
    });
    my $wire = Wire->new($up->port);

    for my $n (1, 2) {
        my $r;

        # where the machine stood still for a moment the pauses are shorter
        ok(wait_until(sub {
            $wire->request('POST', "/$n", {}, { n => $n });
            $r = $wire->response;
            my @at = map { $_->[0] } @{ $r->{pieces} };
            return @at == 3 && $at[1] - $at[0] > 0.1 && $at[2] - $at[1] > 0.1;
        }), "answer $n: three pieces, with pauses");
        is($r->{body}, 'onetwothree', 'all of it');
    }

    my @requests = $up->requests;
    is("$requests[0]{uri} $requests[-1]{uri}", '/1 /2', 'both were recorded');
    is($requests[-1]{body}, '{"n":2}', 'with the body');
    is($requests[-1]{connection}, $requests[0]{connection}, 'one connection');
};


subtest 'a client that misbehaves' => sub {
    my $up = Upstream->new(sub { return { body => $_[0]{body} } });
    my $gw = gateway(server => "location / { proxy_pass @{[ $up->url ]}; }");
    my $text = Wire::format_request('POST', '/', {}, 'x' x 100);

    my $wire = $gw->wire;
    ok($wire->send_slowly($text, 20, 0.005), 'a slow sender');
    is($wire->response->{body}, 'x' x 100, 'gets its answer');

    $wire->send($text x 3);
    is(join(' ', map { $wire->response->{status} } 1 .. 3), '200 200 200',
       'pipelining');

    $wire->send(substr $text, 0, 80);
    $wire->half_close;
    $wire->closed;

    $wire = $gw->wire;
    $wire->send(substr $text, 0, 80);
    $wire->reset;

    is($gw->get('/')->{status}, 200, 'others are served');
    is_deeply([ $gw->problems ], [], 'no problems');
    $gw->remove;
};


subtest 'a server that misbehaves' => sub {
    my $up = Upstream->new(sub {
        my ($req) = @_;

        return { '/cut' => { body => 'x' x 100, cut => 10 },
                 '/cutc' => { chunks => [ 'x' x 50, 'y' x 50 ], cut => 60 },
                 '/drop' => { drop => 1 },
                 '/close' => { body => 'bye', close => 1 } }->{ $req->{uri} };
    });

    my $r = Wire::fetch($up->port, 'GET', '/cut');
    is("$r->{complete} $r->{body}", '0 ' . 'x' x 10, 'cut');

    $r = Wire::fetch($up->port, 'GET', '/cutc');
    is("$r->{complete} $r->{body}", '0 ' . 'x' x 50 . 'y' x 10, 'cut, chunked');

    is(Wire::fetch($up->port, 'GET', '/drop')->{status}, 0, 'drop');

    $r = Wire::fetch($up->port, 'GET', '/close');
    is("$r->{body} $r->{headers}{connection}", 'bye close', 'close');

    $up->stop;
    is(Wire::fetch($up->port, 'GET', '/close')->{status}, 0, 'stopped');
    $up->start;
    is(Wire::fetch($up->port, 'GET', '/close')->{status}, 200, 'and back');
};


subtest 'many requests' => sub {
    my $gw = gateway();
    my @r = Wire::many($gw->socket, [ map { [ 'GET', "/$_" ] } 1 .. 2500 ], 2);

    is(scalar(grep { $_ && $_->{status} == 200 } @r), 2500, 'all answered');
    is_deeply([ $gw->problems ], [], 'no problems');
    $gw->remove;
};


subtest 'a database of its own' => sub {
    my $name = "own_$$";
    my $conninfo = Services::create_database($name, template => 'template0');
    my @rows = Services::query($conninfo,
        "select 1, null, E'a\\nb', :'x'", x => "it's");

    is_deeply(\@rows, [ [ 1, undef, "a\nb", "it's" ] ], 'rows');
    ok(!eval { Services::query($conninfo, 'select 1/0') }, 'an error dies');
    like($@, qr/division by zero/, 'with its text');
    Services::drop_database($name);
};


my $gw = gateway();
is($gw->get('/')->{status}, 200, 'the checks of done_testing see this one');
done_testing;
