//! The pages in headless Chromium: every page in every shape, and what each is for, done to its end with script and
//! without: one browser and two hubs for each of the two.
//!
//! Where Chromium or its driver is missing the test says so and leaves it at that; with `CI` set it fails.
#![expect(clippy::print_stdout, reason = "what was walked, and a test that was left out, are worth telling")]

mod again;
mod begin;
mod catalogue;
mod chromium;
mod doors;
mod graphs;
mod hands;
mod live;
mod looks;
mod making;
mod memory;
mod picture;
#[path = "../../../hub-web/tests/it/places.rs"]
mod places;
mod pool;
mod queue;
mod shapes;
mod upkeep;
mod window;

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use genimage::{
    app::{Hub, HubOptions},
    config::{Config, ConfigArgs},
};
use hub_sim::{ComfyConfig, ComfySim};
use tempfile::TempDir;

use self::{chromium::Chromium, window::Window};
use crate::bed::any_port;

/// Longest wait for anything in a browser: generous, since the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is done in a window, to its end.
type Task = for<'w> fn(&'w Window) -> BoxFuture<'w, anyhow::Result<()>>;
/// The same beside a server that does as it is told: jobs on it stand still, or fail.
type HeldTask = for<'w> fn(&'w Window, &'w ComfySim) -> BoxFuture<'w, anyhow::Result<()>>;

/// Tasks under the names of the functions that do them.
macro_rules! tasks {
    ($given:tt $($module:ident :: $task:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($task)), task!($given $module::$task))),*]
    };
}

macro_rules! task {
    (($($given:ident),+) $module:ident :: $task:ident) => {
        |$($given),+| Box::pin($module::$task($($given),+))
    };
}

/// What people come for, page by page; done on an open hub.
const TASKS: &[(&str, Task)] = tasks![(window)
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
    picture::a_chosen_picture_is_seen_and_drawn_on,
    picture::a_mask_is_given_as_a_file,
    picture::what_was_typed_goes_along_to_another_tool,
    picture::a_description_is_drawn,
    picture::a_question_is_asked_in_a_dialog_and_can_be_left,
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
    graphs::a_saved_workflow_is_imported_and_run,
    graphs::a_picture_brings_its_workflow,
    graphs::a_workflow_that_no_server_can_run_says_why,
    looks::a_render_type_shows_what_it_looks_like,
    looks::the_gallery_is_narrowed_and_favourites_are_taken_back,
    again::a_picture_is_asked_for_again,
    again::a_picture_is_worked_on_again,
    again::words_are_asked_for_again,
    hands::unsaved_words_are_asked_about,
    hands::words_are_copied,
    hands::keys_send_and_a_button_is_pressed_once,
    hands::a_picture_is_made_by_keyboard_alone,
    upkeep::a_setting_is_refused_and_saved,
    upkeep::instructions_are_changed_and_put_back,
    upkeep::of_several_changed_forms_the_others_are_asked_for,
    upkeep::statistics_are_narrowed,
    upkeep::retention_is_shown_before_it_is_saved,
    upkeep::a_configuration_goes_out_and_is_looked_at,
    upkeep::the_dashboard_and_connect_lead_on,
    upkeep::faults_are_pages,
];
/// What needs a server that does as it is told; done on a hub that begins empty.
const HELD_TASKS: &[(&str, HeldTask)] = tasks![(window, sim)
    begin::an_empty_hub_comes_to_its_first_picture,
    live::a_running_job_shows_how_far_it_is_and_then_its_picture,
    live::lists_show_how_far_jobs_are,
    memory::the_list_of_jobs_is_redrawn_and_forgets_nothing,
    memory::what_has_the_focus_stays_what_it_is,
    queue::jobs_are_found_cancelled_and_tried_again,
    queue::a_waiting_job_says_why_and_is_moved_and_cancelled,
    queue::a_failed_job_shows_its_error_and_is_tried_again,
    looks::missing_pictures_of_styles_are_rendered,
];
/// The ways in, and what only an account can do; done on a hub that nobody has an account of yet.
const DOOR_TASKS: &[(&str, Task)] = tasks![(window)
    doors::the_first_account_closes_the_hub,
    doors::a_secret_can_be_looked_at_while_it_is_typed,
    doors::a_login_and_a_logout,
    doors::what_was_typed_outlives_the_login,
    doors::a_key_is_shown_once_changed_and_revoked,
    doors::a_key_is_put_into_the_snippets_and_tested,
    doors::a_password_is_changed,
];

/// A hub in this process.
struct Served {
    hub: Hub,
    url: String,
    _folder: TempDir,
}

impl Served {
    /// With the simulated servers of the demo, or with none.
    async fn start(demo: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let args = ConfigArgs { config: None, data_dir: Some(folder.path().to_owned()) };
        let mut config = Config::load(&args).unwrap();
        config.server.listen = any_port();
        let hub = Hub::start(&config, &HubOptions { demo, ..HubOptions::default() }).await.unwrap();
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
    /// Does one task, in a window that knows nothing of the others.
    async fn does(&mut self, window: &Window, name: &str, task: impl Future<Output = anyhow::Result<()>>) {
        self.done += 1;
        let begun = Instant::now();
        let mut complaints = Vec::new();
        if let Err(error) = task.await {
            complaints.push(format!("{error:#}"));
        }
        complaints.extend(window.complaints().await);
        let about = format!("{name}, {}, at {}", window.shape(), window.path().await);
        println!("{:>6} ms  {about}", begun.elapsed().as_millis());
        self.complain(&about, complaints);
    }

    fn complain(&mut self, about: &str, complaints: Vec<String>) {
        for complaint in complaints {
            let complaint = format!("{about}: {complaint}");
            println!("WRONG {complaint}");
            self.complaints.push(complaint);
        }
    }
}

/// Width of a window in px, and the colours that its person prefers.
type Shape = (u32, &'static str);

const SHAPES: [Shape; 4] = [(1280, "light"), (390, "dark"), (1280, "dark"), (390, "light")];

/// The shape of the task at that place in its list. Each task is done in one with script and in its opposite without, so that
/// it is done at both widths and in both colours; every fourth begins anew, so that all of them come with both. Every page is
/// looked at in all shapes besides.
fn shape_of(place: usize, script: bool) -> Shape {
    SHAPES[(place % SHAPES.len()) ^ usize::from(!script)]
}

/// Whether the environment names a task, or none: all are done then.
fn named(task: &str) -> bool {
    !std::env::var("BROWSER_TASK").is_ok_and(|asked| !task.contains(&asked))
}

/// The tasks that are done, each with its shape.
fn asked<T: Copy>(tasks: &'static [(&'static str, T)], script: bool) -> impl Iterator<Item = (&'static str, T, Shape)> {
    let shaped = tasks.iter().enumerate().map(move |(place, (name, task))| (*name, *task, shape_of(place, script)));
    shaped.filter(move |(name, ..)| named(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_in_a_browser_with_script() {
    Box::pin(walk(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_work_in_a_browser_without_script() {
    Box::pin(walk(false)).await;
}

#[test]
fn every_task_comes_in_opposite_shapes_and_all_shapes_come_with_and_without_script() {
    for script in [true, false] {
        let shapes: std::collections::BTreeSet<Shape> = (0..4).map(|place| shape_of(place, script)).collect();
        assert_eq!(shapes.len(), 4);
    }
    for place in 0..4 {
        let (with, without) = (shape_of(place, true), shape_of(place, false));
        assert!(with.0 != without.0 && with.1 != without.1, "{with:?} {without:?}");
    }
}

/// All tasks and all views.
async fn walk(script: bool) {
    let Some(chromium) = Chromium::find() else { return };
    // Slow enough for a half that is seen, quick enough for many pictures.
    let config = ComfyConfig { run_ms: 300, preview: true, ..ComfyConfig::default() };
    let (open, closed, empty, browser, sim) = tokio::join!(
        Served::start(true),
        Served::start(true),
        Served::start(false),
        chromium.start(),
        ComfySim::start(any_port(), config)
    );
    let sim = sim.unwrap();
    let mut report = Report::default();
    let mut window = Window::new(browser.driver(), &open.url);
    for (name, task, (width, theme)) in asked(TASKS, script) {
        window.take_shape(script, width, theme).await;
        report.does(&window, name, task(&window)).await;
    }
    if named("every page") {
        shapes::look_at_every_page(&mut window, script, &mut report).await;
    }
    window.visit(&empty.url);
    for (name, task, (width, theme)) in asked(HELD_TASKS, script) {
        window.take_shape(script, width, theme).await;
        report.does(&window, name, task(&window, &sim)).await;
    }
    // One opens the door for the next.
    window.visit(&closed.url);
    for (name, task, (width, theme)) in asked(DOOR_TASKS, script) {
        window.take_shape(script, width, theme).await;
        report.does(&window, name, task(&window)).await;
    }
    browser.quit().await;
    for served in [open, closed, empty] {
        served.hub.stop().await.unwrap();
    }
    println!("{} tasks and views", report.done);
    assert!(report.complaints.is_empty(), "\n{}", report.complaints.join("\n"));
}
