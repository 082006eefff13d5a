-- One row per cut date of the backtest: the latest ends of months of which the days that show the truth are over.
{{ config(database='build') }}
{%- set cut = namespace(date=last_day_of_previous_month(add_days(as_of(), 1 - var('backtest_truth_days')))) %}
{%- for number in range(var('backtest_months')) %}

select {{ cut.date }} as cut_date
{%- set cut.date = last_day_of_previous_month(cut.date) %}
{{- '\n\nunion all' if not loop.last }}
{%- else %}

select {{ as_of() }} as cut_date where false
{%- endfor %}
