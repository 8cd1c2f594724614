-- Providers, their keys, models, and the history of syncs.


create table model.providers (
    id                  text         not null
        check (id ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    org_id              uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    name                text         not null,
    protocol            text,
    base_url            text,
    doc                 text,
    npm                 text,
    env                 jsonb        check (jsonb_typeof(env) = 'array'),
    headers             jsonb        check (jsonb_typeof(headers) = 'object'),
    connect_timeout_ms  bigint       check (connect_timeout_ms > 0),
    read_timeout_ms     bigint       check (read_timeout_ms > 0),
    rate_limit          bigint       check (rate_limit > 0),
    max_concurrency     bigint       check (max_concurrency > 0),
    active              boolean      not null default true,
    source              text         not null default 'manual',
    manual_fields       text[]       not null default '{}',
    created_at          timestamptz  not null default now(),
    updated_at          timestamptz  not null default now(),
    deleted_at          timestamptz,
    last_synced_at      timestamptz,
    last_validated_at   timestamptz,

    primary key (id, org_id)
);

comment on table model.providers is
    'Who serves models: those of the public catalog and one''s own servers.';
comment on column model.providers.id is
    'First part of the ids of its models.';
comment on column model.providers.org_id is 'Tenant.';
comment on column model.providers.name is 'Shown to people.';
comment on column model.providers.protocol is
    'Wire protocol: openai, anthropic, ...; null: unknown.';
comment on column model.providers.base_url is
    'http or https, without a final slash; null: unknown.';
comment on column model.providers.doc is 'Address of its documentation.';
comment on column model.providers.npm is
    'Client package that models.dev names.';
comment on column model.providers.env is
    'Names of environment variables in which clients keep the key; array.';
comment on column model.providers.headers is
    'Sent with every request to it; object of strings.';
comment on column model.providers.connect_timeout_ms is
    'Milliseconds; null: the default.';
comment on column model.providers.read_timeout_ms is
    'Milliseconds; null: the default.';
comment on column model.providers.rate_limit is
    'Requests a minute; null: unlimited.';
comment on column model.providers.max_concurrency is
    'Requests at once; null: unlimited.';
comment on column model.providers.active is
    'False once its source lists it no longer.';
comment on column model.providers.source is
    'models.dev, or manual: then no sync writes to this row.';
comment on column model.providers.manual_fields is
    'Columns that were set by hand: no sync writes to them.';
comment on column model.providers.created_at is 'When the row was made.';
comment on column model.providers.updated_at is 'Last change of the row.';
comment on column model.providers.deleted_at is
    'Deleted by hand though a source lists it: stays away.';
comment on column model.providers.last_synced_at is
    'When a source listed it last.';
comment on column model.providers.last_validated_at is
    'When a validation of its models was completed last.';


create table model.provider_credentials (
    id           uuid         primary key default gen_random_uuid(),
    org_id       uuid         not null
        default '00000000-0000-0000-0000-000000000001',
    provider_id  text         not null,
    name         text         not null default 'default',
    key_sealed   bytea        not null check (octet_length(key_sealed) > 29),
    key_hint     text,
    created_at   timestamptz  not null default now(),
    updated_at   timestamptz  not null default now(),

    unique (provider_id, org_id, name),
    foreign key (provider_id, org_id)
        references model.providers (id, org_id) on delete cascade
);

comment on table model.provider_credentials is
    'Keys for providers, encrypted by the gateway before they come here.';
comment on column model.provider_credentials.id is 'Names the key.';
comment on column model.provider_credentials.org_id is 'Tenant.';
comment on column model.provider_credentials.provider_id is
    'Whose key it is.';
comment on column model.provider_credentials.name is
    'One of several keys for a provider; "default" is used.';
comment on column model.provider_credentials.key_sealed is
    'AES-256-GCM: version, nonce, ciphertext, tag; bound to the provider.';
comment on column model.provider_credentials.key_hint is
    'The last 4 characters of the key.';
comment on column model.provider_credentials.created_at is
    'When a key was set first.';
comment on column model.provider_credentials.updated_at is
    'When the key was set last.';


create function model.modality(modalities_in jsonb, modalities_out jsonb)
returns text
language sql immutable parallel safe as $$
    select (select string_agg(m, '+' order by m)
            from jsonb_array_elements_text(modalities_in) m)
           || '->' ||
           (select string_agg(m, '+' order by m)
            from jsonb_array_elements_text(modalities_out) m)
$$;

comment on function model.modality(jsonb, jsonb) is
    'image+text->text, from two arrays; null if one is null or empty.';


create table model.models_metadata (
    id                         text         not null,
    org_id                     uuid         not null
        default '00000000-0000-0000-0000-000000000001',
    provider_id                text         not null,
    provider_model_id          text         not null
        check (provider_model_id <> ''),
    name                       text         not null,
    family                     text,
    status                     text,
    health_status              text         not null default 'unknown'
        check (health_status in ('unknown', 'available', 'unavailable')),
    model_type                 text         not null default 'other'
        check (model_type in ('other', 'chat', 'embedding', 'image', 'audio',
                              'rerank', 'tabular')),
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
    active                     boolean      not null default true,
    context_length             bigint       check (context_length >= 0),
    input_limit                bigint       check (input_limit >= 0),
    output_limit               bigint       check (output_limit >= 0),
    price_input                bigint       check (price_input >= 0),
    price_output               bigint       check (price_output >= 0),
    price_cache_read           bigint       check (price_cache_read >= 0),
    price_cache_write          bigint       check (price_cache_write >= 0),
    price_reasoning            bigint       check (price_reasoning >= 0),
    price_input_audio          bigint       check (price_input_audio >= 0),
    price_output_audio         bigint       check (price_output_audio >= 0),
    release_date               text,
    last_updated               text,
    knowledge                  text,
    modalities_input           jsonb
        check (jsonb_typeof(modalities_input) = 'array'),
    modalities_output          jsonb
        check (jsonb_typeof(modalities_output) = 'array'),
    modality                   text
        generated always as
        (model.modality(modalities_input, modalities_output)) stored,
    tags                       jsonb
        check (jsonb_typeof(tags) = 'array'),
    details                    jsonb
        check (jsonb_typeof(details) = 'object'),
    source                     text         not null default 'manual',
    manual_fields              text[]       not null default '{}',
    created_at                 timestamptz  not null default now(),
    updated_at                 timestamptz  not null default now(),
    refreshed_at               timestamptz,
    deleted_at                 timestamptz,

    primary key (id, org_id),
    foreign key (provider_id, org_id)
        references model.providers (id, org_id),
    check (id = provider_id || '/' || provider_model_id),
    check (octet_length(id) <= 256)
);

comment on table model.models_metadata is
    'The catalog: one row for each model of each provider.  Null is unknown, '
    'and unknown is not zero.';
comment on column model.models_metadata.id is
    'provider_id "/" provider_model_id.';
comment on column model.models_metadata.org_id is 'Tenant.';
comment on column model.models_metadata.provider_id is 'Who serves it.';
comment on column model.models_metadata.provider_model_id is
    'What its provider calls it: opaque, may hold / : @ ~.';
comment on column model.models_metadata.name is 'Shown to people.';
comment on column model.models_metadata.family is
    'Models of one make; open list.';
comment on column model.models_metadata.status is
    'alpha, beta, deprecated; null: none stated.';
comment on column model.models_metadata.health_status is
    'Outcome of the last validation.';
comment on column model.models_metadata.model_type is 'What it is for.';
comment on column model.models_metadata.supports_vision is
    'Takes images.';
comment on column model.models_metadata.supports_function_calling is
    'Calls functions (tools).';
comment on column model.models_metadata.supports_streaming is
    'Answers in pieces.';
comment on column model.models_metadata.supports_json_mode is
    'Can be held to a JSON schema.';
comment on column model.models_metadata.supports_image_generation is
    'Makes images.';
comment on column model.models_metadata.supports_audio is
    'Takes or makes sound.';
comment on column model.models_metadata.supports_code_generation is
    'Made for writing programs.';
comment on column model.models_metadata.supports_reasoning is
    'Thinks before it answers.';
comment on column model.models_metadata.attachment is 'Takes files.';
comment on column model.models_metadata.temperature is
    'Temperature can be set.';
comment on column model.models_metadata.open_weights is
    'Weights are published.';
comment on column model.models_metadata.active is
    'False once its source lists it no longer.';
comment on column model.models_metadata.context_length is 'Tokens.';
comment on column model.models_metadata.input_limit is 'Tokens.';
comment on column model.models_metadata.output_limit is 'Tokens.';
comment on column model.models_metadata.price_input is
    'Femto-USD (10^-15) per token.';
comment on column model.models_metadata.price_output is
    'Femto-USD per token.';
comment on column model.models_metadata.price_cache_read is
    'Femto-USD per token read from the provider''s cache.';
comment on column model.models_metadata.price_cache_write is
    'Femto-USD per token written to the provider''s cache.';
comment on column model.models_metadata.price_reasoning is
    'Femto-USD per token of reasoning; null: as output.';
comment on column model.models_metadata.price_input_audio is
    'Femto-USD per token of sound taken.';
comment on column model.models_metadata.price_output_audio is
    'Femto-USD per token of sound made.';
comment on column model.models_metadata.release_date is
    'As stated: 2024-07 or 2024-07-31.';
comment on column model.models_metadata.last_updated is
    'As stated by the source.';
comment on column model.models_metadata.knowledge is
    'End of its training data, as stated.';
comment on column model.models_metadata.modalities_input is
    'Array of text, image, audio, video, pdf.';
comment on column model.models_metadata.modalities_output is
    'Array of text, image, audio, video, pdf.';
comment on column model.models_metadata.modality is
    'Both in one word: image+text->text.';
comment on column model.models_metadata.tags is 'Array of strings.';
comment on column model.models_metadata.details is
    'What the source states and no column holds (price tiers, reasoning '
    'options, ...), as it came.';
comment on column model.models_metadata.source is
    'models.dev, a protocol (listed by its provider), or manual: then no '
    'sync writes to this row.';
comment on column model.models_metadata.manual_fields is
    'Columns that were set by hand: no sync writes to them.';
comment on column model.models_metadata.created_at is
    'When the row was made.';
comment on column model.models_metadata.updated_at is
    'Last change of the row.';
comment on column model.models_metadata.refreshed_at is
    'When a source last wrote to the row; providers.last_synced_at says when '
    'one last confirmed it.';
comment on column model.models_metadata.deleted_at is
    'Deleted by hand though a source lists it: stays away.';

create index models_metadata_provider_active
    on model.models_metadata (provider_id, active);
create unique index models_metadata_provider_model
    on model.models_metadata (provider_model_id, provider_id, org_id);
create index models_metadata_health_active
    on model.models_metadata (health_status, active);
create index models_metadata_name on model.models_metadata (name);
create index models_metadata_modality_active
    on model.models_metadata (modality, active);
create index models_metadata_tags on model.models_metadata using gin (tags);
create index models_metadata_refreshed
    on model.models_metadata (refreshed_at);
create index models_metadata_family on model.models_metadata (family);

do $$
begin
    execute format('create index models_metadata_name_trgm '
        'on model.models_metadata using gin (name %I.gin_trgm_ops)',
        (select n.nspname from pg_extension e
         join pg_namespace n on n.oid = e.extnamespace
         where e.extname = 'pg_trgm'));
end
$$;


create table model.models_refresh_history (
    id                 uuid         primary key default gen_random_uuid(),
    org_id             uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    source             text         not null,
    status             text         not null
        check (status in ('completed', 'failed')),
    added              bigint       not null default 0,
    changed            bigint       not null default 0,
    removed            bigint       not null default 0,
    unchanged          bigint       not null default 0,
    failed             bigint       not null default 0,
    providers          bigint       not null default 0,
    providers_changed  bigint       not null default 0,
    models             bigint       not null default 0,
    bytes              bigint       not null default 0,
    error              text,
    started_at         timestamptz  not null,
    completed_at       timestamptz  not null default clock_timestamp()
);

comment on table model.models_refresh_history is
    'One row for each sync of a source, those that failed included.';
comment on column model.models_refresh_history.id is 'Names the sync.';
comment on column model.models_refresh_history.org_id is 'Tenant.';
comment on column model.models_refresh_history.source is
    'models.dev or a provider.';
comment on column model.models_refresh_history.status is 'How it ended.';
comment on column model.models_refresh_history.added is
    'Models that were not there.';
comment on column model.models_refresh_history.changed is
    'Models with another value in some column.';
comment on column model.models_refresh_history.removed is
    'Models that the source lists no longer; now inactive.';
comment on column model.models_refresh_history.unchanged is
    'Models as before, those kept by hand included.';
comment on column model.models_refresh_history.failed is
    'Entries that could not be used.';
comment on column model.models_refresh_history.providers is
    'Providers in the document.';
comment on column model.models_refresh_history.providers_changed is
    'Providers added, changed or gone.';
comment on column model.models_refresh_history.models is
    'Models in the document.';
comment on column model.models_refresh_history.bytes is
    'Size of the document.';
comment on column model.models_refresh_history.error is
    'Why it failed; null if it did not.';
comment on column model.models_refresh_history.started_at is 'Begin.';
comment on column model.models_refresh_history.completed_at is 'End.';

create index models_refresh_history_started
    on model.models_refresh_history (started_at desc);


-- Models have a trigger function of their own: it ends at the first row that
-- differs, and tells a change that routing shows from one that it does not.

create function model.on_models_update() returns trigger
language plpgsql as $$
declare
    ignored  text[] := '{updated_at,refreshed_at,manual_fields}';
    hidden   text[] := ignored || '{health_status,name,family,details,tags}';
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

comment on function model.on_models_update() is
    'AFTER UPDATE of models_metadata: catalog for any change that is shown, '
    'routing if the model is a member of a group.';

do $$
begin
    perform model.watch_table('model.providers', '{catalog,routing}',
        '{updated_at,last_synced_at,manual_fields}');
    perform model.watch_table('model.provider_credentials', '{routing}',
        '{updated_at}');
    perform model.watch_table('model.models_metadata', '{catalog}', '{}');
end
$$;

drop trigger model_update on model.models_metadata;
create trigger model_update after update on model.models_metadata
    referencing old table as old_rows new table as new_rows
    for each statement execute function model.on_models_update();
