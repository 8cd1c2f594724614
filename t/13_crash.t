#!/usr/bin/perl

# PostgreSQL is killed while a sync is being committed, with a server of this
# test's own.  If this breaks, half of a document is left in the catalog, or
# what the database had before, or the next sync does not put it right.

use v5.28;
use warnings;

# not the pair of servers that other tests use
BEGIN { delete $ENV{MODEL_TEST_DIR} }

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Gateway;
use Host qw(slurp spew top wait_until);
use Services;

my $gw = Gateway->new(catalog => 'bundled', workers => 1);
$gw->start->wait_ready;
my %auth = (Authorization => 'Bearer ' . $gw->token('viewer'));

sub services {
    local $ENV{MODEL_FAST} = 1;
    is system(top() . '/tools/services', $_[0], Services::base()), 0,
       "the servers $_[0]";
}


# everything that a sync writes, in one word each

sub state_of {
    return { map { $_->[0] => $_->[1] } $gw->sql(join ' union all ', map {
        "select '$_', md5(string_agg(t::text, '|' order by t::text))
         from model.$_ t"
    } qw(providers models_metadata model_sources model_benchmarks
         catalog_generation models_refresh_history)) };
}


# ready comes before the end of the first sync's job is written
ok wait_until(sub {
    !$gw->sql_value("select count(*) from model.jobs
        where state in ('pending', 'in_progress')");
}), 'the first sync has ended';

my $before = state_of();
my $text = slurp($gw->{catalog});
my $renamed = $text =~ s/"attachment":false/"attachment":true/gr;
isnt $renamed, $text, 'a document in which thousands of models change';
spew($gw->{catalog}, $renamed);

# the last table that a sync writes to is locked: all else is written by then

my $lock = $gw->hold('model_benchmarks', 'exclusive', 600);

is $gw->api(POST => '/api/v1/models/refresh')->{status}, 202,
   'a sync begins';
ok wait_until(sub {
    $gw->sql_value("select count(*) from pg_locks where not granted
        and relation = 'model.model_benchmarks'::regclass");
}), 'and waits in its transaction';
is $gw->sql_value("select count(*) from pg_locks l
    join pg_locks w on w.pid = l.pid and not w.granted
    where l.granted and l.mode = 'RowExclusiveLock'
    and l.relation = 'model.models_metadata'::regclass"), 1,
   'after it has written models';

$gw->allow(qr/./);
services('stop');
waitpid $lock, 0;

my $r = $gw->get('/api/v1/models?limit=1', \%auth);
is $r->{status}, 200, 'meanwhile the old catalog is served';
is $r->{json}{pagination}{total}, 5269, 'all of it';

# nothing must run before the state has been looked at

$gw->stop;
services('start');
is_deeply state_of(), $before, 'the database has what it had before';

$gw->start->wait_ready;
ok wait_until(sub {
    $gw->sql_value("select count(*) from model.models_refresh_history
        where status = 'completed' and changed > 1000") == 1;
}, 60), 'the job is taken up again, and completes';
is $gw->sql_value("select count(*) from model.models_metadata
    where attachment = false"), 0, 'all models have changed';

done_testing();
