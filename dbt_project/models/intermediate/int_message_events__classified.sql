-- One row per event_id: what a message event says, with the words of the rules: reaction, human open, human click.
{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('stg_message_events') }}

)

select
    event_id,
    message_id,
    event,
    occurred_at,
    event_date,
    load_id,
    event = 'delivered' as is_delivered,
    (event = 'opened' and not is_machine_open) or event = 'read' or (event = 'clicked' and not is_machine) as is_open,
    (event = 'clicked' and not is_machine) or event = 'replied' as is_click,
    (event = 'opened' and not is_machine_open)
    or event = 'read' or (event = 'clicked' and not is_machine) or event = 'replied' as is_reaction,
    event = 'failed' as is_failed,
    event = 'bounced' and coalesce(bounce_type, 'soft') = 'hard' as is_hard_bounce,
    event = 'bounced' and coalesce(bounce_type, 'soft') <> 'hard' as is_soft_bounce,
    -- whoever opened it, a person or a machine, it arrived
    event in ('delivered', 'opened', 'clicked', 'read', 'replied') as is_arrival,
    event = 'complained' as is_complained,
    event = 'unsubscribed' as is_unsubscribed
from events
