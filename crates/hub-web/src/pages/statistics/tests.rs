use chrono::NaiveDate;
use hub_core::ids::ServerId;
use hub_store::Tally;

use super::*;
use crate::pages::shown::sample::HOSTILE;

/// Two days, the second one without any job, and one group of each kind but for the styles, which are too many.
pub(super) fn days_and_groups() -> Statistics {
    let jobs = Tally { succeeded: 6, failed: 2, cancelled: 1, active: 1 };
    let run = Some(Percentiles { p50_ms: 1_250, p95_ms: 61_000 });
    let group = GroupStatistics { jobs, run, gpu_ms: 7_300_000, model_loads: 3 };
    let named = || [(HOSTILE.to_owned(), group.clone())].into();
    let servers = [(ServerId::from_uuid(uuid::Uuid::from_u128(5)), group.clone())].into();
    let styles = (0..=ROWS_MAX).map(|number| (number.to_string(), group.clone())).collect();
    let first = NaiveDate::from_ymd_opt(2026, 11, 20).expect("a day");
    let days = vec![
        DayStatistics { day: first, jobs, run, pictures: 8, gpu_ms: 7_300_000, model_loads: 3 },
        DayStatistics {
            day: first.succ_opt().expect("a day"),
            jobs: Tally::default(),
            run: None,
            pictures: 0,
            gpu_ms: 0,
            model_loads: 0,
        },
    ];
    Statistics { days, jobs, whole: run, run, servers, render_types: named(), styles, callers: named() }
}

#[test]
fn the_highest_bar_fills_its_chart_and_parts_stand_on_each_other() {
    let page = StatisticsPage::sample();
    let bar = &page.charts[0].bars[0];
    let parts: Vec<_> = bar.parts.iter().map(|part| (part.y, part.height)).collect();
    assert_eq!(parts, [(400, 600), (200, 200), (100, 100), (0, 100)]);
    assert!(page.charts[0].bars[1].parts.is_empty() && page.charts[0].bars[1].title.ends_with("none"));
    assert_eq!((page.success.as_str(), page.gpu.as_str()), ("75.0 %", "2 h 01 min"));
    assert_eq!((page.run.p50.as_str(), page.run.p95.as_str()), ("1.2 s", "1 min 01 s"));
}

#[test]
fn a_day_is_told_like_any_group() {
    let page = StatisticsPage::sample();
    let told = |day: &Day| [&day.success, &day.run.p50, &day.run.p95, &day.gpu].map(String::clone);
    assert_eq!(told(&page.days[1]), ["75.0 %", "1.2 s", "1 min 01 s", "2 h 01 min"]);
    assert_eq!(told(&page.days[0]), ["–", "–", "–", "0.0 s"]);
}

#[test]
fn long_tables_are_opened_and_very_long_ones_end() {
    let page = StatisticsPage::sample();
    let rows: Vec<_> = page.tables.iter().map(|table| (table.rows.len(), table.rest.len(), table.more)).collect();
    assert_eq!(rows, [(1, 0, 0), (1, 0, 0), (20, 180, 1), (1, 0, 0)]);
}
