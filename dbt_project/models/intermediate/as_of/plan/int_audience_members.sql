-- One row per (user_id, audience, campaign_id): everybody who matches an audience, with what the audience says of the row.
{{ config(database='build') }}

with

members as (
    {%- for audience in audiences() %}
    {%- set returns = audience.returns %}

    select
        user_id,
        '{{ audience.name }}' as audience,
        {{ 'campaign_id' if 'campaign_id' in returns else "'" ~ audience.name ~ "'" }} as campaign_id,
        cast({{ 'value' if 'value' in returns else audience.value }} as decimal(18, 2)) as value,
        {{ 'product_id' if 'product_id' in returns else 'cast(null as string)' }} as product_id,
        {{ 'category' if 'category' in returns else 'cast(null as string)' }} as category,
        cast({{ 'since' if 'since' in returns else 'null' }} as timestamp) as since
    from {{ ref('aud_' ~ audience.name) }}
    {{ 'union all' if not loop.last }}
    {%- else %}

    select
        cast(null as string) as user_id,
        cast(null as string) as audience,
        cast(null as string) as campaign_id,
        cast(null as decimal(18, 2)) as value,
        cast(null as string) as product_id,
        cast(null as string) as category,
        cast(null as timestamp) as since
    {%- endfor %}

)

-- an audience that names somebody twice means the row of the greatest value
select *
from members
where user_id is not null and campaign_id is not null
qualify
    row_number() over (
        partition by user_id, audience, campaign_id
        order by
            coalesce(value, 0) desc, since desc,
            case when product_id is null then 1 else 0 end, product_id, case when category is null then 1 else 0 end, category
    ) = 1
