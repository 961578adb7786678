-- One row is an agent on a local day, over the calls of counted sources; agent NULL: the calls that name
-- none. A sum is NULL where no call of the row says it.
select
    day,
    (select name from agent where agent.agent_id = daily_usage.agent_id) as agent,
    {{measures shown}}
from daily_usage
where counted
group by day, agent_id
