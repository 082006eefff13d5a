-- One row per (audience, campaign_id, variant): who is in it, as the part of the hash from one share up to another.
{{ config(database='build') }}

with

campaigns as (

    select * from {{ ref('int_campaigns') }} where variants is not null

),

parts as (

    select
        campaigns.audience,
        campaigns.campaign_id,
        numbers.n as position,
        {{ list_part('campaigns.variants', 'numbers.n') }} as part
    from campaigns
    cross join {{ series(1, 50) }} as numbers

),

variants as (

    select
        audience,
        campaign_id,
        position,
        {{ list_part('part', 1, ':') }} as variant,
        cast({{ list_part('part', 2, ':') }} as decimal(9, 6)) as share
    from parts
    where part is not null

)

select
    audience,
    campaign_id,
    variant,
    cast(sum(share) over (partition by audience, campaign_id order by position) - share as decimal(9, 6)) as from_share,
    cast(sum(share) over (partition by audience, campaign_id order by position) as decimal(9, 6)) as to_share
from variants
