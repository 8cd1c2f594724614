-- Events by the names of groups: which version a group that takes the name of
-- another one goes on with, and the trail of one that was deleted.

create index model_group_events_name
    on model.model_group_events (org_id, group_name, version);
