-- One row: what is provably missing between two moments, of the counted sources, or of one by its name or kind. NULL for
-- a parameter sets no bound. restarts: how often an unknown number went missing; calls, cost_usd NULL: no gap of known size.
select
    sum(calls) as calls,
    sum(cost_nusd) / 1e9 as cost_usd,
    count(*) filter (where gap.kind = 'restart') as restarts
from gap
join source_counted using (source_id)
where to_ns >= ifnull(:since_ns, to_ns)
    and (:until_ns is null or to_ns < :until_ns)
    and iif(:source is null, counted, :source in (source_counted.name, source_counted.kind))
