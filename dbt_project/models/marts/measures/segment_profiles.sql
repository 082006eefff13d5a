-- One row per (family, segment) with enough users: who is in it, for a marketer. Users add up within a family; averages, shares and differences do not.
with

segments as (

    select * from {{ ref('int_segment_measures') }}

),

described as (

    select * from segments where users >= {{ var('profile_min_users') }}

),

-- counts of two families beside each other, in both directions
pairs as (

    select family, segment, other_family, other_segment, users from {{ ref('int_segment_pairs') }}

    union all

    select
        other_family as family,
        other_segment as segment,
        family as other_family,
        segment as other_segment,
        users
    from {{ ref('int_segment_pairs') }}
    where other_family <> 'age'

    union all

    select family, segment, family as other_family, segment as other_segment, users from segments

),

-- what says nothing is nobody's first: who has a value, how many have it, and how many up to it
known as (

    select
        family,
        segment,
        other_family,
        other_segment,
        users,
        sum(users) over (partition by family, segment, other_family) as known_users,
        sum(users) over (
            partition by family, segment, other_family
            order by case when other_family = 'age' then cast(other_segment as integer) end
            range between unbounded preceding and current row
        ) as users_up_to,
        row_number() over (
            partition by family, segment, other_family order by users desc, other_segment
        ) as value_rank
    from pairs
    where
        other_family in ('age', 'country', 'city', 'category_affinity')
        and other_segment not in ('unknown', 'other', 'no_affinity')

),

most_common as (

    select
        family,
        segment,
        min(case when other_family = 'age' and 2 * users_up_to >= known_users then cast(other_segment as integer) end) as median_age,
        max(case when other_family = 'country' and value_rank = 1 then other_segment end) as top_country,
        max(case when other_family = 'city' and value_rank = 1 then other_segment end) as top_city,
        max(case when other_family = 'category_affinity' and value_rank = 1 then other_segment end) as top_category
    from known
    where known_users >= {{ var('profile_min_users') }}
    group by family, segment

),

contacted as (

    select
        {{ families() | join(', ') }},
        responses.channel,
        count(*) as users,
        sum(responses.contacts) as contacts,
        sum(responses.clicked_contacts) as clicked_contacts
    from {{ ref('int_channel_response') }} as responses
    inner join {{ ref('user_360') }} as users on responses.user_id = users.user_id
    group by grouping sets ({% for family in families() %}({{ family }}, responses.channel){{ ', ' if not loop.last }}{% endfor %})

),

best_channels as (

    select
        {{ first_of(families()) }} as family,
        coalesce({{ families() | join(', ') }}) as segment,
        max_by(channel, {{ ordering(['cast(clicked_contacts as double) / contacts', 'contacts', 'channel']) }}) as best_channel
    from contacted
    where users >= {{ var('profile_min_users') }} and clicked_contacts > 0
    group by 1, 2

),

-- everybody, once: the mean and the standard deviation of each measure, null where all are the same
everybody as (

    select
        {%- for measure in profile_measures() %}
        {%- set name = measure.name %}
        cast(sum({{ name }}_sum) as double) / nullif(sum({{ name }}_users), 0) as {{ name }}_mean,
        case
            when min({{ name }}_least) < max({{ name }}_greatest)
                then sqrt(greatest(
                    cast(sum({{ name }}_squares) as double) / sum({{ name }}_users)
                    - power(cast(sum({{ name }}_sum) as double) / sum({{ name }}_users), 2), 0
                ))
        end as {{ name }}_deviation{{ ',' if not loop.last }}
        {%- endfor %}
    from segments
    where family = (select min(family) from segments)

),

differences as (
{%- for measure in profile_measures() %}
{%- set name = measure.name %}

    select
        described.family,
        described.segment,
        '{{ name }}' as measure,
        round(
            (cast(described.{{ name }}_sum as double) / described.{{ name }}_users - everybody.{{ name }}_mean)
            / nullif(everybody.{{ name }}_deviation, 0), 6
        ) as difference
    from described
    cross join everybody
    where described.{{ name }}_users >= {{ var('profile_min_users') }}
    {{- '\n\n    union all' if not loop.last }}
{%- endfor %}

),

ranked as (

    select
        *,
        row_number() over (partition by family, segment order by abs(difference) desc, measure) as difference_rank
    from differences
    where difference is not null

),

standouts as (

    select
        family,
        segment
        {%- for place in [1, 2, 3] %},
        max(case when difference_rank = {{ place }} then measure end) as standout_{{ place }},
        max(case when difference_rank = {{ place }} then difference end) as standout_{{ place }}_difference
        {%- endfor %}
    from ranked
    group by family, segment

),

sizes as (

    select family, sum(users) as users from segments group by family

)

select
    {{ as_of() }} as as_of,
    described.family,
    described.segment,
    described.users,
    round(cast(described.users as double) / sizes.users, 6) as share,
    most_common.median_age,
    most_common.top_country,
    most_common.top_city,
    case
        when described.mean_order_value_users >= {{ var('profile_min_users') }}
            then cast(round(cast(described.order_value_sum as double) / described.mean_order_value_users, 2) as decimal(18, 2))
    end as mean_order_value,
    most_common.top_category,
    best_channels.best_channel,
    {%- for answer in ['open', 'click'] %}
    case
        when described.{{ answer }}_rate_90d_users >= {{ var('profile_min_users') }}
            then round(cast(described.{{ answer }}ed_contacts_90d as double) / described.contacts_90d, 6)
    end as {{ answer }}_rate,
    {%- endfor %}
    {%- for place in [1, 2, 3] %}
    standouts.standout_{{ place }},
    standouts.standout_{{ place }}_difference{{ ',' if not loop.last }}
    {%- endfor %}
from described
inner join sizes on described.family = sizes.family
left join most_common on described.family = most_common.family and described.segment = most_common.segment
left join best_channels on described.family = best_channels.family and described.segment = best_channels.segment
left join standouts on described.family = standouts.family and described.segment = standouts.segment
