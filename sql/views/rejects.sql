-- One row is a frame or element that could not be understood, and why; one that came again is not repeated.
-- excerpt NULL: nothing of it may be kept.
select
    (select name from source where source.source_id = rejected.source_id) as source,
    {{utc at_ns}} as at,
    reason,
    excerpt
from rejected
