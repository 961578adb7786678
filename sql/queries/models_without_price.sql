-- One row is a model of a source, counted or not, with calls whose cost is unknown. unsplit_calls: calls of it for which no
-- kinds of tokens were sent, so that no rate can price them. model NULL: the calls that name none.
with by_model as (
    select
        source_id,
        model_id,
        max(counted) as counted,
        sum(unpriced_calls) as unpriced_calls,
        sum(unsplit_calls) as unsplit_calls,
        sum(calls) as calls,
        sum(total_tokens) as total_tokens,
        min(day) filter (where unpriced_calls > 0) as first_day,
        max(day) filter (where unpriced_calls > 0) as last_day
    from daily_usage
    group by source_id, model_id
    having sum(unpriced_calls) > 0
)
select
    (select name from model where model.model_id = by_model.model_id) as model,
    (select name from source where source.source_id = by_model.source_id) as source,
    counted,
    unpriced_calls,
    unsplit_calls,
    calls,
    total_tokens,
    first_day,
    last_day
from by_model
order by unpriced_calls desc
