-- What jobs change in the catalog, and when.

-- A validation changes the catalog for as long as it runs, and nobody waits for
-- one of these changes; a build of the catalog for each keeps a core busy.  So
-- a node is told up to which generation somebody waits.

alter table model.catalog_generation
    add column awaited  bigint  not null default 0;

update model.catalog_generation set awaited = generation;

comment on column model.catalog_generation.awaited is
    'The last generation that was raised by somebody who waits for it, and '
    'not by a job (model.nobody_waits).';


create or replace function model.raise_generation(which text) returns void
language plpgsql as $$
declare
    now_us  bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
begin
    update model.catalog_generation
    set generation = greatest(generation + 1, now_us),
        awaited = case current_setting('model.nobody_waits', true)
                  when 'on' then awaited
                  else greatest(generation + 1, now_us) end,
        raised = raised + 1,
        changed_at = clock_timestamp()
    where name = which;

    perform pg_notify('model_generation', which);
end
$$;


-- The catalog is told of the results of a validation every two seconds, so the
-- end of a run, whoever brings it about, tells of those that are left.

-- Each model is looked up by its id: for few a plan that hashes would read all
-- of the organisation, and one that was made for few would go through all
-- results for each model.

create function model.tell_validation(run uuid, since timestamptz)
returns void
language plpgsql
set enable_hashjoin = off
set enable_mergejoin = off
set enable_seqscan = off
set jit = off
as $$
begin
    with r as (
        select model_id, case result when 'unverified' then 'unknown'
                                     else result end as health
        from model.ai_model_validation_results
        where validation_id = run and tested_at >= since
    )
    update model.models_metadata m
    set health_status = r.health, updated_at = now()
    from r, model.ai_model_validation_progress v
    where v.id = run and m.id = r.model_id and m.org_id = v.org_id
          and m.health_status <> r.health;
end
$$;

comment on function model.tell_validation(uuid, timestamptz) is
    'Writes results of a run that are not older than that into '
    'health_status of the catalog.';


create function model.on_validation_told() returns trigger
language plpgsql as $$
begin
    perform model.tell_validation(new.id, '-infinity');
    return null;
end
$$;

comment on function model.on_validation_told() is
    'AFTER UPDATE of status of a run that ends with results: one without need '
    'not wait for other writers of the catalog.';

create trigger validation_told
    after update of status on model.ai_model_validation_progress
    for each row when (new.status <> old.status
                       and new.status in ('completed', 'failed', 'cancelled')
                       and new.validated_count > 0)
    execute function model.on_validation_told();
