-- Model groups: what clients name as "model", and who answers for them.


create table model.model_groups (
    id               uuid         primary key default gen_random_uuid(),
    org_id           uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    name             text         not null
        check (name ~ '^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$'),
    description      text,
    strategy         text         not null default 'champion_challenger'
        check (strategy in ('champion_challenger', 'ab_test', 'canary',
                            'shadow', 'weighted')),
    status           text         not null default 'draft'
        check (status in ('draft', 'active', 'paused', 'archived')),
    traffic_config   jsonb
        check (jsonb_typeof(traffic_config) = 'object'),
    promotion_rules  jsonb
        check (jsonb_typeof(promotion_rules) = 'object'),
    test_metadata    jsonb
        check (jsonb_typeof(test_metadata) = 'object'),
    inference_table  text         unique,
    salt             bytea        not null check (octet_length(salt) = 16),
    version          bigint       not null default 1,
    created_at       timestamptz  not null default now(),
    updated_at       timestamptz  not null default now(),

    unique (org_id, name),
    unique (id, org_id)
);

comment on table model.model_groups is
    'A name that clients send as "model", split between its members.';
comment on column model.model_groups.id is 'Names the group for ever.';
comment on column model.model_groups.org_id is 'Tenant.';
comment on column model.model_groups.name is
    'What clients send as "model"; unique within the tenant.';
comment on column model.model_groups.description is 'Free text.';
comment on column model.model_groups.strategy is 'What the split is for.';
comment on column model.model_groups.status is
    'active: traffic is split; paused: the champion answers all; draft and '
    'archived: not served.';
comment on column model.model_groups.traffic_config is
    'Settings of the split; object.';
comment on column model.model_groups.promotion_rules is
    'When a challenger takes over; object.';
comment on column model.model_groups.test_metadata is
    'What the experiment is about; object, for people.';
comment on column model.model_groups.inference_table is
    'Table in this schema that holds its inferences.';
comment on column model.model_groups.salt is
    '16 random bytes, key of the hash that assigns sticky keys to buckets; '
    'never changes.';
comment on column model.model_groups.version is
    'Raised with each change through the API, for optimistic locking.';
comment on column model.model_groups.created_at is 'When it was made.';
comment on column model.model_groups.updated_at is 'Last change.';


create table model.model_group_memberships (
    group_id            uuid            not null,
    org_id              uuid            not null
        default '00000000-0000-0000-0000-000000000001',
    model_id            text            not null,
    position            smallint        not null default 0,
    role                text            not null
        check (role in ('champion', 'challenger', 'shadow', 'fallback')),
    traffic_percentage  numeric(5,2)    not null default 0
        check (traffic_percentage between 0 and 100),
    buckets             int4multirange  not null default '{}'
        check (buckets <@ '{[0,10000)}'::int4multirange),
    created_at          timestamptz     not null default now(),

    primary key (group_id, model_id),
    foreign key (group_id, org_id)
        references model.model_groups (id, org_id) on delete cascade,
    foreign key (model_id, org_id)
        references model.models_metadata (id, org_id),
    check (traffic_percentage = 0 or role in ('champion', 'challenger'))
);

comment on table model.model_group_memberships is
    'The members of a group.  Checked at commit: one champion, and the '
    'percentages of champion and challengers add up to 100.';
comment on column model.model_group_memberships.group_id is 'Of which group.';
comment on column model.model_group_memberships.org_id is 'Tenant.';
comment on column model.model_group_memberships.model_id is 'provider/model.';
comment on column model.model_group_memberships.position is
    'Order in which members are listed.';
comment on column model.model_group_memberships.role is
    'champion and challenger share the traffic; shadow gets copies; fallback '
    'answers when the others fail.';
comment on column model.model_group_memberships.traffic_percentage is
    'Share of the traffic, in steps of 0.01.';
comment on column model.model_group_memberships.buckets is
    'Which of the 10,000 buckets it owns.  Where this disagrees with '
    'traffic_percentage, the gateway moves as few as needed.';
comment on column model.model_group_memberships.created_at is
    'When it joined.';

create index model_group_memberships_model
    on model.model_group_memberships (model_id, org_id);


create table model.model_group_events (
    id          bigint       primary key generated always as identity,
    org_id      uuid         not null
        default '00000000-0000-0000-0000-000000000001',
    group_id    uuid         not null,
    group_name  text         not null,
    version     bigint       not null,
    event       text         not null,
    token_id    uuid,
    before      jsonb,
    after       jsonb,
    created_at  timestamptz  not null default now()
);

comment on table model.model_group_events is
    'Audit trail of the groups; rows outlive their group.';
comment on column model.model_group_events.id is 'Grows with time.';
comment on column model.model_group_events.org_id is 'Tenant.';
comment on column model.model_group_events.group_id is 'Which group.';
comment on column model.model_group_events.group_name is
    'Its name at that time.';
comment on column model.model_group_events.version is
    'Its version after the event.';
comment on column model.model_group_events.event is
    'created, updated, members_assigned, member_removed, deleted, ...';
comment on column model.model_group_events.token_id is
    'Who did it; null: the gateway itself.';
comment on column model.model_group_events.before is
    'The group and its members before; null when it was made.';
comment on column model.model_group_events.after is
    'The group and its members after; null when it was deleted.';
comment on column model.model_group_events.created_at is 'When.';

create index model_group_events_group
    on model.model_group_events (group_id, id);


create function model.group_image(group_id uuid) returns jsonb
language sql stable as $$
    select to_jsonb(g) - '{salt}'::text[] || jsonb_build_object('members',
        (select coalesce(jsonb_agg(to_jsonb(m) - '{group_id,org_id}'::text[]
                                   order by m.position, m.model_id), '[]')
         from model.model_group_memberships m where m.group_id = g.id))
    from model.model_groups g where g.id = group_image.group_id
$$;

comment on function model.group_image(uuid) is
    'A group with its members, for the audit trail.';


create function model.on_members() returns trigger
language plpgsql as $$
declare
    members    bigint;
    champions  bigint;
    percent    numeric;
    gid        uuid := case when tg_op = 'DELETE' then old.group_id
                       else new.group_id end;
begin
    select count(*), count(*) filter (where role = 'champion'),
           coalesce(sum(traffic_percentage), 0)
    into members, champions, percent
    from model.model_group_memberships where group_id = gid;

    if members > 0 and champions <> 1 then
        raise exception using errcode = 'check_violation',
            message = format('the group has %s champions; exactly one member '
                'must have the role champion', champions);
    end if;

    if members > 0 and percent <> 100 then
        raise exception using errcode = 'check_violation',
            message = format('the traffic percentages of champion and '
                'challengers add up to %s; they must add up to 100',
                trim_scale(percent));
    end if;

    return null;
end
$$;

comment on function model.on_members() is
    'At commit: one champion, percentages that add up.';

create constraint trigger members_add_up
    after insert or update or delete on model.model_group_memberships
    deferrable initially deferred
    for each row execute function model.on_members();

do $$
begin
    perform model.watch_table('model.model_groups', '{routing}',
        '{updated_at}');
    perform model.watch_table('model.model_group_memberships', '{routing}',
        '{}');
end
$$;
