-- One row per user who started about two weeks ago and comes seldom or not at all.
{{ config(meta={
    'objective': 'Bring people back two weeks after the start, before the habit is lost',
    'criteria': 'Started ' ~ var('retention_first_days') | join(' to ') ~ ' days before the plan date, and came at most once, or not in the last '
    ~ var('retention_silent_days') ~ ' days',
    'offer': 'A tour of what others use most',
    'channels': ['push', 'email', 'in_app'],
    'value': 3,
    'needs': ['users.installed_at'],
}) }}
{{ came_seldom_since_start(var('retention_first_days')) }}
