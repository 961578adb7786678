-- The last gap of its kind goes on: it ends later, and more is missing.
update gap
set
    to_ns = max(to_ns, ?2),
    detected_ns = ?3,
    events = events + ?4
where gap_id = (select max(gap_id) from gap where source_id = ?5 and kind = ?1)
