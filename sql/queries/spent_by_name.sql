-- One row is a source, model, project and agent (NULL: not named) from :first_day to :last_day, over the calls of counted
-- sources. A sum is NULL where no call says it. Money is nano-USD. What a response cache saved is told as in the view
-- cache_savings: by what a token of that source's and model's paid calls cost, over all time; NULL: no hit, or no such call.
with cell as materialized (
    select
        source_id,
        model_id,
        project_id,
        agent_id,
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(cost_nusd) as cost_nusd,
        sum(savings_nusd) as savings_nusd,
        sum(total_tokens) as total_tokens,
        sum(response_cache_hits) as response_cache_hits,
        sum(response_cache_hit_tokens) as response_cache_hit_tokens
    from daily_usage
    where counted and day >= :first_day and day <= :last_day
    group by source_id, model_id, project_id, agent_id
),
paid as (
    select source_id, model_id, 1.0 * sum(paid_cost_nusd) / sum(paid_tokens) as nusd_per_token
    from (select 1 from cell where response_cache_hits > 0 limit 1) -- mostly none, and then nothing is read
    cross join daily_usage
    group by source_id, model_id
)
select
    (select name from model where model.model_id = cell.model_id) as model,
    (select name from project where project.project_id = cell.project_id) as project,
    (select name from agent where agent.agent_id = cell.agent_id) as agent,
    calls,
    unpriced_calls,
    cost_nusd,
    savings_nusd,
    total_tokens,
    response_cache_hits,
    response_cache_hit_tokens * nusd_per_token as response_cache_savings_nusd
from cell
left join paid using (source_id, model_id)
