-- Jobs: who comes first, when the next attempt is, what was asked for once.


alter table model.jobs
    add column priority          smallint     not null default 0
        check (priority between -100 and 100),
    add column run_after         timestamptz  not null default now(),
    add column moved             boolean      not null default false,
    add column idempotency_key   text
        check (char_length(idempotency_key) between 1 and 255),
    add column idempotency_hash  text,
    add check ((idempotency_key is null) = (idempotency_hash is null));

comment on column model.jobs.kind is
    'What is to be done: sync, validate, retain, ...; a version that does not '
    'know a kind leaves its jobs to others.';
comment on column model.jobs.error is
    'Why it failed; of a pending one: why the attempt before did.';
comment on column model.jobs.attempt is
    'How often it was begun since it last got further; a hand-over does not '
    'count.';
comment on column model.jobs.priority is
    'Of those that wait the highest is taken first, then the oldest.';
comment on column model.jobs.run_after is
    'Not before this moment: the pause after an attempt that failed, or a '
    'schedule.';
comment on column model.jobs.moved is
    'Something was done for good since it was claimed: attempts are counted '
    'anew.';
comment on column model.jobs.idempotency_key is
    'Idempotency-Key of the request that made it; null: none, or it is older '
    'than a day.';
comment on column model.jobs.idempotency_hash is
    'SHA-256 of that request: another one cannot have the key.';

-- a request may make a job for each of several keys

create unique index jobs_once
    on model.jobs (org_id, kind, idempotency_key, coalesce(key, ''))
    where idempotency_key is not null;

drop index model.jobs_waiting;
create index jobs_waiting on model.jobs (priority desc, created_at)
    where state in ('pending', 'in_progress');

create index jobs_ended on model.jobs (completed_at)
    where state in ('completed', 'failed', 'cancelled');
create index ai_model_validation_ended
    on model.ai_model_validation_progress (completed_at)
    where status in ('completed', 'failed', 'cancelled');


-- A job that waits for another attempt has an error, its run has none yet.

create or replace function model.on_job_changed() returns trigger
language plpgsql as $$
begin
    update model.ai_model_validation_progress
    set status = new.state,
        error = case when new.state = 'pending' then error
                else coalesce(error, new.error) end,
        started_at = coalesce(started_at, new.started_at),
        completed_at = new.completed_at,
        last_updated_at = now()
    where job_id = new.id
          and status in ('pending', 'in_progress')
          and status <> new.state;

    return null;
end
$$;


-- A run that has tested another model has got further, in the same moment:
-- however often its workers are killed, it does not run out of attempts.

create function model.on_validation_moved() returns trigger
language plpgsql as $$
begin
    update model.jobs set moved = true
    where id = new.job_id and state = 'in_progress' and not moved;

    return null;
end
$$;

comment on function model.on_validation_moved() is
    'AFTER UPDATE of the counts: the job of a validation has got further.';

create trigger validation_moved
    after update of validated_count on model.ai_model_validation_progress
    for each row when (new.validated_count > old.validated_count
                       and new.job_id is not null)
    execute function model.on_validation_moved();
