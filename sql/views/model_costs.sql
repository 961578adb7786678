-- One row is a model, over all calls of counted sources; model NULL: the calls that name none. share is of
-- the cost of all rows. A sum is NULL where no call says it, share where cost_usd is.
select
    (select name from model where model.model_id = daily_usage.model_id) as model,
    {{utc min(first_ns)}} as first_at,
    {{utc max(last_ns)}} as last_at,
    1.0 * sum(cost_nusd) / sum(sum(cost_nusd)) over () as share,
    {{measures shown}}
from {{daily_usage by day, source_id, model_id}}
where counted
group by model_id
