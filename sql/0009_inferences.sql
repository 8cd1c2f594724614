-- More of every inference: shadows, attempts, traces, bodies, price versions;
-- names of tables that cannot meet; retention.


-- -- price lists --

create table model.price_versions (
    version        text         not null check (version ~ '^[0-9a-f]{16}$'),
    org_id         uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    prices         jsonb        not null
        check (jsonb_typeof(prices) = 'object'),
    first_seen_at  timestamptz  not null default now(),

    primary key (version, org_id)
);

comment on table model.price_versions is
    'Every price list that the cost of an inference was counted with; rows '
    'never change.';
comment on column model.price_versions.version is
    'Hash of the list, 16 hex digits: the same list has the same version '
    'whatever the model.';
comment on column model.price_versions.org_id is
    'Tenant, one of whose models had it.';
comment on column model.price_versions.prices is
    'USD per million tokens by class, and "tiers" that hold above a size.';
comment on column model.price_versions.first_seen_at is
    'When a node first routed with it.';


-- -- new columns --

-- Adds them to one table; its partitions follow.  Checks are not looked up in
-- rows that are there: they all have the default.

create function model.widen_inference_table(name text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    execute format('alter table model.%I '
        'add column kind                   text     not null '
            'default ''inference'', '
        'add column shadow_of              uuid, '
        'add column forced                 boolean  not null default false, '
        'add column dry_run                boolean  not null default false, '
        'add column attempt_log            jsonb, '
        'add column trace_id               text, '
        'add column span_id                text, '
        'add column cache_write_5m_tokens  bigint, '
        'add column cache_write_1h_tokens  bigint, '
        'add column tool_input_tokens      bigint, '
        'add column usage_marks            text[], '
        'add column price_version          text, '
        'add column cost_unknown           text, '
        'add column request_body           text, '
        'add column response_body          text, '
        'add column explanation            jsonb, '
        'add constraint inference_kind check '
            '(kind in (''inference'', ''shadow'')) not valid', name);

    execute format('create index on model.%I (shadow_of) '
        'where shadow_of is not null', name);
end
$$;

do $$
declare
    name  text;
begin
    for name in
        select c.relname from pg_class c
        where c.relnamespace = 'model'::regnamespace
          and (c.relkind = 'p' and c.relname like 'inference\_%'
               or c.relname in ('inference_columns', 'inference_unassigned'))
        order by c.relname
    loop
        perform model.widen_inference_table(name);
    end loop;
end
$$;

drop function model.widen_inference_table(text);

comment on column model.inference_columns.role is
    'Role of the member that answered.';
comment on column model.inference_columns.traceparent is
    'W3C trace context that the request belongs to: the client''s, or one '
    'that the gateway began.';
comment on column model.inference_columns.kind is
    'inference: a client''s; shadow: a copy for a shadow member, whose answer '
    'nobody got.';
comment on column model.inference_columns.shadow_of is
    'Of a shadow: the inference that it is a copy of.';
comment on column model.inference_columns.forced is
    'The member was named by an operator''s header; no bucket decided.';
comment on column model.inference_columns.dry_run is
    'The member was chosen, but the request went where it would have gone '
    'without.';
comment on column model.inference_columns.attempt_log is
    'Attempts that failed before the one that counts; array of objects.';
comment on column model.inference_columns.trace_id is
    'W3C trace, 32 hex digits.';
comment on column model.inference_columns.span_id is
    'The gateway''s span, parent of the provider''s: 16 hex digits.';
comment on column model.inference_columns.cache_write_5m_tokens is
    'Part of cache_write_tokens that is kept for five minutes.';
comment on column model.inference_columns.cache_write_1h_tokens is
    'Part of cache_write_tokens that is kept for an hour.';
comment on column model.inference_columns.tool_input_tokens is
    'Input tokens that tools gave the model to read.';
comment on column model.inference_columns.usage_marks is
    'What was put right in the provider''s figures; null: nothing.';
comment on column model.inference_columns.price_version is
    'Price list that the cost was counted with; see price_versions.';
comment on column model.inference_columns.cost_unknown is
    'Why cost_nano_usd is null: no_usage, no_count, no_price, ...';
comment on column model.inference_columns.request_body is
    'As the client sent it, cut and redacted as the group asks; null: the '
    'group does not ask for it.';
comment on column model.inference_columns.response_body is
    'As the provider sent it, cut and redacted as the group asks; null: the '
    'group does not ask for it.';
comment on column model.inference_columns.explanation is
    'What was found to explain the answer; null: nobody asked.';

-- tables that are there get the comments, too

do $$
declare
    col  record;
begin
    for col in
        select c.relname, a.attname,
               col_description('model.inference_columns'::regclass,
                               form.attnum) as says
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        join pg_attribute form
            on form.attrelid = 'model.inference_columns'::regclass
            and form.attname = a.attname
        where c.relnamespace = 'model'::regnamespace
          and (c.relkind = 'p' and c.relname like 'inference\_%'
               or c.relname = 'inference_unassigned')
    loop
        execute format('comment on column model.%I.%I is %L', col.relname,
                       col.attname, col.says);
    end loop;
end
$$;


-- -- names --

-- inference_<name>_<8 hex digits of the id>: at most 59 bytes, and partitions
-- inference_<8 hex digits>_p<day>.  Where another table has the digits
-- already, it is all 32 of them.

create function model.inference_stem(parent text) returns text
language sql immutable strict
set search_path = pg_catalog, pg_temp as $$
    select 'inference_' || substring(parent from '_([0-9a-f]+)$')
$$;

comment on function model.inference_stem(text) is
    'What the names of an inference table''s partitions begin with.';


create or replace function model.ensure_inference_partitions(group_id uuid)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
    parent  text;
    today   date := (now() at time zone 'UTC')::date;
    made    integer := 0;
begin
    select g.inference_table into parent
    from model.model_groups g
    where g.id = ensure_inference_partitions.group_id;

    if parent is null or to_regclass(format('model.%I', parent)) is null then
        return 0;
    end if;

    -- two nodes must not both make the same day

    perform pg_advisory_xact_lock(hashtextextended(parent, 6006205312));

    for d in -1 .. 7 loop
        made := made + model.make_inference_partition(parent,
            model.inference_stem(parent), today + d)::integer;
    end loop;

    return made;
end
$$;


create or replace function model.provision_inference_table(group_id uuid)
returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
    hex     text := replace(group_id::text, '-', '');
    slug    text;
    parent  text;
    stem    text;
begin
    -- one at a time: two groups made at once may have the same digits

    perform pg_advisory_xact_lock(6006205313);

    select coalesce(nullif(trim(both '_' from
               regexp_replace(lower(g.name), '[^a-z0-9]+', '_', 'g')), ''),
               'group'), g.inference_table
    into slug, parent
    from model.model_groups g
    where g.id = provision_inference_table.group_id;

    if slug is null then
        raise exception using errcode = 'no_data_found',
            message = format('there is no model group %s', group_id);
    end if;

    if to_regclass('model.' || quote_ident(parent)) is not null then
        return parent;
    end if;

    parent := 'inference_' || left(slug, 40) || '_' || right(hex, 8);

    if exists (select from pg_class c
               where c.relnamespace = 'model'::regnamespace
                 and c.relkind = 'p'
                 and model.inference_stem(c.relname)
                     = model.inference_stem(parent))
       or to_regclass(format('model.%I', parent)) is not null
       or to_regclass(format('model.%I',
                             model.inference_stem(parent) || '_default'))
          is not null
    then
        parent := 'inference_' || left(slug, 20) || '_' || hex;
    end if;

    stem := model.inference_stem(parent);

    execute format('create table model.%I (like model.inference_columns '
        'including all) partition by range (created_at)', parent);

    execute format('comment on table model.%I is %L', parent,
        'Inferences of the model group ' || group_id
        || '; see inference_columns.');

    execute format('create table model.%I partition of model.%I default',
        stem || '_default', parent);

    update model.model_groups g set inference_table = parent
    where g.id = provision_inference_table.group_id;

    perform model.ensure_inference_partitions(group_id);

    return parent;
end
$$;


-- -- retention --

create table model.inference_archives (
    id               bigint       primary key generated always as identity,
    org_id           uuid         not null
        default '00000000-0000-0000-0000-000000000001',
    group_id         uuid         not null,
    group_name       text         not null,
    inference_table  text         not null,
    day              date         not null,
    part             integer      not null,
    rows             bigint,
    file             text,
    bytes            bigint,
    sha256           text         check (sha256 ~ '^[0-9a-f]{64}$'),
    node             text,
    created_at       timestamptz  not null default now(),

    unique (inference_table, day, part),
    check (num_nulls(file, rows, bytes, sha256) in (0, 4))
);

comment on table model.inference_archives is
    'Days of inference tables that retention took away; rows outlive their '
    'group.';
comment on column model.inference_archives.id is 'Grows with time.';
comment on column model.inference_archives.org_id is 'Tenant.';
comment on column model.inference_archives.group_id is 'Which group.';
comment on column model.inference_archives.group_name is
    'Its name at that time.';
comment on column model.inference_archives.inference_table is
    'Table that the day was part of.';
comment on column model.inference_archives.day is 'UTC.';
comment on column model.inference_archives.part is
    'From 1; a further one holds records that came after the day was gone.';
comment on column model.inference_archives.rows is
    'Records in the file; null: dropped without one.';
comment on column model.inference_archives.file is
    'Name within the archive folder of the node; null: dropped without one.';
comment on column model.inference_archives.bytes is 'Size of the file.';
comment on column model.inference_archives.sha256 is 'Digest of the file.';
comment on column model.inference_archives.node is
    'Host that wrote the file.';
comment on column model.inference_archives.created_at is
    'When the day was dropped.';


-- Whoever takes days away may only do what the group says, whatever he is
-- allowed besides.

create function model.inference_cutoff(group_id uuid) returns date
language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
    days  text;
begin
    select g.traffic_config #>> '{records,retention_days}' into days
    from model.model_groups g
    where g.id = inference_cutoff.group_id;

    if days is null or days !~ '^[0-9]{1,5}$' or days::integer = 0 then
        return null;
    end if;

    return (now() at time zone 'UTC')::date - days::integer;
end
$$;

comment on function model.inference_cutoff(uuid) is
    'The first day that a group keeps, by records.retention_days of its '
    'traffic_config; null: it keeps all.';


create function model.inference_days_out(stem text) returns text[]
language sql stable
set search_path = pg_catalog, pg_temp as $$
    select coalesce(array_agg(c.relname::text order by c.relname), '{}')
    from pg_class c
    where c.relnamespace = 'model'::regnamespace
      and c.relkind = 'r' and not c.relispartition
      and c.relname ~ ('^' || stem || '_p[0-9]{8}$')
$$;

comment on function model.inference_days_out(text) is
    'Days that were detached and not dropped.';


create function model.detach_inference_days(group_id uuid) returns text[]
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '2s' as $$
declare
    parent  text;
    stem    text;
    cutoff  date := model.inference_cutoff(group_id);
    late    date;
    part    text;
begin
    select g.inference_table into parent
    from model.model_groups g
    where g.id = detach_inference_days.group_id;

    if cutoff is null or parent is null
       or to_regclass(format('model.%I', parent)) is null
    then
        return '{}';
    end if;

    stem := model.inference_stem(parent);

    perform pg_advisory_xact_lock(hashtextextended(parent, 6006205312));

    -- records that came when their day had no partition any more

    for late in execute format('select distinct created_at::date '
        'from model.%I where created_at < %L', stem || '_default', cutoff)
    loop
        perform model.make_inference_partition(parent, stem, late);
    end loop;

    for part in
        select c.relname
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = format('model.%I', parent)::regclass
          and c.relname ~ ('^' || stem || '_p[0-9]{8}$')
          and to_date(right(c.relname, 8), 'YYYYMMDD') < cutoff
        order by c.relname
        limit greatest(30 - cardinality(model.inference_days_out(stem)), 0)
    loop
        execute format('alter table model.%I detach partition model.%I',
                       parent, part);
    end loop;

    return model.inference_days_out(stem);
end
$$;

comment on function model.detach_inference_days(uuid) is
    'Takes days that a group no longer keeps out of its inference table, a '
    'month at a time, since nobody writes or reads meanwhile; the names of '
    'all that are out and not dropped yet.';


create function model.inference_part(parent text, day date) returns integer
language sql stable
set search_path = pg_catalog, pg_temp as $$
    select coalesce(max(a.part), 0) + 1
    from model.inference_archives a
    where a.inference_table = parent and a.day = inference_part.day
$$;

comment on function model.inference_part(text, date) is
    'Number of the next part of a day that goes.';


create function model.drop_inference_day(group_id uuid, name text,
    rows bigint, file text, bytes bigint, sha256 text, node text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s' as $$
declare
    g     model.model_groups;
    gone  date;
begin
    select * into g
    from model.model_groups m
    where m.id = drop_inference_day.group_id;

    if g.inference_table is null
       or name !~ ('^' || model.inference_stem(g.inference_table)
                   || '_p[0-9]{8}$')
       or not exists (select from pg_class c
                      where c.relnamespace = 'model'::regnamespace
                        and c.relname = name and c.relkind = 'r'
                        and not c.relispartition)
    then
        raise exception using errcode = 'undefined_table',
            message = format('"%s" is no day that was detached from the '
                'inference table of model group %s', name, group_id);
    end if;

    gone := to_date(right(name, 8), 'YYYYMMDD');

    if gone >= coalesce(model.inference_cutoff(group_id), '-infinity') then
        raise exception using errcode = 'object_not_in_prerequisite_state',
            message = format('the model group keeps %s: its retention_days '
                'were changed', gone);
    end if;

    if file is null and g.traffic_config @> '{"records": {"archive": true}}'
    then
        raise exception using errcode = 'object_not_in_prerequisite_state',
            message = format('the model group has an archive, and "%s" is in '
                'no file', name);
    end if;

    insert into model.inference_archives (org_id, group_id, group_name,
        inference_table, day, part, rows, file, bytes, sha256, node)
    values (g.org_id, g.id, g.name, g.inference_table, gone,
        model.inference_part(g.inference_table, gone), rows, file, bytes,
        sha256, node);

    execute format('drop table model.%I', name);
end
$$;

comment on function model.drop_inference_day(uuid, text, bigint, text,
    bigint, text, text) is
    'Drops a detached day and keeps a row of it in inference_archives.';


-- A longer retention brings back what is out and was not dropped.

create function model.attach_inference_days(group_id uuid) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set lock_timeout = '2s' as $$
declare
    parent    text;
    stem      text;
    cutoff    date := coalesce(model.inference_cutoff(group_id),
                               '-infinity');
    part      text;
    from_day  timestamptz;
    attached  integer := 0;
begin
    select g.inference_table into parent
    from model.model_groups g
    where g.id = attach_inference_days.group_id;

    if parent is null
       or to_regclass(format('model.%I', parent)) is null
    then
        return 0;
    end if;

    stem := model.inference_stem(parent);

    perform pg_advisory_xact_lock(hashtextextended(parent, 6006205312));

    for part in
        select c.relname
        from pg_class c
        where c.relnamespace = 'model'::regnamespace
          and c.relkind = 'r' and not c.relispartition
          and c.relname ~ ('^' || stem || '_p[0-9]{8}$')
          and to_date(right(c.relname, 8), 'YYYYMMDD') >= cutoff
        order by c.relname
    loop
        from_day := to_date(right(part, 8), 'YYYYMMDD')::timestamptz;

        -- what came meanwhile waits in the default partition

        execute format('lock table model.%I in access exclusive mode',
                       stem || '_default');
        execute format('with moved as (delete from model.%I '
            'where created_at >= %L and created_at < %L returning *) '
            'insert into model.%I select * from moved '
            'on conflict do nothing', stem || '_default', from_day,
            from_day + interval '1 day', part);
        execute format('alter table model.%I attach partition model.%I '
            'for values from (%L) to (%L)', parent, part, from_day,
            from_day + interval '1 day');

        attached := attached + 1;
    end loop;

    return attached;
end
$$;

comment on function model.attach_inference_days(uuid) is
    'Puts days back that were detached, not dropped, and that the group '
    'keeps after all; how many.';


create function model.retention_due(out group_id uuid, out org_id uuid)
returns setof record
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' as $$
declare
    g       record;
    stem    text;
    cutoff  date;
    due     boolean;
begin
    for g in
        select m.id, m.org_id, m.inference_table as parent
        from model.model_groups m
        where m.inference_table is not null
        order by m.id
    loop
        stem := model.inference_stem(g.parent);
        cutoff := model.inference_cutoff(g.id);

        -- a day that is too old, or one that is out: to go, or to come back

        select exists (select from pg_class c
                       where c.relnamespace = 'model'::regnamespace
                         and c.relname between stem || '_p'
                                           and stem || '_p99999999'
                         and c.relkind = 'r'
                         and (not c.relispartition
                              or to_date(right(c.relname, 8), 'YYYYMMDD')
                                 < cutoff))
        into due;

        if not due and cutoff is not null
           and to_regclass(format('model.%I', stem || '_default')) is not null
        then
            execute format('select exists (select from model.%I '
                'where created_at < %L)', stem || '_default', cutoff)
                into due;
        end if;

        if due then
            group_id := g.id;
            org_id := g.org_id;
            return next;
        end if;
    end loop;
end
$$;

comment on function model.retention_due() is
    'Groups that have a day to take away, or to put back.';


-- What they do is done as the owner of the schema: only who is granted them may
-- call them.

revoke execute on function
    model.detach_inference_days(uuid),
    model.attach_inference_days(uuid),
    model.retention_due(),
    model.drop_inference_day(uuid, text, bigint, text, bigint, text, text)
from public;


comment on column model.jobs.kind is 'sync, validate, retain.';
