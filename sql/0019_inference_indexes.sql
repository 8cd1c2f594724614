-- Indexes of inferences: one by time, one by member.

-- Ids are of version 7, so their order is that of time and the primary key is
-- an index by time: another one, by created_at, costs a tenth of what it takes
-- to store a record and answers nothing more.  Of a member's records the day
-- is known by the partition, so the time is not needed once more; without it
-- the entries of a member share one key and take a tenth of the room.

do $$
declare
    name  text;
    old   regclass;
begin
    for name in
        select c.relname from pg_class c
        where c.relnamespace = 'model'::regnamespace
          and (c.relkind = 'p' and c.relname like 'inference\_%'
               or c.relname in ('inference_columns', 'inference_unassigned'))
        order by c.relname
    loop
        for old in
            select i.indexrelid
            from pg_index i
            where i.indrelid = format('model.%I', name)::regclass
              and not i.indisprimary
              and pg_get_indexdef(i.indexrelid)
                  ~ ' btree \((model_served, )?created_at\)$'
        loop
            execute format('drop index %s', old);
        end loop;

        execute format('create index on model.%I (model_served)', name);
    end loop;
end
$$;
