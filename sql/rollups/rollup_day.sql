-- Adds up, from their quarter hours, the local days that a CTE `todo` (day) put before this statement names.
insert into rollup_day (
    day, source_id, model_id, project_id, agent_id, session_id,
    {{measures}}
)
select
    todo.day, source_id, model_id, project_id, agent_id, session_id,
    {{measures added}}
from todo
cross join calendar using (day)
cross join rollup_quarter_hour using (bucket_s)
group by todo.day, source_id, model_id, project_id, agent_id, session_id
