-- One row: the calls of counted sources from :from_ns to :to_ns (out), read from `call`: for an hour, not for a month. A
-- sum is NULL where no call says it. Money is nano-USD.
with measured as (
    select
        {{measures from call}}
    from call
    where occurred_ns >= :from_ns
        and occurred_ns < :to_ns
        and source_id in (select source_id from source_counted where counted)
)
select
    calls,
    errors,
    unpriced_calls,
    cost_nusd,
    savings_nusd,
    input_tokens,
    output_tokens,
    ifnull(cache_write_5m_tokens + cache_write_1h_tokens, ifnull(cache_write_5m_tokens, cache_write_1h_tokens))
        as cache_write_tokens,
    cache_read_tokens,
    total_tokens
from measured
