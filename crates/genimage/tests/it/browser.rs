//! The pages in headless Chromium: every page in every shape, and what each is for, done to its end with script and
//! without: one browser and two hubs for each of the two.
//!
//! Where Chromium or its driver is missing the test says so and leaves it at that; with `CI` set it fails.
#![expect(clippy::print_stdout, reason = "what was walked, and a test that was left out, are worth telling")]

mod catalogue;
mod chromium;
mod doors;
mod making;
#[path = "../../../hub-web/tests/it/places.rs"]
mod places;
mod pool;
mod shapes;
mod upkeep;
mod window;

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use genimage::{
    app::{Hub, HubOptions},
    config::{Config, ConfigArgs},
};
use tempfile::TempDir;

use self::{chromium::Chromium, window::Window};
use crate::bed::any_port;

/// Longest wait for anything in a browser: generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is done in a window, to its end.
type Task = for<'w> fn(&'w Window) -> BoxFuture<'w, anyhow::Result<()>>;

/// A task under the name of the function that does it.
macro_rules! tasks {
    ($($module:ident :: $task:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($task)), |window| Box::pin($module::$task(window)))),*]
    };
}

/// What people come for, page by page; done on an open hub.
const TASKS: &[(&str, Task)] = tasks![
    making::the_start_makes_a_first_picture,
    making::the_playground_makes_and_the_gallery_keeps_and_deletes,
    making::two_pictures_are_compared_and_downloaded,
    making::a_picture_that_was_given_is_picked_again,
    making::a_picture_is_dropped_or_pasted,
    making::a_plan_is_shown_and_nothing_made,
    making::a_picture_is_edited_upscaled_and_redrawn,
    making::a_picture_is_described,
    making::a_prompt_is_written,
    making::a_fault_keeps_what_was_typed,
    making::jobs_are_found_cancelled_and_tried_again,
    pool::a_server_is_added_tested_switched_and_removed,
    pool::all_servers_are_tested_and_a_lost_one_is_told,
    pool::settings_of_a_server_are_changed,
    pool::an_llm_server_is_added_given_a_role_and_removed,
    catalogue::a_workflow_is_imported_corrected_compared_and_brought_back,
    catalogue::a_slot_is_given_another_node_in_the_drawing,
    catalogue::a_workflow_is_dropped_or_pasted,
    catalogue::a_render_type_is_made_changed_and_deleted,
    catalogue::a_style_is_added_changed_copied_and_deleted,
    catalogue::a_style_shows_what_it_looks_like,
    catalogue::what_was_deleted_is_taken_back,
    catalogue::styles_go_through_a_table,
    upkeep::a_setting_is_refused_and_saved,
    upkeep::instructions_are_changed_and_put_back,
    upkeep::statistics_are_narrowed,
    upkeep::retention_is_shown_before_it_is_saved,
    upkeep::a_configuration_goes_out_and_is_looked_at,
    upkeep::the_dashboard_and_connect_lead_on,
    upkeep::faults_are_pages,
];
/// The ways in, and what only an account can do; done on a hub that nobody has an account of yet.
const DOOR_TASKS: &[(&str, Task)] = tasks![
    doors::the_first_account_closes_the_hub,
    doors::a_secret_can_be_looked_at_while_it_is_typed,
    doors::a_login_and_a_logout,
    doors::a_key_is_shown_once_changed_and_revoked,
    doors::a_key_is_put_into_the_snippets_and_tested,
    doors::a_password_is_changed,
];

/// A hub in this process with the simulated servers of the demo.
struct Served {
    hub: Hub,
    url: String,
    _folder: TempDir,
}

impl Served {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = ConfigArgs { config: None, data_dir: Some(folder.path().to_owned()) };
        let mut config = Config::load(&args).unwrap();
        config.server.listen = any_port();
        let hub = Hub::start(&config, &HubOptions { demo: true, ..HubOptions::default() }).await.unwrap();
        let url = hub.url.as_str().trim_end_matches('/').to_owned();
        Self { hub, url, _folder: folder }
    }
}

/// Everything that is wrong, with where it is.
#[derive(Default)]
struct Report {
    complaints: Vec<String>,
    done: usize,
}

impl Report {
    /// Does the tasks one after the other; each in a window that knows nothing of the others.
    async fn walk(&mut self, window: &Window, tasks: &[(&str, Task)]) {
        for (name, task) in tasks {
            if std::env::var("BROWSER_TASK").is_ok_and(|asked| !name.contains(&asked)) {
                continue;
            }
            self.done += 1;
            let begun = Instant::now();
            let mut complaints = Vec::new();
            if let Err(error) = task(window).await {
                complaints.push(format!("{error:#}"));
            }
            complaints.extend(window.complaints().await);
            let about = format!("{name}, {}, at {}", window.shape(), window.path().await);
            println!("{:>6} ms  {about}", begun.elapsed().as_millis());
            self.complain(&about, complaints);
        }
    }

    fn complain(&mut self, about: &str, complaints: Vec<String>) {
        for complaint in complaints {
            let complaint = format!("{about}: {complaint}");
            println!("WRONG {complaint}");
            self.complaints.push(complaint);
        }
    }
}

/// Widths, and the colours that go with them. Each task is done in one with script and in the other without, so that it is
/// done in both; every page is looked at in all four of both.
const WIDE: (u32, &str) = (1280, "light");
const NARROW: (u32, &str) = (390, "dark");

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_in_a_browser_with_script() {
    Box::pin(walk(true, [WIDE, NARROW])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_in_a_browser_without_script() {
    Box::pin(walk(false, [NARROW, WIDE])).await;
}

/// All tasks and all views: the first task in the first shape, the second in the other, and so on in turn.
async fn walk(script: bool, shapes: [(u32, &'static str); 2]) {
    let Some(chromium) = Chromium::find() else { return };
    let (open, closed, browser) = tokio::join!(Served::start(), Served::start(), chromium.start());
    let mut report = Report::default();
    let mut window = Window::new(browser.driver(), &open.url);
    for (turn, (width, theme)) in shapes.into_iter().enumerate() {
        window.take_shape(script, width, theme).await;
        let turns = TASKS.iter().enumerate().filter(|(at, _)| at % shapes.len() == turn);
        report.walk(&window, &turns.map(|(_, task)| *task).collect::<Vec<_>>()).await;
    }
    shapes::look_at_every_page(&mut window, &mut report).await;
    window.visit(&closed.url);
    // One opens the door for the next: all of them in one shape.
    let [(width, theme), _] = shapes;
    window.take_shape(script, width, theme).await;
    report.walk(&window, DOOR_TASKS).await;
    browser.quit().await;
    open.hub.stop().await.unwrap();
    closed.hub.stop().await.unwrap();
    println!("{} tasks and views", report.done);
    assert!(report.complaints.is_empty(), "\n{}", report.complaints.join("\n"));
}
