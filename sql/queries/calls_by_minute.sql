-- One row is a minute since :since_ns that has calls of any source, counted or not: how many minutes after :since_ns it
-- begins, and its calls. Nothing is NULL.
select (occurred_ns - :since_ns) / 60000000000 as minute, count(*) as calls
from call
where occurred_ns >= :since_ns and occurred_ns < :since_ns + 3600000000000
group by minute
