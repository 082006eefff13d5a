-- One row per (message_id, order_id): an order of the days after a message that reached its user, as known by the date.
{{ config(database='build') }}

with

-- what failed or bounced touched nobody
messages as (

    select message_id, user_id, sent_at
    from {{ ref('fct_contacts') }}
    where {{ in_last('contact_date', var('measures_days')) }} and not is_failed and not is_bounced

),

orders as (

    select * from {{ ref('int_measured_orders') }}

),

touches as (

    select
        messages.message_id,
        orders.order_id,
        orders.user_id,
        orders.revenue,
        row_number() over (partition by orders.order_id order by messages.sent_at desc, messages.message_id desc) as place
    from messages
    inner join orders
        on
            messages.user_id = orders.user_id
            and messages.sent_at < orders.ordered_at
            and orders.ordered_at <= messages.sent_at + interval '{{ var("outcome_days") }}' day

)

select
    message_id,
    order_id,
    -- whoever is erased during the day goes by it
    user_id,
    revenue,
    place = 1 as is_last_touch
from touches
