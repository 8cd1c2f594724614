-- Jobs that run in the background, and validations.


create table model.jobs (
    id                uuid         primary key default gen_random_uuid(),
    org_id            uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    kind              text         not null check (kind <> ''),
    key               text,
    payload           jsonb        not null default '{}'
        check (jsonb_typeof(payload) = 'object'),
    state             text         not null default 'pending'
        check (state in ('pending', 'in_progress', 'completed', 'failed',
                         'cancelled')),
    progress          integer      check (progress between 0 and 100),
    result            jsonb        check (jsonb_typeof(result) = 'object'),
    error             text,
    attempt           integer      not null default 0,
    max_attempts      integer      not null default 3,
    cancel_requested  boolean      not null default false,
    lease_owner       text,
    lease_until       timestamptz,
    token_id          uuid,
    created_at        timestamptz  not null default now(),
    started_at        timestamptz,
    completed_at      timestamptz,
    updated_at        timestamptz  not null default now(),

    check ((state = 'in_progress') = (lease_until is not null)),
    check ((state in ('completed', 'failed', 'cancelled'))
           = (completed_at is not null))
);

comment on table model.jobs is
    'Work in the background.  The row is the truth: a worker that is killed '
    'costs a lease, not the job.';
comment on column model.jobs.id is 'Names the job.';
comment on column model.jobs.org_id is 'Tenant.';
comment on column model.jobs.kind is 'sync, validate.';
comment on column model.jobs.key is
    'At most one job of a kind and key is pending or in progress; null: any '
    'number.';
comment on column model.jobs.payload is 'What to do; object.';
comment on column model.jobs.state is
    'pending -> in_progress -> completed, failed or cancelled; in_progress '
    '-> pending when it is handed over; pending -> cancelled.';
comment on column model.jobs.progress is 'Percent; null: unknown.';
comment on column model.jobs.result is 'What came of it; object.';
comment on column model.jobs.error is 'Why it failed.';
comment on column model.jobs.attempt is
    'How often it was begun; a hand-over does not count.';
comment on column model.jobs.max_attempts is
    'It fails when its lease runs out in the last attempt.';
comment on column model.jobs.cancel_requested is
    'Somebody asked it to stop.';
comment on column model.jobs.lease_owner is
    'node:pid:start of the worker that runs it.';
comment on column model.jobs.lease_until is
    'After this moment another worker may take it.';
comment on column model.jobs.token_id is
    'Who asked for it; null: the gateway itself.';
comment on column model.jobs.created_at is 'When it was asked for.';
comment on column model.jobs.started_at is 'When it was begun first.';
comment on column model.jobs.completed_at is 'When it ended.';
comment on column model.jobs.updated_at is 'Last sign of life.';

create unique index jobs_key on model.jobs (org_id, kind, key)
    where state in ('pending', 'in_progress') and key is not null;
create index jobs_waiting on model.jobs (created_at)
    where state in ('pending', 'in_progress');
create index jobs_created on model.jobs (created_at desc);


create function model.job_state_may(old_state text, new_state text)
returns boolean
language sql immutable as $$
    select (old_state, new_state) in (
        ('pending', 'in_progress'),
        ('pending', 'cancelled'),
        ('in_progress', 'pending'),
        ('in_progress', 'completed'),
        ('in_progress', 'failed'),
        ('in_progress', 'cancelled'))
$$;

comment on function model.job_state_may(text, text) is
    'The states of a job as they may follow each other.';


create function model.on_job_state() returns trigger
language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'pending' then
            raise exception using errcode = 'check_violation',
                message = format('a job begins as pending, not as %s',
                                 new.state);
        end if;

    elsif new.state <> old.state
          and not model.job_state_may(old.state, new.state)
    then
        raise exception using errcode = 'check_violation',
            message = format('a job that is %s cannot become %s', old.state,
                             new.state);
    end if;

    return new;
end
$$;

comment on function model.on_job_state() is
    'BEFORE INSERT or UPDATE of state: keeps to the drawing.';

create trigger job_state before insert or update of state on model.jobs
    for each row execute function model.on_job_state();


create table model.ai_model_validation_progress (
    id                 uuid         primary key default gen_random_uuid(),
    org_id             uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    provider_id        text         not null,
    job_id             uuid         unique references model.jobs (id)
                                    on delete set null,
    only_failed        boolean      not null default false,
    total_models       bigint       not null default 0,
    validated_count    bigint       not null default 0,
    available_count    bigint       not null default 0,
    unavailable_count  bigint       not null default 0,
    current_model_id   text,
    status             text         not null default 'pending'
        check (status in ('pending', 'in_progress', 'completed', 'failed',
                          'cancelled')),
    error              text,
    created_at         timestamptz  not null default now(),
    started_at         timestamptz,
    completed_at       timestamptz,
    last_updated_at    timestamptz  not null default now(),

    check (validated_count = available_count + unavailable_count)
);

comment on table model.ai_model_validation_progress is
    'One run over the models of a provider.';
comment on column model.ai_model_validation_progress.id is 'Names the run.';
comment on column model.ai_model_validation_progress.org_id is 'Tenant.';
comment on column model.ai_model_validation_progress.provider_id is
    'Whose models.';
comment on column model.ai_model_validation_progress.job_id is
    'The job that does it.';
comment on column model.ai_model_validation_progress.only_failed is
    'Only what failed in the run before.';
comment on column model.ai_model_validation_progress.total_models is
    'Models to test.';
comment on column model.ai_model_validation_progress.validated_count is
    'Models tested so far.';
comment on column model.ai_model_validation_progress.available_count is
    'Of these, those that answered.';
comment on column model.ai_model_validation_progress.unavailable_count is
    'Of these, those that did not.';
comment on column model.ai_model_validation_progress.current_model_id is
    'A model that is being tested now.';
comment on column model.ai_model_validation_progress.status is
    'As the state of its job.';
comment on column model.ai_model_validation_progress.error is
    'Why the run failed.';
comment on column model.ai_model_validation_progress.created_at is
    'When it was asked for.';
comment on column model.ai_model_validation_progress.started_at is
    'When it was begun.';
comment on column model.ai_model_validation_progress.completed_at is
    'When it ended.';
comment on column model.ai_model_validation_progress.last_updated_at is
    'Last result or change of status.';

create unique index ai_model_validation_running
    on model.ai_model_validation_progress (org_id, provider_id)
    where status in ('pending', 'in_progress');
create index ai_model_validation_provider
    on model.ai_model_validation_progress (provider_id, created_at desc);


create table model.ai_model_validation_results (
    validation_id  uuid     not null
        references model.ai_model_validation_progress (id) on delete cascade,
    org_id         uuid     not null
        default '00000000-0000-0000-0000-000000000001',
    model_id       text     not null,
    available      boolean,
    latency_us     bigint   check (latency_us >= 0),
    status_code    integer,
    error_class    text,
    error          text,
    tested_at      timestamptz,

    primary key (validation_id, model_id)
);

comment on table model.ai_model_validation_results is
    'The models of a run, each with its result once it has been tested.';
comment on column model.ai_model_validation_results.validation_id is
    'Of which run.';
comment on column model.ai_model_validation_results.org_id is 'Tenant.';
comment on column model.ai_model_validation_results.model_id is
    'provider/model; kept when the model goes.';
comment on column model.ai_model_validation_results.available is
    'It answered; null: not tested yet.';
comment on column model.ai_model_validation_results.latency_us is
    'Time to its answer, microseconds.';
comment on column model.ai_model_validation_results.status_code is
    'HTTP status; null: there was no answer.';
comment on column model.ai_model_validation_results.error_class is
    'auth, quota, not_found, timeout, connect, overloaded, bad_answer, '
    'unsupported.';
comment on column model.ai_model_validation_results.error is
    'The provider''s own words.';
comment on column model.ai_model_validation_results.tested_at is 'When.';


-- A run ends with its job, whoever ended that: also when a worker was killed
-- too often, or the job was cancelled before it began.

create function model.on_job_changed() returns trigger
language plpgsql as $$
begin
    update model.ai_model_validation_progress
    set status = new.state,
        error = coalesce(error, new.error),
        started_at = coalesce(started_at, new.started_at),
        completed_at = new.completed_at,
        last_updated_at = now()
    where job_id = new.id
          and status in ('pending', 'in_progress')
          and status <> new.state;

    return null;
end
$$;

comment on function model.on_job_changed() is
    'AFTER UPDATE of state: a validation has the state of its job.';

create trigger job_changed after update of state on model.jobs
    for each row when (old.state <> new.state and new.kind = 'validate')
    execute function model.on_job_changed();
