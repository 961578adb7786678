-- What a writer must know of the ledger: its zone, the first position id that is free, whether it has no call yet.
select
    home_tz,
    (select ifnull(max(position_id), 0) + 1 from position) as next_position_id,
    not exists (select 1 from call) as is_empty
from ledger
