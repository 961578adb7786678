-- One row is a project, over all calls of counted sources; project NULL: the calls that name none. share is
-- of the cost of all rows. A sum is NULL where no call says it, share where cost_usd is.
select
    (select name from project where project.project_id = daily_usage.project_id) as project,
    {{utc min(first_ns)}} as first_at,
    {{utc max(last_ns)}} as last_at,
    1.0 * sum(cost_nusd) / sum(sum(cost_nusd)) over () as share,
    {{measures shown}}
from daily_usage
where counted
group by project_id
