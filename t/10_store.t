#!/usr/bin/perl

# The room that speaks to PostgreSQL and Redis, against real ones: the programs
# of t/db, built with ASan and UBSan, each with a database of its own.  If this
# breaks, a record, a job or an operator's change is lost, or a change raises no
# generation and no node hears of it.

use v5.28;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Host qw(slurp start_process top wait_until);
use File::Basename qw(basename);
use File::Temp qw(tempdir);
use Services;

plan skip_all => 'these programs have sanitizers of their own'
    if $ENV{TEST_NGINX_SAN};

my $flavour = $ENV{TEST_STORE_FLAVOUR} // 'clang';
my @programs = map { basename($_, '.c') } glob(top() . '/t/db/test_store_*.c');
my $dir = tempdir('model-t-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $build = "build/unit/$flavour";

chdir top() or die 'chdir ' . top() . ": $!\n";


# the exit code and the output of a command

sub run {
    my ($name, @command) = @_;

    my $output = "$dir/$name.out";
    waitpid start_process($output, @command), 0;
    return ($?, slurp($output));
}


my ($status, $output) = run('make', 'make', '-s',
                            map { "$build/$_" } @programs);
is($status, 0, 'the programs are built') or BAIL_OUT($output);


for my $program (@programs) {
    my $name = "${program}_$$";

    local $ENV{MODEL_TEST_CONNINFO} = Services::create_database($name);
    local $ENV{MODEL_TEST_REDIS} = Services::redis();
    local $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';

    ($status, $output) = run($program, "$build/$program");

    my @checks = $output =~ /^((?:not )?ok .*)$/mg;
    my ($plan) = $output =~ /^1\.\.(\d+)$/m;

    ok(!grep(/^not /, @checks), "$program: nothing has failed")
        or diag(grep { !/^ok / } map { "$_\n" } split /\n/, $output);
    is($status, 0, "$program: exit status") or diag($output);
    ok($plan && $plan == @checks, "$program: all of its checks were run");

    ok(wait_until(sub { !Services::sessions($name) }),
       "$program: no session is left");
    Services::drop_database($name);
}


# every function that runs with its owner's rights has a fixed search_path, and
# every table and column says what it is

my $name = "store_$$";
my $conninfo = Services::create_database($name);

is_deeply([Services::query($conninfo,
    "select p.proname from pg_proc p
     where p.pronamespace = 'model'::regnamespace and p.prosecdef
           and not coalesce(p.proconfig::text like '%search_path%', false)")],
    [], 'SECURITY DEFINER functions have a search_path');

is_deeply([Services::query($conninfo,
    "select p.proname from pg_proc p, lateral aclexplode(coalesce(p.proacl,
         acldefault('f', p.proowner))) acl
     where p.pronamespace = 'model'::regnamespace and p.prosecdef
           and acl.grantee = 0")],
    [], 'nobody may call them who was not granted them');

is_deeply([Services::query($conninfo,
    "select c.relname, a.attname from pg_class c
     left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
               and not a.attisdropped
     where c.relnamespace = 'model'::regnamespace and c.relkind in ('r', 'p')
           and c.relname <> 'schema_migrations'
           and (obj_description(c.oid, 'pg_class') is null
                or col_description(c.oid, a.attnum) is null)")],
    [], 'every table and column has a comment');

is_deeply([Services::query($conninfo,
    "select c.relname from pg_class c
     where c.relnamespace = 'model'::regnamespace and c.relkind in ('r', 'p')
           and c.relname not in ('schema_migrations', 'catalog_generation',
                                 'organisations')
           and not exists (select from pg_attribute a
                           where a.attrelid = c.oid and a.attname = 'org_id'
                                 and a.attnotnull)")],
    [], 'every tenant\'s table has org_id');


# the role of the example for production can do what the gateway does, and
# cannot rewrite the audit trail

my $role = "gateway_$$";

Services::query($conninfo, "create role $role login");
my $roles = top() . '/sql/roles/application.sql';

for my $pass ('once', 'twice') {
    ($status, $output) = run("roles.$pass", 'psql', '-X', '-q', '-v',
                             'ON_ERROR_STOP=1', '-v', "role=$role", '-d',
                             $conninfo, '-f', $roles);
    is($status, 0, "the roles are granted $pass") or diag($output);
}

my $as = "set role $role;";

is_deeply([Services::query($conninfo, "$as
    insert into model.providers (id, name) values ('p', 'P');
    insert into model.models_metadata (id, provider_id, provider_model_id,
                                       name) values ('p/m', 'p', 'm', 'M');
    insert into model.model_groups (name, salt)
        values ('g', decode(md5('x'), 'hex'));
    select model.provision_inference_table(id) ~ '^inference_g_[0-9a-f]{8}\$'
    from model.model_groups;")], [['t']],
    'the application makes a group and its table');

is_deeply([Services::query($conninfo, "$as
    insert into model.model_sources (id, source, rank, provider_id)
        values ('p/m', 'models.dev', 20, 'p');
    insert into model.model_benchmarks (model_id, name, score)
        values ('p/m', 'MMLU', 71.4);
    insert into model.models_refresh_history (source, status, started_at)
        values ('models.dev', 'unchanged', now());
    delete from model.models_refresh_history;
    select model.first_known(source) from model.model_sources;")],
    [['models.dev']], 'writes what sources say, and forgets history');

ok(!eval { Services::query($conninfo, "$as
    insert into model.deleted_model_groups (group_id, group_name,
                                            inference_table)
    values (gen_random_uuid(), 'g', 'inference_g_00000000')"); 1 },
   'and says nothing for groups that were deleted');

my ($table) = map { $_->[0] } Services::query($conninfo,
    'select inference_table from model.model_groups');

ok(eval { Services::query($conninfo, "$as insert into model.$table
          (inference_id, created_at, group_id)
          values (gen_random_uuid(), now(), gen_random_uuid())"); 1 },
   'and writes to it') or diag($@);

for my $sql ("update model.$table set status = 1", "delete from model.$table",
             'delete from model.model_group_events',
             "drop table model.$table", 'create table model.x (a int)',
             'update model.schema_migrations set name = name')
{
    ok(!eval { Services::query($conninfo, "$as $sql"); 1 },
       "but may not: $sql");
}

Services::query($conninfo, "reassign owned by $role to postgres;
                            drop owned by $role; drop role $role");
Services::drop_database($name);


# a database of an earlier release: what was in a row before is what its source
# said, less what was set by hand

my $before = tempdir('model-t-XXXXXX', TMPDIR => 1, CLEANUP => 1);

symlink $_, "$before/" . basename($_)
    for glob(top() . '/sql/000[1-6]_*.sql');

$conninfo = Services::create_database($name, template => 'template0');

($status, $output) = run('migrate.before', top() . '/tools/migrate',
                         $conninfo, $before);
is($status, 0, 'an earlier release') or BAIL_OUT($output);

Services::query($conninfo, <<'END');
insert into model.providers (id, name, source) values
    ('p', 'P', 'models.dev'), ('mine', 'Mine', 'manual');
insert into model.models_metadata (id, provider_id, provider_model_id, name,
        model_type, price_input, price_output, context_length, tags, active,
        source, manual_fields, refreshed_at) values
    ('p/a', 'p', 'a', 'A', 'chat', 1, 2, 3, '["x"]', true, 'models.dev', '{}',
     '2026-05-01 12:00:00.5+00'),
    ('p/b/c', 'p', 'b/c', 'B', 'other', 7, null, 3, null, false,
     'models.dev', '{price_input,price_output}', '2026-05-02+00'),
    ('p/d', 'p', 'd', 'D', 'chat', null, null, null, null, true, 'openai',
     '{}', null),
    ('mine/e', 'mine', 'e', 'E', 'embedding', 5, null, null, null, true,
     'manual', '{}', null);
insert into model.model_groups (name, salt, strategy, status, traffic_config)
values ('compared', decode(md5('1'), 'hex'), 'ab_test', 'active',
        '{"sticky": "user"}'),
       ('grown', decode(md5('2'), 'hex'), 'canary', 'active',
        '{"canary": {"steps": [{"percentage": 50}]}}');
insert into model.model_group_memberships (group_id, model_id, role,
                                           traffic_percentage)
select id, m.model_id, m.role, m.percentage from model.model_groups,
    (values ('p/a', 'champion', 80), ('p/d', 'challenger', 15),
            ('mine/e', 'challenger', 5)) m (model_id, role, percentage);
select model.provision_inference_table(id) from model.model_groups;
do $$
declare
    g  record;
begin
    for g in select id, inference_table as name from model.model_groups loop
        execute format('insert into model.%I (inference_id, created_at,
            group_id, path) select gen_random_uuid(),
            now() - n * interval ''1 day'', %L, ''/old''
            from generate_series(-1, 3) n', g.name, g.id);
    end loop;
end
$$;
END

($status, $output) = run('migrate.now', top() . '/tools/migrate', $conninfo);
is($status, 0, 'is brought to this one') or BAIL_OUT($output);

is_deeply([Services::query($conninfo, "select id, source, rank, name,
    model_type, price_input, context_length, tags, active, nulls,
    gone_at is not null from model.model_sources order by id, rank")],
    [['mine/e', 'manual', 0, 'E', 'embedding', 5, undef, undef, 't', '{}',
      'f'],
     ['p/a', 'models.dev', 20, 'A', 'chat', 1, 3, '["x"]', 't', undef, 'f'],
     ['p/b/c', 'manual', 0, undef, undef, 7, undef, undef, undef,
      '{price_output}', 'f'],
     ['p/b/c', 'models.dev', 20, 'B', undef, undef, 3, undef, 'f', undef,
      't'],
     ['p/d', 'openai', 10, 'D', 'chat', undef, undef, undef, 't', undef,
      'f']],
    'what each source has said');

is_deeply([Services::query($conninfo, "select id, provenance, sources
    from model.models_metadata where provider_id = 'p' and id <> 'p/d'
    order by id")],
    [['p/a', '{"*": "models.dev"}', '{"models.dev": {"id": "a", '
      . '"fetched_at": "2026-05-01T12:00:00.500Z"}}'],
     ['p/b/c', '{"*": "models.dev", "price_input": "manual", '
      . '"price_output": "manual"}',
      (Services::query($conninfo, "select sources from model.models_metadata
                                   where id = 'p/b/c'"))[0][0]]],
    'and who said it');

is((Services::query($conninfo, "select count(*) from model.models_metadata m
    where not sources ?& (select array_agg(source) from model.model_sources s
                          where s.id = m.id)"))[0][0], 0, 'all of them');

# groups that were made when their strategy asked nothing of them: they stay as
# they are, and begin nothing by themselves

is_deeply([Services::query($conninfo, "select name, strategy, traffic_config,
    model.canary_progress(id), (select count(*)
    from model.model_group_memberships where group_id = g.id)
    from model.model_groups g order by name")],
    [['compared', 'ab_test', '{"sticky": "user"}', undef, 3],
     ['grown', 'canary', '{"canary": {"steps": [{"percentage": 50}]}}', undef,
      3]], 'groups as they were');

ok(eval { Services::query($conninfo, "update model.model_groups
          set description = 'x'"); 1 }, 'which can be changed') or diag($@);
ok(!eval { Services::query($conninfo, "update model.model_group_memberships m
           set traffic_percentage = case role when 'champion' then 78
               else traffic_percentage + 1 end
           from model.model_groups g
           where g.id = m.group_id and g.name = 'compared'"); 1 },
   'but not into what is not allowed');
like($@, qr/exactly one challenger/, 'and that is said');

# tables of records, with what is in them

sub table_of {
    return (Services::query($conninfo, "select inference_table
        from model.model_groups where name = '$_[0]'"))[0][0];
}

my $old = table_of('grown');

is_deeply([Services::query($conninfo, "select kind, forced, dry_run,
    shadow_of is null, path, count(*) from model.$old group by 1, 2, 3, 4, 5")],
    [['inference', 'f', 'f', 't', '/old', 5]], 'records as they were');

Services::query($conninfo, "insert into model.model_groups (name, salt)
    values ('new', decode(md5('3'), 'hex'));
    select model.provision_inference_table(id) from model.model_groups
    where name = 'new'");

my @form = map {
    [Services::query($conninfo, "select attname, format_type(atttypid, null),
        attnotnull, col_description(attrelid, attnum) from pg_attribute
        where attrelid = 'model.$_'::regclass and attnum > 0
        order by attnum")]
} table_of('new'), $old, 'inference_columns', 'inference_unassigned';

cmp_ok(scalar @{ $form[0] }, '>', 55, 'a new table has its columns');
is_deeply($form[$_], $form[0], "and table $_ of them the same") for 1 .. 3;

# by time, which the ids are in the order of, by member, and by what is copied

my @indexes = map {
    [map { $_->[0] } Services::query($conninfo, "select
        substring(pg_get_indexdef(indexrelid) from ' USING .*')
        from pg_index where indrelid = 'model.$_'::regclass order by 1")]
} table_of('new'), $old, 'inference_columns', 'inference_unassigned';

is_deeply($indexes[0], [' USING btree (inference_id, created_at)',
    ' USING btree (model_served)',
    ' USING btree (shadow_of) WHERE (shadow_of IS NOT NULL)'],
    'a new table has its indexes');
is_deeply($indexes[$_], $indexes[0], "and table $_ of them the same")
    for 1 .. 3;

is((Services::query($conninfo, "select count(*) from pg_inherits i
    where i.inhparent = 'model.$old'::regclass and exists (
        select from pg_index x where x.indrelid = i.inhrelid
        and pg_get_expr(x.indpred, x.indrelid) is not null)"))[0][0], 10,
   'all partitions have the new index');

is_deeply([Services::query($conninfo, "update model.model_groups
    set traffic_config = '{\"records\": {\"retention_days\": 2}}'
    where name = 'grown';
    select cardinality(model.detach_inference_days(id))
    from model.model_groups where name = 'grown'")], [[1]],
    'days of before can go, too');
is((Services::query($conninfo, "select count(*) from model.$old"))[0][0], 4,
   'the others stay');

Services::drop_database($name);

done_testing();
