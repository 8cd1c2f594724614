-- API tokens.


create table model.api_tokens (
    id            uuid         primary key default gen_random_uuid(),
    org_id        uuid         not null
        default '00000000-0000-0000-0000-000000000001'
        references model.organisations (id),
    name          text         not null
        check (name <> '' and char_length(name) <= 200),
    role          text         not null
        check (role in ('inference', 'viewer', 'operator', 'admin')),
    sha256        bytea        not null unique
        check (octet_length(sha256) = 32),
    created_by    uuid,
    created_at    timestamptz  not null default now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);

comment on table model.api_tokens is
    'Who may call the gateway.  The tokens themselves are nowhere.';
comment on column model.api_tokens.id is 'Names the token in records.';
comment on column model.api_tokens.org_id is 'Tenant.';
comment on column model.api_tokens.name is 'Shown to people.';
comment on column model.api_tokens.role is
    'inference: data plane alone; viewer < operator < admin.';
comment on column model.api_tokens.sha256 is 'SHA-256 of the token.';
comment on column model.api_tokens.created_by is
    'The token that made it; null: the command line.';
comment on column model.api_tokens.created_at is 'When it was made.';
comment on column model.api_tokens.expires_at is
    'Not valid from then on; null: never expires.';
comment on column model.api_tokens.revoked_at is
    'Not valid since; null: not revoked.';
comment on column model.api_tokens.last_used_at is
    'When it was last seen, roughly.';

do $$
begin
    perform model.watch_table('model.api_tokens', '{routing}', '{last_used_at}',
        '{id,org_id,name,role,sha256,expires_at,revoked_at}');
end
$$;


create function model.create_token(name text, role text, sha256 bytea)
returns uuid
language plpgsql as $$
declare
    token  uuid;
begin
    if role is null
       or role not in ('inference', 'viewer', 'operator', 'admin')
    then
        raise exception using errcode = 'check_violation',
            message = format('role "%s" is not inference, viewer, operator '
                'or admin', role);
    end if;

    insert into model.api_tokens (name, role, sha256)
    values (create_token.name, create_token.role, create_token.sha256)
    returning id into token;

    return token;
end
$$;

comment on function model.create_token(text, text, bytea) is
    'Makes a token of the default organisation; for tools/token.';


-- What SECURITY DEFINER functions do is done as the owner of the schema: only
-- who is granted them may call them.

revoke execute on function
    model.make_inference_partition(text, text, date),
    model.ensure_inference_partitions(uuid),
    model.provision_inference_table(uuid)
from public;
