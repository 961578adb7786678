-- One row is a kind of gap of a source: how many there are, when the last was, what is missing in them. missing_calls,
-- missing_cost_usd, missing_events NULL: of none of them is it known.
select
    (select name from source where source.source_id = gap.source_id) as source,
    kind,
    count(*) as gaps,
    sum(calls) as missing_calls,
    sum(cost_nusd) / 1e9 as missing_cost_usd,
    sum(events) as missing_events,
    strftime('%Y-%m-%dT%H:%M:%fZ', max(to_ns) / 1000000 / 1000.0, 'unixepoch') as last_at
from gap
group by source_id, kind
order by source, max(to_ns) desc
