-- One poll of an endpoint.
insert into sample (source_id, endpoint, polled_ns, body, error) values (?, ?, ?, ?, ?)
