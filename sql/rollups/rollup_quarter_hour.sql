-- Recomputes, from their calls, the quarter hours that a CTE `todo` (bucket_s) put before this statement names.
insert into rollup_quarter_hour (
    bucket_s, source_id, model_id, project_id, agent_id, session_id,
    {{measures}}
)
select
    todo.bucket_s, source_id, model_id, project_id, agent_id, session_id,
    {{measures from call}}
from todo
cross join call
    on occurred_ns >= todo.bucket_s * 1000000000 and occurred_ns < (todo.bucket_s + 900) * 1000000000
group by todo.bucket_s, source_id, model_id, project_id, agent_id, session_id
