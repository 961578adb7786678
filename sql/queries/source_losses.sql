-- One row is a source, what is provably missing from it, and how often something of it could not be understood.
-- NULL: no gap of known size.
select
    name as source,
    (select count(*) from gap where gap.source_id = source.source_id) as gaps,
    (select sum(calls) from gap where gap.source_id = source.source_id) as missing_calls,
    (select sum(events) from gap where gap.source_id = source.source_id) as missing_events,
    (select ifnull(sum(times), 0) from rejected where rejected.source_id = source.source_id) as rejected
from source
order by name
