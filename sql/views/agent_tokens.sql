-- One row is what CCA says of an agent's tokens in one answer, which held from polled_at to until_at (NULL: it is the
-- last); agent_id NULL: of all agents together. They are CCA's own counts since its start, of delegated tasks alone and
-- all booked as output: they are never priced, and no cost view has them. saved_share is from 0 to 1, whether CCA says
-- efficiency_percent, compression_ratio "30.0%" or 0.36; of an agent it is tokens_saved / tokens_used. NULL: not said.
with answer as (
    select
        source,
        polled_at,
        until_at,
        ifnull(body, '{}') as body,
        polled_ns
    from samples
    where endpoint = '/api/v1/tokens/metrics'
),
total as (
    select *, iif(json_type(body, '$.summary') = 'object', body -> '$.summary', body) as said from answer
),
entry as (
    select
        source,
        polled_at,
        until_at,
        iif(one.type = 'object', one.value, '{}') as agent,
        polled_ns
    from answer
    join json_each(body, '$.agents') as one
    where one.type = 'object'
),
counted as (
    select
        *,
        {{whole agent tokens_used}} as tokens_used,
        {{whole agent tokens_saved}} as tokens_saved,
        {{whole agent compression_savings}} as savings,
        {{whole agent requests}} as requests,
        {{whole agent message_count}} as messages,
        {{whole agent total_input}} as input_tokens,
        {{whole agent total_output}} as output_tokens,
        {{whole agent total_context}} as context_tokens,
        {{whole agent peak_context_size}} as peak_tokens
    from entry
)
select
    source,
    polled_at,
    until_at,
    null as agent_id,
    {{whole said total_tokens_used}} as tokens_used,
    {{whole said total_tokens_saved}} as tokens_saved,
    case
        when json_type(said, '$.efficiency_percent') in ('integer', 'real') then (said ->> '$.efficiency_percent') / 100
        when json_type(said, '$.compression_ratio') in ('integer', 'real') then 1.0 * (said ->> '$.compression_ratio')
        when said ->> '$.compression_ratio' glob '[0-9]*%' then cast(said ->> '$.compression_ratio' as real) / 100.0
    end as saved_share,
    null as requests,
    null as input_tokens,
    null as output_tokens,
    null as context_tokens,
    null as peak_context_tokens,
    polled_ns
from total
where json_type(said, '$.total_tokens_used') is not null
union all
select
    source,
    polled_at,
    until_at,
    agent ->> '$.agent_id',
    ifnull(tokens_used, input_tokens + output_tokens),
    ifnull(tokens_saved, savings),
    1.0 * ifnull(tokens_saved, savings) / nullif(ifnull(tokens_used, input_tokens + output_tokens), 0),
    ifnull(requests, messages),
    input_tokens,
    output_tokens,
    context_tokens,
    peak_tokens,
    polled_ns
from counted
