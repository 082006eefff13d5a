-- Returns campaigns that two audiences send: a user would get it twice, and be held out of one of them.
select campaign_id
from {{ ref('int_campaigns') }}
group by campaign_id
having count(distinct audience) > 1
