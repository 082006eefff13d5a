-- One row per audience: what its model says of it.
{{ config(database='build') }}

with

audiences as (
    {%- for audience in audiences() %}

    select
        '{{ audience.name }}' as audience,
        {{ text_literal(audience.objective) }} as objective,
        {{ text_literal(audience.criteria) }} as criteria,
        {{ text_literal(audience.offer) }} as offer,
        '{{ audience.message_class }}' as message_class,
        {{ audience.value }} as value,
        {{ text_literal(audience.channels | join('|')) }} as channels,
        {{ text_literal(joined_pairs(audience.variants)) }} as variants,
        {{ text_literal(audience.salt) }} as salt,
        {{ audience.holdout_share }} as holdout_share,
        {{ audience.repeat_after_days or 'null' }} as repeat_after_days,
        {{ audience.max_sends or 'null' }} as max_sends,
        {{ audience.max_per_day or 'null' }} as max_per_day,
        {{ audience.each_order | lower }} as each_order,
        {{ audience.drops_silent_channels | lower }} as drops_silent_channels,
        {{ text_literal(audience.promotes_category) }} as promotes_category
    {{ 'union all' if not loop.last }}
    {%- else %}

    select
        null as audience, null as objective, null as criteria, null as offer, null as message_class, null as value,
        null as channels, null as variants, null as salt, null as holdout_share, null as repeat_after_days,
        null as max_sends, null as max_per_day, false as each_order, false as drops_silent_channels,
        null as promotes_category
    {%- endfor %}

)

select
    cast(audience as string) as audience,
    cast(objective as string) as objective,
    cast(criteria as string) as criteria,
    cast(offer as string) as offer,
    cast(message_class as string) as message_class,
    cast(value as decimal(18, 2)) as value,
    cast(channels as string) as channels,
    cast(variants as string) as variants,
    cast(salt as string) as salt,
    cast(holdout_share as decimal(9, 6)) as holdout_share,
    cast(repeat_after_days as integer) as repeat_after_days,
    cast(max_sends as integer) as max_sends,
    cast(max_per_day as integer) as max_per_day,
    each_order,
    drops_silent_channels,
    cast(promotes_category as string) as promotes_category
from audiences
where audience is not null
