-- One row per (user_id, contact_date) with a message, whose policy segment on the day before rows loaded since its last build touch.
with

-- whatever is told of a date changes what was known on that day, and later
touched as (

    select user_id, contact_date as touched_date from {{ ref('touched_user_contacts') }}

    union all

    select user_id, activity_date as touched_date from {{ ref('touched_user_activity') }}

    union all

    select user_id, order_date as touched_date from {{ ref('touched_user_orders') }}

),

first_touched as (

    select user_id, min(touched_date) as first_date from touched group by user_id

)

select messages.user_id, messages.contact_date
from {{ ref('int_message_outcomes') }} as messages
inner join first_touched on messages.user_id = first_touched.user_id and messages.contact_date >= first_touched.first_date

union

-- dates whose messages are gone
select user_id, contact_date from {{ ref('touched_user_contacts') }}
