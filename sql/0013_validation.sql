-- Validations: models that are known by their metadata only, chosen models,
-- phases, what is left at the measured rate; and splits that leave out what
-- does not answer.


-- -- runs --

alter table model.ai_model_validation_progress
    drop constraint ai_model_validation_progress_check,
    add column unverified_count   bigint   not null default 0,
    add column phase              text     not null default 'waiting'
        check (phase in ('waiting', 'discovering', 'testing', 'finishing',
                         'ended')),
    add column estimated_seconds  bigint   check (estimated_seconds >= 0),
    add column listed             boolean  not null default false,
    add column chosen             boolean  not null default false,
    add column missing_count      bigint   not null default 0;

update model.ai_model_validation_progress
set listed = total_models > 0,
    phase = case status when 'pending' then 'waiting'
                        when 'in_progress' then 'testing' else 'ended' end,
    estimated_seconds = case when status in ('completed', 'failed',
                                             'cancelled') then 0 end;

alter table model.ai_model_validation_progress
    add constraint ai_model_validation_sum
        check (validated_count
               = available_count + unavailable_count + unverified_count
               and available_count >= 0 and unavailable_count >= 0
               and unverified_count >= 0);

comment on column model.ai_model_validation_progress.validated_count is
    'Models with a result so far: available, unavailable and unverified.';
comment on column model.ai_model_validation_progress.unverified_count is
    'Of these, those that nobody asked: known by their metadata only.';
comment on column model.ai_model_validation_progress.phase is
    'waiting, discovering (the provider''s own list), testing, finishing, '
    'ended.';
comment on column model.ai_model_validation_progress.estimated_seconds is
    'What is left at the rate that was measured; null: not known yet.';
comment on column model.ai_model_validation_progress.listed is
    'The list of models to test is made.';
comment on column model.ai_model_validation_progress.chosen is
    'Only the models that were named when it was asked for.';
comment on column model.ai_model_validation_progress.missing_count is
    'Models that the provider''s own list had and has no longer.';

create index ai_model_validation_created
    on model.ai_model_validation_progress (org_id, created_at desc);


create function model.on_validation_status() returns trigger
language plpgsql as $$
begin
    if new.status in ('completed', 'failed', 'cancelled') then
        new.phase := 'ended';
        new.estimated_seconds := 0;
        new.current_model_id := null;

    elsif new.status = 'pending' then
        new.phase := 'waiting';
        new.estimated_seconds := null;
        new.current_model_id := null;
    end if;

    return new;
end
$$;

comment on function model.on_validation_status() is
    'BEFORE INSERT or UPDATE of status: whoever ends a run ends its phase.';

create trigger validation_status
    before insert or update of status on model.ai_model_validation_progress
    for each row execute function model.on_validation_status();


create function model.validation_time(t timestamptz) returns text
language sql stable as $$
    select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

comment on function model.validation_time(timestamptz) is
    'RFC 3339 in UTC, as the API writes times.';


-- The one shape of a run's state, for those that poll and those that are
-- told.  The API's text has the same members in the same order.

create function model.validation_status_json(
    v model.ai_model_validation_progress)
returns text
language sql stable as $$
    select json_build_object(
        'id', v.id,
        'provider_id', v.provider_id,
        'job_id', v.job_id,
        'status', v.status,
        'phase', v.phase,
        'total', v.total_models,
        'validated', v.validated_count,
        'available', v.available_count,
        'unavailable', v.unavailable_count,
        'unverified', v.unverified_count,
        'missing', v.missing_count,
        'current_model_id', v.current_model_id,
        'only_failed', v.only_failed,
        'chosen', v.chosen,
        'created_at', model.validation_time(v.created_at),
        'started_at', model.validation_time(v.started_at),
        'completed_at', model.validation_time(v.completed_at),
        'last_updated_at', model.validation_time(v.last_updated_at),
        'estimated_seconds', v.estimated_seconds,
        'error', v.error)::text
$$;

comment on function
    model.validation_status_json(model.ai_model_validation_progress) is
    'A run as GET validation-status shows it.';


-- -- results --

alter table model.ai_model_validation_results
    add column result  text
        check (result in ('available', 'unavailable', 'unverified')),
    add column begun   smallint  not null default 0
        check (begun between 0 and 2);

update model.ai_model_validation_results
set result = case when available then 'available' else 'unavailable' end
where available is not null;

alter table model.ai_model_validation_results
    add constraint ai_model_validation_result
        check (available is not distinct from
               case result when 'available' then true
                           when 'unavailable' then false end),
    add constraint ai_model_validation_class
        check (error_class in ('auth', 'quota', 'not_found', 'timeout',
                               'connect', 'overloaded', 'bad_answer',
                               'unsupported', 'interrupted'));

comment on column model.ai_model_validation_results.available is
    'It answered; null: not tested yet, or unverified.';
comment on column model.ai_model_validation_results.result is
    'available, unavailable, unverified; null: not tested yet.';
comment on column model.ai_model_validation_results.begun is
    'How often a worker may have begun to ask it and been lost meanwhile; '
    'what was begun twice is not asked again.';
comment on column model.ai_model_validation_results.error_class is
    'auth, quota, not_found, timeout, connect, overloaded, bad_answer, '
    'unsupported, interrupted.';


-- A run's counts are its rows, at the end of every transaction.

create function model.on_validation_counts() returns trigger
language plpgsql as $$
declare
    n  record;
begin
    select count(*) filter (where result = 'available') as yes,
           count(*) filter (where result = 'unavailable') as no,
           count(*) filter (where result = 'unverified') as unknown
    into n
    from model.ai_model_validation_results where validation_id = new.id;

    if (n.yes, n.no, n.unknown) is distinct from
       (select (v.available_count, v.unavailable_count, v.unverified_count)
        from model.ai_model_validation_progress v where v.id = new.id)
       and exists (select from model.ai_model_validation_progress
                   where id = new.id)
    then
        raise exception using errcode = 'check_violation',
            message = format('the counts of validation %s are not those of '
                             'its results', new.id);
    end if;

    return null;
end
$$;

comment on function model.on_validation_counts() is
    'At the end of a transaction that changed counts: they equal the rows.';

create constraint trigger validation_counts
    after update of available_count, unavailable_count, unverified_count
    on model.ai_model_validation_progress
    deferrable initially deferred
    for each row
    when ((old.available_count, old.unavailable_count, old.unverified_count)
          is distinct from
          (new.available_count, new.unavailable_count, new.unverified_count))
    execute function model.on_validation_counts();


-- -- splits without what does not answer --

-- Health alone is no change of routing, except where a group asks for it.

create function model.on_models_health() returns trigger
language plpgsql as $$
begin
    if exists (
        select from new_health n
        join old_health o using (id, org_id)
        join model.model_group_memberships m
            on m.model_id = n.id and m.org_id = n.org_id
        join model.model_groups g on g.id = m.group_id
        where n.health_status is distinct from o.health_status
              and (n.health_status = 'unavailable'
                   or o.health_status = 'unavailable')
              and g.traffic_config -> 'validation' -> 'eject' = 'true')
    then
        perform model.raise_generation('routing');
    end if;

    return null;
end
$$;

comment on function model.on_models_health() is
    'AFTER UPDATE, each statement: raises the routing generation when a '
    'member of a group that ejects came or went.';

create trigger models_health after update on model.models_metadata
    referencing old table as old_health new table as new_health
    for each statement execute function model.on_models_health();
