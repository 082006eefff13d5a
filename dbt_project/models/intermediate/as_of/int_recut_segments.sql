-- One row per user whose segment would be another one under the cut points before these, with the segments under those.
{{ config(database='build') }}

with

{{ rfm_scored_ctes('previous') }},

recut as (

    select
        user_id,
        segment as rfm,
        {{ value_tier('scored') }} as value_tier,
        {{ loyalty_basket('scored') }} as loyalty_basket
    from scored
    -- without cut points before these there is nothing to compare
    where has_cut_points

),

rfm as (

    select * from {{ ref('fam_rfm') }}

),

tiers as (

    select * from {{ ref('fam_value_tier') }}

),

baskets as (

    select * from {{ ref('fam_loyalty_basket') }}

)

select
    recut.user_id,
    recut.rfm,
    recut.value_tier,
    recut.loyalty_basket
from recut
inner join rfm on recut.user_id = rfm.user_id
inner join tiers on recut.user_id = tiers.user_id
inner join baskets on recut.user_id = baskets.user_id
where
    recut.rfm <> rfm.segment
    or recut.value_tier <> tiers.segment
    or recut.loyalty_basket <> baskets.segment
