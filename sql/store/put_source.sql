-- A source: kind, address, and whether its calls count (NULL: by rule).
insert into source (kind, name, address, counted_setting)
select ?1, iif(exists (select 1 from source where kind = ?1), ?1 || ' ' || replace(?2, 'http://', ''), ?1), ?2, ?3
where true
on conflict (kind, address) do update set counted_setting = excluded.counted_setting
