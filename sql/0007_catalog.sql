-- What each source says of a model, kept apart, and the merge of it; results
-- of benchmarks; a history that tells more; scores, tiers and descriptions.


-- -- new columns --

alter table model.providers
    add column details  jsonb  check (jsonb_typeof(details) = 'object');

comment on column model.providers.details is
    'What its source states and no column holds, as it came.';

comment on column model.providers.source is
    'models.dev, or manual: then no sync writes to this row, other than the '
    'time it was seen.';


alter table model.models_metadata
    add column description        text,
    add column version            text,
    add column deprecation_date   text,
    add column price_tiers        jsonb
        check (jsonb_typeof(price_tiers) = 'array'),
    add column benchmark_score    bigint
        check (benchmark_score between 0 and 100000),
    add column popularity_score   bigint
        check (popularity_score between 0 and 100000),
    add column reliability_score  bigint
        check (reliability_score between 0 and 100000),
    add column provenance         jsonb  not null default '{}'
        check (jsonb_typeof(provenance) = 'object'),
    add column sources            jsonb  not null default '{}'
        check (jsonb_typeof(sources) = 'object');

comment on column model.models_metadata.description is
    'What its source says of it, a sentence or more.';
comment on column model.models_metadata.version is
    'As its source numbers or dates it.';
comment on column model.models_metadata.deprecation_date is
    'From when on it is no longer offered, as stated.';
comment on column model.models_metadata.price_tiers is
    'Prices that hold from some size on; array as of models.dev, USD per '
    'million tokens.';
comment on column model.models_metadata.benchmark_score is
    'Thousandths of 0 to 100.';
comment on column model.models_metadata.popularity_score is
    'Thousandths of 0 to 100.';
comment on column model.models_metadata.reliability_score is
    'Thousandths of 0 to 100.';
comment on column model.models_metadata.provenance is
    'Who stated a column: {column: source}; "*" stands for all columns that '
    'are not named.  The source "inferred" is a guess.';
comment on column model.models_metadata.sources is
    'Who says anything of it: {source: {"id": its name there, "fetched_at": '
    'when what it says now was read first}}.';
comment on column model.models_metadata.source is
    'Who made the row: models.dev, a protocol (listed by its provider), '
    'manual.';
comment on column model.models_metadata.manual_fields is
    'Columns that were set by hand: what other sources say of them is kept, '
    'and does not show.';
comment on column model.models_metadata.details is
    'What sources state and no column holds, as it came; members of all of '
    'them, those of the better source first.';
comment on column model.models_metadata.active is
    'False once the best source that knows lists it no longer.';

create index models_metadata_benchmark_score
    on model.models_metadata (benchmark_score desc nulls last, active);


-- -- what each source says --

create table model.model_sources (
    id                         text         not null,
    org_id                     uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    source                     text         not null check (source <> ''),
    rank                       smallint     not null check (rank >= 0),
    provider_id                text         not null,
    source_model_id            text,
    name                       text,
    name_inferred              boolean      not null default false,
    description                text,
    family                     text,
    version                    text,
    status                     text,
    model_type                 text,
    type_inferred              boolean      not null default false,
    supports_vision            boolean,
    supports_function_calling  boolean,
    supports_streaming         boolean,
    supports_json_mode         boolean,
    supports_image_generation  boolean,
    supports_audio             boolean,
    supports_code_generation   boolean,
    supports_reasoning         boolean,
    attachment                 boolean,
    temperature                boolean,
    open_weights               boolean,
    active                     boolean,
    context_length             bigint,
    input_limit                bigint,
    output_limit               bigint,
    price_input                bigint,
    price_output               bigint,
    price_cache_read           bigint,
    price_cache_write          bigint,
    price_reasoning            bigint,
    price_input_audio          bigint,
    price_output_audio         bigint,
    price_tiers                jsonb,
    benchmark_score            bigint,
    popularity_score           bigint,
    reliability_score          bigint,
    release_date               text,
    last_updated               text,
    knowledge                  text,
    deprecation_date           text,
    modalities_input           jsonb,
    modalities_output          jsonb,
    tags                       jsonb,
    details                    jsonb,
    nulls                      text[],
    fetched_at                 timestamptz  not null default now(),
    gone_at                    timestamptz,

    primary key (id, org_id, source),
    check (id like '_%/_%' and starts_with(id, provider_id || '/')),
    check ((rank = 0) = (source = 'manual'))
);

comment on table model.model_sources is
    'What each source says of a model, a row a source; models_metadata shows '
    'the merge: of each column what the source of the lowest rank states.  '
    'Sources that only complete may speak of models that the catalog does '
    'not have.';
comment on column model.model_sources.id is 'Of models_metadata.';
comment on column model.model_sources.org_id is 'Tenant.';
comment on column model.model_sources.source is
    'models.dev, a protocol (the provider''s own list), manual, ...';
comment on column model.model_sources.rank is
    '0 by hand, 10 its provider, 20 models.dev, 30 other lists, 40 inferred.';
comment on column model.model_sources.provider_id is
    'First part of the id.';
comment on column model.model_sources.source_model_id is
    'What the source calls it, where it is not the second part of the id.';
comment on column model.model_sources.model_type is
    'Null: the source does not know.';
comment on column model.model_sources.name_inferred is
    'name was made of the id: whoever states one wins.';
comment on column model.model_sources.type_inferred is
    'model_type is a guess by its name: whoever states one wins.';
comment on column model.model_sources.active is
    'The source lists it; false: no longer; null: it is no authority.';
comment on column model.model_sources.nulls is
    'By hand: columns that are to show as unknown, whoever states them.';
comment on column model.model_sources.fetched_at is
    'When what the row says was read first.';
comment on column model.model_sources.gone_at is
    'When the source listed it no longer; null while it does.';

do $$
declare
    c  text;
begin
    for c in
        select a.attname from pg_attribute a
        where a.attrelid = 'model.model_sources'::regclass and a.attnum > 0
              and col_description(a.attrelid, a.attnum) is null
    loop
        execute format('comment on column model.model_sources.%I is %L', c,
            'As of models_metadata; null: the source does not say.');
    end loop;
end
$$;

create index model_sources_source
    on model.model_sources (source, provider_id);


-- A strict step function without a start value: the first value that is not
-- null becomes the state, and the step itself is called for later ones only.

create function model.first_known_step(anyelement, anyelement)
returns anyelement
language sql immutable strict parallel safe as 'select $1';

comment on function model.first_known_step(anyelement, anyelement) is
    'Step of first_known().';

create aggregate model.first_known(anyelement) (
    sfunc = model.first_known_step,
    stype = anyelement
);

comment on aggregate model.first_known(anyelement) is
    'The first value that is not null, in the order of the input.';

create function model.united_step(jsonb, jsonb) returns jsonb
language sql immutable strict parallel safe as 'select $2 || $1';

comment on function model.united_step(jsonb, jsonb) is 'Step of united().';

create aggregate model.united(jsonb) (
    sfunc = model.united_step,
    stype = jsonb
);

comment on aggregate model.united(jsonb) is
    'Objects in one; of a member that several have, the first.';


-- Each row of before was made by one source, and what was set by hand in it
-- is that of another.

do $$
declare
    columns  text[];
    theirs   text;
    ours     text;
    hidden   text;
begin
    select array_agg(a.attname::text order by a.attnum) into columns
    from pg_attribute a
    where a.attrelid = 'model.model_sources'::regclass and a.attnum > 0
          and a.attname not in ('id', 'org_id', 'source', 'rank',
              'provider_id', 'source_model_id', 'name_inferred',
              'type_inferred', 'nulls', 'fetched_at', 'gone_at');

    select string_agg(format(case when c = 'active'
               then 'case when ''active'' = any (manual_fields) then true '
                    'else active end'
               else 'case when not %1$L = any (manual_fields) then %1$I '
                    'end' end, c), ', '),
           string_agg(format('case when source = ''manual'' '
               'or %1$L = any (manual_fields) then %1$I end', c), ', '),
           string_agg(format('case when %1$L = any (manual_fields) '
               'and %1$I is null then %1$L end', c), ', ')
    into theirs, ours, hidden
    from unnest(columns) c;

    execute format('insert into model.model_sources (id, org_id, source, '
        'rank, provider_id, fetched_at, gone_at, %1$s) '
        'select id, org_id, source, case source when ''models.dev'' then 20 '
        'else 10 end, provider_id, coalesce(refreshed_at, updated_at), '
        'case when not active and not ''active'' = any (manual_fields) '
        'then updated_at end, %2$s '
        'from model.models_metadata where source <> ''manual''',
        array_to_string(columns, ', '), theirs);

    execute format('insert into model.model_sources (id, org_id, source, '
        'rank, provider_id, fetched_at, nulls, %1$s) '
        'select id, org_id, ''manual'', 0, provider_id, updated_at, '
        'array_remove(array[%2$s], null), %3$s '
        'from model.models_metadata '
        'where source = ''manual'' or manual_fields <> ''{}''',
        array_to_string(columns, ', '), hidden, ours);
end
$$;

update model.model_sources set model_type = null where model_type = 'other'
    and source <> 'manual';

update model.models_metadata m
set provenance = jsonb_build_object('*', m.source)
        || coalesce((select jsonb_object_agg(f, 'manual')
                     from unnest(m.manual_fields) f), '{}'),
    sources = (select jsonb_object_agg(s.source, jsonb_build_object('id',
            m.provider_model_id, 'fetched_at',
            to_char(s.fetched_at at time zone 'UTC',
                    'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
        from model.model_sources s
        where s.id = m.id and s.org_id = m.org_id);


-- -- benchmarks --

create table model.model_benchmarks (
    id           uuid         primary key default gen_random_uuid(),
    org_id       uuid         not null
        default '00000000-0000-0000-0000-000000000001',
    model_id     text         not null,
    source       text         not null default 'manual',
    name         text         not null check (name <> ''),
    score        numeric      not null check (abs(score) <= 1e15),
    metric       text,
    variant      text,
    harness      text,
    dataset      text,
    version      text,
    url          text,
    measured_on  text,
    created_at   timestamptz  not null default now(),
    updated_at   timestamptz  not null default now(),

    foreign key (model_id, org_id)
        references model.models_metadata (id, org_id) on delete cascade
);

comment on table model.model_benchmarks is
    'Results of benchmarks, as their sources publish them.';
comment on column model.model_benchmarks.id is 'Names the result.';
comment on column model.model_benchmarks.org_id is 'Tenant.';
comment on column model.model_benchmarks.model_id is 'Of models_metadata.';
comment on column model.model_benchmarks.source is
    'Who told it: models.dev-models, manual, ...';
comment on column model.model_benchmarks.name is 'MMLU-Pro, ...';
comment on column model.model_benchmarks.score is
    'In the unit of the metric.';
comment on column model.model_benchmarks.metric is
    'accuracy, ...; null: not stated.';
comment on column model.model_benchmarks.variant is
    'Of the model or of the benchmark.';
comment on column model.model_benchmarks.harness is 'What ran it.';
comment on column model.model_benchmarks.dataset is 'What it ran over.';
comment on column model.model_benchmarks.version is 'Of the benchmark.';
comment on column model.model_benchmarks.url is 'Where it was published.';
comment on column model.model_benchmarks.measured_on is
    'Date, as stated.';
comment on column model.model_benchmarks.created_at is
    'When it was read first.';
comment on column model.model_benchmarks.updated_at is
    'When it changed last.';

create unique index model_benchmarks_same on model.model_benchmarks
    (model_id, org_id, source, name, metric, variant, harness, dataset,
     version) nulls not distinct;
create index model_benchmarks_score
    on model.model_benchmarks (name, score desc);

do $$
begin
    perform model.watch_table('model.model_benchmarks', '{catalog}',
        '{updated_at}');
end
$$;


-- -- history --

alter table model.models_refresh_history
    add column provider_id  text,
    add column etag         text,
    add column fields       jsonb   not null default '{}'
        check (jsonb_typeof(fields) = 'object'),
    add column held         bigint  not null default 0,
    add column benchmarks   bigint  not null default 0,
    drop constraint models_refresh_history_status_check,
    add constraint models_refresh_history_status_check
        check (status in ('completed', 'unchanged', 'failed'));

comment on column model.models_refresh_history.source is
    'models.dev, another list, or the protocol of a provider''s own list.';
comment on column model.models_refresh_history.provider_id is
    'Whose list it was; null: of all providers.';
comment on column model.models_refresh_history.status is
    'How it ended; unchanged: the source had nothing new to send.';
comment on column model.models_refresh_history.etag is
    'Of the document, to ask for a newer one.';
comment on column model.models_refresh_history.fields is
    'Rows that were changed, by column.';
comment on column model.models_refresh_history.held is
    'Removals that were not believed: too many of one provider.';
comment on column model.models_refresh_history.benchmarks is
    'Results of benchmarks in the document.';

create index models_refresh_history_source
    on model.models_refresh_history (source, provider_id, started_at desc);


-- -- what counts as a change --

create or replace function model.on_models_update() returns trigger
language plpgsql as $$
declare
    ignored  text[] := '{updated_at,refreshed_at,manual_fields}';
    hidden   text[] := ignored || '{health_status,name,family,details,tags,'
        'description,version,deprecation_date,benchmark_score,'
        'popularity_score,reliability_score,provenance,sources,'
        'release_date,last_updated,knowledge}';
begin
    if exists (
        select from new_rows n left join old_rows o using (id, org_id)
        where o.id is null
              or to_jsonb(n) - ignored is distinct from to_jsonb(o) - ignored)
    then
        perform model.raise_generation('catalog');
    end if;

    if exists (
        select from new_rows n
        join model.model_group_memberships g
            on g.model_id = n.id and g.org_id = n.org_id
        left join old_rows o on o.id = n.id and o.org_id = n.org_id
        where o.id is null
              or to_jsonb(n) - hidden is distinct from to_jsonb(o) - hidden)
    then
        perform model.raise_generation('routing');
    end if;

    return null;
end
$$;
