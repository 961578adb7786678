-- One row is a call whose cost is unknown, of :model (NULL or empty: of any; '-': of none that was named; two more
-- dashes stand before a name of dashes only), of any source, the newest first; at most the newest :rows are sought
-- (NULL: all; empty: 200). is_priceable 1: a rate would price it; 0: the kinds of its tokens were not sent. A column is
-- NULL where the source does not say.
with asked as materialized (
    select
        iif(:model = '-', 0, (
            select model_id from model where name = substr(:model, iif(trim(:model, '-') = '', 3, 1))
        )) as model_id,
        iif(:rows is null, 9223372036854775807, ifnull(cast(nullif(:rows, '') as integer), 200)) as rows
),
cell as (
    select bucket_s, sum(unpriced_calls) as calls
    from rollup_quarter_hour
    where unpriced_calls > 0
        and bucket_s not in (select bucket_s from dirty_bucket)
        and (nullif(:model, '') is null or model_id = (select model_id from asked))
    group by bucket_s
    union all
    select bucket_s, 0 from dirty_bucket -- nobody has counted them yet
),
newest as materialized (
    select bucket_s
    from (select bucket_s, sum(calls) over (order by bucket_s desc) - calls as newer_calls from cell)
    where newer_calls < (select rows from asked)
)
select
    calls.occurred_at,
    calls.model,
    calls.source,
    call.input_tokens is not null as is_priceable,
    calls.input_tokens,
    calls.output_tokens,
    calls.cache_write_5m_tokens,
    calls.cache_write_1h_tokens,
    calls.cache_read_tokens,
    calls.total_tokens,
    calls.project,
    calls.agent,
    calls.session_id,
    calls.call_id
from newest
cross join call
    on call.occurred_ns >= bucket_s * 1000000000 and call.occurred_ns < (bucket_s + 900) * 1000000000
join calls using (call_id)
where call.reported_nusd is null
    and call.computed_nusd is null
    and (nullif(:model, '') is null or call.model_id = (select model_id from asked))
order by call.occurred_ns desc
limit (select rows from asked)
