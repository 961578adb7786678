-- One row is a model of an agent in a project on the local day :day (NULL or empty: today), over the calls of counted
-- sources, the dearest first. share is of the day's cost, day_cost_usd that cost. project, agent, model NULL: not named.
-- Any other NULL: no call says it. "Today" is told by the zone of the last quarter hour that has calls.
with today as (
    select date(unixepoch() + unixepoch(substr(hour, 1, 16)) - unixepoch(hour), 'unixepoch') as day
    from calendar
    where bucket_s <= unixepoch()
    order by bucket_s desc
    limit 1
),
asked as materialized (
    select ifnull(nullif(:day, ''), (select day from today)) as day
),
cell as (
    select
        day,
        project_id,
        agent_id,
        model_id,
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(cache_write_5m_tokens) + sum(cache_write_1h_tokens) as cache_write_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(total_tokens) as total_tokens,
        sum(cost_nusd) as cost_nusd,
        sum(savings_nusd) as savings_nusd
    from daily_usage
    where counted and day = (select day from asked)
    group by project_id, agent_id, model_id
)
select
    day,
    (select name from project where project.project_id = cell.project_id) as project,
    (select name from agent where agent.agent_id = cell.agent_id) as agent,
    (select name from model where model.model_id = cell.model_id) as model,
    cost_nusd / 1e9 as cost_usd,
    1.0 * cost_nusd / sum(cost_nusd) over () as share,
    calls,
    unpriced_calls,
    input_tokens,
    output_tokens,
    cache_write_tokens,
    cache_read_tokens,
    total_tokens,
    savings_nusd / 1e9 as savings_usd,
    sum(cost_nusd) over () / 1e9 as day_cost_usd
from cell
order by cell.cost_nusd desc nulls last, calls desc
