-- One row per (user_id, channel or `all`, engagement, contacts_7d): days on which the user could leave, or click for the first time, and whether that happened.
{{ config(database='build') }}
{%- set first_date = add_days(as_of(), 1 - var('measures_days')) %}

with

{{ days_at_risk(first_date, as_of(), has_none=false) }},

-- spans follow each other, so whose first is left out here was seen before the measured days
spans as (

    {{ measured_spans() }}

),

-- the segment as of the day before: dates one later; before the first span nobody was seen
engagement as (

    select
        user_id,
        segment,
        {{ add_days('valid_from', 1) }} as valid_from,
        case when valid_to < {{ end_of_time() }} then {{ add_days('valid_to', 1) }} else valid_to end as valid_to
    from spans

    union all

    select
        user_id,
        'never_seen' as segment,
        {{ start_of_time() }} as valid_from,
        {{ add_days('min(valid_from)', 1) }} as valid_to
    from spans
    group by user_id

),

parts as (

    select
        at_risk.user_id,
        at_risk.channel,
        coalesce(engagement.segment, 'never_seen') as engagement,
        least(at_risk.contacts, {{ var('fatigue_max_contacts') }}) as contacts_7d,
        greatest(at_risk.valid_from, coalesce(engagement.valid_from, at_risk.valid_from)) as valid_from,
        least(at_risk.leave_to, coalesce(engagement.valid_to, at_risk.leave_to)) as leave_to,
        least(at_risk.click_to, coalesce(engagement.valid_to, at_risk.click_to)) as click_to,
        at_risk.is_leave,
        at_risk.is_click
    from at_risk
    left join engagement
        on
            at_risk.user_id = engagement.user_id
            and at_risk.valid_from < engagement.valid_to
            and engagement.valid_from < at_risk.valid_to
    where at_risk.contacts > 0

)

select
    user_id,
    channel,
    engagement,
    contacts_7d,
    cast(sum({{ days_in('leave_to', 'valid_from') }}) as bigint) as leave_days,
    count(case when is_leave then 1 end) as leaves,
    cast(sum({{ days_in('click_to', 'valid_from') }}) as bigint) as click_days,
    count(case when is_click then 1 end) as clicks
from parts
group by user_id, channel, engagement, contacts_7d
