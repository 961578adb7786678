-- One row is a model, of any source, with calls whose cost is unknown. model NULL: the calls that name none.
select
    (select name from model where model.model_id = daily_usage.model_id) as model,
    sum(unpriced_calls) as calls
from daily_usage
group by model_id
having sum(unpriced_calls) > 0
order by calls desc
