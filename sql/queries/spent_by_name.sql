-- One row is a source, model, project and agent (NULL: not named) from :first_day to :last_day, over the calls of counted
-- sources. A sum is NULL where no call says it. Money is nano-USD; what is paid is what calls cost that were not answered
-- by a response cache.
select
    source_id,
    (select name from model where model.model_id = daily_usage.model_id) as model,
    (select name from project where project.project_id = daily_usage.project_id) as project,
    (select name from agent where agent.agent_id = daily_usage.agent_id) as agent,
    sum(calls) as calls,
    sum(unpriced_calls) as unpriced_calls,
    sum(cost_nusd) as cost_nusd,
    sum(savings_nusd) as savings_nusd,
    sum(total_tokens) as total_tokens,
    sum(response_cache_hits) as response_cache_hits,
    sum(response_cache_hit_tokens) as response_cache_hit_tokens,
    sum(paid_tokens) as paid_tokens,
    sum(paid_cost_nusd) as paid_cost_nusd
from daily_usage
where counted and day >= :first_day and day <= :last_day
group by source_id, model_id, project_id, agent_id
