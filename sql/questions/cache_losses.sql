-- One row is a model in a session whose prompt cache cost more than it saved, in the local days from :since to :until
-- (NULL or empty: no bound), over the calls of counted sources; the :rows largest losses (NULL: all; empty: 200). lost_usd is what the same calls
-- would have cost less without a cache, reads_per_write the tokens read for each that was written. project, session_id,
-- model NULL: not named.
with by_session as (
    select
        session_id,
        project_id,
        model_id,
        sum(calls) as calls,
        sum(cache_write_5m_tokens) + sum(cache_write_1h_tokens) as cache_write_tokens,
        sum(cache_read_tokens) as cache_read_tokens,
        sum(cost_nusd) as cost_nusd,
        sum(savings_nusd) as savings_nusd,
        max(last_ns) as last_ns
    from daily_usage
    where counted
        and day >= ifnull(nullif(:since, ''), '')
        and day <= ifnull(nullif(:until, ''), '9999')
    group by session_id, project_id, model_id
    having sum(savings_nusd) < 0
    order by sum(savings_nusd)
    limit iif(:rows is null, -1, ifnull(cast(nullif(:rows, '') as integer), 200))
)
select
    (select name from project where project.project_id = by_session.project_id) as project,
    (select name from session where session.session_id = by_session.session_id) as session_id,
    (select name from model where model.model_id = by_session.model_id) as model,
    -savings_nusd / 1e9 as lost_usd,
    cost_nusd / 1e9 as cost_usd,
    calls,
    cache_write_tokens,
    cache_read_tokens,
    1.0 * cache_read_tokens / nullif(cache_write_tokens, 0) as reads_per_write,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_ns / 1000000 / 1000.0, 'unixepoch') as ended_at
from by_session
order by by_session.savings_nusd
