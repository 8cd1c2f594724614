-- Rules of the strategies, and canaries: the share of a challenger by a
-- schedule, which traffic_config of the group holds.


comment on column model.model_groups.traffic_config is
    'Object with any of canary {model_id, steps [{percentage, minutes}]}, '
    'shadow {percentage} and records {retention_days, archive, request_body, '
    'response_body, max_bytes, redact}.';

comment on column model.model_group_events.event is
    'created, updated, members_assigned, member_removed, promoted, '
    'rolled_back, canary_step, deleted.';


-- -- rules --

create function model.check_members(gid uuid) returns void
language plpgsql as $$
declare
    kind         text;
    members      bigint;
    champions    bigint;
    challengers  bigint;
    percent      numeric;
begin
    select g.strategy, count(m.model_id),
           count(*) filter (where m.role = 'champion'),
           count(*) filter (where m.role = 'challenger'),
           coalesce(sum(m.traffic_percentage), 0)
    into kind, members, champions, challengers, percent
    from model.model_groups g
    join model.model_group_memberships m on m.group_id = g.id
    where g.id = gid
    group by g.strategy;

    if not found then
        return;
    end if;

    if champions <> 1 then
        raise exception using errcode = 'check_violation',
            message = format('the group has %s champions; exactly one member '
                'must have the role champion', champions);
    end if;

    if percent <> 100 then
        raise exception using errcode = 'check_violation',
            message = format('the traffic percentages of champion and '
                'challengers add up to %s; they must add up to 100',
                trim_scale(percent));
    end if;

    if kind = 'ab_test' and challengers <> 1 then
        raise exception using errcode = 'check_violation',
            message = format('the strategy ab_test compares a champion with '
                'exactly one challenger; the group has %s', challengers);
    end if;

    if kind = 'shadow' and challengers <> 0 then
        raise exception using errcode = 'check_violation',
            message = format('with the strategy shadow the champion answers '
                'everybody; the group has %s challengers', challengers);
    end if;
end
$$;

comment on function model.check_members(uuid) is
    'What must hold between the members of a group.';


create or replace function model.on_members() returns trigger
language plpgsql as $$
begin
    perform model.check_members(case when tg_op = 'DELETE'
                                then old.group_id else new.group_id end);
    return null;
end
$$;

create function model.on_strategy() returns trigger
language plpgsql as $$
begin
    perform model.check_members(new.id);
    return null;
end
$$;

comment on function model.on_strategy() is
    'At commit: members that the strategy allows.';

create constraint trigger members_fit
    after update of strategy on model.model_groups
    deferrable initially deferred
    for each row execute function model.on_strategy();


-- -- canaries --

create table model.model_group_canaries (
    group_id    uuid          primary key,
    org_id      uuid          not null
        default '00000000-0000-0000-0000-000000000001',
    config      jsonb         not null,
    state       text          not null default 'waiting'
        check (state in ('waiting', 'running', 'paused', 'completed',
                         'ended')),
    model_id    text,
    step        smallint      not null default 0 check (step >= 0),
    percentage  numeric(5,2)  check (percentage between 0 and 100),
    next_at     timestamptz,
    remaining   interval,
    reason      text,
    updated_at  timestamptz   not null default now(),

    foreign key (group_id, org_id)
        references model.model_groups (id, org_id) on delete cascade,
    check ((state = 'running') = (next_at is not null)),
    check ((state = 'paused') = (remaining is not null))
);

comment on table model.model_group_canaries is
    'How far the schedule of a group with the strategy canary is; made and '
    'kept by triggers of groups and members, moved on by the gateway.';
comment on column model.model_group_canaries.group_id is 'Of which group.';
comment on column model.model_group_canaries.org_id is 'Tenant.';
comment on column model.model_group_canaries.config is
    'The schedule, traffic_config.canary; another one begins anew.';
comment on column model.model_group_canaries.state is
    'waiting: not begun, see reason; running; paused with its group; '
    'completed: the last step is taken; ended: see reason.';
comment on column model.model_group_canaries.model_id is
    'Whose share it is; null while it waits.';
comment on column model.model_group_canaries.step is
    'How many steps are taken or were passed over.';
comment on column model.model_group_canaries.percentage is
    'Share that the last step gave; another share ends the schedule.';
comment on column model.model_group_canaries.next_at is
    'When the next step is due; null unless it runs.';
comment on column model.model_group_canaries.remaining is
    'How long the step lasts from when the group is active again.';
comment on column model.model_group_canaries.reason is
    'Why it waits or has ended.';
comment on column model.model_group_canaries.updated_at is 'Last change.';

create index model_group_canaries_next
    on model.model_group_canaries (next_at) where state = 'running';


create function model.settle_canary(gid uuid) returns void
language plpgsql as $$
declare
    g         model.model_groups;
    c         model.model_group_canaries;
    was       model.model_group_canaries;
    m         model.model_group_memberships;
    wanted    jsonb;
    choices   bigint;
    target    text;
begin
    select * into g from model.model_groups where id = gid;

    if g.strategy = 'canary'
       and jsonb_typeof(g.traffic_config #> '{canary,steps}') = 'array'
    then
        wanted := g.traffic_config -> 'canary';
    end if;

    if wanted is null then
        delete from model.model_group_canaries where group_id = gid;
        return;
    end if;

    select * into c from model.model_group_canaries where group_id = gid
    for update;

    if not found then
        insert into model.model_group_canaries (group_id, org_id, config)
        values (gid, g.org_id, wanted) returning * into c;
    end if;

    was := c;

    if c.config <> wanted then
        c.config := wanted;
        c.state := 'waiting';
        c.model_id := null;
        c.step := 0;
        c.percentage := null;
        c.next_at := null;
        c.remaining := null;
    end if;

    if c.state = 'waiting' then
        select count(*), min(model_id) into choices, target
        from model.model_group_memberships
        where group_id = gid and role = 'challenger'
              and model_id = coalesce(wanted ->> 'model_id', model_id);

        if choices <> 1 then
            c.reason := case when wanted ->> 'model_id' is not null
                then format('"%s" is no challenger of the group',
                            wanted ->> 'model_id')
                when choices = 0 then 'the group has no challenger'
                else format('the group has %s challengers; name one in '
                    'traffic_config.canary.model_id', choices) end;
        elsif g.status <> 'active' then
            c.reason := format('the group is %s', g.status);
        else
            c.state := 'running';
            c.model_id := target;
            c.next_at := clock_timestamp();
            c.reason := null;
        end if;

    elsif c.state in ('running', 'paused') then
        select * into m from model.model_group_memberships
        where group_id = gid and model_id = c.model_id;

        c.reason := case
            when m.role is null then format('"%s" has left the group',
                                            c.model_id)
            when m.role = 'champion' then format('"%s" was promoted',
                                                 c.model_id)
            when m.role <> 'challenger'
                then format('"%s" is no challenger any more', c.model_id)
            when m.traffic_percentage <> c.percentage
                then format('the share of "%s" was changed from %s to %s',
                            c.model_id, trim_scale(c.percentage),
                            trim_scale(m.traffic_percentage))
            end;

        if c.reason is not null then
            c.state := 'ended';
            c.next_at := null;
            c.remaining := null;
        elsif c.state = 'running' and g.status <> 'active' then
            c.state := 'paused';
            c.remaining := greatest(c.next_at - clock_timestamp(),
                                    interval '0');
            c.next_at := null;
        elsif c.state = 'paused' and g.status = 'active' then
            c.state := 'running';
            c.next_at := clock_timestamp() + c.remaining;
            c.remaining := null;
        end if;
    end if;

    if c is distinct from was then
        update model.model_group_canaries
        set config = c.config, state = c.state, model_id = c.model_id,
            step = c.step, percentage = c.percentage, next_at = c.next_at,
            remaining = c.remaining, reason = c.reason,
            updated_at = clock_timestamp()
        where group_id = gid;
    end if;
end
$$;

comment on function model.settle_canary(uuid) is
    'Makes the state of a schedule follow its group: starts it, stops its '
    'clock, ends it.';


create function model.on_canary_group() returns trigger
language plpgsql as $$
begin
    perform model.settle_canary(new.id);
    return null;
end
$$;

comment on function model.on_canary_group() is
    'At commit, or when constraints are set immediate.';

create function model.on_canary_member() returns trigger
language plpgsql as $$
begin
    perform model.settle_canary(case when tg_op = 'DELETE'
                                then old.group_id else new.group_id end);
    return null;
end
$$;

comment on function model.on_canary_member() is
    'At commit, or when constraints are set immediate.';

create constraint trigger canary_settles
    after insert or update of status, strategy, traffic_config
    on model.model_groups
    deferrable initially deferred
    for each row execute function model.on_canary_group();

create constraint trigger canary_member_settles
    after insert or update or delete on model.model_group_memberships
    deferrable initially deferred
    for each row execute function model.on_canary_member();


create function model.canary_progress(gid uuid) returns json
language sql stable as $$
    select json_build_object(
        'state', c.state, 'model_id', c.model_id, 'step', c.step,
        'of', jsonb_array_length(c.config -> 'steps'),
        'percentage', trim_scale(c.percentage),
        'next_percentage', case when c.state in ('running', 'paused')
            then c.config #> array['steps', c.step::text, 'percentage'] end,
        'next_at', to_char(c.next_at at time zone 'UTC',
                           'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
        'remaining_seconds', ceil(extract(epoch from c.remaining)),
        'reason', c.reason)
    from model.model_group_canaries c where c.group_id = gid
$$;

comment on function model.canary_progress(uuid) is
    'How far the schedule of a group is, for people; null: it has none.';
