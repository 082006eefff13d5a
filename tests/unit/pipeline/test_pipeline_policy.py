"""A wrong policy is named, line by line, before anything runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration import policy
from orchestration.command_line import main
from orchestration.errors import BarometerError
from orchestration.landing.assets import load_landing_files
from orchestration.landing.contract import DATASETS
from orchestration.policy_rules import ORDERS, POLICY_SEGMENTS, SEEDS, VARS, WEEKDAYS
from orchestration.resources import Warehouse
from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.audiences import audience_files
from orchestration.warehouse.families import family_models

FAMILIES = family_models().keys()
AUDIENCES = audience_files()
YML = (DBT_PROJECT / "dbt_project.yml").read_text(encoding="utf-8")
DOCUMENT = yaml.safe_load(YML)
FILES = {path.stem: path.read_bytes() for path in (DBT_PROJECT / "seeds").glob("*.csv")}
#: Whole seeds, so that a line number here does not follow what the project ships.
SMALL = {
    "age_bands": "age_band,from_age,to_age\nyoung,0,39\nold,40,\n",
    "contact_policy": "policy_segment,channel,window_days,max_contacts\n*,all,7,3\ndormant,email,30,0\n",
    "declared_order": "family,declared,position\ninterest,music,1\nvalue,music,1\n",
    "exchange_rates": "currency,rate_date,rate\nUSD,2026-01-01,0.86\n",
    "event_taxonomy": "event,class,is_visit,intent_weight,interest_weight,awareness_stage,vocabulary\n"
    "page,visit,true,0.1,0,problem_aware,\n",
    "consent_statuses": "synonym,status\nyes,granted\n",
    "rfm_map": "segment,r_min,r_max,f_min,f_max,m_min,m_max,fm_min,fm_max\n"
    "champions,4,,,,,,,\nloyal,,3,,,,,4,\nlost,,3,,,,,,3\n",
    "segment_catalog_entries": "family,position,segment,rule,action,objective,channel,message,frequency,offer\n"
    "rfm,1,champions,{rfm_map} over {rfm_window_days} days,Thank,,,,,\nrfm,2,loyal,Those,Thank,,,,,\n"
    'rfm,3,lost,"Those, too",Leave,,,,,\nrfm,4,no_orders,No order ever,Convert,,,,,\n'
    "stage,1,*,{segment} by {taxonomy_classes},Help,,,,,\n",
    "rfm_fixed_cut_points": "measure,cut,value\n",
    "channel_gaps": "channel,min_days\nsms,3\n",
    "blackout_dates": "blackout_date,weekday,channel,country,note\n2026-12-25,,,,Christmas\n,sunday,voice,DE,\n",
    "send_hours": "channel,country,send_from,send_until\nsms,,9,20\nsms,DE,10,19\n",
    "do_not_contact": "user_id,note\nu1,asked by letter\n",
    "campaign_settings": "campaign_id,is_active,value,channels,holdout_share,variants,salt,repeat_after_days,max_sends,"
    "max_per_day,test_ends_on,note\nthanks,false,2.5,email|push,0.1,a:0.5|b:0.5,2,30,3,100,2026-12-31,\n"
    "news_tea,,,,,,,,,,,\n",
    "category_settings": "category,is_replenishable,news_campaign_id\nTea,true,news_tea\nToys,false,\n",
    "universal_holdout": "valid_from,salt,share\n2026-01-01,2026,0.05\n",
    "dose_arms": "valid_from,salt,share\n2026-05-01,may,0.1\n",
}
#: Two audiences, one of which says which campaign.
META = "{{{{ config(meta={{'objective': 'o', 'criteria': 'c', 'offer': 'o', 'channels': ['email'], 'value': 1{}}}) }}}}"
MODELS = {
    "models/audiences/aud_care.sql": META.format(", 'message_class': 'service'"),
    "models/audiences/aud_news.sql": META.format(", 'returns': ['campaign_id']"),
    "models/audiences/aud_thanks.sql": META.format(""),
}
CHANNELS = "email, sms, push, web_push, in_app, whatsapp, telegram, viber, voice"
HASH = "56e1ba518a4e87b6188d04715e0a67d44d047e48e289ce4e54fecddb9e73fc7c"


@dataclass
class Written:
    """A policy as files have it, to be spoilt."""

    document: dict[str, Any] = field(default_factory=lambda: deepcopy(DOCUMENT))
    files: dict[str, bytes] = field(default_factory=lambda: {**FILES, **{n: t.encode() for n, t in SMALL.items()}})
    models: dict[str, str] = field(default_factory=lambda: dict(MODELS))

    def __post_init__(self) -> None:
        self.document["vars"]["unpublished_families"] = []

    def problems(self) -> list[str]:
        return policy.problems_of(
            yaml.dump(self.document, Dumper=yaml.CSafeDumper, sort_keys=False),
            self.files,
            {"rfm", "stage"},
            {path: text.encode() for path, text in self.models.items()},
        )

    def warnings(self) -> list[str]:
        read = policy.policy_of(
            yaml.dump(self.document, Dumper=yaml.CSafeDumper, sort_keys=False),
            self.files,
            {"rfm", "stage"},
            {path: text.encode() for path, text in self.models.items()},
        )
        return policy.warnings_of(read)


Edit = Callable[[Written], None]


def var(name: str, value: Any) -> Edit:
    return lambda written: written.document["vars"].update({name: value})


def no_var(name: str) -> Edit:
    return lambda written: written.document["vars"].pop(name)


def add(seed: str, line: str) -> Edit:
    return lambda written: written.files.update({seed: written.files[seed] + line.encode() + b"\n"})


def replace(seed: str, old: str, new: str) -> Edit:
    def edit(written: Written) -> None:
        assert old.encode() in written.files[seed]
        written.files[seed] = written.files[seed].replace(old.encode(), new.encode(), 1)

    return edit


def whole(seed: str, content: str | bytes) -> Edit:
    return lambda written: written.files.update({seed: content if isinstance(content, bytes) else content.encode()})


def both(*edits: Edit) -> Edit:
    return lambda written: [edit(written) for edit in edits] and None


def audience(name: str, more: str) -> Edit:
    return lambda written: written.models.update({f"models/audiences/aud_{name}.sql": META.format(more)})


def fixed(*lines: str) -> Edit:
    return both(var("rfm_cut_policy", "fixed"), *(add("rfm_fixed_cut_points", line) for line in lines))


def cuts(measure: str, *values: float) -> list[str]:
    return [f"{measure},{cut},{value}" for cut, value in enumerate(values, 1)]


CASES: dict[str, tuple[Edit, str | list[str]]] = {
    # vars, each by itself
    "a typo": (
        lambda written: written.document["vars"].update(rfm_windw_days=written.document["vars"].pop("rfm_window_days")),
        [
            "dbt_project.yml, var rfm_windw_days: nothing asks for it (meant rfm_window_days?)",
            "dbt_project.yml, var rfm_window_days: is missing, must be a whole number of days, 1 to 36500",
        ],
    ),
    "an unknown var": (var("colour", "blue"), "dbt_project.yml, var colour: nothing asks for it"),
    "a missing var": (
        no_var("fatigue_contacts"),
        "dbt_project.yml, var fatigue_contacts: is missing, must be a whole number, 1 or more",
    ),
    "a negative window": (
        var("rfm_window_days", -5),
        "dbt_project.yml, var rfm_window_days: is -5, must be a whole number of days, 1 to 36500",
    ),
    "a window of nothing": (
        var("affinity_days", 0),
        "dbt_project.yml, var affinity_days: is 0, must be a whole number of days, 1 to 36500",
    ),
    "a window without an end": (
        var("pressure_decay_days", 10**9),
        "dbt_project.yml, var pressure_decay_days: is 1000000000, must be a whole number of days, 1 to 36500",
    ),
    "half a day": (
        var("lead_days", 30.5),
        "dbt_project.yml, var lead_days: is 30.5, must be a whole number of days, 1 to 36500",
    ),
    "a number in quotes": (
        var("rfm_window_days", "365"),
        'dbt_project.yml, var rfm_window_days: is "365", must be a whole number of days, 1 to 36500',
    ),
    "true is no number": (
        var("fatigue_contacts", True),
        "dbt_project.yml, var fatigue_contacts: is true, must be a whole number, 1 or more",
    ),
    "null where it means nothing": (
        var("visit_gap_minutes", None),
        "dbt_project.yml, var visit_gap_minutes: is null, must be a whole number of minutes, 1 or more",
    ),
    "a share above 1": (
        var("affinity_min_share", 50),
        "dbt_project.yml, var affinity_min_share: is 50, must be a share from 0 to 1",
    ),
    "a share below 0": (
        var("pressure_near_cap_share", -0.1),
        "dbt_project.yml, var pressure_near_cap_share: is -0.1, must be a share from 0 to 1",
    ),
    "a number that is none": (
        var("affinity_line_weight", float("inf")),
        "dbt_project.yml, var affinity_line_weight: is Infinity, must be a number, 0 or more",
    ),
    "a factor of 0": (
        var("outlook_risky_factor", 0),
        "dbt_project.yml, var outlook_risky_factor: is 0, must be a number above 0",
    ),
    "a score of 6": (
        var("value_tier_very_good_score", 6),
        "dbt_project.yml, var value_tier_very_good_score: is 6, must be a whole number from 1 to 5",
    ),
    "an unknown choice": (
        var("rfm_cut_policy", "weekly"),
        'dbt_project.yml, var rfm_cut_policy: is "weekly", must be one of monthly, daily, fixed',
    ),
    "another unknown choice": (
        var("user_id_is_address", "publish"),
        'dbt_project.yml, var user_id_is_address: is "publish", must be one of stop, hash',
    ),
    "a time zone that is none": (
        var("business_time_zone", "Berlin"),
        'dbt_project.yml, var business_time_zone: is "Berlin", must be a time zone like UTC or Europe/Berlin',
    ),
    "half a time zone": (
        var("business_time_zone", "Europe"),
        'dbt_project.yml, var business_time_zone: is "Europe", must be a time zone like UTC or Europe/Berlin',
    ),
    "a date that is none": (
        var("first_as_of", "2026-02-30"),
        'dbt_project.yml, var first_as_of: is "2026-02-30", must be a date in quotes, like "2024-01-01"',
    ),
    "a date without quotes": (
        lambda written: written.document["vars"].update(yaml.safe_load("min_event_date: 1970-01-01")),
        'dbt_project.yml, var min_event_date: is 1970-01-01, must be a date in quotes, like "2024-01-01"',
    ),
    "a currency in words": (
        var("business_currency", "euro"),
        'dbt_project.yml, var business_currency: is "euro", must be a currency code like EUR',
    ),
    "a list that is none": (
        var("response_days", 30),
        "dbt_project.yml, var response_days: is 30, must be [30, 90]",
    ),
    "a list that columns are not named after": (
        var("response_days", [14]),
        "dbt_project.yml, var response_days: is [14], must be [30, 90]",
    ),
    "fewer segments than a family names": (
        var("family_max_segments", 5),
        "dbt_project.yml, var family_max_segments: is 5, must be a whole number, 12 or more",
    ),
    "a number beyond all": (
        var("fatigue_contacts", 10**400),
        f"dbt_project.yml, var fatigue_contacts: is {10**400}, must be a whole number, 1 or more",
    ),
    "a family that is none": (
        var("unpublished_families", ["stages"]),
        "dbt_project.yml, var unpublished_families: names stages, which has no model "
        "models/families/**/fam_stages.sql (meant stage?)",
    ),
    # seeds, each by itself
    "no file": (
        lambda written: written.files.pop("age_bands"),
        "seeds/age_bands.csv: there is no such file, must be there with the columns age_band, from_age, to_age",
    ),
    "a file without types": (
        whole("colours", "colour\nblue\n"),
        "dbt_project.yml: the +column_types of the seed colours are missing",
    ),
    "a type that is none": (
        lambda written: written.document["seeds"]["barometer"]["age_bands"]["+column_types"].update(to_age="number"),
        'seeds/age_bands.csv, line 2: to_age is "39", must be of a type that Barometer knows, not number',
    ),
    "other columns": (
        replace("consent_statuses", "synonym,status", "synonim,status"),
        "seeds/consent_statuses.csv: has other columns (missing: synonym; unknown: synonim), must have synonym, status",
    ),
    "a column twice": (
        whole("consent_statuses", "synonym,status,status\n"),
        "seeds/consent_statuses.csv: has other columns (twice: status), must have synonym, status",
    ),
    "an empty file": (
        whole("consent_statuses", ""),
        "seeds/consent_statuses.csv: has other columns (missing: synonym, status), must have synonym, status",
    ),
    "semicolons": (
        whole("consent_statuses", "synonym;status\nyes;granted\n"),
        "seeds/consent_statuses.csv: has semicolons between the columns, must have commas",
    ),
    "a byte order mark": (
        whole("consent_statuses", "\ufeffsynonym,status\nyes,granted\n"),
        "seeds/consent_statuses.csv: begins with a byte order mark, must be saved as UTF-8 without it",
    ),
    "another encoding": (
        whole("consent_statuses", "synonym,status\nqué,granted\n".encode("latin-1")),
        "seeds/consent_statuses.csv: is not UTF-8, must be saved as CSV UTF-8",
    ),
    "a quote alone": (
        whole("consent_statuses", 'synonym,status\n"yes,granted\n'),
        "seeds/consent_statuses.csv: can't be read as CSV: unexpected end of data",
    ),
    "a cell too many": (
        add("consent_statuses", "yes, please,granted"),
        "seeds/consent_statuses.csv, line 3: has 3 cells, must have 2 (a cell with a comma needs double quotes)",
    ),
    "an empty cell": (
        add("consent_statuses", "no,"),
        "seeds/consent_statuses.csv, line 3: status is empty, must be one of granted, withdrawn",
    ),
    "an empty key": (
        add("consent_statuses", ",granted"),
        "seeds/consent_statuses.csv, line 3: synonym is empty, must be filled in",
    ),
    "a space at the end": (
        add("consent_statuses", "no ,withdrawn"),
        'seeds/consent_statuses.csv, line 3: synonym is "no ", must be without a space at its start or end',
    ),
    "no whole number": (
        add("decay_factors", "1.5,0.1"),
        'seeds/decay_factors.csv, line 92: age_days is "1.5", must be a whole number of at most 9 digits',
    ),
    "no number": (
        add("exchange_rates", "GBP,2026-01-01,one"),
        'seeds/exchange_rates.csv, line 3: rate is "one", must be a number like 1.5, at most 9 digits before the '
        "point, 9 after",
    ),
    "too many decimals": (
        add("exchange_rates", "GBP,2026-01-01,1.1234567891"),
        'seeds/exchange_rates.csv, line 3: rate is "1.1234567891", must be a number like 1.5, at most 9 digits before '
        "the point, 9 after",
    ),
    "no date": (
        add("exchange_rates", "GBP,1.1.2026,1.15"),
        'seeds/exchange_rates.csv, line 3: rate_date is "1.1.2026", must be a date like 2026-06-30',
    ),
    "no boolean": (
        replace("event_taxonomy", "true", "yes"),
        'seeds/event_taxonomy.csv, line 2: is_visit is "yes", must be true or false',
    ),
    "no cut point": (
        add("rfm_fixed_cut_points", "recency,1,nan"),
        'seeds/rfm_fixed_cut_points.csv, line 2: value is "nan", must be a number like 1.5',
    ),
    # keys
    "an event twice, without case": (
        add("event_taxonomy", "PAGE,content,true,0.3,0,problem_aware,"),
        "seeds/event_taxonomy.csv, line 3: has the event of line 2 (PAGE), must have its own",
    ),
    "a synonym twice, without case": (
        add("consent_statuses", "Yes,withdrawn"),
        "seeds/consent_statuses.csv, line 3: has the synonym of line 2 (Yes), must have its own",
    ),
    "a rate twice": (
        add("exchange_rates", "usd,2026-01-01,0.9"),
        "seeds/exchange_rates.csv, line 3: has the currency and rate_date of line 2 (usd, 2026-01-01), must have "
        "its own",
    ),
    "a cap twice": (
        add("contact_policy", "*,all,7,2"),
        "seeds/contact_policy.csv, line 4: has the policy_segment and channel and window_days of line 2 (*, all, 7), "
        "must have its own",
    ),
    "an age of decay twice": (
        add("decay_factors", "89,0.5"),
        "seeds/decay_factors.csv, line 92: has the age_days of line 91 (89), must have its own",
    ),
    "a position twice": (
        replace("segment_catalog_entries", "rfm,2,", "rfm,1,"),
        "seeds/segment_catalog_entries.csv, line 3: has the family and position of line 2 (rfm, 1), must have its own",
    ),
    "a segment twice": (
        add("segment_catalog_entries", "rfm,5,loyal,Those,Thank,,,,,"),
        "seeds/segment_catalog_entries.csv, line 7: has the family and segment of line 3 (rfm, loyal), must have "
        "its own",
    ),
    "a declared value twice": (
        add("declared_order", "interest,music,2"),
        "seeds/declared_order.csv, line 4: has the family and declared of line 2 (interest, music), must have its own",
    ),
    "an acknowledgement twice": (
        both(*[add("acknowledged_rejects", f"consents,{HASH},,whole file")] * 2),
        f"seeds/acknowledged_rejects.csv, line 3: has the dataset and file_sha256 and row_number of line 2 (consents, "
        f"{HASH}, empty), must have its own",
    ),
    # cells
    "an address kind that is none": (
        add("channels", "pigeon,feather,1,0,true,true,true,true,false"),
        'seeds/channels.csv, line 11: address_kind is "feather", must be one of email, phone, device, chat_id, user_id',
    ),
    "a channel in capitals": (
        add("channels", "Pigeon,phone,1,0,true,true,true,true,false"),
        'seeds/channels.csv, line 11: channel is "Pigeon", must be small letters, digits and _',
    ),
    "a negative cost": (
        add("channels", "pigeon,phone,1,-0.5,true,true,true,true,false"),
        "seeds/channels.csv, line 11: message_cost is -0.5, must be a number, 0 or more",
    ),
    "a negative weight of a channel": (
        add("channels", "pigeon,phone,-1,0.5,true,true,true,true,false"),
        "seeds/channels.csv, line 11: intrusiveness is -1, must be a number, 0 or more",
    ),
    "a class that is none": (
        replace("event_taxonomy", "page,visit", "page,visits"),
        'seeds/event_taxonomy.csv, line 2: class is "visits", must be one of visit, content, search, category_view, '
        "product_view, wishlist, cart_add, cart_remove, checkout, purchase, install, uninstall",
    ),
    "a stage that is none": (
        replace("event_taxonomy", "problem_aware", "aware"),
        'seeds/event_taxonomy.csv, line 2: awareness_stage is "aware", must be one of unaware, problem_aware, '
        "solution_aware, product_aware, most_aware",
    ),
    "a negative weight of an event": (
        replace("event_taxonomy", "0.1,0,", "0.1,-1,"),
        "seeds/event_taxonomy.csv, line 2: interest_weight is -1, must be a number, 0 or more",
    ),
    "a consent that is none": (
        add("consent_statuses", "perhaps,unknown"),
        'seeds/consent_statuses.csv, line 3: status is "unknown", must be one of granted, withdrawn',
    ),
    "a dataset that is none": (
        add("acknowledged_rejects", f"consent,{HASH},,"),
        'seeds/acknowledged_rejects.csv, line 2: dataset is "consent", must be one of '
        + ", ".join(DATASETS),
    ),
    "no SHA-256": (
        add("acknowledged_rejects", f"consents,{HASH[:-1]},,"),
        f'seeds/acknowledged_rejects.csv, line 2: file_sha256 is "{HASH[:-1]}", must be a SHA-256 as the run names it: '
        "64 of 0-9 and a-f",
    ),
    "a rate of 0": (
        add("exchange_rates", "GBP,2026-01-01,0"),
        "seeds/exchange_rates.csv, line 3: rate is 0, must be a number above 0",
    ),
    "no currency": (
        add("exchange_rates", "pound,2026-01-01,1.15"),
        'seeds/exchange_rates.csv, line 3: currency is "pound", must be a currency code like USD',
    ),
    "a negative age of decay": (
        add("decay_factors", "-1,1"),
        "seeds/decay_factors.csv, line 92: age_days is -1, must be a whole number, 0 or more",
    ),
    "a policy segment that is none": (
        add("contact_policy", "sleepy,all,7,1"),
        'seeds/contact_policy.csv, line 4: policy_segment is "sleepy", must be one of *, fatigued, recent_buyer, '
        "dormant, new, one_time, engaged, default",
    ),
    "a cap of a channel that is none": (
        add("contact_policy", "*,pigeon,7,1"),
        'seeds/contact_policy.csv, line 4: channel is "pigeon", must be one of email, sms, push, web_push, in_app, '
        "whatsapp, telegram, viber, voice, all",
    ),
    "a cap without a window": (
        add("contact_policy", "*,email,0,1"),
        "seeds/contact_policy.csv, line 4: window_days is 0, must be a whole number of days, 1 to 36500",
    ),
    "a negative cap": (
        add("contact_policy", "*,email,7,-1"),
        "seeds/contact_policy.csv, line 4: max_contacts is -1, must be a whole number, 0 or more",
    ),
    "an order of a family that has none": (
        add("declared_order", "country,DE,1"),
        'seeds/declared_order.csv, line 4: family is "country", must be one of interest, value',
    ),
    "a measure that is none": (
        add("rfm_fixed_cut_points", "money,1,10"),
        'seeds/rfm_fixed_cut_points.csv, line 2: measure is "money", must be one of recency, frequency, monetary',
    ),
    "a fifth cut": (
        add("rfm_fixed_cut_points", "monetary,5,10"),
        "seeds/rfm_fixed_cut_points.csv, line 2: cut is 5, must be a whole number from 1 to 4",
    ),
    # the RFM map
    "a gap": (
        replace("rfm_map", "lost,,3,,,,,,3", "lost,,3,,,,,2,3"),
        "seeds/rfm_map.csv: gap: no row takes R1 F1 M1, R2 F1 M1, R3 F1 M1, must be one row for each cell",
    ),
    "an overlap": (
        replace("rfm_map", "lost,,3,", "lost,,4,"),
        "seeds/rfm_map.csv: overlap: line 2 (champions) and line 4 (lost) take R4 F1 M1, R4 F1 M2, R4 F1 M3, R4 F1 M4, "
        "R4 F1 M5 and 10 more, must be one row for each cell",
    ),
    "an overlap within a segment": (
        add("rfm_map", "champions,5,5,5,5,5,5,,"),
        "seeds/rfm_map.csv: overlap: line 2 (champions) and line 5 (champions) take R5 F5 M5, must be one row for each "
        "cell",
    ),
    "a range beyond the scores": (
        replace("rfm_map", "lost,,3,,,,,,3", "lost,0,3,,,,,,3"),
        "seeds/rfm_map.csv, line 4: r_min is 0, must be a whole number from 1 to 5",
    ),
    "a range the wrong way round": (
        add("rfm_map", "loyal,4,2,,,,,,"),
        "seeds/rfm_map.csv, line 5: nobody can reach this row (loyal): R 4 to 2, must take a cell",
    ),
    "scores that don't go together": (
        add("rfm_map", "loyal,,,1,1,1,1,3,3"),
        "seeds/rfm_map.csv, line 5: nobody can reach this row (loyal): no cell has such scores, since FM is "
        "(F + M + 1) div 2, must take a cell",
    ),
    "a segment that the catalogue lacks": (
        replace("rfm_map", "champions", "champion"),
        [
            "seeds/rfm_map.csv, line 2: the segment champion must have a row of the family rfm in "
            "segment_catalog_entries.csv (meant champions?)",
            "seeds/segment_catalog_entries.csv, line 2: nobody can be in champions of the family rfm, must be a "
            "segment of rfm_map.csv (meant champion?)",
        ],
    ),
    "a segment nobody can be in": (
        add("segment_catalog_entries", "rfm,5,whales,Those,Thank,,,,,"),
        "seeds/segment_catalog_entries.csv, line 7: nobody can be in whales of the family rfm, must be a segment of "
        "rfm_map.csv",
    ),
    # fixed cut points
    "no fixed cut points": (
        fixed(*cuts("recency", 1, 2, 3, 4), *cuts("frequency", 1, 1, 2, 3)),
        "seeds/rfm_fixed_cut_points.csv: monetary lacks cut 1, 2, 3, 4, must have cuts 1 to 4 while rfm_cut_policy is "
        "fixed",
    ),
    "cut points that fall": (
        fixed(*cuts("recency", 1, 3, 2, 4), *cuts("frequency", 1, 1, 2, 3), *cuts("monetary", 1, 2, 3, 4.5)),
        "seeds/rfm_fixed_cut_points.csv, line 4: cut 3 of recency is 2.0, must be at least cut 2 (3.0)",
    ),
    # decay factors
    "ages without a factor": (
        var("pressure_decay_days", 97),
        "seeds/decay_factors.csv: lacks the age 90, 91, 92, 93, 94 and 2 more, must have every age from 0 to 96, since "
        "pressure_decay_days is 97",
    ),
    # age bands
    "no band for the youngest": (
        replace("age_bands", "young,0", "young,18"),
        "seeds/age_bands.csv: the first band must be from 0: an age below all bands would be unknown",
    ),
    "a gap of ages": (
        replace("age_bands", "old,40", "old,42"),
        "seeds/age_bands.csv, line 3: gap: old is from 42, must be from 40, since young is to 39",
    ),
    "an overlap of ages": (
        replace("age_bands", "old,40", "old,39"),
        "seeds/age_bands.csv, line 3: overlap: old is from 39, must be from 40, since young is to 39",
    ),
    "an open band before another": (
        replace("age_bands", "0,39", "0,"),
        "seeds/age_bands.csv, line 2: to_age of young is empty, must be below 40: only the last is open",
    ),
    "a band the wrong way round": (
        replace("age_bands", "old,40,", "old,40,30"),
        "seeds/age_bands.csv, line 3: to_age is 30, must be at least from_age (40)",
    ),
    # the catalogue
    "a family without a model": (
        both(
            add("segment_catalog_entries", "stages,1,hot,Those,Thank,,,,,"),
            add("segment_catalog_entries", "stages,2,cold,Those,Thank,,,,,"),
        ),
        "seeds/segment_catalog_entries.csv, line 7: the family stages must have a model "
        "models/families/**/fam_stages.sql",
    ),
    "a family without rows": (
        replace("segment_catalog_entries", "stage,1,*,{segment} by {taxonomy_classes},Help,,,,,\n", ""),
        "seeds/segment_catalog_entries.csv: the family stage has no rows, must have one for each segment",
    ),
    "a placeholder that is none": (
        replace("segment_catalog_entries", "{rfm_window_days}", "{rfm_windw_days}"),
        "seeds/segment_catalog_entries.csv, line 2: rule has {rfm_windw_days}, must be a var or one of rfm_map, "
        "taxonomy_classes, segment (meant rfm_window_days?)",
    ),
    "a threshold outside a rule": (
        replace("segment_catalog_entries", "Thank", "Thank within {lead_days} days"),
        "seeds/segment_catalog_entries.csv, line 2: action has {lead_days}, must be {segment} or none",
    ),
    "a brace alone": (
        replace("segment_catalog_entries", "{rfm_window_days}", "{rfm_window_days"),
        "seeds/segment_catalog_entries.csv, line 2: rule has a brace alone, must be like {rfm_window_days}",
    ),
    "a segment without a rule": (
        replace("segment_catalog_entries", "No order ever", ""),
        "seeds/segment_catalog_entries.csv, line 5: rule is empty, must be filled in",
    ),
    # whom the plan may contact
    "a range the other way round": (
        var("retention_first_days", [17, 15]),
        "dbt_project.yml, var retention_first_days: is [17, 15], must be two whole numbers of days, the first at most "
        "the second, like [15, 17]",
    ),
    "a range of one": (
        var("retention_second_days", [30]),
        "dbt_project.yml, var retention_second_days: is [30], must be two whole numbers of days, the first at most the "
        "second, like [15, 17]",
    ),
    "a negative grace": (
        var("plan_grace_days", -1),
        "dbt_project.yml, var plan_grace_days: is -1, must be a whole number of days, 0 or more",
    ),
    "a gap of a channel that is none": (
        add("channel_gaps", "pigeon,3"),
        f'seeds/channel_gaps.csv, line 3: channel is "pigeon", must be one of {CHANNELS}',
    ),
    "a gap of every channel": (
        add("channel_gaps", "all,3"),
        f'seeds/channel_gaps.csv, line 3: channel is "all", must be one of {CHANNELS}',
    ),
    "a negative gap": (
        add("channel_gaps", "email,-1"),
        "seeds/channel_gaps.csv, line 3: min_days is -1, must be a whole number, 0 or more",
    ),
    "a gap twice": (
        add("channel_gaps", "sms,2"),
        "seeds/channel_gaps.csv, line 3: has the channel of line 2 (sms), must have its own",
    ),
    "a quiet day without a day": (
        add("blackout_dates", ",,sms,,"),
        "seeds/blackout_dates.csv, line 4: blackout_date and weekday: both are empty, must be exactly one",
    ),
    "a quiet day with two days": (
        add("blackout_dates", "2026-12-26,saturday,,,"),
        "seeds/blackout_dates.csv, line 4: blackout_date and weekday: both are filled in, must be exactly one",
    ),
    "a weekday that is none": (
        add("blackout_dates", ",Sun,,,"),
        'seeds/blackout_dates.csv, line 4: weekday is "Sun", must be one of monday, tuesday, wednesday, thursday, '
        "friday, saturday, sunday",
    ),
    "a quiet day of a channel that is none": (
        add("blackout_dates", ",monday,pigeon,,"),
        f'seeds/blackout_dates.csv, line 4: channel is "pigeon", must be one of {CHANNELS}',
    ),
    "a quiet day twice": (
        add("blackout_dates", ",sunday,voice,de,again"),
        "seeds/blackout_dates.csv, line 4: has the blackout_date and weekday and channel and country of line 3 (empty, "
        "sunday, voice, de), must have its own",
    ),
    "hours that end before they begin": (
        add("send_hours", "email,,20,8"),
        "seeds/send_hours.csv, line 4: send_until is 8, must be more than send_from (20)",
    ),
    "hours of no length": (
        add("send_hours", "email,,8,8"),
        "seeds/send_hours.csv, line 4: send_until is 8, must be more than send_from (8)",
    ),
    "an hour that is none": (
        add("send_hours", "email,,8,25"),
        "seeds/send_hours.csv, line 4: send_until is 25, must be a whole hour from 1 to 24",
    ),
    "hours of no channel": (
        add("send_hours", ",DE,8,20"),
        "seeds/send_hours.csv, line 4: channel is empty, must be filled in",
    ),
    "hours of a channel that is none": (
        add("send_hours", "pigeon,,8,20"),
        f'seeds/send_hours.csv, line 4: channel is "pigeon", must be one of {CHANNELS}',
    ),
    "hours twice": (
        add("send_hours", "sms,,8,20"),
        "seeds/send_hours.csv, line 4: has the channel and country of line 2 (sms, empty), must have its own",
    ),
    "somebody not to contact twice": (
        add("do_not_contact", "u1,"),
        "seeds/do_not_contact.csv, line 3: has the user_id of line 2 (u1), must have its own",
    ),
    "settings of a campaign that is none": (
        add("campaign_settings", "thnks,,,,,,,,,,,"),
        'seeds/campaign_settings.csv, line 4: campaign_id is "thnks", must be the name of an audience or a '
        "news_campaign_id of category_settings.csv (meant thanks?)",
    ),
    "settings twice": (
        add("campaign_settings", "thanks,,,,,,,,,,,"),
        "seeds/campaign_settings.csv, line 4: has the campaign_id of line 2 (thanks), must have its own",
    ),
    "settings with commas between channels": (
        add("campaign_settings", 'care,,,"email,push",,,,,,,,'),
        'seeds/campaign_settings.csv, line 4: channels is "email,push", must be channels like email|push, each once',
    ),
    "settings with a channel twice": (
        add("campaign_settings", "care,,,email|email,,,,,,,,"),
        'seeds/campaign_settings.csv, line 4: channels is "email|email", must be channels like email|push, each once',
    ),
    "settings with a channel that is none": (
        add("campaign_settings", "care,,,email|pigeon,,,,,,,,"),
        f'seeds/campaign_settings.csv, line 4: channels has "pigeon", must be of {CHANNELS}',
    ),
    "variants that don't sum to 1": (
        replace("campaign_settings", "a:0.5|b:0.5", "a:0.5|b:0.4"),
        'seeds/campaign_settings.csv, line 2: variants is "a:0.5|b:0.4", must be names and shares that sum to 1, like '
        "control:0.5|offer:0.5",
    ),
    "variants without shares": (
        replace("campaign_settings", "a:0.5|b:0.5", "a|b"),
        'seeds/campaign_settings.csv, line 2: variants is "a|b", must be names and shares that sum to 1, like '
        "control:0.5|offer:0.5",
    ),
    "a variant twice": (
        replace("campaign_settings", "a:0.5|b:0.5", "a:0.5|a:0.5"),
        'seeds/campaign_settings.csv, line 2: variants is "a:0.5|a:0.5", must be names and shares that sum to 1, like '
        "control:0.5|offer:0.5",
    ),
    "a negative variant": (
        replace("campaign_settings", "a:0.5|b:0.5", "a:1.5|b:-0.5"),
        'seeds/campaign_settings.csv, line 2: variants is "a:1.5|b:-0.5", must be names and shares that sum to 1, like '
        "control:0.5|offer:0.5",
    ),
    "a holdout of more than all": (
        replace("campaign_settings", "0.1", "1.1"),
        "seeds/campaign_settings.csv, line 2: holdout_share is 1.1, must be a share from 0 to 1",
    ),
    "a holdout of service messages": (
        add("campaign_settings", "care,,,,0.1,,,,,,,"),
        "seeds/campaign_settings.csv, line 4: holdout_share is 0.1, must be 0 or empty: nobody is held out of service "
        "messages",
    ),
    "a campaign that is never sent": (
        add("campaign_settings", "care,,,,,,,,0,,,"),
        "seeds/campaign_settings.csv, line 4: max_sends is 0, must be a whole number, 1 or more",
    ),
    "news as another audience's campaign": (
        add("category_settings", "Books,false,care"),
        'seeds/category_settings.csv, line 4: news_campaign_id is "care", the campaign of the audience of this name, '
        "must be another",
    ),
    "news that no audience sends": (
        lambda written: written.models.pop("models/audiences/aud_news.sql"),
        'seeds/category_settings.csv, line 2: news_campaign_id is "news_tea", of no audience, must be empty: none '
        "returns campaign_id",
    ),
    "a category twice": (
        add("category_settings", "Tea,false,"),
        "seeds/category_settings.csv, line 4: has the category of line 2 (Tea), must have its own",
    ),
    "a salt twice": (
        add("universal_holdout", "2027-01-01,2026,0.05"),
        "seeds/universal_holdout.csv, line 3: has the salt of line 2 (2026), must have its own",
    ),
    "two holdouts from a date": (
        add("universal_holdout", "2026-01-01,other,0.05"),
        "seeds/universal_holdout.csv, line 3: has the valid_from of line 2 (2026-01-01), must have its own",
    ),
    "a holdout of more than everybody": (
        add("universal_holdout", "2027-01-01,2027,5"),
        "seeds/universal_holdout.csv, line 3: share is 5, must be a share from 0 to 1",
    ),
    "arms of a dose test of more than everybody": (
        add("dose_arms", "2027-01-01,2027,0.6"),
        "seeds/dose_arms.csv, line 3: share is 0.6, must be a share from 0 to 0.5: there are two arms of it",
    ),
    "an audience of a channel that is none": (
        audience("care", ", 'channels': ['email', 'pigeon']"),
        f'models/audiences/aud_care.sql, meta channels: has "pigeon", must be of {CHANNELS}',
    ),
    "a wrong audience": (
        audience("thanks", ", 'value': -1"),
        "models/audiences/aud_thanks.sql, meta value: is -1, must be a number, 0 or more, with at most two decimals",
    ),
}  # fmt: skip


def test_the_committed_policy_is_right() -> None:
    policy.check_policy()
    assert policy.problems_of(YML, FILES, FAMILIES, AUDIENCES) == []


def test_the_policy_of_these_tests_is_right() -> None:
    assert Written().problems() == []


@pytest.mark.parametrize("name", CASES)
def test_a_problem_is_said_once_and_nothing_else(name: str) -> None:
    edit, said = CASES[name]
    written = Written()
    edit(written)
    assert written.problems() == ([said] if isinstance(said, str) else said)


@pytest.mark.parametrize(("lower", "order", "upper"), ORDERS)
def test_thresholds_out_of_order(lower: str, order: str, upper: str) -> None:
    written = Written()
    values = written.document["vars"]
    values[lower] = values[upper] + 1
    if order == "<=":
        words = f"must be at least {lower} ({values[lower]})"
    else:
        words = f"must be more than {lower} ({values[lower]})"
    assert f"dbt_project.yml, var {upper}: is {values[upper]}, {words}" in written.problems()
    values[lower] = values[upper]
    assert any(upper in line for line in written.problems()) == (order == "<")


@pytest.mark.parametrize(
    ("name", "value"),
    [("link_back_days", None), ("link_back_days", 0), ("settle_seconds", 0.5), ("lead_warm_score", 0.5)],
)
def test_what_may_be(name: str, value: Any) -> None:
    written = Written()
    var(name, value)(written)
    assert written.problems() == []


def test_fixed_cut_points_may_be_equal() -> None:
    written = Written()
    fixed(*cuts("recency", 1, 2, 3, 4), *cuts("frequency", 1, 1, 1, 2), *cuts("monetary", -1, 2.5, 3, 4))(written)
    assert written.problems() == []


def test_a_cap_of_0_on_everything_may_be() -> None:
    written = Written()
    add("contact_policy", "*,all,30,0")(written)
    assert written.problems() == []


def test_settings_are_not_compared_with_audiences_that_can_t_be_read() -> None:
    written = Written()
    written.models["models/audiences/aud_thanks.sql"] = "select {{"
    (problem,) = written.problems()
    assert problem.startswith("models/audiences/aud_thanks.sql, line 1: can't be rendered: ")


NOBODY = "Nobody can be contacted: "
CAPS = f"{NOBODY}in seeds/contact_policy.csv a cap of 0"
QUIET = f"{NOBODY}seeds/blackout_dates.csv has every weekday"
BOTH = f"{NOBODY}where seeds/contact_policy.csv has no cap of 0"


def caps(*rows: str) -> Edit:
    return whole("contact_policy", "\n".join(["policy_segment,channel,window_days,max_contacts", *rows, ""]))


def quiet(*rows: str) -> Edit:
    return whole("blackout_dates", "\n".join(["blackout_date,weekday,channel,country,note", *rows, ""]))


def on_every_day(where: str) -> list[str]:
    return [f",{day},{where}," for day in WEEKDAYS]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (caps("*,all,1,0"), CAPS),
        (caps("*,all,7,5", "*,all,1,0"), CAPS),
        (caps(*(f"{segment},all,7,0" for segment in POLICY_SEGMENTS)), CAPS),
        (caps(*(f"*,{channel},7,0" for channel in CHANNELS.split(", "))), CAPS),
        (
            caps(
                "fatigued,all,7,0",
                *(f"{segment},{channel},7,0" for segment in POLICY_SEGMENTS[1:] for channel in CHANNELS.split(", ")),
            ),
            CAPS,
        ),
        # whoever has one way left can be contacted
        (caps(), None),
        (caps("*,all,7,1"), None),
        (caps(*(f"{segment},all,7,0" for segment in POLICY_SEGMENTS[:-1])), None),
        (caps(*(f"*,{channel},7,0" for channel in CHANNELS.split(", ")[:-1])), None),
        (quiet(*on_every_day(",")), QUIET),
        (quiet(*(row for channel in CHANNELS.split(", ") for row in on_every_day(f"{channel},"))), QUIET),
        (quiet(*on_every_day(",")[1:]), None),
        (quiet(*on_every_day(",DE")), None),
        (quiet(*(row for channel in CHANNELS.split(", ")[1:] for row in on_every_day(f"{channel},"))), None),
        (
            both(
                caps(*(f"*,{channel},7,0" for channel in CHANNELS.split(", ")[1:])), quiet(*on_every_day("email,"))
            ),
            BOTH,
        ),
    ],
)  # fmt: skip
def test_a_policy_under_which_nobody_can_be_contacted_is_said(edit: Edit, said: str | None) -> None:
    written = Written()
    edit(written)
    assert written.problems() == []
    warnings = written.warnings()
    assert len(warnings) == (said is not None)
    assert all(warning.startswith(str(said)) for warning in warnings)


def test_the_committed_policy_lets_people_be_contacted() -> None:
    assert policy.policy_warnings() == []


def test_a_seed_of_somebody_s_own_is_only_read() -> None:
    written = Written()
    written.document["seeds"]["barometer"]["stores"] = {"+column_types": {"store": "varchar", "opened": "date"}}
    whole("stores", "store,opened\nBerlin,\nParis,2020-13-01\n")(written)
    assert written.problems() == [
        'seeds/stores.csv, line 3: opened is "2020-13-01", must be a date like 2026-06-30',
    ]


def test_a_var_of_somebody_s_own_is_right_where_a_model_asks_for_it(broken: Path) -> None:
    (broken / "dbt_project.yml").write_text(YML.replace("\nvars:\n", "\nvars:\n  visit_rhythm_regular_days: 8\n"))
    for seed in ("contact_policy", "rfm_map"):
        (broken / "seeds" / f"{seed}.csv").write_bytes(FILES[seed])
    with pytest.raises(BarometerError, match="var visit_rhythm_regular_days: nothing asks for it"):
        policy.check_policy(broken)
    model = broken / "models" / "families" / "fam_rfm.sql"
    model.write_text(model.read_text() + "-- {{ var('visit_rhythm_regular_days') }}\n")
    policy.check_policy(broken)


def test_every_var_and_seed_of_the_tables_is_there() -> None:
    assert set(DOCUMENT["vars"]) == set(VARS)
    assert FILES.keys() >= SEEDS.keys()
    for name, rule in SEEDS.items():
        columns = DOCUMENT["seeds"]["barometer"][name]["+column_types"].keys()
        assert columns >= {*rule.columns, *rule.optional, *rule.any_case, *(c for key in rule.keys for c in key)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vars: [", "dbt_project.yml: can't be read: "),
        ("# é".encode("latin-1"), "dbt_project.yml: can't be read: "),
        ("vars: 5", "dbt_project.yml: must have vars, and under seeds, barometer for each seed its +column_types"),
        ("", "dbt_project.yml: must have vars, and under seeds, barometer for each seed its +column_types"),
        ("- vars", "dbt_project.yml: must have vars, and under seeds, barometer for each seed its +column_types"),
    ],
)
def test_a_file_that_can_t_be_read(text: str | bytes, said: str) -> None:
    (found,) = policy.problems_of(text, FILES, FAMILIES, AUDIENCES)
    assert found.startswith(said)


def test_a_var_that_is_there_twice() -> None:
    text = YML.replace("  rfm_window_days: 365\n", "  rfm_window_days: 365\n  rfm_window_days: 180\n")
    assert policy.problems_of(text, FILES, FAMILIES, AUDIENCES) == [
        "dbt_project.yml, var rfm_window_days: is there twice, must be there once"
    ]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A project with three problems, in a var and two seeds."""
    project = tmp_path / "dbt_project"
    shutil.copytree(DBT_PROJECT / "seeds", project / "seeds")
    shutil.copytree(DBT_PROJECT / "models" / "families", project / "models" / "families")
    (project / "dbt_project.yml").write_text(YML.replace("rfm_window_days: 365", "rfm_window_days: -365"))
    with (project / "seeds" / "contact_policy.csv").open("a") as seed:
        seed.write("sleepy,all,7,1\n")
    with (project / "seeds" / "rfm_map.csv").open("a") as seed:
        seed.write("lost,1,1,,,,,1,1\n")
    return project


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and a landing folder with an order."""
    (tmp_path / "landing" / "orders").mkdir(parents=True)
    (tmp_path / "landing" / "orders" / "a.csv").write_text("order_id,user_id,ordered_at\no1,u1,2026-06-01\n")
    monkeypatch.setenv("BAROMETER_LANDING", str(tmp_path / "landing"))
    monkeypatch.setenv("BAROMETER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BAROMETER_SETTLE_SECONDS", "0")
    monkeypatch.setenv("BAROMETER_TODAY", "2026-07-01")
    return tmp_path / "data"


def test_all_problems_are_listed_with_where_to_mend_them(broken: Path) -> None:
    with pytest.raises(BarometerError) as error:
        policy.check_policy(broken)
    first, *lines = error.value.message.splitlines()
    assert first == "The policy has 3 problems:"
    assert [line.split(":")[0].split(", line")[0] for line in lines] == [
        "  dbt_project.yml, var rfm_window_days",
        "  seeds/contact_policy.csv",
        "  seeds/rfm_map.csv",
    ]
    assert "dbt_project/dbt_project.yml" in error.value.hint
    assert "dbt_project/seeds/" in error.value.hint
    assert "make parse" in error.value.hint


@pytest.mark.parametrize("command", ["run", "parse", "dev"])
def test_no_command_begins_with_a_broken_policy(
    broken: Path, data: Path, command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orchestration.command_line.check_policy", partial(policy.check_policy, broken))
    with pytest.raises(SystemExit) as stopped:
        main([command])
    assert stopped.value.code == 1
    said = capfd.readouterr().err
    assert "Barometer stopped: The policy has 3 problems:" in said
    assert "var rfm_window_days: is -365, must be a whole number of days, 1 to 36500" in said
    assert "What to do: Mend" in said
    assert "Traceback" not in said
    assert not data.exists()


@pytest.mark.parametrize("command", ["run", "parse", "dev"])
def test_a_command_says_a_warning_once(
    data: Path, command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise BarometerError("enough")

    monkeypatch.setattr("orchestration.command_line.policy_warnings", lambda: ["Nobody can be contacted."])
    monkeypatch.setattr("orchestration.command_line.settings_from_environment", stop)
    with pytest.raises(SystemExit):
        main([command])
    assert capfd.readouterr().err.count("Warning: Nobody can be contacted.") == 1


@pytest.mark.parametrize("where", ["resources", "landing.assets"], ids=["as it begins", "after it waited for the lock"])
def test_a_run_in_dagster_loads_nothing_with_a_broken_policy(
    broken: Path, data: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"orchestration.{where}.check_policy", partial(policy.check_policy, broken))
    definitions = dg.Definitions(
        assets=[load_landing_files],
        jobs=[dg.define_asset_job("load")],
        resources={"warehouse": Warehouse()},
        executor=dg.in_process_executor,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_job_def("load").execute_in_process(instance=instance, raise_on_error=False)
        tags = instance.get_run_by_id(result.run_id).tags
    assert not result.success
    assert not (data / "warehouse" / "working.duckdb").exists()
    errors = [
        event.step_failure_data.error if event.is_step_failure else event.job_failure_data.error
        for event in result.all_events
        if event.is_step_failure or event.is_job_failure
    ]
    assert "The policy has 3 problems:" in str(errors)
    assert (tags.get("dagster/max_retries") == "0") == (where == "resources")
