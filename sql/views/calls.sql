-- One row is a model call, whichever source saw it, counted or not. NULL: the source does not say. cost_usd
-- is the reported cost, else the computed one; savings_usd what prompt caching saved, less than 0 where it
-- cost. Sort by occurred_ns: it is indexed.
select
    call_id,
    {{utc occurred_ns}} as occurred_at,
    (select name from source where source.source_id = call.source_id) as source,
    (select provider from model where model.model_id = call.model_id) as provider,
    (select name from model where model.model_id = call.model_id) as model,
    (select name from agent where agent.agent_id = call.agent_id) as agent,
    agent_instance as agent_id,
    (select name from project where project.project_id = call.project_id) as project,
    (select name from session where session.session_id = call.session_id) as session_id,
    is_sidechain,
    input_tokens,
    output_tokens,
    cache_write_5m_tokens,
    cache_write_1h_tokens,
    cache_read_tokens,
    total_tokens,
    latency_ms,
    status,
    is_response_cache_hit,
    reported_nusd / 1e9 as reported_cost_usd,
    computed_nusd / 1e9 as computed_cost_usd,
    ifnull(reported_nusd, computed_nusd) / 1e9 as cost_usd,
    uncached_nusd / 1e9 as uncached_cost_usd,
    (uncached_nusd - computed_nusd) / 1e9 as savings_usd,
    occurred_ns
from call
