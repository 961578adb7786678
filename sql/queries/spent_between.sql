-- One row: the calls of counted sources from :from_ns to :to_ns (out), read from `call`: for an hour, not for a month. A
-- sum is NULL where no call says it. Money is nano-USD.
select
    count(*) as calls,
    count(*) filter (where status = 'error') as errors,
    count(*) filter (where reported_nusd is null and computed_nusd is null) as unpriced_calls,
    sum(ifnull(reported_nusd, computed_nusd)) as cost_nusd,
    sum(uncached_nusd - computed_nusd) as savings_nusd,
    sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens,
    sum(ifnull(cache_write_5m_tokens + cache_write_1h_tokens, ifnull(cache_write_5m_tokens, cache_write_1h_tokens)))
        as cache_write_tokens,
    sum(cache_read_tokens) as cache_read_tokens,
    sum(total_tokens) as total_tokens
from call
where occurred_ns >= :from_ns
    and occurred_ns < :to_ns
    and source_id in (select source_id from source_counted where counted)
