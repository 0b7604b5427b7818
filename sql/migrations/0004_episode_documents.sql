-- The public JSON of an episode. A span is null unless both of its ends are known.
create function episode_json(e episodes) returns text language sql stable parallel safe
    return json_build_object(
        'id', e.id,
        'release_id', e.release_id,
        'ordinal', trim_scale(e.ordinal),
        'title', e.title,
        'duration_seconds', e.duration_seconds,
        'air_at', rfc3339(e.air_at),
        'opening', case when e.opening_start is not null then json_build_object('start', e.opening_start, 'stop', e.opening_stop) end,
        'ending', case when e.ending_start is not null then json_build_object('start', e.ending_start, 'stop', e.ending_stop) end
    )::text;
