-- What came of an inference: rewards, labels and comments, often later.


create table model.inference_feedback (
    id            bigint         primary key generated always as identity,
    org_id        uuid           not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    inference_id  uuid           not null,
    inference_at  timestamptz    not null,
    source        text           not null default 'user'
        check (char_length(source) between 1 and 64),
    name          text           not null default 'feedback'
        check (char_length(name) between 1 and 64),
    reward        numeric(13,6)
        check (reward between -1000000 and 1000000),
    label         text
        check (char_length(label) between 1 and 200),
    comment       text
        check (char_length(comment) between 1 and 4000),
    token_id      uuid,
    created_at    timestamptz    not null default now(),
    updated_at    timestamptz    not null default now(),

    unique (org_id, inference_id, source, name),
    check (reward is not null or label is not null or comment is not null)
);

comment on table model.inference_feedback is
    'What came of inferences.  A row may come long after its inference, and '
    'shortly before its record is stored, so nothing refers to a group''s '
    'table; both are joined by organisation and inference_id.';
comment on column model.inference_feedback.id is 'Grows with time.';
comment on column model.inference_feedback.org_id is 'Tenant.';
comment on column model.inference_feedback.inference_id is
    'X-Inference-Id of the answer.';
comment on column model.inference_feedback.inference_at is
    'When the inference was, to the millisecond: the time in its id.';
comment on column model.inference_feedback.source is
    'Who says so: user, judge, billing, ...; with name it tells feedback of '
    'one inference apart.';
comment on column model.inference_feedback.name is
    'What is said: a metric''s name; sent again, it replaces what was said.';
comment on column model.inference_feedback.reward is
    'More is better; null: none was given.';
comment on column model.inference_feedback.label is
    'A class, such as accepted; null: none was given.';
comment on column model.inference_feedback.comment is 'Free text.';
comment on column model.inference_feedback.token_id is
    'Token that said it last.';
comment on column model.inference_feedback.created_at is
    'When it came first.';
comment on column model.inference_feedback.updated_at is
    'When it was replaced last.';

create index inference_feedback_time
    on model.inference_feedback (org_id, inference_at);


-- A group that is gone leaves its table behind, and an event that names it.

create index model_group_events_deleted
    on model.model_group_events (org_id) where event = 'deleted';

create view model.inference_sources as
    select g.org_id, g.id as group_id, g.name as group_name,
           g.inference_table, null::timestamptz as deleted_at
    from model.model_groups g
    where g.inference_table is not null
    union all
    select e.org_id, e.group_id, e.group_name,
           e.before->>'inference_table', e.created_at
    from model.model_group_events e
    where e.event = 'deleted'
    and to_regclass(format('model.%I', coalesce(e.before->>'inference_table',
                                                '-'))) is not null;

comment on view model.inference_sources is
    'Tables that hold inferences, of groups that are there and of those that '
    'were deleted.';
comment on column model.inference_sources.org_id is 'Tenant.';
comment on column model.inference_sources.group_id is 'Which group.';
comment on column model.inference_sources.group_name is
    'Its name, or its last one.';
comment on column model.inference_sources.inference_table is
    'Table in this schema.';
comment on column model.inference_sources.deleted_at is
    'When the group was deleted; null: it is there.';


-- Feedback goes with a day that is dropped for good; that of a day which is
-- kept in a file stays, since the file does not hold it.

create function model.on_inference_day_dropped() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' as $$
declare
    part  text := model.inference_stem(new.inference_table) || '_p'
                  || to_char(new.day, 'YYYYMMDD');
begin
    if to_regclass(format('model.%I', part)) is not null then
        execute format('delete from model.inference_feedback f '
            'using model.%I t where t.inference_id = f.inference_id '
            'and t.org_id = f.org_id and f.org_id = $1 '
            'and f.inference_at >= $2::timestamptz '
            'and f.inference_at < $3::timestamptz', part)
            using new.org_id, new.day, new.day + 1;
    end if;

    return null;
end
$$;

comment on function model.on_inference_day_dropped() is
    'AFTER INSERT of a day without a file, before its table is dropped.';

create trigger forget_feedback
    after insert on model.inference_archives
    for each row when (new.file is null)
    execute function model.on_inference_day_dropped();

revoke execute on function model.on_inference_day_dropped() from public;
