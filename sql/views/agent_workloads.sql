-- One row is an agent of CCA's /workloads in one answer, which held from polled_at to until_at (NULL: it is the last);
-- total_tasks and pending_tasks are of all agents. CCA leaves success_rate, avg_completion_time and the counts of done
-- tasks at their defaults, and lists agents that are gone. NULL: not sent, or no number.
with entry as (
    select
        source,
        polled_at,
        until_at,
        iif(one.type = 'object', one.value, '{}') as agent,
        {{whole body total_tasks}} as total_tasks,
        {{whole body pending_tasks}} as pending_tasks,
        polled_ns
    from samples
    join json_each(ifnull(body, '{}'), '$.agents') as one
    where endpoint = '/api/v1/workloads' and one.type = 'object'
)
select
    source,
    polled_at,
    until_at,
    agent ->> '$.agent_id' as agent_id,
    agent ->> '$.role' as role,
    agent ->> '$.capabilities' as capabilities,
    {{whole agent current_tasks}} as current_tasks,
    {{whole agent max_tasks}} as max_tasks,
    {{whole agent tasks_completed}} as tasks_completed,
    {{whole agent tasks_failed}} as tasks_failed,
    {{number agent success_rate}} as success_rate,
    {{number agent avg_completion_time}} as avg_completion_time,
    total_tasks,
    pending_tasks,
    polled_ns
from entry
