# What operators and the build call from the command line.  If this breaks, a
# deployment applies a migration twice, half, or after somebody has changed it; a
# token is printed that the database does not know; the demo servers answer one
# request at a time; or "make lint" lets pass what it is there to find.

use v5.28;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use Gateway;
use Host qw(alive free_port slurp spew start_process top wait_until);
use JSON::PP qw(decode_json);
use Services;
use Test::More;
use Time::HiRes qw(time);
use Wire;

my $top = top();
my $dir = tempdir('model-t-XXXXXX', TMPDIR => 1, CLEANUP => 1);


# the exit code, and what the command wrote

sub run {
    my (@command) = @_;

    my $output = "$dir/output";
    unlink $output;
    my $pid = start_process($output, @command);
    waitpid $pid, 0;
    return ($? >> 8, slurp($output));
}


subtest 'migrate' => sub {
    my $name = "migrate_$$";
    my $conninfo = Services::create_database($name, template => 'template0');
    my $sql = "$dir/it's sql";
    my @migrate = ("$top/tools/migrate", $conninfo, $sql);

    mkdir $sql;
    spew("$sql/0001_one.sql", "create table model.one (a int);\n");
    spew("$sql/0002_two.sql", "create table model.two (a int);\n"
                              . "create table model.one (a int);\n");

    my ($rc, $text) = run(@migrate);
    is($rc, 1, 'a file with an error fails');
    like($text, qr/relation "one" already exists/, 'with the reason');
    my @tables = map { $_->[0] } Services::query($conninfo,
        "select tablename from pg_tables where schemaname = 'model' order by 1");
    is("@tables", 'one schema_migrations', 'nothing of it stays');

    spew("$sql/0002_two.sql", "create table model.two (a int);\n");
    spew("$sql/0003_three.sql", "select pg_sleep(0.2);\n"
                                . "create table model.three (a int);\n");

    # two at the same time: the second waits, and finds it done
    my @pids = map { start_process("$dir/out.$_", @migrate) } 1, 2;
    my @rc = map { waitpid $_, 0; $? } @pids;
    is("@rc", '0 0', 'two at the same time both succeed');
    is(() = (slurp("$dir/out.1") . slurp("$dir/out.2")) =~ /^applied/gm, 2,
       'and apply each file once');

    my @rows = Services::query($conninfo,
        'select version, name, sha256 from model.schema_migrations order by 1');
    is($rows[1][2], sha256_hex("create table model.two (a int);\n"),
       'recorded with SHA-256');

    is_deeply([ run(@migrate) ], [ 0, '' ], 'again: nothing to do');

    spew("$sql/0002_two.sql", "create table model.two (b int);\n");
    ($rc, $text) = run(@migrate);
    is($rc, 1, 'a changed file is refused');
    like($text, qr/^migrate: 0002_two\.sql was changed after it was applied/,
         'by name');

    spew("$sql/0002_two.sql", "create table model.two (a int);\n");
    rename "$sql/0003_three.sql", "$dir/three";
    ($rc, $text) = run(@migrate);
    like($text, qr/^migrate: 0003_three\.sql was applied to this database but/,
         'a missing file is refused');

    rename "$dir/three", "$sql/0004_three.sql";
    ($rc, $text) = run(@migrate);
    like($text, qr/expected 0003_\*\.sql before "0004_three\.sql"/,
         'a gap is refused');

    ($rc, $text) = run("$top/tools/migrate", "host=$dir", $sql);
    is($rc, 1, 'no server: fails');
    Services::drop_database($name);
};


subtest 'token' => sub {
    my $name = "token_$$";
    my $conninfo = Services::create_database($name);

    my ($rc, $token) = run("$top/tools/token", $conninfo, "Bob's", 'viewer');
    is($rc, 0, 'made');
    like($token, qr/^mgw_[A-Za-z0-9_-]{43}\n$/, '256 bits, base64url');
    chomp $token;

    my @rows = Services::query($conninfo,
        "select name, role, encode(sha256, 'hex') from model.api_tokens");
    is_deeply(\@rows, [ [ "Bob's", 'viewer', sha256_hex($token) ] ],
              'the database has its SHA-256');

    my ($bad, $text) = run("$top/tools/token", $conninfo, 'x', 'emperor');
    isnt($bad, 0, 'a role that does not exist is refused');
    like($text, qr/emperor/, 'by name');
    unlike($text, qr/mgw_/, 'and no token is printed');
    Services::drop_database($name);
};


subtest 'demo model server' => sub {
    my $port = free_port();
    my $pid = start_process("$dir/demo.log", "$top/tools/demo-model-server",
        '--port', $port, '--name', 'mine', '--models', 'a,b');

    ok(wait_until(sub { Wire::fetch($port, 'GET', '/health')->{status} == 200 }),
       'it listens');

    my $chat = { model => 'a',
                 messages => [ { role => 'user', content => 'Hello' } ] };
    my @post = ('POST', '/v1/chat/completions', {});
    my $r = Wire::fetch($port, @post, $chat);
    my $json = Wire::decode($r);

    like($json->{choices}[0]{message}{content}, qr/demo.*"mine".*Hello/,
         'a chat says that it is a demo');
    is($json->{usage}{prompt_tokens} + $json->{usage}{completion_tokens},
       $json->{usage}{total_tokens}, 'with usage');

    for my $asked (0, 1) {
        $r = Wire::fetch($port, @post, { %$chat, stream => JSON::PP::true,
            ($asked ? (stream_options =>
                       { include_usage => JSON::PP::true }) : ()) });

        my @events = $r->{body} =~ /^data: (.*)\n\n/gm;
        is(pop @events, '[DONE]', 'a stream ends with [DONE]');

        my @usage = grep { $_ } map { decode_json($_)->{usage} } @events;
        is(scalar @usage, $asked, "usage asked for: $asked");
    }

    is_deeply([ map { $_->{id} }
                Wire::decode(Wire::fetch($port, 'GET', '/v1/models'))->{data}
                ->@* ], [ 'a', 'b' ], 'models');
    is(scalar Wire::decode(Wire::fetch($port, 'POST', '/v1/embeddings', {},
           { model => 'b', input => [ 'x', 'y' ] }))->{data}->@*, 2,
       'embeddings');

    # in pieces, with chunked framing, over a connection that stays
    my $wire = Wire->new($port);
    my $body = JSON::PP::encode_json({ model => 'a', prompt => 'x' });

    for (1, 2) {
        $wire->send_slowly("POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n5\r\n" . substr($body, 0, 5)
            . sprintf("\r\n%x\r\n", length($body) - 5) . substr($body, 5)
            . "\r\n0\r\n\r\n", 40, 0.002);
        is($wire->response->{status}, 200, 'a chunked body');
    }

    is(Wire::fetch($port, @post, { %$chat, model => 'z' })->{status}, 404,
       'a model that it does not have');
    is(Wire::fetch($port, @post, {}, 'no json')->{status}, 400, 'bad JSON');
    is(Wire::fetch($port, 'DELETE', '/v1/models')->{headers}{allow}, 'GET',
       'a wrong method');

    Wire::fetch($port, 'POST', '/demo/settings', {}, { delay => 500 });
    my $began = time;
    my @r = Wire::many($port, [ map { [ @post, $chat ] } 1 .. 100 ], 100);
    my $took = time - $began;

    is(scalar(grep { $_->{status} == 200 } @r), 100, '100 delayed at once');
    cmp_ok($took, '>', 0.49, 'they were delayed');
    cmp_ok($took, '<', 100 * 0.5 / 4, 'side by side');

    Wire::fetch($port, 'POST', '/demo/settings', {},
                { delay => 0, load_time => 60 });
    $r = Wire::fetch($port, @post, $chat);
    is($r->{status}, 503, 'loading');
    like($r->{headers}{'retry-after'}, qr/^\d+$/, 'with Retry-After');

    Wire::fetch($port, 'POST', '/demo/settings', {},
                { load_time => 0, error_rate => 100 });
    is(Wire::fetch($port, @post, $chat)->{status}, 500, 'errors on demand');

    kill 'TERM', $pid;
    waitpid $pid, 0;
    is($?, 0, 'it ends');
    is(slurp("$dir/demo.log"), '', 'without a word');
};


subtest 'style' => sub {
    my $good = <<'END';

/*
 * A file that follows nginx's layout.  Its comment says what it is for,
 * how it does it,
 * and who calls it.
 */

#include "base/mg_str.h"


/* a comment with // in it */

static int
mg_good(const char *p)
{
    int          n;
    const char  *q;

    for (n = 0, q = p; *q; q++) {
        if (*q == 'x'
            && n == 0)
        {
            n++;

        } else {
            n += (int) sizeof("if(x)//");
        }
    }

    return n;
}
END

    my %bad = (
        'a // comment' => [ 'n++;', 'n++; // no' ],
        'a tab' => [ '    return n', "\treturn n" ],
        'space at the end of the line' => [ 'n++;', 'n++; ' ],
        'no space after "if"' => [ 'if (*q', 'if(*q' ],
        'longer than 80 columns' => [ 'n++;', 'n++; /*' . ' x' x 40 . ' */' ],
        'no blank line before "} else"' => [ "n++;\n\n", "n++;\n" ],
        '"for" without braces'
            => [ 'return n', "for (;;)\n        n++;\n    return n" ],
        'the return type is not on a line' => [ "int\nmg_good", 'int mg_good' ],
        'no two blank lines before' => [ ".h\"\n\n\n", ".h\"\n\n" ],
        'does not begin with mg_' => [ 'mg_good', 'good' ],
        'no comment that says' => [ qr{/\*\n.*?\*/\n}s, '' ],
        'the declared name is not in the column'
            => [ 'int          n', 'int  n' ],
        'more than 120'
            => [ 'return n;', "n++;\n    " x 120 . 'return n;' ],
    );

    mkdir "$dir/src";
    mkdir "$dir/src/base";
    my $file = "$dir/src/base/mg_good.c";
    my @style = ("$top/tools/style", $file);

    spew($file, $good);
    is_deeply([ run(@style) ], [ 0, '' ], 'a good file');

    for my $what (sort keys %bad) {
        my ($from, $to) = @{ $bad{$what} };
        my $text = $good;

        ref $from ? $text =~ s/$from/$to/ : $text =~ s/\Q$from\E/$to/;
        isnt($text, $good, "changed: $what");
        spew($file, $text);

        my ($rc, $output) = run(@style);
        is($rc, 1, 'found');
        like($output, qr/\Q$what\E/, $what);
    }
};


done_testing;
