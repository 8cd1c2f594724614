-- The trail of groups has every change of a group, whoever makes it: one with
-- SQL raises the version and leaves its event as one through the API does, so
-- that an ETag that was read before it is no longer the group's.


alter table model.model_group_events
    add column database_role  text;

comment on column model.model_group_events.token_id is
    'Whose token did it; null: the gateway itself, or database_role.';
comment on column model.model_group_events.database_role is
    'Who did it with SQL: the role that was logged in; null: it was done '
    'through the API, or by the gateway itself.';
comment on column model.model_groups.version is
    'Raised with each change, for optimistic locking.';


create function model.group_said(image jsonb) returns jsonb
language sql immutable as $$
    select image - '{version,inference_table,created_at,updated_at}'::text[]
        || jsonb_build_object('members',
            (select coalesce(jsonb_agg(m - 'created_at' order by n), '[]')
             from jsonb_array_elements(image -> 'members')
                  with ordinality members (m, n)))
$$;

comment on function model.group_said(jsonb) is
    'What an image of a group says, without what comes by itself.';


-- At commit an event of the API tells of its change already: what it says is
-- what the group is.  Whatever differs from the last event was done with SQL.

create function model.tell_group(gid uuid, made boolean) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
    g       model.model_groups;
    told    model.model_group_events;
    number  bigint;
begin
    select * into g from model.model_groups where id = gid;

    if not found then
        return;
    end if;

    select * into told from model.model_group_events
    where group_id = gid order by id desc limit 1;

    if model.group_said(told.after)
       = model.group_said(model.group_image(gid))
    then
        return;
    end if;

    -- ETags of one name never come again

    select greatest(g.version + case when made then 0 else 1 end,
                    coalesce(max(version), 0) + 1)
    into number
    from model.model_group_events
    where org_id = g.org_id and group_name = g.name;

    update model.model_groups set version = number, updated_at = now()
    where id = gid and version <> number;

    insert into model.model_group_events (org_id, group_id, group_name,
        version, event, database_role, before, after)
    values (g.org_id, gid, g.name, number,
        case when made then 'created' else 'updated' end, session_user,
        told.after, model.group_image(gid));
end
$$;

comment on function model.tell_group(uuid, boolean) is
    'Makes version and trail follow a group that was changed with SQL; made: '
    'it was not there before.';


create function model.on_group_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
    perform model.tell_group(new.id, tg_op = 'INSERT');
    return null;
end
$$;

comment on function model.on_group_changed() is
    'At commit, when an event of the API is there.';


create function model.on_group_gone() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
    told  model.model_group_events;
begin
    select * into told from model.model_group_events
    where group_id = old.id order by id desc limit 1;

    if told.event = 'deleted'
       or exists (select from model.model_groups where id = old.id)
    then
        return null;
    end if;

    insert into model.model_group_events (org_id, group_id, group_name,
        version, event, database_role, before)
    values (old.org_id, old.id, old.name,
        greatest(old.version, told.version), 'deleted', session_user,
        coalesce(told.after, to_jsonb(old) - 'salt'));

    return null;
end
$$;

comment on function model.on_group_gone() is
    'At commit, when an event of the API is there.';


create function model.on_member_changed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op <> 'INSERT' then
        perform model.tell_group(old.group_id, false);
    end if;

    if tg_op = 'INSERT' or new.group_id <> old.group_id then
        perform model.tell_group(new.group_id, false);
    end if;

    return null;
end
$$;

comment on function model.on_member_changed() is
    'At commit, when an event of the API is there.';


revoke execute on function
    model.tell_group(uuid, boolean), model.on_group_changed(),
    model.on_group_gone(), model.on_member_changed()
from public;


create constraint trigger group_changed_is_told
    after insert or update of name, description, strategy, status,
        traffic_config, promotion_rules, test_metadata
    on model.model_groups
    deferrable initially deferred
    for each row execute function model.on_group_changed();

create constraint trigger group_gone_is_told
    after delete on model.model_groups
    deferrable initially deferred
    for each row execute function model.on_group_gone();

create constraint trigger member_changed_is_told
    after insert or update or delete on model.model_group_memberships
    deferrable initially deferred
    for each row execute function model.on_member_changed();


-- No snapshot shows a version, so one that was raised is no news to a node.

drop trigger model_update on model.model_groups;

create trigger model_update
    after update on model.model_groups
    referencing old table as old_rows new table as new_rows
    for each statement
    execute function model.on_update('{routing}', '{updated_at,version}');
