-- One row is an agent of CCA's /workloads in one answer, which held from polled_at to until_at (NULL: it is the last);
-- total_tasks and pending_tasks are of all agents. CCA leaves success_rate, avg_completion_time and the counts of done
-- tasks at their defaults, and lists agents that are gone. NULL: not sent, or no number.
with entry as (
    select
        source,
        polled_at,
        until_at,
        iif(one.type = 'object', one.value, '{}') as agent,
        iif(json_type(body, '$.total_tasks') = 'integer', body ->> '$.total_tasks', null) as total_tasks,
        iif(json_type(body, '$.pending_tasks') = 'integer', body ->> '$.pending_tasks', null) as pending_tasks,
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
    iif(json_type(agent, '$.current_tasks') = 'integer', agent ->> '$.current_tasks', null) as current_tasks,
    iif(json_type(agent, '$.max_tasks') = 'integer', agent ->> '$.max_tasks', null) as max_tasks,
    iif(json_type(agent, '$.tasks_completed') = 'integer', agent ->> '$.tasks_completed', null) as tasks_completed,
    iif(json_type(agent, '$.tasks_failed') = 'integer', agent ->> '$.tasks_failed', null) as tasks_failed,
    iif(json_type(agent, '$.success_rate') in ('integer', 'real'), agent ->> '$.success_rate', null) as success_rate,
    iif(
        json_type(agent, '$.avg_completion_time') in ('integer', 'real'), agent ->> '$.avg_completion_time', null
    ) as avg_completion_time,
    total_tasks,
    pending_tasks,
    polled_ns
from entry
