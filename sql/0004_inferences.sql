-- The audit trail: one table a group, partitioned by day (UTC).


create table model.inference_columns (
    inference_id           uuid         not null,
    created_at             timestamptz  not null,
    org_id                 uuid         not null
        default '00000000-0000-0000-0000-000000000001',
    group_id               uuid         not null,
    group_name             text,
    model_requested        text,
    model_assigned         text,
    model_served           text,
    upstream_model         text,
    provider_id            text,
    role                   text,
    bucket                 integer,
    key_hash               bytea,
    key_source             text
        check (key_source in ('header', 'body', 'token')),
    token_id               uuid,
    request_id             text,
    upstream_request_id    text,
    traceparent            text,
    method                 text,
    path                   text,
    client                 text,
    upstream_addr          text,
    status                 integer,
    upstream_status        integer,
    error_class            text,
    stream                 boolean      not null default false,
    truncated              boolean      not null default false,
    attempts               integer,
    latency_us             bigint,
    ttft_us                bigint,
    upstream_us            bigint,
    request_bytes          bigint,
    response_bytes         bigint,
    input_tokens           bigint,
    input_uncached_tokens  bigint,
    cache_read_tokens      bigint,
    cache_write_tokens     bigint,
    output_tokens          bigint,
    reasoning_tokens       bigint,
    audio_input_tokens     bigint,
    audio_output_tokens    bigint,
    usage_source           text
        check (usage_source in ('provider', 'partial')),
    cost_nano_usd          bigint,

    primary key (inference_id, created_at)
);

create index on model.inference_columns (created_at);
create index on model.inference_columns (model_served, created_at);

comment on table model.inference_columns is
    'The form of every inference table; holds no rows itself.';
comment on column model.inference_columns.inference_id is
    'UUID version 7, sent to the client as X-Inference-Id.';
comment on column model.inference_columns.created_at is
    'When the request came; names the partition.';
comment on column model.inference_columns.org_id is 'Tenant.';
comment on column model.inference_columns.group_id is 'Which group.';
comment on column model.inference_columns.group_name is
    'Its name at that time.';
comment on column model.inference_columns.model_requested is
    'What the client sent as "model".';
comment on column model.inference_columns.model_assigned is
    'The member that the split chose.';
comment on column model.inference_columns.model_served is
    'The member that answered: another one after a fallback.';
comment on column model.inference_columns.upstream_model is
    'Its name at the provider.';
comment on column model.inference_columns.provider_id is 'Who answered.';
comment on column model.inference_columns.role is
    'Role of the member that answered.';
comment on column model.inference_columns.bucket is
    '0 to 9999; null: not chosen by a bucket.';
comment on column model.inference_columns.key_hash is
    'Keyed hash of the sticky key; the key itself is not kept.';
comment on column model.inference_columns.key_source is
    'Where the sticky key came from; null: there was none.';
comment on column model.inference_columns.token_id is
    'API token of the client; null: none was needed.';
comment on column model.inference_columns.request_id is
    'The gateway''s X-Request-Id.';
comment on column model.inference_columns.upstream_request_id is
    'The provider''s id of the request.';
comment on column model.inference_columns.traceparent is
    'W3C trace context of the client.';
comment on column model.inference_columns.method is 'HTTP method.';
comment on column model.inference_columns.path is 'Path, without arguments.';
comment on column model.inference_columns.client is 'Address of the client.';
comment on column model.inference_columns.upstream_addr is
    'Address of the server that answered.';
comment on column model.inference_columns.status is
    'HTTP status that the client got.';
comment on column model.inference_columns.upstream_status is
    'HTTP status that the provider sent; null: none.';
comment on column model.inference_columns.error_class is
    'timeout, connect, upstream_4xx, ...; null: no error.';
comment on column model.inference_columns.stream is
    'The client asked for a stream.';
comment on column model.inference_columns.truncated is
    'The answer did not reach its end.';
comment on column model.inference_columns.attempts is
    'Servers that were tried.';
comment on column model.inference_columns.latency_us is
    'Request begun to last byte sent, microseconds.';
comment on column model.inference_columns.ttft_us is
    'Time to the first token, microseconds.';
comment on column model.inference_columns.upstream_us is
    'Time spent at the provider, microseconds.';
comment on column model.inference_columns.request_bytes is
    'Of the request''s body.';
comment on column model.inference_columns.response_bytes is
    'Of the answer''s body.';
comment on column model.inference_columns.input_tokens is
    'All input tokens, cached ones included.';
comment on column model.inference_columns.input_uncached_tokens is
    'Input tokens that no cache held.';
comment on column model.inference_columns.cache_read_tokens is
    'Input tokens read from the provider''s cache.';
comment on column model.inference_columns.cache_write_tokens is
    'Input tokens written to the provider''s cache.';
comment on column model.inference_columns.output_tokens is
    'Output tokens, reasoning included.';
comment on column model.inference_columns.reasoning_tokens is
    'Output tokens of reasoning.';
comment on column model.inference_columns.audio_input_tokens is
    'Input tokens of sound.';
comment on column model.inference_columns.audio_output_tokens is
    'Output tokens of sound.';
comment on column model.inference_columns.usage_source is
    'provider: its final figures; partial: the last ones of a stream cut '
    'short; null: nobody stated any.';
comment on column model.inference_columns.cost_nano_usd is
    'Nano-USD (10^-9); null: a price or a count is unknown.';


create table model.inference_unassigned
    (like model.inference_columns including all);

comment on table model.inference_unassigned is
    'Records whose own table is gone: kept here, so that none is lost.';


-- Days are UTC whatever the session's time zone is.

create function model.make_inference_partition(parent text, stem text,
    day date) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC' as $$
declare
    part      text := stem || '_p' || to_char(day, 'YYYYMMDD');
    rest      text := stem || '_default';
    from_day  timestamptz := day::timestamptz;
    to_day    timestamptz := (day + 1)::timestamptz;
    waiting   boolean;
begin
    if to_regclass(format('model.%I', part)) is not null then
        return false;
    end if;

    execute format('create table model.%I (like model.%I including defaults '
        'including constraints including indexes including storage)', part,
        parent);

    -- rows that came before their day was made wait in the default partition:
    -- nobody may add one between the move and the attachment

    execute format('lock table model.%I in access exclusive mode', rest);

    execute format('select exists (select from model.%I '
        'where created_at >= %L and created_at < %L)', rest, from_day, to_day)
        into waiting;

    if waiting then
        execute format('with moved as (delete from model.%I '
            'where created_at >= %L and created_at < %L returning *) '
            'insert into model.%I select * from moved', rest, from_day,
            to_day, part);
    end if;

    execute format('alter table model.%I attach partition model.%I '
        'for values from (%L) to (%L)', parent, part, from_day, to_day);

    return true;
end
$$;

comment on function model.make_inference_partition(text, text, date) is
    'Makes one day''s partition and moves what waits for it out of the '
    'default partition; false if it is there.';


create function model.ensure_inference_partitions(group_id uuid)
returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
    parent  text;
    stem    text;
    today   date := (now() at time zone 'UTC')::date;
    made    integer := 0;
begin
    select g.inference_table,
           'inference_' || right(replace(g.id::text, '-', ''), 8)
    into parent, stem
    from model.model_groups g
    where g.id = ensure_inference_partitions.group_id;

    if parent is null or to_regclass(format('model.%I', parent)) is null then
        return 0;
    end if;

    -- two nodes must not both make the same day

    perform pg_advisory_xact_lock(hashtextextended(parent, 6006205312));

    for d in -1 .. 7 loop
        made := made
            + model.make_inference_partition(parent, stem, today + d)::integer;
    end loop;

    return made;
end
$$;

comment on function model.ensure_inference_partitions(uuid) is
    'Partitions of one group from yesterday to a week ahead; how many were '
    'made.';


create function model.ensure_inference_partitions() returns integer
language sql as $$
    select coalesce(sum(model.ensure_inference_partitions(id)), 0)::integer
    from model.model_groups
$$;

comment on function model.ensure_inference_partitions() is
    'The same for all groups.';


-- inference_<name>_<8 hex digits of the id>: at most 59 bytes.  Partitions
-- are named inference_<8 hex digits>_p<day>.

create function model.provision_inference_table(group_id uuid) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
    hex     text := right(replace(group_id::text, '-', ''), 8);
    stem    text := 'inference_' || hex;
    parent  text;
begin
    select 'inference_' || coalesce(nullif(left(trim(both '_' from
               regexp_replace(lower(g.name), '[^a-z0-9]+', '_', 'g')), 40),
               ''), 'group') || '_' || hex
    into parent
    from model.model_groups g
    where g.id = provision_inference_table.group_id;

    if parent is null then
        raise exception using errcode = 'no_data_found',
            message = format('there is no model group %s', group_id);
    end if;

    execute format('create table model.%I (like model.inference_columns '
        'including all) partition by range (created_at)', parent);

    execute format('comment on table model.%I is %L', parent,
        'Inferences of the model group ' || group_id
        || '; see inference_columns.');

    execute format('create table model.%I partition of model.%I default',
        stem || '_default', parent);

    update model.model_groups g set inference_table = parent
    where g.id = provision_inference_table.group_id;

    perform model.ensure_inference_partitions(group_id);

    return parent;
end
$$;

comment on function model.provision_inference_table(uuid) is
    'Makes the inference table of a group that has none; its name.';
