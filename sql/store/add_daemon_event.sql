-- An event of a session daemon. Known already: the first stays, and other content under its id is counted.
insert into daemon_event (
    source_id, event_id, family, kind, profile, timestamp, occurred_ns, is_receipt_time, received_ns, runtime, payload,
    is_shortened, content_sha256
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (event_id) do update set conflicts = conflicts + 1 where content_sha256 <> excluded.content_sha256
