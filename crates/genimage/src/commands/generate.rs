//! `genimage generate`: pictures from the command line.

mod remote;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hub_core::{
    caller::Caller,
    error::{ErrorCode, UserError},
    ids::JobId,
    job::JobState,
    request::ToolCall,
};
use hub_engine::{Engine, JobProgress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{Hub, HubOptions},
    cli::GenerateArgs,
    config::Config,
    demo::told,
    lifecycle,
};

/// Ticks of the progress bar: the fraction in thousandths.
const BAR_LENGTH: u64 = 1000;

/// A picture with what is told about it.
struct Picture {
    bytes: Bytes,
    file_name: String,
    seed: Option<u64>,
}

/// What a job made, the primary picture first.
struct Made {
    pictures: Vec<Picture>,
    warnings: Vec<String>,
}

/// Makes the pictures and writes them. With `--demo` or `--server`, a hub of its own in a temporary
/// folder; else a running hub, or one on the configured folder.
///
/// # Errors
/// When the request is refused, the job fails, or the file cannot be written.
pub(super) async fn run(mut config: Config, args: GenerateArgs) -> anyhow::Result<ExitCode> {
    if let Some(output) = &args.output {
        refuse_bad_target(output)?;
    }
    let stop = lifecycle::on_signal()?;
    let bar = progress_bar();
    let mut made = if args.demo || args.server.is_some() {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        folder.path().clone_into(&mut config.server.data_dir);
        config.database.url.clear();
        config.objects.url.clear();
        Box::pin(embedded(&config, &args, &bar, &stop)).await?
    } else if let Some(hub) = remote::Hub::find(&config).await? {
        hub.generate(arguments(&args), &bar, Duration::from_secs(args.timeout_s), &stop).await?
    } else {
        Box::pin(embedded(&config, &args, &bar, &stop)).await?
    };
    bar.finish_and_clear();
    let mut written = Vec::with_capacity(made.pictures.len());
    for (index, picture) in made.pictures.iter().enumerate() {
        let path = numbered(target(args.output.clone(), &picture.file_name), args.output.is_some(), index);
        made.warnings.extend(misnamed(&path, &picture.file_name));
        write_whole(&path, &picture.bytes)?;
        written.push((path, picture.seed));
    }
    tell(&written, &made.warnings);
    Ok(ExitCode::SUCCESS)
}

/// The tool arguments that the options make.
fn arguments(args: &GenerateArgs) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("prompt".to_owned(), json!(args.prompt));
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            map.insert(name.to_owned(), value);
        }
    };
    put("negative_prompt", json!(args.negative_prompt));
    put("render_type", json!(args.render_type));
    put("aspect_ratio", json!(args.aspect_ratio));
    put("width", json!(args.width));
    put("height", json!(args.height));
    put("seed", json!(args.seed));
    if args.n != 1 {
        put("n", json!(args.n));
    }
    if !args.styles.is_empty() {
        put("styles", json!(args.styles));
    }
    if args.no_enhance {
        put("enhance", json!(false));
    }
    map
}

async fn embedded(
    config: &Config,
    args: &GenerateArgs,
    bar: &ProgressBar,
    stop: &CancellationToken,
) -> anyhow::Result<Made> {
    let options = HubOptions { demo: args.demo, server: args.server.clone(), no_listener: true };
    let hub = Hub::start(config, &options).await?;
    let limit = Duration::from_secs(args.timeout_s);
    let outcome = Box::pin(make(&hub.engine, arguments(args), bar, limit, stop)).await;
    hub.stop().await?;
    outcome
}

/// Submits to an engine in this process and follows the job to its end; cancels it when the limit is
/// reached or `stop` comes, since nobody would fetch its picture.
async fn make(
    engine: &Engine,
    arguments: Map<String, Value>,
    bar: &ProgressBar,
    limit: Duration,
    stop: &CancellationToken,
) -> anyhow::Result<Made> {
    let call = ToolCall::parse("generate_image", &arguments).map_err(told)?;
    let submitted = engine.submit(&Caller::named("command line"), call).await.map_err(advise)?;
    let id = submitted.job.id;
    let mut said = String::new();
    let followed = lifecycle::until(stop, tokio::time::timeout(limit, follow(engine, id, bar, &mut said))).await;
    if !matches!(followed, Some(Ok(()))) {
        engine.cancel(id).await.map_err(told)?;
        bail!(given_up(followed.is_none(), limit, &said));
    }
    let view = engine.view(id).await.map_err(told)?;
    match &view.job.state {
        JobState::Succeeded => {}
        JobState::Failed(error) => return Err(told(error.clone())),
        other => bail!("the job ended {}", other.kind()),
    }
    let several = view.job.request.pictures() > 1;
    let mut pictures = Vec::new();
    // A workflow may save more than was asked for: of one run, the primary picture is what is wanted.
    for artifact in view.artifacts.iter().take(if several { usize::MAX } else { 1 }) {
        pictures.push(Picture {
            bytes: engine.artifact_bytes(artifact).await.map_err(told)?,
            file_name: artifact.file_name(),
            seed: artifact.seed,
        });
    }
    anyhow::ensure!(!pictures.is_empty(), "the job has no picture");
    Ok(Made { pictures, warnings: view.job.warnings })
}

/// The refusal, with what helps at a command line.
fn advise(error: UserError) -> anyhow::Error {
    if error.code == ErrorCode::NoServer {
        return told(UserError { hint: None, ..error })
            .context("no ComfyUI server is set up: give one with --server URL or COMFYUI_API_URL, or try --demo");
    }
    told(error)
}

/// Why a job is cancelled, and what was last heard of it.
fn given_up(stopped: bool, limit: Duration, said: &str) -> String {
    let last = if said.is_empty() { String::new() } else { format!(" ({said})") };
    if stopped {
        return format!("stopped{last}; the job was cancelled");
    }
    format!("not done after {} s{last}; the job was cancelled", limit.as_secs())
}

/// What to say when the name of a file belies its content.
fn misnamed(path: &Path, file_name: &str) -> Option<String> {
    let extension = |path: &Path| path.extension()?.to_str().map(str::to_ascii_lowercase);
    let same = |one: &str| if one == "jpeg" { "jpg".to_owned() } else { one.to_owned() };
    let (asked, made) = (extension(path)?, extension(Path::new(file_name))?);
    (same(&asked) != same(&made)).then(|| format!("{} holds a picture in the format {made}", path.display()))
}

async fn follow(engine: &Engine, id: JobId, bar: &ProgressBar, said: &mut String) {
    let Ok(mut watch) = engine.watch(id).await else { return };
    let mut progress = watch.now();
    loop {
        show(bar, &progress);
        *said = progress.describe();
        if progress.state.is_terminal() {
            return;
        }
        match watch.next().await {
            Some(next) => progress = next,
            None => return,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction from 0 to 1")]
fn show(bar: &ProgressBar, progress: &JobProgress) {
    bar.set_position((f64::from(progress.fraction) * BAR_LENGTH as f64) as u64);
    bar.set_message(progress.describe());
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar() -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(BAR_LENGTH), target);
    if let Ok(style) = ProgressStyle::with_template("{spinner} [{bar:32}] {percent:>3}% {elapsed:>4} {msg}") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Refuses before any GPU work what could not be written after it.
fn refuse_bad_target(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{} is a folder; give a file name", path.display());
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("the folder {} does not exist", folder.display());
    }
    Ok(())
}

fn target(asked: Option<PathBuf>, file_name: &str) -> PathBuf {
    let Some(mut path) = asked else { return PathBuf::from(file_name) };
    if path.extension().is_none()
        && let Some(extension) = Path::new(file_name).extension()
    {
        path.set_extension(extension);
    }
    path
}

/// The name of the picture of that index: all but the first get a number, where they would share one.
fn numbered(path: PathBuf, shared: bool, index: usize) -> PathBuf {
    if !shared || index == 0 {
        return path;
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{}", index + 1));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Writes beside the target and renames, so that no half a picture is ever seen.
fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = || format!("cannot write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    std::io::Write::write_all(&mut file, bytes).with_context(failed)?;
    // Temporary files are private; a picture is as public as the umask of any new file says.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode() & 0o777);
        file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).with_context(failed)?;
    }
    file.persist(path).with_context(failed)?;
    Ok(())
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "path and seed are what the command answers")]
fn tell(written: &[(PathBuf, Option<u64>)], warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    for (path, seed) in written {
        match seed {
            Some(seed) => println!("{} seed {seed}", path.display()),
            None => println!("{}", path.display()),
        }
    }
}
