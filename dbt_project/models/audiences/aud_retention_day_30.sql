-- One row per user who started about a month ago and comes seldom or not at all.
{{ config(meta={
    'objective': 'Bring people back a month after the start, before the habit is lost',
    'criteria': 'Started ' ~ var('retention_second_days') | join(' to ') ~ ' days before the plan date, and came at most once, or not in the last '
    ~ var('retention_silent_days') ~ ' days',
    'offer': 'What is new since the start, and a question why not',
    'channels': ['push', 'email', 'in_app'],
    'value': 3,
    'needs': ['users.installed_at'],
}) }}
{{ came_seldom_since_start(var('retention_second_days')) }}
