-- One row is a model in a local month, over the calls of counted sources; model NULL: the calls that name
-- none. A sum is NULL where no call of the row says it.
select
    substr(day, 1, 7) as month,
    (select name from model where model.model_id = daily_usage.model_id) as model,
    {{measures shown}}
from {{daily_usage by day, source_id, model_id}}
where counted
group by substr(day, 1, 7), model_id
