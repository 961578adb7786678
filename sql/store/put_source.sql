-- A source, if it is new. The first of a kind bears the kind's name.
insert into source (kind, name, address)
select ?1, iif(exists (select 1 from source where kind = ?1), ?1 || ' ' || replace(?2, 'http://', ''), ?1), ?2
where true
on conflict (kind, address) do nothing
