-- One row is what caching saved for a model of a source, counted or not, in a local month. Prompt caching:
-- net of what the writes cost, less than 0 where they were not read; NULL: no call has both prices. Response
-- caching is an estimate: the tokens of the hits at what a token of that source's and model's paid calls
-- cost, over all time, whatever days are asked for; NULL: no paid call or no tokens to tell by.
with by_month as materialized (
    select
        substr(day, 1, 7) as month,
        source_id,
        model_id,
        {{measures added}}
    from {{daily_usage by day, source_id, model_id}}
    group by substr(day, 1, 7), source_id, model_id
),
paid as (
    select source_id, model_id, 1.0 * sum(paid_cost_nusd) / sum(paid_tokens) as nusd_per_token
    from (select 1 from by_month where response_cache_hits > 0 limit 1) -- mostly none, and then nothing is read
    cross join main.daily_usage
    group by source_id, model_id
)
select
    month,
    source_counted.name as source,
    counted,
    (select name from model where model.model_id = by_month.model_id) as model,
    cache_read_tokens,
    cache_write_5m_tokens + cache_write_1h_tokens as cache_write_tokens,
    savings_nusd / 1e9 as prompt_cache_savings_usd,
    response_cache_hits,
    iif(response_cache_hits, response_cache_hit_tokens * nusd_per_token / 1e9, 0.0) as response_cache_savings_usd_estimate
from by_month
left join paid using (source_id, model_id)
join source_counted using (source_id)
