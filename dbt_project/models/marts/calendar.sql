-- One row per calendar_date: every date from the first message to the plan date, so that days without a row elsewhere can be shown.
with

first_message as (

    select coalesce(min(contact_date), {{ as_of() }}) as first_date
    from {{ ref('fct_contacts') }}

)

select {{ dates_between('first_date', plan_date()) }} as calendar_date
from first_message
