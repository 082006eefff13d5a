-- One row per (user_id, channel or `all`, contacts_7d) of users who had a contact: days of the dose test on which the user could leave, or click for the first time, and whether that happened.
{{ config(database='build') }}
{%- set first_date = "(select max(first_date) from " ~ ref('int_dose_tests') ~ ")" %}
{%- set last_date = "(select max(last_date) from " ~ ref('int_dose_tests') ~ ")" %}

with

tests as (

    select * from {{ ref('int_dose_tests') }}

),

{{ days_at_risk(first_date, last_date) }},

days as (

    select
        user_id,
        channel,
        contacts as contacts_7d,
        cast(sum({{ days_in('leave_to', 'valid_from') }}) as bigint) as leave_days,
        count(case when is_leave then 1 end) as leaves,
        cast(sum({{ days_in('click_to', 'valid_from') }}) as bigint) as click_days,
        count(case when is_click then 1 end) as clicks
    from at_risk
    group by user_id, channel, contacts

),

-- what the arm can't have changed
engagement as (

    select spans.user_id, spans.segment
    from {{ ref('int_engagement_spans') }} as spans
    inner join tests
        on spans.valid_from < tests.first_date and spans.valid_to >= tests.first_date

)

select
    days.user_id,
    days.channel,
    days.contacts_7d,
    {{ dose_arm('days.user_id', 'tests.salt', 'tests.share') }} as arm,
    coalesce(engagement.segment, 'never_seen') as engagement,
    days.leave_days,
    days.leaves,
    days.click_days,
    days.clicks
from days
cross join tests
left join engagement on days.user_id = engagement.user_id
