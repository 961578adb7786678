-- What one batch adds to its run. NULL leaves state (with its error), saturation and last event as they are.
update run set
    updated_ns = ?1,
    state = ifnull(?2, state),
    connections = connections + ?3,
    frames = frames + ?4,
    events = events + ?5,
    rows = rows + ?6,
    rejected = rejected + ?7,
    saturation = max(ifnull(?8, 0.0), ifnull(saturation, ?8)),
    error = iif(?2 is null, error, ?11),
    last_event_ns = ifnull(max(?9, ifnull(last_event_ns, ?9)), last_event_ns)
where run_id = ?10
