-- One row is a call, counted or not, whose reported cost is not the computed one; difference_usd is reported
-- less computed. NULL: no model named.
select
    call_id,
    {{utc occurred_ns}} as occurred_at,
    (select name from source where source.source_id = call.source_id) as source,
    (select name from model where model.model_id = call.model_id) as model,
    reported_nusd / 1e9 as reported_cost_usd,
    computed_nusd / 1e9 as computed_cost_usd,
    (reported_nusd - computed_nusd) / 1e9 as difference_usd
from call
where reported_nusd <> computed_nusd
