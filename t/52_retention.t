#!/usr/bin/perl

# Records that are too old.  If this breaks, a disk fills up, a day is dropped
# whose archive is not whole, a group loses days that it keeps, or an archive
# cannot be read back; and a record names a price list that nobody knows.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use IO::Uncompress::Gunzip qw(gunzip $GunzipError);
use Test::More;
use Time::HiRes qw(sleep);

use Gateway;
use Host qw(slurp wait_until);
use Services;
use Upstream;

my $up = Upstream->new(sub { { json => { id => 'x' } } });
my $gw = Gateway->new;
$gw->start->wait_ready;

sub made { return $gw->made(@_); }

made('providers', { id => 'demo', base_url => $up->url, protocol => 'openai' });
made('models', { id => 'demo/priced',
                 pricing => { input => 1.25, output => 10 } });
made('models', { id => 'demo/free' });

my %group;
for my $name ('chat', 'plain', 'kept') {
    $group{$name} = made('model-groups', { name => $name,
                                           status => 'active' });
    made("model-groups/$name/models",
         [ { model_id => 'demo/' . ($name eq 'chat' ? 'priced' : 'free'),
             role => 'champion', traffic_percentage => 100 } ]);
}

my %table = map { $_ => $gw->sql_value("select inference_table
    from model.model_groups where name = '$_'") } keys %group;


# records of that many days ago, in a partition of their own

sub old {
    my ($name, $days, $n) = @_;

    $gw->sql("select model.make_inference_partition('$table{$name}',
                  model.inference_stem('$table{$name}'),
                  (now() at time zone 'UTC')::date - $days);
              insert into model.$table{$name} (inference_id, created_at,
                  group_id, path, attempt_log, usage_marks, request_body)
              select gen_random_uuid(), now() - interval '$days days',
                  '$group{$name}{id}', '/a,\"b', '[{\"x\": 1}]',
                  array['a', 'b,c'], E'line 1\\nline 2, =1+1'
              from generate_series(1, $n)");
}

sub rows {
    return $gw->sql_value("select count(*) from model.$table{$_[0]}");
}

sub policy {
    my ($name, %records) = @_;

    my $r = $gw->api(PATCH => "/api/v1/model-groups/$name",
                     { traffic_config => { records => \%records } });
    is $r->{status}, 200, "$name: " . join ' ', map { "$_ $records{$_}" }
        sort keys %records;
}


# asks for it; the job at its end

sub retain {
    my ($name) = @_;

    my $r = $gw->api(POST => "/api/v1/model-groups/$name/retain");
    is $r->{status}, 202, "$name: asked for" or diag($r->{body});
    return ended($r->{json}{id});
}

sub ended {
    my ($id) = @_;
    my $j;

    wait_until(sub {
        $j = $gw->api(GET => "/api/v1/jobs/$id")->{json};
        return $j && $j->{status} =~ /completed|failed|cancelled/;
    }, 40);
    return $j;
}

sub day {
    return $gw->sql_value("select to_char((now() at time zone 'UTC')::date
                           - $_[0], 'YYYYMMDD')");
}


subtest 'price lists that records name' => sub {
    ok wait_until(sub {
        $gw->sql_value('select count(*) from model.price_versions');
    }), 'are written down';

    my ($row, @more) = $gw->sql('select version, prices::text
                                 from model.price_versions');
    is scalar(@more), 0, 'one, of the model that has prices';
    is $row->[0], substr(sha256_hex('{"input":1.25,"output":10}'), 0, 16),
       'named by what it says';
    is $row->[1], '{"input": 1.25, "output": 10}', 'which is this';

    $gw->api(PATCH => '/api/v1/models/demo/priced',
             { pricing => { input => 2.5, output => 10 } });
    ok wait_until(sub {
        $gw->sql_value('select count(*) from model.price_versions') == 2;
    }), 'another price is another version';
};


my $archive = $gw->dir . '/state/archive';

subtest 'with an archive' => sub {
    old(chat => $_, 3) for 5, 10, 11;
    policy(chat => retention_days => 7, archive => JSON::PP::true);
    is rows('chat'), 9, 'nothing goes by the change alone';

    my $part = $gw->sql_value("select model.inference_stem('$table{chat}')")
               . '_p' . day(11);
    ok !eval { $gw->sql("begin;
        select model.detach_inference_days('$group{chat}{id}');
        select model.drop_inference_day('$group{chat}{id}', '$part', null,
            null, null, null, null)"); 1 }, 'nor without its file';
    like $@, qr/has an archive, and "$part" is in no file/, 'says why';
    is rows('chat'), 9, 'nothing went';

    $gw->sql("create table model.before as select * from model.$table{chat}");

    my $j = retain('chat');
    is $j->{status}, 'completed', 'done' or diag(explain($j));
    is $j->{result}{days_dropped}, 2, 'two days went';
    is $j->{result}{archived_rows}, 6, 'six records';
    is rows('chat'), 3, 'the others are there';
    is $gw->sql_value("select count(*) from pg_class where relname like
        model.inference_stem('$table{chat}') || '\\_p' || '" . day(10) . "'"),
        0, 'the tables of the days are gone';

    my @want = map { "$table{chat}_" . day($_) . '.csv.gz' } 11, 10;
    is_deeply $j->{result}{files}, \@want, 'two files';
    is_deeply [ map { s!.*/!!r } sort glob "$archive/*" ], [ sort @want ],
        'are there, and nothing else';
    is ((stat "$archive/$want[0]")[2] & 0777, 0600, 'for nobody else');
    is ((stat $archive)[2] & 0777, 0700, 'nor their folder');

    my @log = $gw->sql("select file, rows, bytes, sha256, part, node
        from model.inference_archives order by day");
    is_deeply [ map { $_->[0] } @log ], \@want, 'they are on record';
    for my $i (0, 1) {
        my $bytes = slurp("$archive/$want[$i]");
        is $log[$i][1], 3, "file $i: its records";
        is $log[$i][2], length $bytes, "file $i: its size";
        is $log[$i][3], sha256_hex($bytes), "file $i: its digest";
        is $log[$i][4], 1, "file $i: the first of its day";
        ok length $log[$i][5], "file $i: where it is";
    }

    # read back, what went is what comes

    $gw->sql('create table model.after (like model.inference_columns)');
    for my $file (@want) {
        my ($in, $text) = (slurp("$archive/$file"));
        ok gunzip(\$in, \$text, MultiStream => 1), "$file is unpacked"
            or diag($GunzipError);
        like $text, qr/\Ainference_id,created_at,/, 'names first';
        open my $psql, '|-', 'psql', '-X', '-q', '-d', $gw->conninfo, '-c',
            'copy model.after from stdin (format csv, header match)' or die;
        print $psql $text;
        ok close $psql, 'and goes into a table';
    }

    is $gw->sql_value('select count(*) from (
        (select * from model.after except select * from model.before)
        union all
        (select * from model.before where created_at < now()
             - interval \'9 days\'
         except select * from model.after)) d'), 0, 'with all it was';
    is $gw->sql_value('select count(*) from model.after'), 6, 'six records';

    $j = retain('chat');
    is $j->{result}{days_dropped}, 0, 'once more, nothing is to do';
};


subtest 'records that come late' => sub {
    $gw->sql("insert into model.$table{chat} (inference_id, created_at,
                  group_id) values (gen_random_uuid(),
                  now() - interval '10 days', '$group{chat}{id}')");

    my $j = retain('chat');
    is_deeply $j->{result}{files},
        [ "$table{chat}_" . day(10) . '.2.csv.gz' ],
        'have a file of their own';
    is rows('chat'), 3, 'and are gone';
    ok -s "$archive/$table{chat}_" . day(10) . '.csv.gz',
       'the first file is as it was';
};


subtest 'no room for the archive' => sub {
    old(chat => 20, 4);
    rename $archive, "$archive.away" or die;
    Host::spew($archive, 'in the way');

    my $j = retain('chat');
    is $j->{status}, 'failed', 'fails';
    like $j->{error}, qr/archive/, 'says where';
    is $gw->sql_value("select count(*) from model."
        . $gw->sql_value("select model.inference_stem('$table{chat}')")
        . '_p' . day(20)), 4, 'the day is there, out of the table';

    # the group keeps more now: what waits comes back

    policy(chat => retention_days => 30, archive => JSON::PP::true);
    $j = retain('chat');
    is $j->{result}{days_put_back}, 1, 'a day that is kept comes back';
    is rows('chat'), 7, 'with its records';

    policy(chat => retention_days => 7, archive => JSON::PP::true);
    $j = retain('chat');
    is $j->{status}, 'failed', 'fails again';

    unlink $archive;
    rename "$archive.away", $archive or die;
    $j = retain('chat');
    is $j->{status}, 'completed', 'with room again it is done';
    is $j->{result}{archived_rows}, 4, 'and all is in a file';
    is rows('chat'), 3, 'then it is gone';
};


subtest 'many days at once' => sub {
    $gw->sql("select model.make_inference_partition('$table{chat}',
                  model.inference_stem('$table{chat}'),
                  (now() at time zone 'UTC')::date - d)
              from generate_series(100, 139) d");

    # the table is locked meanwhile, and each takes locks until the end

    is $gw->sql_value("select array_length(
        model.detach_inference_days('$group{chat}{id}'), 1)"), 30,
        'go a month at a time' for 1, 2;

    my $j = retain('chat');
    is $j->{status}, 'completed', 'until all are gone' or diag(explain($j));
    is $j->{result}{days_dropped}, 40, 'forty days';
};


subtest 'who may, and one at a time' => sub {
    is $gw->api(POST => '/api/v1/model-groups/nosuch/retain')->{status}, 404,
       'no such group';
    for my $role ('viewer', 'inference') {
        my $token = $gw->token($role);
        my $r;
        wait_until(sub {
            $r = $gw->fetch(POST => '/api/v1/model-groups/chat/retain',
                            { Authorization => "Bearer $token" });
            $r->{status} != 401;
        });
        is $r->{status}, 403, "not a $role";
    }

    # somebody reads the table for long: the job waits, and goes on by itself

    old(chat => 20, 1);
    my $pid = $gw->hold($table{chat}, 'access share', 4);
    my $r = $gw->api(POST => '/api/v1/model-groups/chat/retain');
    is $r->{status}, 202, 'asked for';
    my $again = $gw->api(POST => '/api/v1/model-groups/chat/retain');
    is $again->{status}, 409, 'not twice';
    is $again->{json}{job}{id}, $r->{json}{id}, 'the one that runs is named';

    my $j = ended($r->{json}{id});
    is $j->{status}, 'completed', 'done when the query had ended'
        or diag(explain($j));
    is $j->{result}{days_dropped}, 1, 'the day is gone';
    waitpid $pid, 0;

    $r = $gw->api(GET => '/api/v1/jobs?kind=retain');
    cmp_ok $r->{json}{pagination}{total}, '>', 5, 'jobs of the kind are listed';
};


subtest 'by itself' => sub {
    old(plain => $_, 2) for 3, 40;
    old(kept => 400, 5);
    policy(plain => retention_days => 30);

    # due when it is looked for: at a start, and once an hour

    $gw->reload(wait_old => 1);
    my $gone = "select count(*) from model.inference_archives
        where inference_table = '$table{plain}' and file is null";
    ok wait_until(sub { $gw->sql_value($gone) }), 'the old day goes';
    is rows('plain'), 2, 'and no other';
    is $gw->sql_value($gone), 1, 'without a file, on record';
    is rows('kept'), 5, 'a group that says nothing keeps all';
    is $gw->sql_value("select count(*) from model.jobs where kind = 'retain'
        and token_id is null and payload->>'group_id'
            = '$group{plain}{id}'"), 1, 'one job was enough';
    is $gw->sql_value("select count(*) from model.jobs where kind = 'retain'
        and payload->>'group_id' = '$group{kept}{id}'"), 0, 'none for those';
};


# Nobody can say any more how long its records are kept: it has said so.

subtest 'a group that was deleted' => sub {
    my @names = ('left', 'silent', 'again');

    for my $name (@names) {
        $group{$name} = made('model-groups', { name => $name });
        $table{$name} = $gw->sql_value("select inference_table
            from model.model_groups where name = '$name'");
        old($name => $_, 3) for 2, 40;
    }

    my $stem = $gw->sql_value("select model.inference_stem('$table{left}')");

    policy(left => retention_days => 30, archive => JSON::PP::true);
    policy(again => retention_days => 30);

    # one by the API, others with psql

    is $gw->api(DELETE => '/api/v1/model-groups/left')->{status}, 204,
        'is gone';
    $gw->sql("delete from model.model_groups where name in ('silent',
                                                            'again')");
    is rows($_), 6, 'its records are there' for @names;
    is $gw->api(GET => "/api/v1/model-groups/$_/inferences")->{status}, 200,
       "and are found by its last name: $_" for @names;

    # another one of the same name is asked first, and is another one

    my $second = made('model-groups', { name => 'again' });
    is retain('again')->{result}{group_id}, $second->{id}, 'the one there';
    is rows('again'), 6, 'which takes nothing from the one before';
    is retain($group{again}{id})->{result}{days_dropped}, 1,
       'that is asked for by its id';
    is rows('again'), 3, 'and keeps what it has said';
    is retain('silent')->{result}{days_dropped}, 0,
       'one that said nothing keeps all';
    is $gw->api(POST => '/api/v1/model-groups/nobody/retain')->{status}, 404,
       'one that never was';

    $gw->reload(wait_old => 1);
    my $archive;
    ok wait_until(sub {
        ($archive) = $gw->sql("select file, rows, group_id::text, group_name
            from model.inference_archives
            where inference_table = '$table{left}'");
        $archive;
    }), 'by itself the old day goes';
    ok wait_until(sub { !$gw->sql_value("select count(*) from model.jobs
        where kind = 'retain' and state in ('pending', 'in_progress')") }),
       'and its job ends';
    is rows('left'), 3, 'and no other';
    is_deeply $archive, [ "$table{left}_" . day(40) . '.csv.gz', 3,
                          $group{left}{id}, 'left' ], 'into a file, on record';
    ok -f $gw->dir . "/state/archive/$archive->[0]", 'which is there';
    is rows('silent'), 6, 'what said nothing is kept';

    # when all of its days are too old the table goes, and not before

    $gw->sql("alter table model.$table{left} detach partition
                  model.${stem}_p" . day($_) . "; alter table model.${stem}_p"
             . day($_) . " rename to ${stem}_p" . day(50 + $_))
        for -7 .. 1;
    is retain('left')->{status}, 'completed', 'empty days go';
    is rows('left'), 3, 'the day that it keeps holds the table';
    $gw->sql("alter table model.$table{left} detach partition
                  model.${stem}_p" . day(2) . "; alter table model.${stem}_p"
             . day(2) . " rename to ${stem}_p" . day(60));
    is retain('left')->{status}, 'completed', 'its last day';
    is $gw->sql_value("select coalesce(to_regclass('model.$table{left}')
        ::text, 'gone')"), 'gone', 'the table goes with it';
    is $gw->sql_value("select count(*) from model.deleted_model_groups
        where group_id = '$group{left}{id}'"), 0, 'and what was known of it';
    is $gw->sql_value("select sum(rows) from model.inference_archives
        where inference_table = '$table{left}'"), 6, 'its files stay on record';
    is $gw->api(GET => '/api/v1/model-groups/left/inferences')->{status}, 404,
       'there is nothing to be found';
};


subtest 'days to come' => sub {
    my $stem = $gw->sql_value("select model.inference_stem('$table{kept}')");
    my $count = sub {
        $gw->sql_value("select count(*) from pg_class where relispartition
            and relname between '${stem}_p" . day(0) . "'
            and '${stem}_p" . day(-7) . "' and relkind = 'r'");
    };

    is $count->(), 8, 'a week ahead';
    $gw->sql("drop table model.${stem}_p" . day(-$_)) for 6, 7;
    is $count->(), 6, 'two days are missing';
    $gw->reload;
    ok wait_until(sub { $count->() == 8 }), 'they are made';
};

done_testing;
