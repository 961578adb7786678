-- What is provably missing.
insert into gap (source_id, epoch, kind, from_ns, to_ns, calls, cost_nusd, detected_ns, events)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
