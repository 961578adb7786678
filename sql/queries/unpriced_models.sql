-- One row is a model, of any source, with calls whose cost is unknown: calls, which a rate would price, and unsplit_calls,
-- which none can, since neither cost nor kinds of tokens were sent. model NULL: the calls that name none.
select
    (select name from model where model.model_id = call.model_id) as model,
    count(*) filter (where input_tokens is not null) as calls,
    count(*) filter (where input_tokens is null) as unsplit_calls
from call
where reported_nusd is null and computed_nusd is null
group by model_id
order by calls desc, unsplit_calls desc
