-- One row per audience: whom it is for, what it offers under which settings, and what became of its candidates on the plan date.
with

audiences as (

    select * from {{ ref('int_audiences') }}

),

-- the settings that hold: those of the seed before the audience's own, where it has one campaign of its own name
settings as (

    select * from {{ ref('campaign_settings') }}

),

candidates as (

    select audience, count(*) as candidates from {{ ref('int_candidates') }} group by audience

),

planned as (

    select
        audience,
        count(case when holdout_kind is null then 1 end) as planned,
        count(case when holdout_kind is not null then 1 end) as held_out
    from {{ ref('contact_plan') }}
    group by audience

)

select
    audiences.audience,
    {{ plan_date() }} as plan_date,
    audiences.objective,
    audiences.criteria,
    audiences.offer,
    coalesce(settings.channels, audiences.channels) as channels,
    audiences.message_class,
    coalesce(settings.value, audiences.value) as value,
    coalesce(settings.holdout_share, audiences.holdout_share) as holdout_share,
    coalesce(settings.variants, audiences.variants) as variants,
    coalesce(settings.repeat_after_days, audiences.repeat_after_days) as repeat_after_days,
    coalesce(settings.max_sends, audiences.max_sends) as max_sends,
    coalesce(settings.max_per_day, audiences.max_per_day) as max_per_day,
    coalesce(settings.is_active, true) as is_active,
    coalesce(candidates.candidates, 0) as candidates,
    coalesce(planned.planned, 0) as planned,
    coalesce(planned.held_out, 0) as held_out,
    coalesce(candidates.candidates, 0) - coalesce(planned.planned, 0) - coalesce(planned.held_out, 0) as suppressed
from audiences
left join settings on audiences.audience = settings.campaign_id
left join candidates on audiences.audience = candidates.audience
left join planned on audiences.audience = planned.audience
