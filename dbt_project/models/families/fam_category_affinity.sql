-- One row per known user: the category that most of the interest goes to.
with

users as (

    select * from {{ ref('int_known_users') }}

),

interest as (

    select * from {{ ref('int_category_interest') }}

),

-- the first in the ranking that is strong enough, else simply the first
strongest as (

    select *
    from interest
    qualify
        row_number() over (partition by user_id order by case when is_affinity then 0 else 1 end, interest_rank) = 1

),

runners_up as (

    select interest.user_id, min_by(interest.category, interest.interest_rank) as category
    from interest
    inner join strongest on interest.user_id = strongest.user_id and interest.category <> strongest.category
    group by interest.user_id

)

select
    users.user_id,
    case when strongest.is_affinity then strongest.category else 'no_affinity' end as segment,
    strongest.share,
    runners_up.category as runner_up
from users
left join strongest on users.user_id = strongest.user_id
left join runners_up on users.user_id = runners_up.user_id
