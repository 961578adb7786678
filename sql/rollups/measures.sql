-- The measures of a set of calls, once: what each is over rows of `call`, one a line. Rollup tables have them as
-- columns, statements and views put them in (ccostdb/views.py). A count is never NULL; any other measure is NULL
-- where no call of the set says it.
-- shown by every cost view, in this order
count(*) as calls
count(*) filter (where status = 'error') as errors
count(*) filter (where reported_nusd is null and computed_nusd is null) as unpriced_calls
count(*) filter (where input_tokens is null) as unsplit_calls
count(*) filter (where is_response_cache_hit) as response_cache_hits
sum(input_tokens) as input_tokens
sum(output_tokens) as output_tokens
sum(cache_write_5m_tokens) as cache_write_5m_tokens
sum(cache_write_1h_tokens) as cache_write_1h_tokens
sum(cache_read_tokens) as cache_read_tokens
sum(total_tokens) as total_tokens
sum(ifnull(reported_nusd, computed_nusd)) as cost_nusd
sum(uncached_nusd) as uncached_cost_nusd
sum(uncached_nusd - computed_nusd) as savings_nusd
-- kept beside them
sum(reported_nusd) as reported_cost_nusd
sum(computed_nusd) as computed_cost_nusd
count(*) filter (where reported_nusd is null) as unreported_calls
count(*) filter (where computed_nusd is null) as uncomputed_calls
sum(total_tokens) filter (where is_response_cache_hit) as response_cache_hit_tokens
sum(total_tokens) filter (where not is_response_cache_hit and ifnull(reported_nusd, computed_nusd) is not null) as paid_tokens
sum(ifnull(reported_nusd, computed_nusd)) filter (where not is_response_cache_hit and total_tokens is not null) as paid_cost_nusd
sum(latency_ms) as latency_ms_sum
count(latency_ms) as latency_ms_count
max(latency_ms) as latency_ms_max
min(occurred_ns) as first_ns
max(occurred_ns) as last_ns
