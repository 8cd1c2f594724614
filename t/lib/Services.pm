package Services;

# PostgreSQL and Redis for the tests: one private pair for a whole run of prove,
# and in it one database for each test file.
#
# The run's directory is in MODEL_TEST_DIR; a test that is started by itself
# makes one, and stops and deletes it at its end.  The first user migrates a
# template under a file lock; a test's database is a copy of its files, which
# takes some 20 ms.

use v5.28;
use warnings;

use Fcntl qw(:flock);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);

use Host qw(slurp spew top wait_until);

my ($dir, $own, %env);

# Debian's psql is a script that looks for the newest one and takes five times
# as long to start

my ($bin) = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] }
            grep { -x "$_/psql" } glob '/usr/lib/postgresql/*/bin';

$ENV{PATH} = "$bin:$ENV{PATH}" if $bin;


# starts what does not run yet; the base directory of everything

sub base {
    return $env{MODEL_BASE} if %env;

    $dir = $ENV{MODEL_TEST_DIR};

    if (!$dir) {
        $dir = tempdir('model-t-XXXXXX', TMPDIR => 1);
        chmod 0755, $dir;
        $own = $$;
    }

    local $ENV{MODEL_FAST} = 1;
    my $services = top() . '/tools/services';

    open my $lock, '>', "$dir/lock" or die "$dir/lock: $!\n";
    flock $lock, LOCK_EX;

    system($services, 'start', $dir) == 0 or die "no private services\n";

    for (`$services env $dir`) {
        my ($name, $value) = /^(\w+)=(.*)$/ or next;
        $env{$name} = $value =~ s/\\(.)/$1/gr;
    }

    return $env{MODEL_BASE};
}


# where clients reach them

sub redis {
    base();
    return $env{MODEL_REDIS};
}


sub conninfo {
    my ($database) = @_;

    base();
    return "$env{MODEL_DATABASE} dbname=$database";
}


# runs SQL, with psql's :'name' for parameters; rows are arrays, null is undef

sub query {
    my ($conninfo, $sql, %params) = @_;

    my @command = ('psql', '-X', '-q', '-A', '-t', '-F', "\x1f", '-R', "\x1e",
                   '-P', 'null=' . "\x02", '-v', 'ON_ERROR_STOP=1',
                   (map { ('-v', "$_=$params{$_}") } sort keys %params),
                   '-d', $conninfo, '-f', '-');

    require IPC::Open3;
    open my $errors, '+>', undef or die "psql: $!\n";
    my $pid = IPC::Open3::open3(my $in, my $out, '>&' . fileno($errors),
                                @command);
    print $in $sql;
    close $in;
    my $text = do { local $/; <$out> } // '';
    waitpid $pid, 0;

    if ($?) {
        seek $errors, 0, 0;
        local $/;
        die 'psql: ' . <$errors> . "in: $sql\n";
    }

    utf8::decode($text);
    chomp $text;
    return map { [ map { $_ eq "\x02" ? undef : $_ } split /\x1f/, $_, -1 ] }
           split /\x1e/, $text;
}


# the template: the migrations, applied once

sub template {
    my $name = 'template_model';

    open my $lock, '>', base() . '/template.lock' or die "template.lock: $!\n";
    flock $lock, LOCK_EX;

    if (!-e base() . '/template.done') {
        my $postgres = conninfo('postgres');
        query($postgres, "drop database if exists $name");
        query($postgres, "create database $name");

        my $output = `@{[top()]}/tools/migrate '@{[conninfo($name)]}' 2>&1`;
        die "migration failed: $output\n" if $?;

        spew(base() . '/template.done', '');
    }

    return $name;
}


# a database of one's own, named after the test; its conninfo

sub create_database {
    my ($name, %options) = @_;

    my $template = $options{template} // template();

    query(conninfo('postgres'), "drop database if exists $name;
          create database $name template $template strategy file_copy");
    return conninfo($name);
}


sub drop_database {
    my ($name) = @_;

    query(conninfo('postgres'), "drop database if exists $name with (force)");
}


# the sessions of a database, but for those of psql

sub sessions {
    my ($name) = @_;

    return query(conninfo('postgres'),
        "select pid, application_name, state, left(query, 100)
         from pg_stat_activity
         where datname = :'name' and application_name <> 'psql'",
        name => $name);
}


END {
    if ($own && $own == $$) {
        local ($?, $ENV{MODEL_FAST}) = ($?, 1);
        my $base = $env{MODEL_BASE};
        system(top() . '/tools/services', 'stop', $dir);
        remove_tree(grep { defined } $dir, $base);
    }
}


1;
