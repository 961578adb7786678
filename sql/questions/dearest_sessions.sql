-- One row is a session, of the :rows (NULL: all; empty: 100) that cost most in the local days from :since to :until (NULL or
-- empty: no bound), over the calls of counted sources. why names what sets it apart most from all sessions of these days taken together: its
-- number of calls, the context of a call, the output of a call or the price of a token, as a multiple of theirs.
-- cache_share is that of its context which was read from the cache. NULL: no call says it.
with by_session as materialized (
    select
        session_id,
        sum(calls) as calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(input_tokens) + sum(cache_write_5m_tokens) + sum(cache_write_1h_tokens) + sum(cache_read_tokens) as context_tokens,
        sum(output_tokens) as output_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(total_tokens) as total_tokens,
        sum(cost_nusd) as cost_nusd,
        sum(savings_nusd) as savings_nusd,
        sum(cost_nusd) filter (where agent_id <> 0) as agents_nusd,
        max(project_id) as project_id,
        min(first_ns) as first_ns,
        max(last_ns) as last_ns
    from daily_usage
    where counted
        and session_id <> 0
        and day >= ifnull(nullif(:since, ''), '')
        and day <= ifnull(nullif(:until, ''), '9999')
    group by session_id
),
usual as (
    select
        1.0 * sum(calls) / count(*) as calls,
        1.0 * sum(context_tokens) / sum(calls) as context_per_call,
        1.0 * sum(output_tokens) / sum(calls) as output_per_call,
        1.0 * sum(cost_nusd) / sum(total_tokens) as nusd_per_token,
        sum(cost_nusd) as cost_nusd
    from by_session
),
dearest as (
    select *
    from by_session
    where cost_nusd is not null
    order by cost_nusd desc
    limit iif(:rows is null, -1, ifnull(cast(nullif(:rows, '') as integer), 100))
),
compared as (
    select
        dearest.*,
        ifnull(dearest.calls / usual.calls, 0) as calls_ratio,
        ifnull(1.0 * context_tokens / dearest.calls / usual.context_per_call, 0) as context_ratio,
        ifnull(1.0 * output_tokens / dearest.calls / usual.output_per_call, 0) as output_ratio,
        ifnull(1.0 * dearest.cost_nusd / total_tokens / usual.nusd_per_token, 0) as price_ratio,
        1.0 * dearest.cost_nusd / usual.cost_nusd as share
    from dearest
    cross join usual
)
select
    (select name from session where session.session_id = compared.session_id) as session_id,
    (select name from project where project.project_id = compared.project_id) as project,
    cost_nusd / 1e9 as cost_usd,
    share,
    case max(calls_ratio, context_ratio, output_ratio, price_ratio)
        when calls_ratio then printf('many calls: %.1f × the usual', calls_ratio)
        when context_ratio then printf('long context in a call: %.1f × the usual', context_ratio)
        when output_ratio then printf('much output in a call: %.1f × the usual', output_ratio)
        else printf('dear tokens: %.1f × the usual', price_ratio)
    end as why,
    calls,
    unpriced_calls,
    cost_nusd / calls / 1e9 as call_cost_usd,
    context_tokens / calls as context_tokens_per_call,
    output_tokens / calls as output_tokens_per_call,
    1.0 * cache_read_tokens / nullif(context_tokens, 0) as cache_share,
    1.0 * ifnull(agents_nusd, 0) / nullif(cost_nusd, 0) as agents_share,
    savings_nusd / 1e9 as savings_usd,
    strftime('%Y-%m-%dT%H:%M:%fZ', first_ns / 1000000 / 1000.0, 'unixepoch') as started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_ns / 1000000 / 1000.0, 'unixepoch') as ended_at
from compared
order by compared.cost_nusd desc
