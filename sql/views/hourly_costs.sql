-- One row is a local hour that has calls of counted sources, with its offset from UTC: an hour that comes
-- twice is two rows. A sum is NULL where no call of the hour says it.
select
    hour,
    {{measures shown}}
from {{hourly_usage by bucket_s, source_id}}
where counted
group by hour
