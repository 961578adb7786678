-- One row is a local hour, with its offset from UTC, that has calls of counted sources on one of some days (NULL: none).
-- A sum is NULL where no call says it. Money is nano-USD. The days are written out: SQLite looks no list up in an index.
select
    hour,
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
from hourly_usage
where counted and day in (:day_1, :day_2, :day_3, :day_4)
group by hour
order by unixepoch(hour)
