-- A refused frame or element; the same place of a file again only counts.
insert into rejected (source_id, at_ns, place, reason, excerpt) values (?, ?, ?, ?, ?)
on conflict (source_id, place) where place is not null do nothing
