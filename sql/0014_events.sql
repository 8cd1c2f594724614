-- Progress of validations as events: each change of a run is told to all
-- nodes, in the shape that those who poll see.


create sequence model.event_ids;

comment on sequence model.event_ids is
    'Orders events; a later state of a run has the higher number.';


alter table model.ai_model_validation_progress
    add column event_id  bigint  not null default 0;

comment on column model.ai_model_validation_progress.event_id is
    'The event of its last change: what a reader that comes back has seen.';


create function model.on_validation_event_id() returns trigger
language plpgsql as $$
begin
    new.event_id := nextval('model.event_ids');

    return new;
end
$$;

comment on function model.on_validation_event_id() is
    'BEFORE INSERT or UPDATE: every state of a run has a number.';

create trigger validation_event_id
    before insert or update on model.ai_model_validation_progress
    for each row execute function model.on_validation_event_id();


-- number, tenant and provider, a line break, the state.  A slot of the ring
-- that workers read takes 1,900 bytes: longer words are cut.

create function model.on_validation_event() returns trigger
language plpgsql as $$
declare
    v      model.ai_model_validation_progress := new;
    state  text := model.validation_status_json(v);
begin
    if octet_length(state) > 1700 then
        v.error := left(v.error, 160);
        state := model.validation_status_json(v);
    end if;

    perform pg_notify('model_progress',
                      format(E'%s %s %s\n%s', v.event_id, v.org_id,
                             v.provider_id, state));

    return null;
end
$$;

comment on function model.on_validation_event() is
    'AFTER INSERT or UPDATE: tells channel model_progress.';

create trigger validation_event
    after insert or update on model.ai_model_validation_progress
    for each row execute function model.on_validation_event();


-- The end of a run is told to an address, by a job: whoever runs it tries
-- again until it is taken.

alter table model.ai_model_validation_progress
    add column webhook  text
        check (char_length(webhook) between 1 and 2048);

comment on column model.ai_model_validation_progress.webhook is
    'Where its end is told; null: nowhere.';


create function model.on_validation_ended() returns trigger
language plpgsql as $$
begin
    insert into model.jobs (org_id, kind, key, payload, max_attempts)
    values (new.org_id, 'webhook', new.id::text,
            jsonb_build_object('url', new.webhook, 'validation_id', new.id,
                               'type', 'validation.' || new.status), 8)
    on conflict do nothing;

    return null;
end
$$;

comment on function model.on_validation_ended() is
    'AFTER UPDATE of status: a job for the webhook of a run that ended.';

create trigger validation_ended
    after update of status on model.ai_model_validation_progress
    for each row when (new.webhook is not null
                       and new.status in ('completed', 'failed', 'cancelled')
                       and old.status <> new.status)
    execute function model.on_validation_ended();
