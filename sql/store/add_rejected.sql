-- A refused frame or element. The same place of a file again changes nothing; the same from a stream again is counted.
insert into rejected (source_id, at_ns, place, reason, excerpt, times) values (?, ?, ?, ?, ?, ?)
on conflict (source_id, place) where place is not null do nothing
on conflict (source_id, reason, ifnull(excerpt, '')) where place is null do update set times = times + excluded.times
