-- One row is a model of a counted source, over all its calls; model NULL: those that name none. A sum is NULL where no
-- call says it. Money is nano-USD.
select
    (select name from source where source.source_id = daily_usage.source_id) as source,
    (select name from model where model.model_id = daily_usage.model_id) as model,
    sum(calls) as calls,
    sum(unpriced_calls) as unpriced_calls,
    sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens,
    sum(cache_write_5m_tokens) as cache_write_5m_tokens,
    sum(cache_write_1h_tokens) as cache_write_1h_tokens,
    sum(cache_read_tokens) as cache_read_tokens,
    sum(total_tokens) as total_tokens,
    sum(cost_nusd) as cost_nusd
from daily_usage
where counted
group by source_id, model_id
order by calls desc, source, model
