-- Records outlive their group; so does what it said about keeping them.


create table model.deleted_model_groups (
    group_id         uuid         primary key,
    org_id           uuid         not null
        default '00000000-0000-0000-0000-000000000001',
    group_name       text         not null,
    inference_table  text         not null unique,
    traffic_config   jsonb        not null default '{}'
        check (jsonb_typeof(traffic_config) = 'object'),
    deleted_at       timestamptz  not null default now()
);

comment on table model.deleted_model_groups is
    'Groups that were deleted and whose inference table is still there; a row '
    'goes with its table.';
comment on column model.deleted_model_groups.group_id is 'Which group.';
comment on column model.deleted_model_groups.org_id is 'Tenant.';
comment on column model.deleted_model_groups.group_name is 'Its last name.';
comment on column model.deleted_model_groups.inference_table is
    'Table in this schema.';
comment on column model.deleted_model_groups.traffic_config is
    'Its last settings: "records" says how long records are kept, and whether '
    'a day is written to a file before it goes.';
comment on column model.deleted_model_groups.deleted_at is
    'When it was deleted.';


-- Groups that went before this table was there are in the trail.

insert into model.deleted_model_groups (group_id, org_id, group_name,
    inference_table, traffic_config, deleted_at)
select s.group_id, s.org_id, s.group_name, s.inference_table,
       case when jsonb_typeof(e.before->'traffic_config') = 'object'
            then e.before->'traffic_config' else '{}' end, s.deleted_at
from model.inference_sources s
join model.model_group_events e
    on e.group_id = s.group_id and e.event = 'deleted'
    and e.created_at = s.deleted_at
where s.deleted_at is not null
and not exists (select from model.model_groups g where g.id = s.group_id)
order by s.deleted_at desc
on conflict do nothing;


create function model.on_model_group_deleted() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
    insert into model.deleted_model_groups (group_id, org_id, group_name,
        inference_table, traffic_config)
    values (old.id, old.org_id, old.name, old.inference_table,
        coalesce(old.traffic_config, '{}'))
    on conflict (group_id) do update
        set org_id = excluded.org_id,
            group_name = excluded.group_name,
            inference_table = excluded.inference_table,
            traffic_config = excluded.traffic_config,
            deleted_at = excluded.deleted_at;

    return null;
end
$$;

comment on function model.on_model_group_deleted() is
    'AFTER DELETE of a group that has an inference table, whoever deletes it.';

create trigger keep_retention
    after delete on model.model_groups
    for each row when (old.inference_table is not null)
    execute function model.on_model_group_deleted();

revoke execute on function model.on_model_group_deleted() from public;


-- -- whose tables there are --

create view model.inference_owners as
    select g.org_id, g.id as group_id, g.name as group_name,
           g.inference_table, g.traffic_config,
           null::timestamptz as deleted_at
    from model.model_groups g
    where g.inference_table is not null
    union all
    select d.org_id, d.group_id, d.group_name, d.inference_table,
           d.traffic_config, d.deleted_at
    from model.deleted_model_groups d
    where not exists (select from model.model_groups g
                      where g.id = d.group_id
                         or g.inference_table = d.inference_table);

comment on view model.inference_owners is
    'Groups with an inference table, those that were deleted as well, and '
    'what they say about keeping records.';
comment on column model.inference_owners.org_id is 'Tenant.';
comment on column model.inference_owners.group_id is 'Which group.';
comment on column model.inference_owners.group_name is
    'Its name, or its last one.';
comment on column model.inference_owners.inference_table is
    'Table in this schema.';
comment on column model.inference_owners.traffic_config is
    'Its settings, or its last ones.';
comment on column model.inference_owners.deleted_at is
    'When the group was deleted; null: it is there.';

create or replace view model.inference_sources as
    select o.org_id, o.group_id, o.group_name, o.inference_table,
           o.deleted_at
    from model.inference_owners o
    where o.deleted_at is null
       or to_regclass(format('model.%I', o.inference_table)) is not null;

-- the trail is not asked for them any more

drop index model.model_group_events_deleted;


-- -- retention, of all of them --

create function model.inference_table_is_over(parent text) returns boolean
language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
    stem  text := model.inference_stem(parent);
    held  boolean;
begin
    if to_regclass(format('model.%I', parent)) is null
       or exists (select from pg_class c
                  where c.relnamespace = 'model'::regnamespace
                    and c.relkind = 'r'
                    and c.relname ~ ('^' || stem || '_p[0-9]{8}$'))
    then
        return false;
    end if;

    execute format('select exists (select from model.%I)', parent) into held;

    return not held;
end
$$;

comment on function model.inference_table_is_over(text) is
    'Whether an inference table has no day any more, attached or not, and no '
    'record.';


create or replace function model.inference_cutoff(group_id uuid) returns date
language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
    days  text;
begin
    select g.traffic_config #>> '{records,retention_days}' into days
    from model.inference_owners g
    where g.group_id = inference_cutoff.group_id;

    if days is null or days !~ '^[0-9]{1,5}$' or days::integer = 0 then
        return null;
    end if;

    return (now() at time zone 'UTC')::date - days::integer;
end
$$;


create or replace function model.detach_inference_days(group_id uuid) returns text[]
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
    from model.inference_owners g
    where g.group_id = detach_inference_days.group_id;

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

    -- nobody makes days for a group that was deleted: with its last one the
    -- table goes, and what was kept of the group

    if model.inference_table_is_over(parent)
       and exists (select from model.deleted_model_groups d
                   where d.group_id = detach_inference_days.group_id
                     and d.inference_table = parent)
    then
        execute format('drop table model.%I', parent);

        delete from model.deleted_model_groups d
        where d.group_id = detach_inference_days.group_id;
    end if;

    return model.inference_days_out(stem);
end
$$;


create or replace function model.drop_inference_day(group_id uuid, name text,
    rows bigint, file text, bytes bigint, sha256 text, node text)
returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '2s' as $$
declare
    g     model.inference_owners;
    gone  date;
begin
    select * into g
    from model.inference_owners m
    where m.group_id = drop_inference_day.group_id;

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
    values (g.org_id, g.group_id, g.group_name, g.inference_table, gone,
        model.inference_part(g.inference_table, gone), rows, file, bytes,
        sha256, node);

    execute format('drop table model.%I', name);
end
$$;


create or replace function model.attach_inference_days(group_id uuid) returns integer
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
    from model.inference_owners g
    where g.group_id = attach_inference_days.group_id;

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


create or replace function model.retention_due(out group_id uuid, out org_id uuid)
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
        select m.group_id, m.org_id, m.inference_table as parent,
               m.deleted_at
        from model.inference_owners m
        order by m.group_id
    loop
        stem := model.inference_stem(g.parent);
        cutoff := model.inference_cutoff(g.group_id);

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

        -- of a group that was deleted nothing is left but the table

        due := due or (g.deleted_at is not null and cutoff is not null
                       and model.inference_table_is_over(g.parent));

        if due then
            group_id := g.group_id;
            org_id := g.org_id;
            return next;
        end if;
    end loop;
end
$$;


revoke execute on function model.inference_table_is_over(text) from public;
