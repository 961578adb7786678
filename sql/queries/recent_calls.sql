-- One row is one of the last :calls calls, the newest first, of any source, counted or not; :calls NULL: 100. NULL: the
-- source does not say. Money is nano-USD.
with recent as (
    select * from call order by occurred_ns desc, call_id desc limit ifnull(:calls, 100)
)
select
    call_id,
    occurred_ns,
    source_counted.name as source,
    counted,
    (select name from model where model.model_id = recent.model_id) as model,
    (select name from project where project.project_id = recent.project_id) as project,
    (select name from agent where agent.agent_id = recent.agent_id) as agent,
    (select name from session where session.session_id = recent.session_id) as session_id,
    status,
    is_response_cache_hit,
    latency_ms,
    input_tokens,
    output_tokens,
    iif(
        cache_write_5m_tokens is null and cache_write_1h_tokens is null,
        null,
        ifnull(cache_write_5m_tokens, 0) + ifnull(cache_write_1h_tokens, 0)
    ) as cache_write_tokens,
    cache_read_tokens,
    total_tokens,
    ifnull(reported_nusd, computed_nusd) as cost_nusd,
    uncached_nusd - computed_nusd as savings_nusd
from recent
join source_counted using (source_id)
order by occurred_ns desc, call_id desc
