-- One row per (family, segment): its rule in words with the thresholds of today, and what to do with it.
with

entries as (

    select * from {{ ref('segment_catalog_entries') }}
    -- the words of a family that is not published are for nobody
    where family in ({% for family in families() %}'{{ family }}'{{ ', ' if not loop.last }}{% endfor %})

),

-- an entry `*` stands for every segment of the family that has none of its own
found as (

    select distinct family, segment
    from (
        {{ segments_of_users() }}
    ) as segments
    where family in (select family from entries where segment = '*')

),

named as (

    select
        entries.*,
        entries.segment as named_segment
    from entries
    where entries.segment <> '*'

    union all

    select
        entries.*,
        found.segment as named_segment
    from entries
    inner join found on entries.family = found.family
    where
        entries.segment = '*'
        and not exists (
            select 1 from entries as own where own.family = found.family and own.segment = found.segment
        )

),

-- the RFM map in words
map_ranges as (

    select
        segment,
        {% for score in ['r', 'f', 'm', 'fm'] -%}
        case
            when {{ score }}_min is null and {{ score }}_max is null then ''
            when {{ score }}_min = {{ score }}_max then concat(' and {{ score | upper }} ', {{ score }}_min)
            when {{ score }}_max is null then concat(' and {{ score | upper }} at least ', {{ score }}_min)
            when {{ score }}_min is null then concat(' and {{ score | upper }} at most ', {{ score }}_max)
            else concat(' and {{ score | upper }} ', {{ score }}_min, ' to ', {{ score }}_max)
        end as {{ score }}_words,
        {% endfor -%}
        coalesce(r_min, r_max, 0) as r_order
    from {{ ref('rfm_map') }}

),

map_words as (

    select
        segment,
        replace({{ joined_text("substring(concat(r_words, f_words, m_words, fm_words), 6)", '-r_order') }}, '|', ', or ') as words
    from map_ranges
    group by segment

),

-- the classes of events that lift somebody to a stage; of a class that mostly lifts to another, its events
class_stages as (

    select class, awareness_stage, count(*) as events, {{ joined_text('event', 'event') }} as event_names
    from {{ ref('event_taxonomy') }}
    group by class, awareness_stage

),

stage_words as (

    select
        awareness_stage as segment,
        replace({{ joined_text('words', 'words') }}, '|', ', ') as words
    from (
        select
            awareness_stage,
            case
                when 2 * events >= sum(events) over (partition by class) then replace(class, '_', ' ') else event_names
            end as words
        from class_stages
    ) as named_classes
    group by awareness_stage

),

rendered as (

    select
        named.*,
        replace(replace(replace(
        {% for _ in catalog_thresholds() %}replace({% endfor %}named.rule
        {%- for name in catalog_thresholds() %}, '{{ '{' ~ name ~ '}' }}', '{{ var(name) }}'){% endfor %},
        '{{ '{rfm_map}' }}', coalesce(map_words.words, '')),
        '{{ '{taxonomy_classes}' }}', coalesce(stage_words.words, '')),
        '{{ '{segment}' }}', named.named_segment) as words
    from named
    left join map_words on named.named_segment = map_words.segment
    left join stage_words on named.named_segment = stage_words.segment

)

select
    family,
    named_segment as segment,
    position,
    words as rule
    {%- for column in ['action', 'objective', 'channel', 'message', 'frequency', 'offer'] %},
    replace({{ column }}, '{{ '{segment}' }}', named_segment) as {{ column }}
    {%- endfor %}
from rendered
