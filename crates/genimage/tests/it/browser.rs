//! The pages in headless Chromium: every page in every shape, and what each is for, done to its end with script and
//! without: one browser and two hubs for each of the two.
//!
//! Where Chromium or its driver is missing the test says so and leaves it at that; with `CI` set it fails.
#![expect(clippy::print_stdout, reason = "what was walked, and a test that was left out, are worth telling")]

mod access;
mod chromium;
mod connect;
mod every_page;
mod gallery;
mod hostile;
mod jobs;
mod jobs_live;
mod maintenance;
mod patience;
#[path = "../../../hub-web/tests/it/places.rs"]
mod places;
mod playground;
mod playground_again;
mod playground_keys;
mod playground_picture;
mod pointer;
mod redrawn;
mod render_types;
mod servers;
mod settings;
mod start;
mod styles;
mod window;
mod workflows;

use std::{collections::BTreeSet, time::Instant};

use futures_util::future::BoxFuture;
use genimage::{
    app::{Hub, HubOptions},
    config::{Config, ConfigArgs},
};
use hub_sim::{ComfyConfig, ComfySim};
use tempfile::TempDir;

use self::{chromium::Chromium, window::Window};
use crate::bed::any_port;

/// What all the views are called where one task is asked for.
const EVERY_PAGE: &str = "every page";

/// What is done in a window, to its end.
type Task = for<'w> fn(&'w Window) -> BoxFuture<'w, anyhow::Result<()>>;
/// The same beside a server that does as it is told: jobs on it stand still, or fail.
type HeldTask = for<'w> fn(&'w Window, &'w ComfySim) -> BoxFuture<'w, anyhow::Result<()>>;

/// What a task has to do with script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    /// It is much the same without.
    Either,
    /// Some of it is there only with script.
    More,
    /// Without script there is nothing to do.
    Only,
}

/// Tasks under the names of the functions that do them, each with what it has to do with script where that is much.
macro_rules! tasks {
    ($given:tt $($module:ident :: $task:ident $(: $script:ident)?),* $(,)?) => {
        &[$((
            concat!(stringify!($module), "::", stringify!($task)),
            script!($($script)?),
            task!($given $module::$task),
        )),*]
    };
}

macro_rules! script {
    () => {
        Script::Either
    };
    ($script:ident) => {
        Script::$script
    };
}

macro_rules! task {
    (($($given:ident),+) $module:ident :: $task:ident) => {
        |$($given),+| Box::pin($module::$task($($given),+))
    };
}

/// What people come for, page by page; done on an open hub.
const TASKS: &[(&str, Script, Task)] = tasks![(window)
    start::the_start_makes_a_first_picture,
    gallery::the_playground_makes_and_the_gallery_keeps_and_deletes,
    gallery::two_pictures_are_compared_and_downloaded,
    playground::a_picture_that_was_given_is_picked_again,
    playground::a_picture_is_dropped_or_pasted: Only,
    playground::a_plan_is_shown_and_nothing_made,
    playground::a_picture_is_edited_upscaled_and_redrawn,
    playground::a_picture_is_described,
    playground::a_prompt_is_written,
    playground::a_fault_keeps_what_was_typed,
    playground_picture::a_chosen_picture_is_seen_and_drawn_on: Only,
    playground_picture::a_mask_is_given_as_a_file,
    playground::what_was_typed_goes_along_to_another_tool: Only,
    playground_picture::a_description_is_drawn,
    styles::a_question_is_asked_in_a_dialog_and_can_be_left: More,
    servers::a_server_is_added_tested_switched_and_removed: More,
    servers::all_servers_are_tested_and_a_lost_one_is_told: More,
    servers::settings_of_a_server_are_changed,
    servers::an_llm_server_is_added_given_a_role_and_removed,
    workflows::a_workflow_is_imported_corrected_compared_and_brought_back,
    workflows::a_slot_is_given_another_node_in_the_drawing,
    workflows::a_workflow_is_dropped_or_pasted: Only,
    render_types::a_render_type_is_made_changed_and_deleted,
    styles::a_style_is_added_changed_copied_and_deleted: More,
    styles::a_style_shows_what_it_looks_like,
    styles::what_was_deleted_is_taken_back,
    styles::styles_go_through_a_table,
    workflows::a_saved_workflow_is_imported_and_run,
    workflows::a_picture_brings_its_workflow,
    workflows::a_workflow_that_no_server_can_run_says_why,
    render_types::a_render_type_shows_what_it_looks_like,
    gallery::the_gallery_is_narrowed_and_favourites_are_taken_back,
    playground_again::a_picture_is_asked_for_again,
    playground_again::a_picture_is_worked_on_again,
    playground_again::words_are_asked_for_again,
    styles::unsaved_words_are_asked_about: Only,
    connect::words_are_copied: More,
    playground_keys::keys_send_and_a_button_is_pressed_once: Only,
    playground_keys::a_picture_is_made_by_keyboard_alone,
    settings::a_setting_is_refused_and_saved,
    settings::instructions_are_changed_and_put_back: More,
    settings::of_several_changed_forms_the_others_are_asked_for: Only,
    maintenance::statistics_are_narrowed,
    maintenance::retention_is_shown_before_it_is_saved,
    maintenance::a_configuration_goes_out_and_is_looked_at,
    connect::the_dashboard_and_connect_lead_on,
    connect::faults_are_pages,
    playground_picture::a_picture_is_dragged_in_and_a_mask_dabbed_on_it: Only,
    render_types::render_types_go_through_a_table,
];
/// What needs a server that does as it is told; done on a hub that begins empty.
const HELD_TASKS: &[(&str, Script, HeldTask)] = tasks![(window, sim)
    start::an_empty_hub_comes_to_its_first_picture,
    jobs_live::a_running_job_shows_how_far_it_is_and_then_its_picture: More,
    jobs_live::lists_show_how_far_jobs_are: More,
    redrawn::the_list_of_jobs_is_redrawn_and_forgets_nothing: Only,
    redrawn::what_has_the_focus_stays_what_it_is: Only,
    jobs::jobs_are_found_cancelled_and_tried_again,
    jobs::a_waiting_job_says_why_and_is_moved_and_cancelled,
    jobs::a_failed_job_shows_its_error_and_is_tried_again,
    styles::missing_pictures_of_styles_are_rendered,
];
/// The ways in, and what only an account can do; done on a hub that nobody has an account of yet.
const DOOR_TASKS: &[(&str, Script, Task)] = tasks![(window)
    access::the_first_account_closes_the_hub,
    access::a_secret_can_be_looked_at_while_it_is_typed: More,
    access::a_login_and_a_logout,
    access::what_was_typed_outlives_the_login,
    access::a_key_is_shown_once_changed_and_revoked,
    access::a_key_is_put_into_the_snippets_and_tested,
    access::a_style_is_previewed_with_a_login,
    access::a_picture_is_kept_and_deleted_with_a_login,
    access::a_workflow_is_imported_with_a_login,
    access::a_server_is_tested_first_with_a_login,
    access::jobs_are_cancelled_from_their_list_with_a_login,
    access::a_password_is_changed,
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

/// The shapes of the task at that place in its list. Each task is done in one with script and in its opposite without, so
/// that it is done at both widths and in both colours; what is there only with script is done in both with it. Every
/// fourth task begins anew, so that all shapes come with and without. Every page is looked at in all shapes besides.
fn shapes_of(place: usize, needs: Script, script: bool) -> Vec<Shape> {
    let place = place % SHAPES.len();
    let (own, opposite) = (SHAPES[place], SHAPES[place ^ 1]);
    match (script, needs) {
        (true, Script::Either) => vec![own],
        (true, Script::More | Script::Only) => vec![own, opposite],
        (false, Script::Either | Script::More) => vec![opposite],
        (false, Script::Only) => Vec::new(),
    }
}

/// Place, name and need of the tasks of a list.
fn listed<T>(tasks: &'static [(&'static str, Script, T)]) -> impl Iterator<Item = (usize, &'static str, Script)> {
    tasks.iter().enumerate().map(|(place, (name, needs, _))| (place, *name, *needs))
}

fn all_tasks() -> impl Iterator<Item = (usize, &'static str, Script)> {
    listed(TASKS).chain(listed(HELD_TASKS)).chain(listed(DOOR_TASKS))
}

/// Whether the environment names a task, or none: all are done then. Behind a door nothing is done before it has a lock.
fn named(task: &str) -> bool {
    let Ok(asked) = std::env::var("BROWSER_TASK") else { return true };
    let (lock, ..) = DOOR_TASKS[0];
    task.contains(&asked) || (task == lock && DOOR_TASKS.iter().any(|(door, ..)| door.contains(&asked)))
}

/// The tasks that are done, each with a shape.
fn asked<T: Copy>(
    tasks: &'static [(&'static str, Script, T)],
    script: bool,
) -> impl Iterator<Item = (&'static str, T, Shape)> {
    let asked = tasks.iter().enumerate().filter(|(_, (name, ..))| named(name));
    asked.flat_map(move |(place, (name, needs, task))| {
        shapes_of(place, *needs, script).into_iter().map(move |shape| (*name, *task, shape))
    })
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
    let (mut with_script, mut without_script) = (BTreeSet::new(), BTreeSet::new());
    for (place, name, needs) in all_tasks() {
        let (with, without) = (shapes_of(place, needs, true), shapes_of(place, needs, false));
        assert_eq!(without.is_empty(), needs == Script::Only, "{name} without script");
        // What is there only with script must be met in both with it.
        let both = if needs == Script::Either { [with.clone(), without.clone()].concat() } else { with.clone() };
        assert!(matches!(*both, [one, other] if one.0 != other.0 && one.1 != other.1), "{name}: {both:?}");
        with_script.extend(with);
        without_script.extend(without);
    }
    for shapes in [with_script, without_script] {
        assert_eq!(shapes, BTreeSet::from(SHAPES));
    }
}

/// All tasks and all views.
async fn walk(script: bool) {
    let known = all_tasks().map(|(_, name, _)| name).chain([EVERY_PAGE]).any(named);
    assert!(known, "BROWSER_TASK names nothing that there is");
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
    if named(EVERY_PAGE) {
        every_page::look_at_every_page(&mut window, script, &mut report).await;
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
