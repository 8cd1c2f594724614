-- How the servers of a provider are reached: other paths than those that
-- clients ask for, and the path of a health check.


alter table model.providers
    add column paths  jsonb  check (jsonb_typeof(paths) = 'object'),
    add column probe  text   check (probe ~ '^/[!-"$->@-~]{0,127}$'),
    add column stream_usage  boolean;

comment on column model.providers.paths is
    'Object: a prefix of request paths, and the template that is asked for '
    'behind base_url in its place, with {model} and {rest}.';
comment on column model.providers.probe is
    'Path that is asked for, on the server, to see whether it lives; null: '
    'it is not asked.';
comment on column model.providers.stream_usage is
    'Whether streams are asked for their usage with stream_options, and what '
    'came of it is taken out again; null: as the protocol has it.';
