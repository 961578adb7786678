-- One row is an event of CCO's list that is older than :before_ns.
select activity_id from activity where occurred_ns < :before_ns
