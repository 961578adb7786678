-- How far a file or stream is read.
insert into position (
    source_id, position_id, name, device, inode, size_bytes, mtime_ns, offset_bytes, head_bytes, head_sha256, first_mtime_ns,
    tail_sha256, is_current, state
) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
on conflict (position_id) do update set
    name = excluded.name, device = excluded.device, inode = excluded.inode, size_bytes = excluded.size_bytes,
    mtime_ns = excluded.mtime_ns, offset_bytes = excluded.offset_bytes, head_bytes = excluded.head_bytes,
    head_sha256 = excluded.head_sha256, tail_sha256 = excluded.tail_sha256, is_current = excluded.is_current, state = excluded.state
