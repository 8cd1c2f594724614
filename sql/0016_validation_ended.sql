-- Validations that have ended stay as they ended.


create function model.on_validation_final() returns trigger
language plpgsql as $$
begin
    raise exception using errcode = 'check_violation',
        message = format('a validation that is %s cannot become %s',
                         old.status, new.status);
end
$$;

comment on function model.on_validation_final() is
    'BEFORE UPDATE of status of a run that has ended: nobody begins it anew.';

create trigger validation_final
    before update of status on model.ai_model_validation_progress
    for each row when (new.status <> old.status
                       and old.status in ('completed', 'failed', 'cancelled'))
    execute function model.on_validation_final();
