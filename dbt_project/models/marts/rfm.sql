-- One row per user with an order ever: RFM measures, scores and segment as of the date.
with

{{ rfm_scored_ctes('current') }}

select
    user_id,
    {{ as_of() }} as as_of,
    recency_days,
    frequency,
    cast(monetary as decimal(18, 2)) as monetary,
    r_score,
    f_score,
    m_score,
    fm_score,
    segment,
    repeat_frequency,
    recency,
    t,
    mean_repeat_value
from scored
