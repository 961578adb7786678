-- One row is a model of a source, counted or not, and its calls whose cost is unknown, from the sums alone: quick where there
-- are none. model NULL: the calls that name none.
select
    (select name from model where model.model_id = daily_usage.model_id) as model,
    (select name from source where source.source_id = daily_usage.source_id) as source,
    sum(unpriced_calls) as unpriced_calls
from daily_usage
where unpriced_calls > 0
group by source_id, model_id
order by unpriced_calls desc, model
