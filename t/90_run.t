# The first quarter of an hour with the gateway: "make run", the three commands
# that it prints, "make run" again, "make stop".  If this breaks, a new user's
# first try does.

use v5.28;
use warnings;

use lib 't/lib';

use File::Temp qw(tempdir);
use Host qw(free_port slurp start_process top wait_until);
use IO::Socket::INET;
use Test::More;
use Wire;

plan skip_all => 'make run is tried with the packaged nginx alone'
    if $ENV{TEST_NGINX_SAN} || $ENV{TEST_NGINX_BINARY};

my $top = top();
my $dir = tempdir('model-t-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

my ($port, $demo_a, $demo_b) = map { free_port() } 1 .. 3;
delete $ENV{MODEL_FAST};
$ENV{MODEL_RUN_DIR} = "$dir/run";
$ENV{MODEL_DEMO_PORTS} = "$demo_a $demo_b";
$ENV{MODEL_WORKERS} = 2;
$ENV{PORT} = $port;


# the exit code, and what the command wrote

sub run {
    my (@command) = @_;

    my $output = "$dir/output";
    unlink $output;
    my $pid = start_process($output, @command);
    waitpid $pid, 0;
    return ($? >> 8, slurp($output));
}


# the lines of the output that are commands to paste

sub commands {
    my ($text) = @_;

    return $text =~ /^  (curl .*)$/gm;
}


my ($rc, $text) = run("$top/tools/run");
is($rc, 0, 'make run') or diag $text;
my ($token) = $text =~ /(mgw_[\w-]{43})/;
ok($token, 'prints an admin token');
my @commands = commands($text);
is(scalar @commands, 3, 'prints three commands');

my ($list, $chat, $validate) = map { (run('bash', '-c', $_))[1] } @commands;
like($list, qr/"id":\s*"anthropic\/.*"pagination"/s, 'the first lists models');
like($chat, qr{^HTTP/1\.1 200}, 'the second chats');
like($chat, qr/^X-Model-Group: demo-chat\r$/mi, 'through the group');
like($chat, qr/^X-Model-Role: (?:champion|challenger)\r$/mi, 'by its split');
like($chat, qr/demo answer/, 'with a demo server');
like($validate, qr/"status":\s*"completed"/, 'the third validates to the end');

my %by;

# no delay, or the next lines take 12 s
Wire::fetch($_, 'POST', '/demo/settings', {}, { delay => 0 })
    for $demo_a, $demo_b;

for (1 .. 60) {
    my (undef, $answer) = run('bash', '-c',
        $commands[1] =~ s/"messages"/"user": "u$_", "messages"/r);
    my ($variant) = $answer =~ /^X-Demo-Server: (\S+)/mi;
    $by{ $variant // '' }++;
}

cmp_ok($by{'demo-a'} // 0, '>', $by{'demo-b'} // 0, 'most go to the champion');
is(($by{'demo-a'} // 0) + ($by{'demo-b'} // 0), 60, 'and none is lost');

my $key = slurp("$dir/run/secret.key");
like($key, qr/^[0-9a-f]{64}$/, 'a key for the secrets was made');
is((stat "$dir/run/secret.key")[2] & 0777, 0600, 'that only its owner reads');

($rc, $text) = run("$top/tools/run");
is($rc, 0, 'make run again') or diag $text;
unlike($text, qr/mgw_/, 'prints no token');
is(slurp("$dir/run/secret.key"), $key, 'keeps the key');

($rc, $text) = run("$top/tools/status");
is($rc, 0, 'make status');
is(() = $text =~ /runs, pid/g, 5, 'five servers run');

{
    my $taken = free_port();
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1,
        LocalPort => $taken, ReuseAddr => 1);
    local $ENV{PORT} = $taken;
    ($rc, $text) = run("$top/tools/run");
    is($rc, 1, 'a port that is in use');
    is($text =~ tr/\n//, 1, 'one line');
    like($text, qr/port $taken .*in use/, 'that says so');
}

($rc, $text) = run("$top/tools/stop");
is($rc, 0, 'make stop');
($rc, $text) = run("$top/tools/status");
is($rc, 3, 'make status then');
is(() = $text =~ /is not running/g, 5, 'nothing runs');

# without its snapshots the gateway has to build them before it is ready
my @snapshots = grep { -f } glob "$dir/run/state/*.snap*";
ok(scalar @snapshots, 'it left snapshots');
unlink @snapshots;

($rc, $text) = run("$top/tools/run");
is($rc, 0, 'make run after a stop') or diag $text;
(undef, $text) = run('bash', '-c', "TOKEN=$token; " . (commands($text))[1]);
like($text, qr{^HTTP/1\.1 200.*demo answer}s, 'continues with its data');

my @bad = grep { /\[(?:alert|emerg|crit)\]|exited on signal/ }
          split /\n/, slurp("$dir/run/logs/error.log");
is_deeply(\@bad, [], 'nothing bad in the log');

unlike(slurp("$dir/run/logs/error.log"), qr/mgw_|demo-key/, 'nor a secret');

($rc, $text) = run("$top/tools/clean", 'run');
is($rc, 0, 'make clean');
ok(!-e "$dir/run", 'takes all of it away');

done_testing;

END {
    local $?;
    system("$top/tools/clean run >/dev/null 2>&1") if $dir && -e "$dir/run";
}
