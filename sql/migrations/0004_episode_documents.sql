-- The public JSON of an episode, compact. A span is null unless both of its ends are known.
create function episode_json(e episodes) returns text language sql stable parallel safe
    return '{"id":' || e.id
        || ',"release_id":' || e.release_id
        || ',"ordinal":' || trim_scale(e.ordinal)
        || ',"title":' || to_json(e.title)
        || ',"duration_seconds":' || coalesce(e.duration_seconds::text, 'null')
        || ',"air_at":' || coalesce('"' || rfc3339(e.air_at) || '"', 'null')
        || ',"opening":' || coalesce('{"start":' || e.opening_start || ',"stop":' || e.opening_stop || '}', 'null')
        || ',"ending":' || coalesce('{"start":' || e.ending_start || ',"stop":' || e.ending_stop || '}', 'null')
        || '}';
