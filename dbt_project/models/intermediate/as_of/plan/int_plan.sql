-- One row per candidate that did not fall out: the channel that it is planned on, or why it is on none.
{{ config(database='build') }}
{%- set no_limit = 1000000000 %}

with recursive

channels as (

    select * from {{ ref('channels') }}

),

rooms as (

    select user_id, channel, coalesce(room, {{ no_limit }}) as room from {{ ref('int_plan_room') }}

),

totals as (

    select user_id, room from rooms where channel = 'all'

),

-- a candidate's place among those of its user: greater values first
candidates as (

    select
        *,
        row_number() over (
            partition by user_id, message_class = 'marketing' order by coalesce(value, 0) desc, campaign_id, audience
        ) as place,
        count(*) over (partition by user_id, message_class = 'marketing') as candidates_of_user
    from {{ ref('int_candidates') }}
    where fall_out is null

),

options as (

    select
        candidates.user_id,
        candidates.audience,
        candidates.campaign_id,
        candidates.message_class,
        candidates.place,
        candidates.candidates_of_user,
        candidates.carried_channel,
        -- who is held out is planned, but gets nothing, and so uses nothing
        coalesce(channels.counts_towards_pressure, false) and candidates.holdout_kind is null as is_counted,
        candidates.holdout_kind is not null as is_held_out,
        options.channel,
        options.preference,
        options.reason,
        rooms.room as channel_room,
        totals.room as total_room
    from {{ ref('int_candidate_channels') }} as options
    inner join candidates
        on
            options.user_id = candidates.user_id
            and options.audience = candidates.audience
            and options.campaign_id = candidates.campaign_id
    left join channels on options.channel = channels.channel
    left join rooms on options.user_id = rooms.user_id and options.channel = rooms.channel
    left join totals on options.user_id = totals.user_id

),

-- what lists of the plan date carry already is in the room: it stays while all of that fits
kept as (

    select * from options
    where
        message_class = 'marketing'
        and carried_channel is not null
        and reason is null
        and channel_room >= 0
        and total_room >= 0

),

-- who is held out was never carried: what is worth less and was must not take the place
kept_after as (

    select
        options.user_id,
        options.place,
        options.channel,
        count(case when kept.channel = options.channel then 1 end) as on_channel,
        count(*) as in_all
    from options
    inner join kept on options.user_id = kept.user_id and kept.is_counted and kept.place > options.place
    where options.is_held_out
    group by options.user_id, options.place, options.channel

),

free_options as (

    select
        options.user_id,
        options.audience,
        options.campaign_id,
        options.place,
        options.candidates_of_user,
        options.is_counted,
        options.channel,
        options.preference,
        options.channel_room + coalesce(kept_after.on_channel, 0) as channel_room,
        options.total_room + coalesce(kept_after.in_all, 0) as total_room
    from options
    left join kept_after
        on
            options.user_id = kept_after.user_id
            and options.place = kept_after.place
            and options.channel = kept_after.channel
    where options.message_class = 'marketing' and options.carried_channel is null and options.reason is null

),

new_options as (

    select
        *,
        row_number() over (partition by user_id order by place, preference) as step
    from free_options
    where channel_room > 0 and total_room > 0

),

-- the only candidate of a user has no rival
alone as (

    select * from new_options where candidates_of_user = 1 and step = 1

),

rivals as (

    select * from new_options where candidates_of_user > 1

),

-- one option after the other, place by place: taken if its candidate has no channel yet and there is room left
walk as (

    select
        user_id,
        step,
        place,
        channel,
        true as is_taken,
        place as taken_place,
        case when is_counted then 1 else 0 end as used,
        case when is_counted then concat('|', channel, '|') else '' end as used_channels
    from rivals
    where step = 1

    union all

    select
        user_id,
        step,
        place,
        channel,
        is_taken,
        case when is_taken then place else taken_place end as taken_place,
        used + case when is_taken and is_counted then 1 else 0 end as used,
        case when is_taken and is_counted then concat(used_channels, '|', channel, '|') else used_channels end as used_channels
    from (
        select
            rivals.user_id,
            rivals.step,
            rivals.place,
            rivals.channel,
            rivals.is_counted,
            walk.taken_place,
            walk.used,
            walk.used_channels,
            rivals.place > walk.taken_place
            and rivals.total_room > walk.used
            and rivals.channel_room
            > (length(walk.used_channels) - length(replace(walk.used_channels, concat('|', rivals.channel, '|'), '')))
            / (length(rivals.channel) + 2) as is_taken
        from walk
        inner join rivals on walk.user_id = rivals.user_id and walk.step + 1 = rivals.step
    ) as next_option

),

picks as (

    select user_id, audience, campaign_id, place, channel, is_counted, true as is_kept from kept

    union all

    select user_id, audience, campaign_id, place, channel, is_counted, false as is_kept from alone

    union all

    select rivals.user_id, rivals.audience, rivals.campaign_id, rivals.place, rivals.channel, rivals.is_counted, false as is_kept
    from walk
    inner join rivals on walk.user_id = rivals.user_id and walk.step = rivals.step
    where walk.is_taken

),

-- transactional and service messages ask no cap
others as (

    select * from options
    where message_class <> 'marketing' and reason is null
    qualify row_number() over (partition by user_id, audience, campaign_id order by preference) = 1

),

planned as (

    select user_id, audience, campaign_id, channel from picks

    union all

    select user_id, audience, campaign_id, channel from others

),

unplanned as (

    select candidates.*
    from candidates
    left join planned
        on
            candidates.user_id = planned.user_id
            and candidates.audience = planned.audience
            and candidates.campaign_id = planned.campaign_id
    where planned.user_id is null

),

reasons as (

    select
        unplanned.user_id,
        unplanned.audience,
        unplanned.campaign_id,
        max_by(options.reason, {{ reason_place('options.reason') }}) as reason,
        bool_or(options.channel is not null and options.reason is null) as has_eligible
    from unplanned
    left join options
        on
            unplanned.user_id = options.user_id
            and unplanned.audience = options.audience
            and unplanned.campaign_id = options.campaign_id
    group by unplanned.user_id, unplanned.audience, unplanned.campaign_id

),

-- who went before is who used the room
outranked as (

    select unplanned.user_id, unplanned.audience, unplanned.campaign_id, unplanned.place
    from unplanned
    inner join reasons
        on
            unplanned.user_id = reasons.user_id
            and unplanned.audience = reasons.audience
            and unplanned.campaign_id = reasons.campaign_id
    where reasons.has_eligible

),

own_channels as (

    select outranked.user_id, outranked.audience, outranked.campaign_id, options.channel
    from outranked
    inner join options
        on
            outranked.user_id = options.user_id
            and outranked.audience = options.audience
            and outranked.campaign_id = options.campaign_id
    where options.reason is null

),

rivalry as (

    select
        outranked.user_id,
        outranked.audience,
        outranked.campaign_id,
        -- what of the total lists of the plan date don't carry in vain
        max(totals.room) + count(case when picks.is_kept then 1 end) as total_room,
        count(picks.place) as all_picks,
        count(case when picks.place < outranked.place then 1 end) as picks_before,
        max(picks.place) as last_pick,
        max(case when picks.place < outranked.place then picks.place end) as last_before,
        max(case when own_channels.channel is not null then picks.place end) as last_on_channels,
        max(case when own_channels.channel is not null and picks.place < outranked.place then picks.place end) as last_before_on_channels
    from outranked
    left join totals on outranked.user_id = totals.user_id
    left join picks on outranked.user_id = picks.user_id and picks.is_counted
    left join own_channels
        on
            outranked.user_id = own_channels.user_id
            and outranked.audience = own_channels.audience
            and outranked.campaign_id = own_channels.campaign_id
            and picks.channel = own_channels.channel
    group by outranked.user_id, outranked.audience, outranked.campaign_id

),

lost as (

    select
        user_id,
        audience,
        campaign_id,
        case
            when total_room - picks_before <= 0 then 'outranked_total'
            when last_before_on_channels is not null then 'outranked_channel'
            when total_room - all_picks <= 0 then 'outranked_total'
            else 'outranked_channel'
        end as reason,
        case
            when total_room - picks_before <= 0 then last_before
            when last_before_on_channels is not null then last_before_on_channels
            when total_room - all_picks <= 0 then last_pick
            else last_on_channels
        end as won_by
    from rivalry

)

select
    candidates.user_id,
    candidates.audience,
    candidates.campaign_id,
    candidates.message_class,
    candidates.value,
    candidates.variant,
    candidates.holdout_kind,
    planned.channel,
    case
        when planned.user_id is null then coalesce(lost.reason, reasons.reason, 'no_address')
    end as reason,
    winners.campaign_id as won_by_campaign_id
from candidates
left join planned
    on
        candidates.user_id = planned.user_id
        and candidates.audience = planned.audience
        and candidates.campaign_id = planned.campaign_id
left join reasons
    on
        candidates.user_id = reasons.user_id
        and candidates.audience = reasons.audience
        and candidates.campaign_id = reasons.campaign_id
left join lost
    on
        candidates.user_id = lost.user_id
        and candidates.audience = lost.audience
        and candidates.campaign_id = lost.campaign_id
left join picks as winners on lost.user_id = winners.user_id and lost.won_by = winners.place
