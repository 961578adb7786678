-- One row is a session daemon: how long we were not connected (seconds), how many of its events we dropped, and how often
-- other content came under a known id. NULL or 0: not so.
select
    name as source,
    (
        select sum(to_ns - from_ns) / 1e9 from gap
        where gap.source_id = source.source_id and gap.kind = 'disconnected'
    ) as away_s,
    (select sum(events) from gap where gap.source_id = source.source_id and gap.kind = 'dropped') as dropped,
    (select sum(conflicts) from daemon_event where daemon_event.source_id = source.source_id) as conflicts
from source
where kind = 'ccd'
order by name
