-- One row per (measure, cut): the value that splits the buyers of the window at 20, 40, 60 or 80 %.
select
    measure,
    cut,
    value,
    computed_as_of
from {{ ref('int_rfm_cut_points') }}
where cut_set = 'current' and measure <> 'order_value'
