-- CCO's counters at one moment.
insert into snapshot (source_id, received_ns, last_updated_ns, uptime_s, calls, cost_text, cost_nusd, models)
values (?, ?, ?, ?, ?, ?, ?, ?)
