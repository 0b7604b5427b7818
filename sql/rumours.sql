-- name: tell
select pg_notify('yojohan_invalidate', payload) from unnest($1::text[]) as said (payload);
