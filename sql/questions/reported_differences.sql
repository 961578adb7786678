-- One row is a model of a source, counted or not, with calls in the local days from :since to :until whose reported cost is
-- not the computed one; :since NULL or empty: the last 30 days that have calls, :until: no bound. difference_usd is reported
-- less computed, dearer_calls are those that were reported dearer. model NULL: the calls that name none.
with span as materialized (
    select min(bucket_s) * 1000000000 as from_ns, (max(bucket_s) + 900) * 1000000000 as to_ns
    from calendar
    where day >= ifnull(nullif(:since, ''), date((select max(day) from calendar), '-29 days'))
        and day <= ifnull(nullif(:until, ''), '9999')
),
by_model as (
    select
        source_id,
        model_id,
        count(*) as calls,
        count(*) filter (where reported_nusd > computed_nusd) as dearer_calls,
        sum(reported_nusd) as reported_nusd,
        sum(computed_nusd) as computed_nusd,
        min(occurred_ns) as first_ns,
        max(occurred_ns) as last_ns
    from span
    cross join call on occurred_ns >= from_ns and occurred_ns < to_ns
    where reported_nusd <> computed_nusd
    group by source_id, model_id
)
select
    (select name from source where source.source_id = by_model.source_id) as source,
    (select name from model where model.model_id = by_model.model_id) as model,
    calls,
    dearer_calls,
    reported_nusd / 1e9 as reported_cost_usd,
    computed_nusd / 1e9 as computed_cost_usd,
    (reported_nusd - computed_nusd) / 1e9 as difference_usd,
    strftime('%Y-%m-%dT%H:%M:%fZ', first_ns / 1000000 / 1000.0, 'unixepoch') as first_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_ns / 1000000 / 1000.0, 'unixepoch') as last_at
from by_model
order by abs(reported_nusd - computed_nusd) desc
