"""The published tables that an explanation reads, small: a few users of the shop, each with another story."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

JUNE = date(2024, 6, 30)  # a Sunday
TABLES = """
    create schema marts;
    create schema history;
    create table history.built_dates(as_of date, is_final boolean, built_at timestamp);
    create table history.build_state as select 'whole' as fingerprint;
    create table marts.build_info(as_of date, is_final boolean, built_at timestamp);
    create table marts.user_360(
        user_id varchar, as_of date, first_visit_date date, last_visit_date date, visits bigint,
        expected_gap_days double, lead_score double, category_affinity_share double, category_runner_up varchar,
        abandoned_product_id varchar, abandoned_category varchar, reachable_channels varchar, first_order_date date,
        last_order_date date, orders bigint, net_revenue decimal(18,2), mean_order_value double,
        orders_in_window bigint, country varchar);
    create table marts.user_segments(user_id varchar, family varchar, segment varchar, as_of date);
    create table marts.segment_catalog(family varchar, segment varchar, position integer, rule varchar);
    create table marts.rfm(
        user_id varchar, recency_days integer, frequency bigint, monetary decimal(18,2), r_score integer,
        f_score integer, m_score integer, fm_score integer);
    create table marts.fct_contacts(
        message_id varchar, user_id varchar, channel varchar, campaign_id varchar, message_class varchar,
        sent_at timestamp, contact_date date, is_contact boolean, is_opened boolean, is_clicked boolean,
        is_complained boolean, is_unsubscribed boolean);
    create table marts.planned_contacts(
        plan_date date, user_id varchar, campaign_id varchar, audience varchar, channel varchar, variant varchar,
        message_class varchar, is_logged boolean, is_pending boolean);
    create table marts.contact_pressure(
        user_id varchar, as_of date, contacts_7d bigint, contacts_30d bigint, days_since_last_contact integer,
        policy_segment varchar, pressure_status varchar, headroom bigint, cap_use varchar, next_eligible_date date,
        dose_arm varchar);
    create table marts.contact_pressure_by_channel(
        user_id varchar, channel varchar, contacts_7d bigint, contacts_30d bigint, days_since_last_contact integer,
        headroom bigint, cap_use varchar, next_eligible_date date);
    create table marts.channel_eligibility(
        user_id varchar, channel varchar, plan_date date, is_eligible boolean, reason varchar, service_reason varchar);
    create table marts.contact_plan(
        plan_date date, user_id varchar, campaign_id varchar, audience varchar, channel varchar, message_class varchar,
        variant varchar, holdout_kind varchar, value decimal(18,2));
    create table marts.contact_suppressions(
        plan_date date, user_id varchar, campaign_id varchar, audience varchar, message_class varchar, reason varchar,
        won_by_campaign_id varchar, value_forgone decimal(18,2), again_from date);
    create table marts.audience_catalog(
        audience varchar, objective varchar, criteria varchar, offer varchar, channels varchar, message_class varchar,
        value decimal(18,2), repeat_after_days integer, max_sends integer);
"""
#: Users whose contacts, caps and channels differ: anna is planned, bob bought, cleo is tired, dan said no.
ROWS = """
    insert into history.built_dates values (date '2024-06-29', true, timestamp '2024-06-30 03:00:00'),
        (date '2024-06-30', true, timestamp '2024-07-01 03:00:00');
    insert into marts.user_360(user_id, visits, first_visit_date, last_visit_date, expected_gap_days, orders,
        last_order_date, net_revenue, mean_order_value, orders_in_window, country, reachable_channels) values
        ('anna', 12, '2024-01-04', '2024-06-29', 6.25, 4, '2024-05-01', 1234.50, 308.63, 4, 'DE', 'email|push'),
        ('bob', 1, '2024-06-28', '2024-06-28', 14, 1, '2024-06-28', 20, 20, 1, 'unknown', 'email'),
        ('cleo', 0, null, null, null, 0, null, 0, null, 0, 'FR', 'email'),
        ('dan', 0, null, null, null, 0, null, 0, null, 0, 'FR', null);
    insert into marts.user_segments(user_id, family, segment) values
        ('anna', 'engagement', 'engaged'), ('anna', 'engagement_outlook', 'steady'), ('anna', 'rfm', 'champions'),
        ('anna', 'lifecycle', 'loyal'), ('anna', 'country', 'DE'), ('anna', 'gender', 'unknown'),
        ('anna', 'pressure_status', 'near_cap'), ('anna', 'shoe_size', 'large'),
        ('bob', 'engagement', 'new'), ('cleo', 'engagement', 'never_seen'), ('dan', 'engagement', 'never_seen');
    insert into marts.segment_catalog values
        ('engagement', 'never_seen', 1, 'No visit ever'), ('engagement', 'new', 2, 'First visit at most 14 days ago'),
        ('engagement', 'engaged', 5, 'All others: more than one visit, the last at most 30 days ago'),
        ('engagement_outlook', 'steady', 4, 'All others'),
        ('rfm', 'champions', 1, 'R 5 and FM 4 to 5, scores over 365 days'),
        ('lifecycle', 'loyal', 5, 'At least 4 orders in 365 days, the last at most 90 days ago'),
        ('country', 'DE', 1, 'Country in the profile is DE'),
        ('pressure_status', 'near_cap', 4, 'Contacts at least 0.6 times what some cap allows');
    insert into marts.rfm values ('anna', 60, 4, 1234.50, 5, 4, 5, 5);
    insert into marts.fct_contacts
        select 'm' || n, 'anna', channel, campaign, class, day + time '12:00', day, contact, opened, clicked, no, false
        from (values
            (1, 'email', 'news', 'marketing', date '2024-05-31', true, false, false, false),
            (2, 'email', 'news', 'marketing', date '2024-06-01', true, false, false, false),
            (3, 'email', 'news', 'marketing', date '2024-06-03', true, true, false, false),
            (4, 'email', 'deal', 'marketing', date '2024-06-03', true, true, true, false),
            (5, 'email', 'news', 'marketing', date '2024-06-20', true, false, false, true),
            (6, 'push', 'news', 'marketing', date '2024-06-28', false, false, false, false),
            (7, 'push', 'receipt', 'transactional', date '2024-06-27', false, false, false, false),
            (8, 'email', 'news', 'marketing', date '2024-06-28', true, false, false, false),
            (9, 'email', 'later', 'marketing', date '2024-07-01', true, false, false, false)
        ) as t(n, channel, campaign, class, day, contact, opened, clicked, no);
    insert into marts.planned_contacts values
        ('2024-06-30', 'anna', 'cart', 'cart', 'push', null, 'marketing', false, true),
        ('2024-06-28', 'anna', 'news', 'news', 'email', null, 'marketing', true, false),
        ('2024-05-30', 'anna', 'news', 'news', 'email', null, 'marketing', false, false);
    insert into marts.contact_pressure values
        ('anna', null, 2, 6, 0, 'engaged', 'near_cap', 1, '1d 1/2|7d 2/5|30d 6/15', '2024-07-01', null),
        ('bob', null, 1, 1, 2, 'recent_buyer', 'healthy', 0, '1d 0/0', null, null),
        ('cleo', null, 1, 12, 3, 'fatigued', 'fatigued', 0, '7d 1/1', '2024-07-04', null),
        ('dan', null, 0, 0, null, 'default', 'rested', 2, '1d 0/1|7d 0/2', '2024-07-01', null);
    insert into marts.contact_pressure_by_channel values
        ('anna', 'email', 1, 5, 2, 1, '1d 0/1|7d 1/4', '2024-07-01'),
        ('anna', 'push', 1, 1, 0, 0, '1d 0/1|7d 3/3', '2024-07-03'),
        ('anna', 'telegram', 0, 0, null, null, null, '2024-07-01'),
        ('bob', 'email', 1, 1, 2, 1, '1d 0/1', null),
        ('cleo', 'email', 1, 12, 3, 2, '1d 0/1', '2024-07-04'), ('cleo', 'sms', 0, 0, null, 0, '1d 0/0', null);
    insert into marts.channel_eligibility
        select user_id, channel, date '2024-07-01', reason is null, reason, service from (values
            ('anna', 'email', null, null), ('anna', 'push', 'channel_cap', null),
            ('anna', 'sms', 'no_address', 'no_address'),
            ('anna', 'telegram', 'no_consent', 'no_consent'), ('anna', 'viber', 'suppressed', 'suppressed'),
            ('bob', 'email', 'post_purchase', null), ('bob', 'sms', 'no_address', 'no_address'),
            ('cleo', 'email', 'total_cap', null), ('cleo', 'sms', 'fatigued', null),
            ('dan', 'email', 'do_not_contact', null), ('dan', 'sms', 'do_not_contact', null)
        ) as t(user_id, channel, reason, service);
    insert into marts.audience_catalog(audience, criteria, channels, message_class, repeat_after_days, max_sends) values
        ('care', 'ordered on the date', 'email', 'transactional', null, null),
        ('cart', 'left a cart', 'email|push', 'marketing', 7, null),
        ('category_news', 'likes a category', 'email', 'marketing', 7, null),
        ('champions', 'rfm is champions', 'email', 'marketing', 30, 3),
        ('once', 'day 15', 'email', 'marketing', null, null),
        ('texts', 'wants texts', 'sms|push', 'marketing', 7, null);
    insert into marts.contact_plan values
        ('2024-07-01', 'anna', 'cart', 'cart', 'email', 'marketing', 'offer', null, 12),
        ('2024-07-01', 'anna', 'champions', 'champions', 'email', 'marketing', null, 'campaign', 3),
        ('2024-07-01', 'bob', 'care', 'care', 'email', 'transactional', null, null, 0);
    insert into marts.contact_suppressions values
        ('2024-07-01', 'anna', 'news_tea', 'category_news', 'marketing', 'outranked_channel', 'cart', 2, null),
        ('2024-07-01', 'anna', 'once', 'once', 'marketing', 'already_sent', null, 1, null),
        ('2024-07-01', 'anna', 'texts', 'texts', 'marketing', 'channel_cap', null, 1, null),
        ('2024-07-01', 'bob', 'champions', 'champions', 'marketing', 'already_sent', null, 1, '2024-07-20'),
        ('2024-07-01', 'bob', 'cart', 'cart', 'marketing', 'post_purchase', null, 1, null),
        ('2024-07-01', 'cleo', 'cart', 'cart', 'marketing', 'just_bought', null, 1, null),
        ('2024-07-01', 'dan', 'cart', 'cart', 'marketing', 'do_not_contact', null, 1, null);
"""


def make_tables(file: Path, as_of: date = JUNE, is_final: bool = True) -> None:
    """Make a published file; its rows speak of June, whichever date it claims."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(file)) as con:
        con.execute(TABLES)
        con.execute("insert into marts.build_info values (?, ?, timestamp '2024-07-01 03:00:00')", [as_of, is_final])
        con.execute(ROWS)
