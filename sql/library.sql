-- name: page
-- Cut over ids first; documents are joined to the rows of the page alone. Releases that are shown no more are left out.
select '{"release":' || release_json(d.document, m)
       || case $2::smallint
              when 1 then ',"added_at":"'
              when 2 then ',"collection":"' || (array['planned', 'watching', 'completed', 'postponed', 'dropped'])[page.value]
                          || '","changed_at":"'
              when 3 then ',"rating":' || page.value || ',"rated_at":"'
              else ',"ignored_at":"' end
       || rfc3339(page.changed_at) || '"}' as entry
from (
    select e.release_id, e.value, e.changed_at
    from library_entries e
    join releases r on r.id = e.release_id and r.visible
    where e.user_id = $1 and e.kind = $2 and not e.deleted and ($3::smallint is null or e.value = $3)
    order by e.changed_at desc, e.release_id desc
    limit $4 offset $5
) page
join release_documents d on d.release_id = page.release_id
left join popularity_metrics m on m.release_id = page.release_id
order by page.changed_at desc, page.release_id desc;

-- name: count
select count(*)
from library_entries e
join releases r on r.id = e.release_id and r.visible
where e.user_id = $1 and e.kind = $2 and not e.deleted;

-- name: counts
select e.value, count(*) as releases
from library_entries e
join releases r on r.id = e.release_id and r.visible
where e.user_id = $1 and e.kind = 2 and not e.deleted
group by e.value;
