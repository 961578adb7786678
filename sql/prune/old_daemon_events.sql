-- One row is a daemon event that is older than :before_ns, and came before that: late history is not dropped at once.
select daemon_event_id from daemon_event where occurred_ns < :before_ns and received_ns < :before_ns
