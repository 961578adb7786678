-- One row is a model of a source, counted or not, with calls whose cost is unknown. unsplit_calls: those of them for which no
-- kinds of tokens were sent, so that no rate can price them; in a cell, a call with kinds whose cost was reported, and which
-- no rate prices, hides one of them. The days are the first and the last of such calls. model NULL: the calls that name none.
select
    (select name from model where model.model_id = daily_usage.model_id) as model,
    (select name from source where source.source_id = daily_usage.source_id) as source,
    counted,
    sum(unpriced_calls) as unpriced_calls,
    sum(max(0, unpriced_calls - (uncomputed_calls - unsplit_calls))) as unsplit_calls,
    min(day) as first_day,
    max(day) as last_day
from daily_usage
where unpriced_calls > 0 -- only these cells are read on: it is quick where there are none
group by source_id, model_id
order by sum(unpriced_calls) desc, model
