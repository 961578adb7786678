-- One row is a call of the local days from :since to :until, of a :model, :project, :agent and :session, the newest first: the
-- rows behind a number. NULL or empty sets no bound, '-' asks for the calls that name none, and two more dashes stand
-- before a name of dashes only. :source NULL or empty: those of counted sources. At most the newest :rows are
-- sought (NULL: all; empty: 200). A column is NULL where the source does not say.
with asked as materialized (
    select
        ifnull(nullif(:since, ''), '') as since,
        ifnull(nullif(:until, ''), '9999') as until,
        iif(:model = '-', 0, (
            select model_id from model where name = substr(:model, iif(trim(:model, '-') = '', 3, 1))
        )) as model_id,
        iif(:project = '-', 0, (
            select project_id from project where name = substr(:project, iif(trim(:project, '-') = '', 3, 1))
        )) as project_id,
        iif(:agent = '-', 0, (
            select agent_id from agent where name = substr(:agent, iif(trim(:agent, '-') = '', 3, 1))
        )) as agent_id,
        iif(:session = '-', 0, (
            select session_id from session where name = substr(:session, iif(trim(:session, '-') = '', 3, 1))
        )) as session_id,
        iif(:rows is null, 9223372036854775807, ifnull(cast(nullif(:rows, '') as integer), 200)) as rows
),
span as materialized (
    select min(bucket_s) as first_s, max(bucket_s) as last_s
    from calendar
    where day >= (select since from asked) and day <= (select until from asked)
),
wanted_source as materialized (
    select source_id from source_counted where iif(nullif(:source, '') is null, counted, :source in (name, kind))
),
cell as (
    select bucket_s, sum(calls) as calls
    from rollup_quarter_hour
    where bucket_s >= (select first_s from span)
        and bucket_s <= (select last_s from span)
        and bucket_s not in (select bucket_s from dirty_bucket)
        and source_id in (select source_id from wanted_source)
        and (nullif(:model, '') is null or model_id = (select model_id from asked))
        and (nullif(:project, '') is null or project_id = (select project_id from asked))
        and (nullif(:agent, '') is null or agent_id = (select agent_id from asked))
        and (nullif(:session, '') is null or session_id = (select session_id from asked))
    group by bucket_s
    union all
    select bucket_s, 0 -- nobody has counted them yet
    from dirty_bucket
    where bucket_s >= (select first_s from span) and bucket_s <= (select last_s from span)
),
newest as materialized (
    select bucket_s
    from (select bucket_s, sum(calls) over (order by bucket_s desc) - calls as newer_calls from cell)
    where newer_calls < (select rows from asked)
)
select
    calls.occurred_at,
    calls.model,
    calls.project,
    calls.agent,
    calls.session_id,
    calls.cost_usd,
    calls.savings_usd,
    calls.input_tokens,
    calls.output_tokens,
    calls.cache_write_5m_tokens,
    calls.cache_write_1h_tokens,
    calls.cache_read_tokens,
    calls.total_tokens,
    calls.latency_ms,
    calls.status,
    calls.source,
    calls.call_id
from newest
cross join call
    on call.occurred_ns >= bucket_s * 1000000000 and call.occurred_ns < (bucket_s + 900) * 1000000000
join calls using (call_id)
where call.source_id in (select source_id from wanted_source)
    and (nullif(:model, '') is null or call.model_id = (select model_id from asked))
    and (nullif(:project, '') is null or call.project_id = (select project_id from asked))
    and (nullif(:agent, '') is null or call.agent_id = (select agent_id from asked))
    and (nullif(:session, '') is null or call.session_id = (select session_id from asked))
order by call.occurred_ns desc
limit (select rows from asked)
