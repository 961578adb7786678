-- One row is a local day from :first_day to :last_day that has calls of counted sources. A sum is NULL where no call
-- says it. Money is nano-USD.
select
    day,
    sum(calls) as calls,
    sum(errors) as errors,
    sum(unpriced_calls) as unpriced_calls,
    sum(cost_nusd) as cost_nusd,
    sum(savings_nusd) as savings_nusd,
    sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens,
    sum(ifnull(cache_write_5m_tokens + cache_write_1h_tokens, ifnull(cache_write_5m_tokens, cache_write_1h_tokens)))
        as cache_write_tokens,
    sum(cache_read_tokens) as cache_read_tokens,
    sum(total_tokens) as total_tokens
from daily_usage
where counted and day >= :first_day and day <= :last_day
group by day
order by day
