-- One row is an agent, over all calls of counted sources; agent NULL: the calls that name none. share is of
-- the cost of all rows. A sum is NULL where no call says it, share where cost_usd is.
select
    (select name from agent where agent.agent_id = daily_usage.agent_id) as agent,
    {{utc min(first_ns)}} as first_at,
    {{utc max(last_ns)}} as last_at,
    1.0 * sum(cost_nusd) / sum(sum(cost_nusd)) over () as share,
    {{measures shown}}
from daily_usage
where counted
group by agent_id
