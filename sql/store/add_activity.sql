-- One event of CCO's list at its place in the sequence. The same place twice is a bug, and fails.
insert into activity (
    source_id, epoch, seq, timestamp, occurred_ns, is_receipt_time, event_type, agent_name, model, tokens, latency_ms, status,
    cost_text, cost_nusd, raw
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
