-- One row is an agent of CCA in one answer of an endpoint, which held from polled_at to until_at (NULL: it is the
-- last). /agents has the agents that CCA spawned, /acp/status those that are connected, under another id each, and
-- /activity both: no id joins the first two. An agent that /activity no longer has may only have been quiet for 5
-- minutes. status is one word (idle: also Ready; error: also Error("…"); a spawned agent that is Ready is running in
-- /activity); NULL: not said, as current_task, which only /agents says truly, and last_activity.
with entry as (
    select
        source,
        polled_at,
        until_at,
        endpoint,
        iif(one.type = 'object', one.value, '{}') as agent,
        polled_ns
    from samples
    join json_each(ifnull(body, '{}'), iif(endpoint = '/api/v1/acp/status', '$.workers', '$.agents')) as one
    where endpoint in ('/api/v1/agents', '/api/v1/activity', '/api/v1/acp/status') and one.type = 'object'
),
word as (
    select
        *,
        lower(
            case json_type(agent, '$.status')
                when 'text' then substr(agent ->> '$.status', 1, instr((agent ->> '$.status') || '(', '(') - 1)
                when 'object' then (
                    select key from json_each(agent, '$.status') where key not in ('characters', 'sha256') limit 1
                )
            end
        ) as status
    from entry
)
select
    source,
    polled_at,
    until_at,
    substr(endpoint, length('/api/v1/') + 1) as seen_in,
    agent ->> '$.agent_id' as agent_id,
    agent ->> '$.role' as role,
    case
        when status = 'ready' then 'idle'
        when status is null and endpoint = '/api/v1/acp/status' then 'connected'
        else status
    end as status,
    agent ->> '$.status' as status_sent,
    iif(endpoint = '/api/v1/agents', agent ->> '$.current_task', null) as current_task,
    agent ->> '$.last_activity' as last_activity,
    polled_ns
from word
