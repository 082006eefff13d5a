-- One row per (check_name, subject): what came on a day, beside what is usual, and whether that is worth a warning.
{%- set datasets = {
    'events': ('stg_events', 'activity_date', 'occurred_at'),
    'orders': ('stg_orders', 'order_date', 'ordered_at'),
    'messages': ('stg_messages', 'contact_date', 'sent_at'),
    'message_events': ('stg_message_events', 'event_date', 'occurred_at'),
} %}
-- depends_on: {{ ref('stg_events') }}
-- depends_on: {{ ref('stg_orders') }}
-- depends_on: {{ ref('stg_messages') }}
-- depends_on: {{ ref('stg_message_events') }}
{%- set weeks = var('rows_check_weeks') %}

with

days as (

    -- the day that is looked at, and the same weekday of the weeks before: of all columns the time alone is read
    {%- for dataset, delay in var('rows_check_delay_days').items() %}
    {%- set model, date, time = datasets[dataset] %}
    select '{{ dataset }}' as subject, {{ delay }} as delay, days_ago - {{ delay }} as days_before, count(*) as day_rows
    from (
        select {{ age(date) }} as days_ago
        from {{ ref(model) }}
        where
            {{ time }} >= {{ since_days_ago(delay + 7 * weeks) }}
            {%- if dataset == 'orders' %}
            and {{ known_on(as_of()) }}
            {%- endif %}
    ) as aged
    where days_ago - {{ delay }} in ({% for week in range(weeks + 1) %}{{ 7 * week }}{{ ', ' if not loop.last }}{% endfor %})
    group by days_ago
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

rows_by_dataset as (

    select
        subject,
        delay,
        sum(case when days_before = 0 then day_rows else 0 end) as day_rows,
        {{ quantile(0.5, 'case when days_before > 0 then day_rows end') }} as usual_rows,
        count(case when days_before > 0 then 1 end) as weeks
    from days
    group by subject, delay

),

received as (

    -- what was received on the day, whenever it claims to have happened
    select
        coalesce({{ masked('platform') }}, 'unknown') as subject,
        {{ seconds_between('occurred_at', 'received_at') }} as seconds_on_the_way
    from {{ ref('stg_events') }}
    where received_at >= {{ since_days_ago(1) }} and {{ business_date('received_at') }} = {{ as_of() }}

),

clock_skew as (

    select subject, {{ quantile(0.5, 'seconds_on_the_way') }} as median_seconds, count(*) as events
    from received
    group by subject

),

found as (

    select
        'rows_by_dataset' as check_name,
        rows_by_dataset.subject,
        {{ add_days(as_of(), '-rows_by_dataset.delay') }} as checked_date,
        cast(rows_by_dataset.day_rows as double) as checked_value,
        cast(rows_by_dataset.usual_rows as double) as usual_value,
        rows_by_dataset.weeks as sample_size,
        case
            when rows_by_dataset.weeks < {{ var('rows_check_min_weeks') }} then null
            when
                rows_by_dataset.day_rows < {{ var('rows_check_min_rows') }}
                and rows_by_dataset.usual_rows < {{ var('rows_check_min_rows') }}
                then null
            -- a day that is not over has fewer rows than it will have
            when
                rows_by_dataset.day_rows < (1 - {{ var('rows_check_fall_share') }}) * rows_by_dataset.usual_rows
                and (run_context.is_final or rows_by_dataset.delay > 0)
                then 'fall'
            when rows_by_dataset.day_rows > {{ var('rows_check_jump_factor') }} * rows_by_dataset.usual_rows then 'jump'
        end as finding
    from rows_by_dataset
    cross join {{ source('control', 'run_context') }} as run_context
    union all
    select
        'clock_skew' as check_name,
        subject,
        {{ as_of() }} as checked_date,
        cast(median_seconds as double) as checked_value,
        cast(null as double) as usual_value,
        events as sample_size,
        case
            when events < {{ var('clock_check_min_events') }} then null
            when median_seconds < -60 * {{ var('clock_ahead_minutes') }} then 'ahead'
            when median_seconds > 60 * {{ var('clock_behind_minutes') }} then 'behind'
        end as finding
    from clock_skew

)

select
    check_name,
    subject,
    {{ as_of() }} as as_of,
    checked_date,
    round(checked_value, 6) as checked_value,
    round(usual_value, 6) as usual_value,
    cast(sample_size as bigint) as sample_size,
    finding
from found
