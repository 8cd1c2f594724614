package Host;

# What the tests need of the machine: directories, free ports, processes.
#
# All files of one test lie in one directory below the base of the private
# services, so that a process that was left behind is found by the files that
# it holds open there.  A port is reserved by a lock on a file named like it, so
# that tests that run at the same time do not meet, those of another run neither.

use v5.28;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use Fcntl qw(:DEFAULT :flock);
use File::Basename qw(basename dirname);
use File::Spec;
use IO::Socket::INET;
use List::Util qw(max min);
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(top alive as_nobody certificate children free_port holders
                    nobody slurp spew start_process wait_until);

# sanitizers are slow, and so are two busy cores: a deadline, never an assertion

our $patience = $ENV{TEST_PATIENCE} || ($ENV{TEST_NGINX_SAN} ? 4 : 1);


# the checkout

sub top {
    state $top = abs_path(dirname(__FILE__) . '/../..');
    return $top;
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<:raw', $file or return '';
    local $/;
    return scalar(<$fh>) // '';
}


sub spew {
    my ($file, @data) = @_;

    open my $fh, '>:raw', $file or die "$file: $!\n";
    print $fh @data or die "$file: $!\n";
    close $fh or die "$file: $!\n";
    return $file;
}


# NAME.key and NAME.pem in the directory, signed by itself; $subject names its
# servers, such as "DNS:localhost"

sub certificate {
    my ($dir, $name, $subject) = @_;

    system("cd $dir && openssl req -x509 -newkey rsa:2048 -nodes -days 2"
           . " -keyout $name.key -out $name.pem -subj /CN=$name"
           . " -addext subjectAltName=$subject >/dev/null 2>&1") == 0
        or die "openssl failed\n";
}


# Runs the code every few ms until it returns something true, and returns that.
# What takes long to ask, such as psql, is asked less often: two thirds of the
# time are left to those who are waited for.

sub wait_until {
    my ($code, $seconds) = @_;

    my $end = time + ($seconds // 30) * $patience;
    my $pause = 0.002;

    while (1) {
        my $asked = time;
        my $value = $code->();
        return $value if $value;
        my $now = time;
        return $value if $now > $end;
        sleep min(0.25, max($pause, 2 * ($now - $asked)));
        $pause *= 1.5 if $pause < 0.05;
    }
}


# 1 if we are root and what we start must not be

sub nobody {
    return $> == 0;
}


# a command line that runs the command as "nobody", if we are root

sub as_nobody {
    my @command = @_;

    return @command if !nobody();
    return ('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups',
            @command);
}


sub alive {
    my ($pid) = @_;

    my ($state) = slurp("/proc/$pid/stat") =~ /\) (\S)/ or return 0;
    return $state ne 'Z';
}


# the living children of a process

sub children {
    my ($parent) = @_;

    my @pids;

    for my $dir (glob '/proc/[0-9]*') {
        my ($state, $ppid) = slurp("$dir/stat") =~ /\) (\S) (\d+)/ or next;
        push @pids, basename($dir) if $ppid == $parent && $state ne 'Z';
    }

    return sort { $a <=> $b } @pids;
}


# the processes, but for this one, that have a file open below a directory, work
# in it or name it in their command line

sub holders {
    my ($dir) = @_;

    my @pids;

    for my $proc (glob '/proc/[0-9]*') {
        my $pid = basename($proc);
        next if $pid == $$ || !alive($pid);

        my @links = map { readlink($_) // () } glob("$proc/fd/*"), "$proc/cwd";

        push @pids, $pid
            if grep({ index($_, "$dir/") == 0 || $_ eq $dir } @links)
               || index(slurp("$proc/cmdline"), "$dir/") >= 0;
    }

    return @pids;
}


# a TCP port of 127.0.0.1 that no other test on this machine gets while this one
# runs; below the range that the kernel hands out to clients

sub free_port {
    state $next = 20_000 + ($$ * 37) % 9_000;
    state @mine;

    my $dir = File::Spec->tmpdir . "/model-ports-$>";
    mkdir $dir, 0700;

    for (1 .. 10_000) {
        $next = 20_000 if ++$next > 31_000;

        # the lock goes with the process; the file stays for the next one
        open my $lock, '>>', "$dir/$next" or die "$dir/$next: $!\n";
        flock $lock, LOCK_EX | LOCK_NB or next;

        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
            LocalPort => $next, Listen => 1, ReuseAddr => 1) or next;
        close $socket;
        push @mine, $lock;
        return $next;
    }

    die "no free port between 20000 and 31000\n";
}


# starts a command; its output goes to a file; returns the pid

sub start_process {
    my ($output, @command) = @_;

    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;

    open STDIN, '<', '/dev/null';
    open STDOUT, '>>', $output or die "$output: $!\n";
    open STDERR, '>&', \*STDOUT;
    { exec { $command[0] } @command };
    print "$command[0]: $!\n";
    POSIX::_exit(127);
}


1;
