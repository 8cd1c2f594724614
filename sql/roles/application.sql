-- An example for production: the schema belongs to the role that ran
-- tools/migrate; the gateway logs in as a role that owns nothing.
--
--     psql -d "$CONNINFO" -v role=model_gateway -f roles/application.sql
--
-- Make the role before, with a password that the conninfo's passfile holds:
--
--     create role model_gateway login password '...';
--
-- Run it again after each migration.

grant usage on schema model to :"role";

grant select, insert, update, delete on
    model.providers, model.provider_credentials, model.models_metadata,
    model.model_sources, model.model_benchmarks,
    model.model_groups, model.model_group_memberships,
    model.model_group_canaries, model.jobs,
    model.ai_model_validation_progress, model.ai_model_validation_results
to :"role";

grant usage on sequence model.event_ids to :"role";

-- the audit trail grows; the gateway cannot rewrite it

grant select, insert on
    model.model_group_events, model.inference_unassigned,
    model.price_versions
to :"role";

-- what syncs have done is kept for a while

grant select, insert, delete on model.models_refresh_history to :"role";

grant select, insert, update on
    model.api_tokens, model.inference_feedback
to :"role";

grant select, update on model.catalog_generation to :"role";
grant select on
    model.organisations, model.schema_migrations, model.inference_columns,
    model.inference_archives, model.inference_sources,
    model.inference_owners
to :"role";

-- tables of groups are made by these, as the owner of the schema

grant execute on function
    model.provision_inference_table(uuid),
    model.ensure_inference_partitions(uuid),
    model.detach_inference_days(uuid),
    model.attach_inference_days(uuid),
    model.retention_due(),
    model.drop_inference_day(uuid, text, bigint, text, bigint, text, text)
to :"role";

select format('grant select, insert on model.%I to %I', inference_table,
              :'role')
from model.model_groups
where inference_table is not null
\gexec

-- what groups have said before they were deleted is nobody's to say

revoke insert on model.deleted_model_groups from :"role";

-- and those of groups that are made later

alter default privileges in schema model
    grant select, insert on tables to :"role";
