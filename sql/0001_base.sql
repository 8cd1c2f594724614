-- The schema, organisations, and the generations that tell every node of a
-- change.  Run by tools/migrate, within its transaction.

create schema if not exists model;

comment on schema model is
    'The AI model gateway: catalog, groups, jobs and the audit trail.';


-- pg_trgm may already be there, in a schema of somebody else's choice

do $$
begin
    if not exists (select from pg_extension where extname = 'pg_trgm') then
        create extension pg_trgm with schema model;
    end if;
end
$$;


create table model.organisations (
    id          uuid         primary key default gen_random_uuid(),
    name        text         not null unique check (name <> ''),
    created_at  timestamptz  not null default now()
);

comment on table model.organisations is
    'Tenants.  Every row that belongs to a tenant carries org_id.';
comment on column model.organisations.id is
    'The default organisation is 00000000-0000-0000-0000-000000000001.';
comment on column model.organisations.name is 'Shown to people.';
comment on column model.organisations.created_at is 'When it was made.';

insert into model.organisations (id, name)
    values ('00000000-0000-0000-0000-000000000001', 'default');


create table model.catalog_generation (
    name        text         primary key
                             check (name in ('catalog', 'routing')),
    generation  bigint       not null,
    raised      bigint       not null default 0,
    changed_at  timestamptz  not null default now()
);

comment on table model.catalog_generation is
    'Raised by triggers with every change that the snapshots of the nodes '
    'show; never write to it by hand.';
comment on column model.catalog_generation.name is
    'catalog: models and providers; routing: groups, backends, keys, tokens.';
comment on column model.catalog_generation.generation is
    'Grows with each change: at least by one, and to the clock in '
    'microseconds, so that two databases, or a restored one, do not give one '
    'number to different contents.';
comment on column model.catalog_generation.raised is
    'How many times it was raised.';
comment on column model.catalog_generation.changed_at is
    'When it was raised last.';

insert into model.catalog_generation (name, generation)
    select name, (extract(epoch from clock_timestamp()) * 1000000)::bigint
    from unnest(array['catalog', 'routing']) name;


-- Whoever changes what a snapshot shows holds both rows from before his first
-- row lock to the end of his transaction.  So generations become visible in
-- the order of their numbers, and two writers cannot wait for each other.

create function model.lock_generation() returns void
language plpgsql as $$
begin
    perform from model.catalog_generation order by name for update;
end
$$;

comment on function model.lock_generation() is
    'Serialises writers of what snapshots show; first statement of a '
    'transaction that also locks rows itself.';


create function model.raise_generation(which text) returns void
language plpgsql as $$
begin
    update model.catalog_generation
    set generation = greatest(generation + 1,
            (extract(epoch from clock_timestamp()) * 1000000)::bigint),
        raised = raised + 1,
        changed_at = clock_timestamp()
    where name = which;

    perform pg_notify('model_generation', which);
end
$$;

comment on function model.raise_generation(text) is
    'Raises one generation and notifies channel model_generation; equal '
    'notifications of one transaction arrive as one.';


-- Trigger functions.  The arguments of the triggers are text arrays: which
-- generations to raise, and which columns do not count as a change.

create function model.on_before_change() returns trigger
language plpgsql as $$
begin
    perform model.lock_generation();
    return null;
end
$$;

comment on function model.on_before_change() is
    'BEFORE, each statement: takes the lock of the generations first.';


create function model.on_rows() returns trigger
language plpgsql as $$
declare
    which  text;
begin
    if exists (select from changed) then
        foreach which in array tg_argv[0]::text[] loop
            perform model.raise_generation(which);
        end loop;
    end if;

    return null;
end
$$;

comment on function model.on_rows() is
    'AFTER INSERT or DELETE, each statement, transition table "changed".';


create function model.on_update() returns trigger
language plpgsql as $$
declare
    which    text;
    ignored  text[] := tg_argv[1]::text[];
begin
    if exists (select to_jsonb(n) - ignored from new_rows n
               except all
               select to_jsonb(o) - ignored from old_rows o)
    then
        foreach which in array tg_argv[0]::text[] loop
            perform model.raise_generation(which);
        end loop;
    end if;

    return null;
end
$$;

comment on function model.on_update() is
    'AFTER UPDATE, each statement, transition tables old_rows and new_rows: '
    'an update that changes nothing raises nothing.';


create function model.on_truncate() returns trigger
language plpgsql as $$
declare
    which  text;
begin
    foreach which in array tg_argv[0]::text[] loop
        perform model.raise_generation(which);
    end loop;

    return null;
end
$$;

comment on function model.on_truncate() is 'AFTER TRUNCATE.';


-- Puts the triggers on a table.  counted: the update columns that take the
-- lock, {} for all.

create function model.watch_table(watched regclass, generations text[],
    ignored text[], counted text[] default '{}') returns void
language plpgsql as $$
declare
    columns  text := '';
begin
    if counted <> '{}' then
        select ' of ' || string_agg(quote_ident(c), ', ') into columns
        from unnest(counted) c;
    end if;

    execute format('create trigger model_lock before insert or delete or '
        'truncate or update%s on %s for each statement '
        'execute function model.on_before_change()', columns, watched);

    execute format('create trigger model_insert after insert on %s '
        'referencing new table as changed for each statement '
        'execute function model.on_rows(%L)', watched, generations);

    execute format('create trigger model_delete after delete on %s '
        'referencing old table as changed for each statement '
        'execute function model.on_rows(%L)', watched, generations);

    execute format('create trigger model_update after update on %s '
        'referencing old table as old_rows new table as new_rows '
        'for each statement execute function model.on_update(%L, %L)',
        watched, generations, ignored);

    execute format('create trigger model_truncate after truncate on %s '
        'for each statement execute function model.on_truncate(%L)',
        watched, generations);
end
$$;

comment on function model.watch_table(regclass, text[], text[], text[]) is
    'For migrations: makes changes of a table raise generations.';
